"""The stages of an address that changes in place: what stands in the decision, and until when."""

import dataclasses
import datetime
from typing import Any

import pytest

import builders
from controller_builders import allocation, observed, serving
from lbctl.model.virtual_service import Vip, VipRole
from lbctl.plan import decision
from lbctl.plan.view import View

CURRENT, INCOMING, OUTGOING = VipRole.CURRENT, VipRole.INCOMING, VipRole.OUTGOING
OLD, NEW, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::1"
READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
EARLY, DUE = 4, 5
"""Seconds after the start of draining, with names of a TTL of 5 s."""
START = "2026-11-21T12:00:00.000000Z"


def stage(
    *held: str,
    wish: str = "",
    shown: tuple[str, ...] = (OLD,),
    agents: tuple[Any, ...] = (),
    families: tuple[str, ...] = ("IPv4",),
    **roles: VipRole,
) -> View:
    """Return a view of kuard with these addresses held, decided (old, new, six) and asked for."""
    known = {"old": OLD, "new": NEW, "six": SIX}
    vips = tuple(
        Vip(
            builders.address(known[name]),
            role,
            allocation(known[name]).name,
            f"alloc-{known[name]}",
            START if role is OUTGOING else "",
        )
        for name, role in roles.items()
    )
    obj = builders.finalized(builders.service(ipFamilies=list(families), loadBalancerIP=wish))
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in shown]}}
    base = serving(slices=(READY,), agents=agents)
    assert base.decision is not None
    decided = dataclasses.replace(base.decision.virtual_service, vips=vips)
    entries = tuple(allocation(text) for text in held)
    return dataclasses.replace(
        builders.view(obj, slices=(READY,), allocations=entries, agents=agents),
        decision=observed(decided),
    )


def roles(view: View, after_s: float = 0) -> dict[str, VipRole]:
    assert view.service is not None
    now = builders.NOW + datetime.timedelta(seconds=after_s)
    found = decision.desired_decision(view, view.service, now)
    return {str(vip.address): vip.role for vip in found.vips}


LATE = (builders.agent(decisions=0),)


def test_what_is_asked_for_comes_in_beside_the_current_address() -> None:
    view = stage(OLD, NEW, wish=NEW, old=CURRENT)
    assert roles(view) == {OLD: CURRENT, NEW: INCOMING}


@pytest.mark.parametrize(
    ("agents", "after"),
    [((), {NEW: CURRENT, OLD: OUTGOING}), (LATE, {OLD: CURRENT, NEW: INCOMING})],
)
def test_it_takes_over_once_it_is_acknowledged(agents: Any, after: dict[str, VipRole]) -> None:
    assert roles(stage(OLD, NEW, wish=NEW, old=CURRENT, new=INCOMING, agents=agents)) == after


@pytest.mark.parametrize(
    ("shown", "agents", "after_s", "stays"),
    [
        ((NEW,), (), EARLY, True),
        ((NEW,), (), DUE, False),
        ((OLD,), (), DUE, True),
        ((NEW,), LATE, DUE, True),
    ],
)
def test_the_old_one_goes_when_nobody_is_told_of_it_any_more(
    shown: tuple[str, ...], agents: Any, after_s: int, stays: bool
) -> None:
    view = stage(OLD, NEW, wish=NEW, shown=shown, agents=agents, new=CURRENT, old=OUTGOING)
    assert (OLD in roles(view, after_s)) is stays


def test_draining_starts_once_and_its_start_stays() -> None:
    view = stage(OLD, NEW, wish=NEW, new=CURRENT, old=OUTGOING)
    assert view.service is not None
    later = builders.NOW + datetime.timedelta(seconds=EARLY)
    found = decision.desired_decision(view, view.service, later)
    assert [vip.drain_start for vip in found.vips] == ["", START]


def test_a_wish_that_is_taken_back_leaves_nothing_changed() -> None:
    assert roles(stage(OLD, NEW, old=CURRENT, new=INCOMING)) == {OLD: CURRENT}


def test_back_to_an_address_that_is_still_served_is_at_once() -> None:
    view = stage(OLD, NEW, wish=OLD, shown=(NEW,), new=CURRENT, old=OUTGOING)
    assert roles(view) == {OLD: CURRENT, NEW: OUTGOING}


def test_a_third_address_waits_for_no_other_to_go() -> None:
    third = "192.0.2.3"
    view = stage(OLD, NEW, third, wish=third, shown=(NEW,), new=CURRENT, old=OUTGOING)
    assert roles(view) == {NEW: CURRENT, third: INCOMING, OLD: OUTGOING}


def test_a_family_more_is_programmed_before_names_have_it() -> None:
    both = ("IPv4", "IPv6")
    view = stage(OLD, SIX, families=both, old=CURRENT)
    assert roles(view) == {OLD: CURRENT, SIX: INCOMING}
    view = stage(OLD, SIX, families=both, old=CURRENT, six=INCOMING)
    assert roles(view) == {OLD: CURRENT, SIX: CURRENT}


def test_a_family_less_is_drained() -> None:
    view = stage(OLD, SIX, shown=(OLD, SIX), old=CURRENT, six=CURRENT)
    assert roles(view) == {OLD: CURRENT, SIX: OUTGOING}


def test_a_decision_yields_to_what_the_status_shows_and_it_never_knew() -> None:
    view = stage(OLD, NEW, shown=(NEW,), old=CURRENT)
    assert roles(view) == {NEW: CURRENT, OLD: OUTGOING}


def test_what_somebody_else_wrote_into_the_status_counts_for_nothing() -> None:
    assert roles(stage(OLD, shown=("203.0.113.9",), old=CURRENT)) == {OLD: CURRENT}


def test_an_address_that_is_not_held_has_no_place() -> None:
    assert roles(stage(NEW, wish=NEW, old=CURRENT, new=INCOMING)) == {NEW: CURRENT}
