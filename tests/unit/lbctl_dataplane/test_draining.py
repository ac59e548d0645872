"""Members that terminate keep their connections for as long as their policy says."""

import asyncio
import dataclasses
import itertools

import pytest

import dataplane_builders as build
import dataplane_whole as whole
import event_loops
from lbctl.model.virtual_service import Policy
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.drains import Drains
from lbctl_dataplane.rules.draining import Drain, Draining, parse_drains, render_drain
from lbctl_dataplane.rules.frontend import Frontend

READY, GOING = build.ip("10.0.0.1"), build.ip("10.0.0.2")
KEY = "default.kuard"


def endpoint(address: object, *, terminating: bool, ready: bool = False) -> Endpoint:
    ports = (("", "TCP", 8080),)
    return Endpoint(build.ip(str(address)), "node-1", ready, True, terminating, ports)


def node(timeout_s: int | None, *, terminating: bool = True) -> tuple[Frontend, ...]:
    """Return a node's frontend with a ready member and another one that goes."""
    service = build.service(vips=["198.18.0.1"], policy=Policy(drain_timeout_s=timeout_s))
    ends = (
        endpoint(READY, terminating=False, ready=True),
        endpoint(GOING, terminating=terminating),
    )
    return whole.frontends([service], {service.key: ends}, "node-1")


def lingering(frontends: tuple[Frontend, ...]) -> list[str]:
    return [str(member.address) for entry in frontends for member in entry.lingering]


def test_a_terminating_member_keeps_its_connections_for_the_drain_time() -> None:
    draining, wanted = Draining(), node(30)
    assert lingering(draining.of(wanted, 100.0)) == [str(GOING)]
    assert draining.next_s == 130.0
    assert lingering(draining.of(wanted, 129.9)) == [str(GOING)]
    assert lingering(draining.of(wanted, 130.0)) == []
    assert draining.next_s is None


def test_zero_is_no_time_at_all() -> None:
    assert lingering(Draining().of(node(0), 100.0)) == []


@pytest.mark.parametrize(
    "wanted", [node(None), node(30, terminating=False)], ids=["no end", "not terminating"]
)
def test_others_linger_for_as_long_as_they_like(wanted: tuple[Frontend, ...]) -> None:
    draining = Draining()
    assert lingering(draining.of(wanted, 0.0)) == [str(GOING)]
    assert draining.next_s is None
    assert lingering(draining.of(wanted, 10.0**6)) == [str(GOING)]


def test_a_terminating_member_that_gets_new_connections_does_not_drain() -> None:
    service = build.service(vips=["198.18.0.1"], policy=Policy(drain_timeout_s=1))
    found = whole.frontends(
        [service], {service.key: (endpoint(GOING, terminating=True),)}, "node-1"
    )
    draining = Draining()
    assert draining.of(found, 0.0) == found
    assert draining.drains == ()


def test_a_place_whose_last_member_drained_is_still_there() -> None:
    (entry,) = node(1)
    alone = dataclasses.replace(entry, members=())
    draining = Draining()
    draining.of((alone,), 0.0)
    (left,) = draining.of((alone,), 1.0)
    assert left.place == alone.place
    assert left.all_members == ()


def test_a_restart_goes_on_where_the_drain_was() -> None:
    before, after = Draining(), Draining()
    before.of(node(30), 100.0)
    after.restore(parse_drains(map(render_drain, before.drains)))
    assert after.drains == (Drain(KEY, GOING, 100.0),)
    after.of(node(30), 120.0)
    assert after.next_s == 130.0


def test_what_is_no_drain_is_left_out() -> None:
    good = render_drain(Drain(KEY, GOING, 1.0))
    wrong = ({}, good | {"address": "there"}, good | {"sinceSeconds": None})
    assert parse_drains([good, *wrong]) == (Drain(KEY, GOING, 1.0),)


def test_who_comes_back_and_goes_again_drains_anew() -> None:
    draining = Draining()
    draining.of(node(30), 100.0)
    draining.of(node(30, terminating=False), 110.0)
    draining.of(node(30), 120.0)
    assert draining.next_s == 150.0


def test_what_did_not_change_is_the_same_object() -> None:
    draining, wanted = Draining(), node(30)
    assert draining.of(wanted, 0.0)[0] is wanted[0]
    (over,) = draining.of(wanted, 30.0)
    assert draining.of(wanted, 31.0)[0] is over


def test_the_end_of_a_drain_asks_for_a_pass() -> None:
    async def scenario() -> None:
        moments = itertools.chain([0.0], itertools.repeat(0.9))
        drains, over = Drains(lambda: next(moments)), asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(drains.follow(over.set))
            await asyncio.sleep(0)
            assert lingering(drains.of(node(1))) == [str(GOING)]
            assert not over.is_set()
            await over.wait()
            following.cancel()

    event_loops.run(scenario(), event_loops.Hurried)
