"""L4VirtualServices as the API server sends them: absent fields, spec versions, keys."""

from typing import Any

import pytest

import builders
import controller_builders
from lbctl.model.virtual_service import (
    Listener,
    Phase,
    Policy,
    Vip,
    VipRole,
    parse_virtual_service,
    spec_version,
)


def smallest() -> dict[str, Any]:
    return {
        "spec": {
            "service": {"namespace": "default", "name": "kuard", "uid": "uid-1"},
            "name": "lab--default-kuard",
            "phase": "Serving",
        }
    }


def test_absent_fields_mean_their_defaults() -> None:
    found = parse_virtual_service(smallest())
    assert (found.vips, found.listeners, found.names) == ((), (), ())
    assert found.policy == Policy()
    assert (found.drain_start, found.empty_since) == ("", "")


def test_a_vip_may_lack_its_allocation_and_a_listener_its_name() -> None:
    obj = smallest()
    obj["spec"]["vips"] = [{"address": "2001:db8::1", "family": "IPv6", "role": "Outgoing"}]
    obj["spec"]["listeners"] = [{"protocol": "UDP", "port": 53, "pool": "p"}]
    found = parse_virtual_service(obj)
    assert found.vips == (Vip(builders.address("2001:db8::1"), VipRole.OUTGOING, "", ""),)
    assert found.listeners == (Listener("", "UDP", 53, "p"),)


def test_a_phase_that_does_not_exist_is_an_error() -> None:
    obj = smallest()
    obj["spec"]["phase"] = "Sleeping"
    with pytest.raises(ValueError, match="Sleeping"):
        parse_virtual_service(obj)


def test_the_key_is_namespace_dot_name() -> None:
    view = controller_builders.serving()
    assert view.decision is not None
    assert view.decision.virtual_service.key == "default.kuard"
    assert view.decision.virtual_service.phase is Phase.SERVING


@pytest.mark.parametrize(("text", "family"), [("192.0.2.1", "IPv4"), ("2001:db8::1", "IPv6")])
def test_a_vip_names_its_family_as_kubernetes_does(text: str, family: str) -> None:
    assert Vip(builders.address(text), VipRole.CURRENT, "", "").family == family


@pytest.mark.parametrize(
    ("status", "version"),
    [
        (None, 50),
        ({}, 50),
        ({"observedGeneration": 2, "specResourceVersion": "40"}, 50),
        ({"observedGeneration": 3, "specResourceVersion": "40"}, 40),
        ({"observedGeneration": 3}, 50),
    ],
    ids=["no status", "empty status", "of an older spec", "of this spec", "without a version"],
)
def test_the_spec_version_is_the_noted_one_only_for_this_generation(
    status: dict[str, Any] | None, version: int
) -> None:
    obj = {"metadata": {"resourceVersion": "50", "generation": 3}, "status": status}
    assert spec_version(obj) == version
