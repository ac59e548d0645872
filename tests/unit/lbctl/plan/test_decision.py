"""What the decision about a Service says: names, addresses, and when its name is out there."""

import dataclasses
import datetime

import pytest

import builders
import controller_builders
from controller_builders import allocation, decided, rewritten, serving
from lbctl.model.virtual_service import NamePublication, ServiceRef, VirtualService
from lbctl.plan import decision, times
from lbctl.plan.view import View

READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
SICK = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))
GRACE = datetime.timedelta(seconds=builders.NAMING.empty_grace_s)
HOST = "kuard.default.lb.example"


def desired(view: View, now: datetime.datetime = builders.NOW) -> VirtualService:
    assert view.service is not None
    return decision.desired_decision(view, view.service, now)


def with_slices(view: View, *slices: object) -> View:
    """Return the view after its endpoints changed."""
    return dataclasses.replace(view, endpoints=builders.view(None, slices=slices).endpoints)


def test_addresses_stand_ipv4_first_whatever_the_services_order() -> None:
    obj = builders.service(ipFamilies=["IPv6", "IPv4"])
    held = (allocation("192.0.2.1"), allocation("2001:db8::1"))
    found = desired(builders.view(obj, allocations=held))
    assert [str(vip.address) for vip in found.vips] == ["192.0.2.1", "2001:db8::1"]
    assert found.vips[0].allocation_uid == "alloc-192.0.2.1"


def test_a_family_without_an_address_has_no_vip() -> None:
    obj = builders.service(ipFamilies=["IPv4", "IPv6"])
    found = desired(builders.view(obj, allocations=(allocation(),)))
    assert [str(vip.address) for vip in found.vips] == ["192.0.2.1"]


def test_an_address_of_a_family_the_service_gave_up_has_no_vip() -> None:
    held = (allocation("192.0.2.1"), allocation("2001:db8::1"))
    found = desired(builders.view(builders.service(ipFamilies=["IPv6"]), allocations=held))
    assert [str(vip.address) for vip in found.vips] == ["2001:db8::1"]


@pytest.mark.parametrize("first", ["192.0.2.1", "192.0.2.2"])
def test_of_two_addresses_of_a_family_the_one_decided_for_stays(first: str) -> None:
    both = (allocation("192.0.2.1"), allocation("192.0.2.2"))
    view = dataclasses.replace(serving(first), allocations=both)
    assert [str(vip.address) for vip in desired(view).vips] == [first]


def test_of_two_addresses_of_a_family_the_lower_one_is_decided_for() -> None:
    both = (allocation("192.0.2.1"), allocation("192.0.2.2"))
    found = desired(builders.view(builders.service(), allocations=both))
    assert [str(vip.address) for vip in found.vips] == ["192.0.2.1"]


def test_each_port_is_a_listener_with_its_pool() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]
    found = desired(builders.view(builders.service(ports=ports)))
    assert [(entry.name, entry.protocol, entry.port, entry.pool) for entry in found.listeners] == [
        ("a", "TCP", 80, "lab--default-kuard--80"),
        ("b", "UDP", 53, "lab--default-kuard--53-udp"),
    ]


def test_a_name_that_is_taken_gets_a_tail() -> None:
    found = desired(builders.view(builders.service(), name_taken=True))
    assert found.name.startswith("lab--default-kuard-")


def test_a_name_once_decided_stays_when_another_service_takes_the_plain_one() -> None:
    view = dataclasses.replace(serving(), name_taken=True)
    assert desired(view).name == "lab--default-kuard"


def test_a_service_that_was_created_again_does_not_inherit_a_name() -> None:
    view = rewritten(serving(), name="old", service=ServiceRef("default", "kuard", "uid-0"))
    assert desired(view).name == "lab--default-kuard"


def test_without_a_subdomain_a_service_has_no_name() -> None:
    naming = dataclasses.replace(builders.NAMING, subdomain="")
    assert desired(builders.view(builders.service(), naming=naming)).names == ()


@pytest.mark.parametrize(("slices", "published"), [((), False), ((SICK,), False), ((READY,), True)])
def test_a_new_name_is_published_once_there_is_a_usable_endpoint(
    slices: tuple[object, ...], published: bool
) -> None:
    found = desired(builders.view(builders.service(), slices=slices))
    assert found.names == (NamePublication(HOST, 5, published),)
    assert decision.is_published(found) is published


def test_a_name_goes_at_once_when_the_last_endpoint_is_gone() -> None:
    found = desired(with_slices(serving(slices=(READY,))))
    assert not decision.is_published(found)
    assert found.empty_since == ""


def test_a_name_stays_for_the_grace_while_endpoints_exist_but_none_is_ready() -> None:
    view = with_slices(serving(slices=(READY,)), SICK)
    found = desired(view)
    assert decision.is_published(found)
    assert found.empty_since == times.render(builders.NOW)


def test_the_grace_counts_from_its_first_moment() -> None:
    sick = with_slices(serving(slices=(READY,)), SICK)
    sick = decided(sick)
    just_before = builders.NOW + GRACE - datetime.timedelta(microseconds=1)
    assert decision.is_published(desired(sick, just_before))
    assert not decision.is_published(desired(sick, builders.NOW + GRACE))


def test_the_grace_ends_with_the_first_ready_endpoint() -> None:
    sick = decided(with_slices(serving(slices=(READY,)), SICK))
    found = desired(with_slices(sick, READY), builders.NOW + 2 * GRACE)
    assert found.empty_since == ""
    assert decision.is_published(found)


def test_a_name_that_never_was_published_has_no_grace() -> None:
    found = desired(serving(slices=(SICK,)))
    assert found.empty_since == ""
    assert not decision.is_published(found)


def test_the_end_of_the_grace_is_known_only_while_it_runs() -> None:
    healthy = serving(slices=(READY,))
    assert decision.grace_ends(builders.view(builders.service())) is None
    assert decision.grace_ends(healthy) is None
    sick = decided(with_slices(healthy, SICK))
    assert decision.grace_ends(sick) == builders.NOW + GRACE


def test_the_same_view_gives_the_same_decision() -> None:
    view = controller_builders.serving(slices=(READY,))
    assert view.decision is not None
    assert desired(view) == view.decision.virtual_service
