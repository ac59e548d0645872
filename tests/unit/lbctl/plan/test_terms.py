"""What a Service enters with the addresses that it shares, and what others do not allow it."""

import dataclasses
from typing import Any

import pytest

import builders
from controller_builders import allocation
from lbctl.model.allocation import Allocation, Holder
from lbctl.model.reasons import Reason
from lbctl.model.virtual_service import ServiceRef
from lbctl.plan import steps, terms
from lbctl.plan.view import View

OWN = allocation().holders[0]
OTHER = Holder(ServiceRef("default", "mail", "uid-2"), ((25, "TCP"),), "Cluster")
KEY = "lbctl.io/shared-ip"


def shared(*holders: Holder, key: str = "web") -> Allocation:
    return dataclasses.replace(allocation(), holders=holders, sharing_key=key)


def sharing(entry: Allocation, *ports: int, key: str = "web", **spec: Any) -> View:
    listed = [{"name": f"p{port}", "port": port} for port in ports]
    obj = builders.finalized(builders.service(ports=listed, **spec))
    obj["metadata"]["annotations"] = {KEY: key} if key else {}
    return builders.view(obj, allocations=(entry,))


def entered(found: tuple[steps.Step, ...]) -> list[tuple[int, str]]:
    (step,) = found
    assert isinstance(step, steps.ChangeAllocation)
    (own,) = (e for e in step.allocation.holders if e.service == OWN.service)
    return list(own.ports)


def of(view: View, ask: Any) -> Any:
    assert view.service is not None
    return ask(view, view.service)


def test_a_new_port_is_entered_first_and_an_old_one_stays_until_nobody_serves_it() -> None:
    view = sharing(shared(OWN, OTHER), 443)
    assert entered(of(view, terms.widened)) == [(443, "TCP"), (8080, "TCP")]
    assert entered(of(view, terms.settled)) == [(443, "TCP")]


def test_a_port_is_served_only_when_it_is_entered() -> None:
    view = sharing(shared(OWN, OTHER), 443, 8080)
    assert [port.port for port in of(view, terms.served_ports)] == [8080]


def test_the_port_of_another_is_refused_and_nothing_is_entered() -> None:
    view = sharing(shared(OWN, OTHER), 25, 8080)
    assert [entry.reason for entry in of(view, terms.refusals)] == [Reason.PORT_CLASH]
    assert of(view, terms.widened) == of(view, terms.settled) == ()
    assert [port.port for port in of(view, terms.served_ports)] == [8080]


def test_another_traffic_policy_is_refused_and_the_old_one_goes_on() -> None:
    view = sharing(shared(OWN, OTHER), 8080, externalTrafficPolicy="Local")
    assert [entry.reason for entry in of(view, terms.refusals)] == [Reason.SHARING_NOT_ALLOWED]
    assert of(view, terms.traffic_policy) == "Cluster"


@pytest.mark.parametrize("key", ["", "mine"])
def test_who_changes_the_key_keeps_an_address_that_others_share(key: str) -> None:
    view = sharing(shared(OWN, OTHER), 8080, key=key)
    assert [entry.reason for entry in of(view, terms.refusals)] == [Reason.ADDRESS_KEPT]
    assert of(view, terms.settled) == ()


@pytest.mark.parametrize("key", ["", "mine"])
def test_who_is_alone_changes_the_key_as_he_likes(key: str) -> None:
    view = sharing(shared(OWN), 8080, key=key)
    assert of(view, terms.refusals) == ()
    (step,) = of(view, terms.widened)
    assert step.allocation.sharing_key == key


def test_an_address_for_one_alone_serves_a_new_port_at_once() -> None:
    view = sharing(shared(OWN, key=""), 443, key="")
    assert of(view, terms.widened) == ()
    assert [port.port for port in of(view, terms.served_ports)] == [443]
    assert entered(of(view, terms.settled)) == [(443, "TCP")]
