"""What becomes of an address that is given back."""

import dataclasses
import datetime

import ipam_builders as ipam
from lbctl.ipam import release
from lbctl.model.allocation import AllocationState

NOW = "2026-11-21T12:00:00.000000Z"


def test_without_a_delay_nothing_is_left() -> None:
    assert release.without(ipam.bound("192.0.2.1", "a"), "uid-a", NOW, 0) is None


def test_others_keep_what_they_share() -> None:
    found = ipam.bound("192.0.2.1", "a", "b", sharing_key="web")
    left = release.without(found, "uid-a", NOW, 60)
    assert left == dataclasses.replace(found, holders=(ipam.holder("b"),))


def test_a_delay_keeps_it_for_the_same_name_and_then_it_is_over() -> None:
    found = ipam.bound("192.0.2.1", "a", sharing_key="web", bound_at=NOW, uid="alloc")
    left = release.without(found, "uid-a", NOW, 60)
    assert left is not None
    assert (left.state, left.reserved_for) == (AllocationState.RESERVED, "default/a")
    assert (left.released_at, left.holders, left.sharing_key, left.bound_at) == (NOW, (), "", "")
    assert left.uid == "alloc"
    ends = release.reservation_ends(left, 60)
    assert ends == datetime.datetime(2026, 11, 21, 12, 1, tzinfo=datetime.UTC)


def test_an_administrators_reservation_comes_back_and_has_no_end() -> None:
    found = ipam.bound("192.0.2.1", "a", reserved_for="default/a")
    left = release.without(found, "uid-a", NOW, 60)
    assert left is not None
    assert (left.state, left.reserved_for, left.released_at) == (
        AllocationState.RESERVED,
        "default/a",
        "",
    )
    assert release.reservation_ends(left, 60) is None


def test_who_does_not_hold_it_gives_nothing_back() -> None:
    for found in (
        ipam.bound("192.0.2.1", "a"),
        ipam.reserved("192.0.2.1", "default/me", released_at=NOW),
    ):
        assert release.without(found, "uid-b", NOW, 60) == found


def test_what_is_held_has_no_end() -> None:
    assert release.reservation_ends(ipam.bound("192.0.2.1", "a"), 60) is None
