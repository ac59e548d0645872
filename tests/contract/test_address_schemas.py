"""What the API server itself refuses of pools and allocations, before any controller sees them."""

from pathlib import Path
from typing import Any

import pytest

import api_builders
import ipam_builders as ipam
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl.model.allocation import render_allocation
from lbctl.model.reasons import Refused
from lbctl.settings import AddressPoolSettings
from lbctl.translate import pools

pytestmark = pytest.mark.root
RANGES = {"addresses": ["192.0.2.0/24"]}


def stored(real_api: Path, resource: Resource, body: Json) -> Json:
    """Return what the server keeps of an object; raises Rejected."""
    found: list[Json] = []

    async def made(api: Client) -> None:
        found.append(await api.create(resource, body))
        await api.delete(resource, body["metadata"]["name"])

    api_builders.ask(made, config.load(real_api))
    return found[0]


GOOD: list[dict[str, Any]] = [
    RANGES,
    {"addresses": ["192.0.2.10-192.0.2.20", "192.0.2.1 - 192.0.2.3", "2001:db8::/64"]},
    {"addresses": ["2001:db8::1-2001:db8::ff", "192.0.2.7/32", "192.0.2.9"]},
    {"staticAddresses": ["192.0.2.1-192.0.2.1"]},
    {**RANGES, "serves": {"namespaces": ["a"], "exclusive": True}},
    {**RANGES, "serves": {"serviceSelectors": [{"matchLabels": {"a": "b"}}]}},
    {
        **RANGES,
        "serves": {
            "namespaceSelectors": [
                {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
                {},
            ]
        },
    },
]


@pytest.mark.parametrize("spec", GOOD)
def test_a_pool_that_makes_sense_is_taken_and_read_back(
    real_api: Path, name: str, spec: dict[str, Any]
) -> None:
    obj = stored(real_api, resources.ADDRESS_POOLS, {"metadata": {"name": name}, "spec": spec})
    found = pools.translate_pool(obj).pool
    assert not isinstance(found, Refused), found
    assert found.priority == 100
    assert found.auto_assign


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "at least one CIDR or range"),
    ({"addresses": []}, "at least one CIDR or range"),
    ({"addresses": ["kuard"]}, "neither a CIDR nor an address"),
    ({"addresses": ["192.0.2.0/33"]}, "neither a CIDR nor an address"),
    ({"addresses": ["192.0.2.1-"]}, "neither a CIDR nor an address"),
    ({"addresses": ["192.0.2.1-192.0.2.2-192.0.2.3"]}, "neither a CIDR nor an address"),
    ({"staticAddresses": ["192.0.2.1/24"]}, "bits set beyond its prefix"),
    ({**RANGES, "reserved": ["2001:db8::1/64"]}, "bits set beyond its prefix"),
    ({"addresses": ["192.0.2.1-2001:db8::1"]}, "ends in the other"),
    ({"addresses": ["192.0.2.0/24"] * 65}, "must have at most 64 items"),
    ({**RANGES, "priority": -1}, "priority"),
    ({**RANGES, "reuseDelaySeconds": -1}, "reuseDelaySeconds"),
    ({**RANGES, "serves": {"exclusive": True}}, "exclusive needs"),
    (
        {
            **RANGES,
            "serves": {
                "serviceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]
            },
        },
        "need values",
    ),
]


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_a_pool_that_makes_no_sense_is_refused_by_the_server(
    real_api: Path, name: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.Rejected, match=message):
        stored(real_api, resources.ADDRESS_POOLS, {"metadata": {"name": name}, "spec": spec})


def test_a_mirror_comes_back_from_the_server_as_it_was_sent(real_api: Path, name: str) -> None:
    entry = AddressPoolSettings.model_validate(
        {
            "addresses": [" 192.0.2.0/255.255.255.0", "2001:DB8::1 - 2001:db8::0002", "192.0.2.7"],
            "serves": {"namespaces": ["a"], "serviceSelectors": [{"matchLabels": {"a": "b"}}]},
            "autoAssign": False,
        }
    )
    spec = pools.render_pool(entry, 107)
    obj = stored(real_api, resources.ADDRESS_POOLS, {"metadata": {"name": name}, "spec": spec})
    assert obj["spec"] == spec


def allocation(name: str, **spec: Any) -> Json:
    bound = {
        "address": "192.0.2.1",
        "pool": "default",
        "state": "Bound",
        "holders": [{"uid": "1", "namespace": "default", "name": "kuard"}],
    }
    found = {key: value for key, value in {**bound, **spec}.items() if value is not None}
    return {"metadata": {"name": name}, "spec": found}


@pytest.mark.parametrize(
    "given",
    [
        ipam.bound("192.0.2.1", "a", "b", sharing_key="web", bound_at="2026-11-21T12:00:00.1Z"),
        ipam.bound("2001:db8::1", holders=(ipam.holder(shares_with=frozenset({"*"})),)),
        ipam.bound("192.0.2.1", "me", reserved_for="default/me"),
    ],
)
def test_what_lbctl_writes_of_an_address_is_taken(real_api: Path, given: Any) -> None:
    body = render_allocation(given)
    assert stored(real_api, resources.IP_ALLOCATIONS, body)["spec"] == body["spec"]


def test_an_administrator_reserves_an_address_in_three_fields(real_api: Path) -> None:
    body = allocation("ip-192-0-2-1", state="Reserved", holders=None, pool=None)
    body["spec"]["reservedFor"] = {"namespace": "default", "name": "kuard"}
    assert stored(real_api, resources.IP_ALLOCATIONS, body)["spec"]["state"] == "Reserved"


TWO = [{"uid": uid, "namespace": "default", "name": uid} for uid in ("1", "2")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (allocation("ip-192-0-2-2"), "made of the address"),
        (allocation("kuard"), "made of the address"),
        (allocation("ip-2001-db8--1", address="2001:db8::1"), "made of the address"),
        (
            allocation("ip-2001-0db8-0000-0000-0000-0000-0000-0002", address="2001:db8::1"),
            "made of the address",
        ),
        (
            allocation("ip-2001-0db8-0000-0000-0000-0000-0000-0001", address="2001:DB8::1"),
            "canonical",
        ),
        (allocation("ip-x", address="kuard"), "canonical"),
        (allocation("ip-192-0-2-1", holders=[]), "has a holder"),
        (allocation("ip-192-0-2-1", state="Reserved"), "has no holder"),
        (allocation("ip-192-0-2-1", state="Reserved", holders=[]), "whom it is kept for"),
        (allocation("ip-192-0-2-1", holders=TWO), "under a key"),
        (allocation("ip-192-0-2-1", state="Free"), "Unsupported value"),
    ],
)
def test_what_says_two_things_of_an_address_is_refused(
    real_api: Path, body: Json, message: str
) -> None:
    with pytest.raises(errors.Rejected, match=message):
        stored(real_api, resources.IP_ALLOCATIONS, body)
