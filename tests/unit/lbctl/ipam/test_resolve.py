"""Which pools give addresses, and by which spec."""

import dataclasses

import ipam_builders as ipam
from lbctl.ipam.resolve import Resolved, resolve
from lbctl.model.pool import DeclaredPool
from lbctl.model.reasons import Reason, Refused

CONFIGURED = ipam.pool("default", "192.0.2.0/24")
OLD, NEW = "2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z"


def declared(
    name: str,
    *texts: str,
    created: str = "2026-11-21T12:00:00Z",
    accepted: tuple[str, ...] = (),
) -> DeclaredPool:
    before = ipam.pool(name, *accepted) if accepted else None
    return DeclaredPool(name, created, ipam.pool(name, *texts), before)


def malformed(name: str, *accepted: str) -> DeclaredPool:
    wrong = Refused(Reason.POOL_MALFORMED, "spec.addresses: y")
    return dataclasses.replace(declared(name, accepted=accepted), pool=wrong)


def given(found: Resolved) -> dict[str, list[str]]:
    """Return the ranges that pools give, by name."""
    return {
        pool.name: [f"{part.first}-{part.last}" for part in pool.ranges] for pool in found.pools
    }


def test_objects_stand_beside_the_settings() -> None:
    found = resolve([CONFIGURED], [declared("more", "198.51.100.0/24")])
    assert [pool.name for pool in found.pools] == ["default", "more"]
    assert found.refused == {}


def test_a_name_of_the_settings_is_taken() -> None:
    found = resolve([CONFIGURED], [declared("default", "198.51.100.0/24")])
    assert found.refused["default"].reason is Reason.NAME_TAKEN
    assert len(found.pools) == 1


def test_what_overlaps_an_older_pool_gives_nothing_and_is_told_with_what() -> None:
    newer = declared("a", "198.51.100.9-198.51.100.99", created="2026-11-21T12:00:01Z")
    older = declared("b", "198.51.100.0/28")
    found = resolve([], [newer, older])
    assert [pool.name for pool in found.pools] == ["b"]
    assert found.refused["a"] == Refused(
        Reason.OVERLAPS, "198.51.100.9-198.51.100.14 is in pool b too"
    )


def test_of_two_pools_of_one_age_the_first_name_counts() -> None:
    found = resolve([], [declared("b", "192.0.2.1"), declared("a", "192.0.2.1")])
    assert list(found.refused) == ["b"]


def test_static_addresses_overlap_too_and_families_never_do() -> None:
    static = DeclaredPool("s", "", ipam.pool("s", static=("192.0.2.7",)))
    assert list(resolve([CONFIGURED], [static]).refused) == ["s"]
    six = declared("six", "::c000:201-::c000:2ff")
    assert resolve([CONFIGURED], [six]).refused == {}


def test_what_does_not_parse_gives_nothing() -> None:
    broken = DeclaredPool("x", "", Refused(Reason.POOL_MALFORMED, "spec.addresses: y"))
    assert resolve([], [broken]).refused == {"x": broken.pool}


def test_what_was_good_and_does_not_parse_now_gives_as_before() -> None:
    found = resolve([CONFIGURED], [malformed("a", "198.51.100.1-198.51.100.9")])
    assert given(found)["a"] == ["198.51.100.1-198.51.100.9"]
    assert found.refused["a"].reason is Reason.POOL_MALFORMED
    assert found.lasting == {"a"}
    assert found.gives("a")


def test_an_older_pool_takes_nothing_from_a_newer_one_that_has_it_already() -> None:
    greedy = declared("old", "10.0.0.1-10.0.0.99", created=OLD, accepted=("10.0.0.1-10.0.0.9",))
    sated = declared("new", "10.0.0.50-10.0.0.59", created=NEW, accepted=("10.0.0.50-10.0.0.59",))
    found = resolve([], [greedy, sated])
    assert given(found) == {"old": ["10.0.0.1-10.0.0.9"], "new": ["10.0.0.50-10.0.0.59"]}
    assert found.refused["old"] == Refused(
        Reason.OVERLAPS, "10.0.0.50-10.0.0.59 is in pool new too"
    )
    assert found.lasting == {"old"}


def test_a_new_pool_takes_nothing_from_one_whose_last_good_spec_is_in_force() -> None:
    late = declared("late", "10.0.0.5", created=NEW)
    found = resolve([], [malformed("a", "10.0.0.1-10.0.0.9"), late])
    assert given(found) == {"a": ["10.0.0.1-10.0.0.9"]}
    assert not found.gives("late")


def test_pools_may_hand_addresses_on_to_each_other_in_one_go() -> None:
    chain = [
        declared("a", "10.0.0.2", accepted=("10.0.0.1",)),
        declared("b", "10.0.0.3", accepted=("10.0.0.2",)),
        declared("c", "10.0.0.4", accepted=("10.0.0.3",)),
    ]
    found = resolve([], chain)
    assert found.refused == {}
    assert given(found) == {
        "a": ["10.0.0.2-10.0.0.2"],
        "b": ["10.0.0.3-10.0.0.3"],
        "c": ["10.0.0.4-10.0.0.4"],
    }


def test_the_settings_take_addresses_from_objects_and_names_too() -> None:
    lost = declared("a", "192.0.2.7", accepted=("192.0.2.7",))
    named = declared("default", "10.0.0.1", accepted=("10.0.0.1",))
    found = resolve([CONFIGURED], [lost, named])
    assert {name: entry.reason for name, entry in found.refused.items()} == {
        "a": Reason.OVERLAPS,
        "default": Reason.NAME_TAKEN,
    }
    assert [pool.name for pool in found.pools] == ["default"]
    assert found.lasting == frozenset()
    assert not found.gives("default")
