"""The table beside Open vSwitch: who is refused, and in which order that changes."""

import dataplane_builders as build
from lbctl import delta
from lbctl_dataplane.rules.ovs import refusals
from lbctl_dataplane.rules.tables.elements import Element

KEY = "198.18.0.1 . 6 . 80"
VIP, TAKING, KEPT = Element("vips4", "198.18.0.1"), Element("taking4", KEY), Element("kept4", KEY)


def elements(*addresses: str, **fields: object) -> set[Element]:
    return set(refusals.elements(build.frontend(build.place(), *addresses, **fields)))


def test_a_place_with_a_member_here_is_refused_to_nobody() -> None:
    assert elements("10.0.0.1") == {VIP, TAKING, KEPT}


def test_who_lingers_keeps_connections_and_new_ones_are_refused() -> None:
    assert elements(lingering=build.members("10.0.0.1")) == {VIP, KEPT}


def test_all_of_a_vip_without_members_here_is_refused() -> None:
    assert elements() == elements(elsewhere=True) == {VIP}


def test_a_place_is_opened_before_and_closed_after_the_switch_serves_it() -> None:
    open_, closed = dict.fromkeys((VIP, TAKING, KEPT), ()), {VIP: ()}
    opening = delta.diff(open_, closed)
    assert (refusals.loosening(opening), bool(refusals.tightening(opening))) == (opening, False)
    closing = delta.diff(closed, open_)
    assert (bool(refusals.loosening(closing)), refusals.tightening(closing)) == (False, closing)


def test_a_vip_comes_after_its_places_and_goes_before_them() -> None:
    coming = delta.diff(dict.fromkeys((VIP, TAKING, KEPT), ()), {})
    assert set(refusals.loosening(coming).upserts) == {TAKING, KEPT}
    assert set(refusals.tightening(coming).upserts) == {VIP}
    going = delta.diff({}, dict.fromkeys((VIP, TAKING, KEPT), ()))
    assert refusals.loosening(going).deletes == {VIP}
    assert refusals.tightening(going).deletes == {TAKING, KEPT}
