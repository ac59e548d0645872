"""Which address a Service gets, or why none."""

from dataclasses import replace
from typing import Any

import pytest

import builders
import ipam_builders as ipam
from lbctl.ipam.allocator import Awaited, Grant, allocate
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.allocation import AllocationState
from lbctl.model.pool import Fence
from lbctl.model.reasons import Reason, Refused

FIRST = ipam.pool("first", "192.0.2.1-192.0.2.2")
SECOND = ipam.pool("second", "198.51.100.1-198.51.100.2", "2001:db8::1-2001:db8::1")
POOLS = AddressPools([FIRST, SECOND])
FENCED = ipam.pool("fenced", "203.0.113.1", fence=Fence(frozenset({"tenant"}), exclusive=True))


def given(found: Grant | Refused) -> tuple[str, str]:
    """Return address and pool of a grant, reason and detail of a refusal."""
    if isinstance(found, Grant):
        return str(found.address), found.pool
    return found.reason.value, found.detail


def ask(
    *pools: Any, on: Ledger | None = None, name: str = "me", **overrides: Any
) -> tuple[str, str]:
    known = AddressPools(pools) if pools else POOLS
    return given(allocate(ipam.request(name, **overrides), known, on or Ledger()))


# --- the lowest free one ------------------------------------------------------------------------


def test_the_first_pools_lowest_address_is_given_first() -> None:
    assert ask() == ("192.0.2.1", "first")


def test_a_pool_of_lower_priority_is_tried_first() -> None:
    assert ask(FIRST, ipam.pool("z", "203.0.113.1", priority=99)) == ("203.0.113.1", "z")


def test_a_pool_that_is_full_is_passed_over() -> None:
    full = ipam.ledger(a="192.0.2.1", b="192.0.2.2")
    assert ask(on=full) == ("198.51.100.1", "second")


def test_a_pool_without_the_family_is_passed_over() -> None:
    assert ask(family=6) == ("2001:db8::1", "second")


def test_ranges_are_used_in_their_order() -> None:
    pool = ipam.pool("p", "198.51.100.0/30", "192.0.2.0/30")
    assert ask(pool) == ("198.51.100.1", "p")


def test_when_all_is_held_the_refusal_names_the_pools_that_were_tried() -> None:
    full = ipam.ledger(a="192.0.2.1", b="192.0.2.2")
    assert ask(FIRST, on=full) == ("PoolExhausted", "no free IPv4 address in first")


def test_without_a_pool_of_the_family_there_is_no_pool() -> None:
    assert ask(FIRST, family=6) == ("NoPool", "no pool has IPv6 addresses")
    assert given(allocate(ipam.request(), AddressPools(), Ledger()))[0] == "NoPool"


def test_what_is_static_reserved_or_confusing_is_not_given_by_itself() -> None:
    pool = ipam.pool(
        "p",
        "192.0.2.0-192.0.2.5",
        static=("192.0.2.1", "192.0.2.2"),
        reserved=("192.0.2.3/32",),
        avoid_buggy=True,
    )
    assert ask(pool) == ("192.0.2.4", "p")


def test_a_pool_that_assigns_nothing_by_itself_gives_on_request_of_the_pool() -> None:
    manual = ipam.pool("manual", "203.0.113.1", auto_assign=False)
    assert ask(manual) == ("NoPool", "no pool has IPv4 addresses")
    assert ask(manual, pool_wanted="manual") == ("203.0.113.1", "manual")
    assert ask(manual, wanted="203.0.113.1") == ("203.0.113.1", "manual")


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", ["", "me"])
def test_a_requested_address_is_given_when_it_is_free_or_held_already(holder: str) -> None:
    known = ipam.ledger(**({holder: "192.0.2.2"} if holder else {}))
    assert ask(on=known, wanted="192.0.2.2") == ("192.0.2.2", "first")


def test_a_requested_address_that_is_held_is_refused_and_no_other_given() -> None:
    held = ipam.ledger(other="192.0.2.2")
    assert ask(on=held, wanted="192.0.2.2") == (
        "AddressTaken",
        "192.0.2.2 is held by default/other",
    )


def test_a_requested_address_outside_every_pool_is_refused_naming_them() -> None:
    assert ask(wanted="203.0.113.1") == (
        "AddressNotInPool",
        "203.0.113.1 is in no pool (first, second)",
    )
    nowhere = allocate(ipam.request(wanted="203.0.113.1"), AddressPools(), Ledger())
    assert given(nowhere)[1].endswith("(none exists)")


@pytest.mark.parametrize("text", ["192.0.2.0", "192.0.2.3"])
def test_what_a_pool_never_gives_is_refused_on_request_too(text: str) -> None:
    pool = ipam.pool("p", "192.0.2.0-192.0.2.9", reserved=("192.0.2.3/32",), avoid_buggy=True)
    assert ask(pool, wanted=text) == ("AddressReserved", f"pool p never gives {text}")


def test_a_static_address_is_given_on_request() -> None:
    pool = ipam.pool("p", static=("192.0.2.1",))
    assert ask(pool) == ("NoPool", "no pool has IPv4 addresses")
    assert ask(pool, wanted="192.0.2.1") == ("192.0.2.1", "p")


def test_a_requested_pool_gives_or_nobody_does() -> None:
    assert ask(pool_wanted="second") == ("198.51.100.1", "second")
    assert ask(pool_wanted="third")[0] == "PoolNotFound"
    full = ipam.ledger(a="192.0.2.1", b="192.0.2.2")
    assert ask(on=full, pool_wanted="first")[0] == "PoolExhausted"
    assert ask(pool_wanted="first", family=6) == ("NoPool", "pool first has no IPv6 addresses")


def test_a_requested_pool_that_does_not_exist_is_told_before_the_address() -> None:
    assert ask(wanted="192.0.2.1", pool_wanted="third")[0] == "PoolNotFound"


def test_a_requested_address_must_be_in_the_requested_pool() -> None:
    assert ask(wanted="192.0.2.1", pool_wanted="second") == (
        "AddressNotInPool",
        "192.0.2.1 is in pool first, not in second",
    )


# --- what is shown already ----------------------------------------------------------------------


def test_a_shown_address_is_adopted() -> None:
    assert ask(shown="198.51.100.2") == ("198.51.100.2", "second")


@pytest.mark.parametrize("shown", ["203.0.113.1", "192.0.2.1"])
def test_a_shown_address_that_cannot_be_had_gives_way_to_the_lowest_free(shown: str) -> None:
    assert ask(on=ipam.ledger(other="192.0.2.1"), shown=shown) == ("192.0.2.2", "first")


def test_a_request_beats_what_is_shown() -> None:
    assert ask(wanted="192.0.2.2", shown="192.0.2.1") == ("192.0.2.2", "first")


def test_what_a_service_holds_it_keeps_whatever_became_of_the_pools() -> None:
    held = ipam.ledger(me="192.0.2.9")
    assert ask(on=held, wanted="192.0.2.9") == ("192.0.2.9", "first")
    assert ask(FENCED, on=held, shown="192.0.2.9") == ("192.0.2.9", "first")


# --- external IPAMs ---------------------------------------------------------------------------

OUTER = ipam.pool("outer", "203.0.113.0/28", external=True, reserved=("203.0.113.2/32",))


def awaited(**overrides: Any) -> Refused:
    found = allocate(ipam.request(**overrides), AddressPools([OUTER]), Ledger())
    assert isinstance(found, Refused)
    return found


def test_where_an_ipam_chooses_it_is_to_be_asked_with_what_is_known() -> None:
    found = awaited(wanted="203.0.113.7")
    assert isinstance(found, Awaited)
    assert (found.pool, found.wanted) == ("outer", builders.address("203.0.113.7"))
    found = awaited(shown="203.0.113.8")
    assert isinstance(found, Awaited)
    assert (found.wanted, found.shown) == (None, builders.address("203.0.113.8"))
    assert awaited(wanted="203.0.113.2").reason is Reason.ADDRESS_RESERVED
    assert awaited(wanted="192.0.2.1").reason is Reason.ADDRESS_NOT_IN_POOL


def test_a_pool_without_ipam_that_comes_first_is_given_from() -> None:
    first = ipam.pool("first", "192.0.2.1", priority=1)
    assert ask(OUTER, first) == ("192.0.2.1", "first")
    full = Ledger([ipam.bound("192.0.2.1", "other")])
    assert ask(OUTER, first, on=full)[0] == "AddressAwaited"


def test_what_an_ipam_gave_is_taken_and_what_goes_back_to_it_is_nobodys() -> None:
    kept = ipam.reserved("203.0.113.7", "default/me", source="outer")
    found = allocate(ipam.request(), AddressPools([OUTER]), Ledger([kept]))
    assert isinstance(found, Grant)
    assert (found.allocation.source, found.allocation.reserved_for) == ("outer", "default/me")
    leaving = Ledger([replace(kept, state=AllocationState.RELEASING)])
    assert ask(OUTER, on=leaving)[0] == "AddressAwaited"
    assert ask(OUTER, on=leaving, wanted="203.0.113.7") == (
        "AddressReserved",
        "203.0.113.7 is being given back to its IPAM",
    )


# --- fences -------------------------------------------------------------------------------------


def test_a_fenced_pool_serves_whom_it_selects() -> None:
    assert ask(FENCED) == ("NoPool", "no pool that serves default/me has IPv4 addresses")
    assert ask(FENCED, name="tenant/me") == ("203.0.113.1", "fenced")
    assert ask(FENCED, wanted="203.0.113.1") == (
        "PoolNotAllowed",
        "pool fenced does not serve default/me",
    )
    assert ask(FENCED, pool_wanted="fenced")[0] == "PoolNotAllowed"


def test_whom_an_exclusive_pool_selects_gets_addresses_nowhere_else() -> None:
    full = Ledger([ipam.bound("203.0.113.1", "other")])
    assert ask(FENCED, FIRST, on=full, name="tenant/me") == (
        "PoolExhausted",
        "no free IPv4 address in fenced",
    )
    assert ask(FENCED, FIRST, name="tenant/me", wanted="192.0.2.1") == (
        "PoolNotAllowed",
        "tenant/me gets addresses from pool fenced alone, not from first",
    )
    assert ask(FENCED, FIRST, name="tenant/me", shown="192.0.2.1") == ("203.0.113.1", "fenced")


def test_selectors_of_namespace_and_service_must_both_hold() -> None:
    fence = Fence(
        namespace_selectors=(ipam.labelled("tier", "edge"),),
        service_selectors=(ipam.labelled("app", "web"), ipam.labelled("app", "api")),
    )
    pool = ipam.pool("p", "192.0.2.1", fence=fence)
    edge, web = {"tier": "edge"}, {"app": "web"}
    assert ask(pool, namespace_labels=edge, labels=web)[1] == "p"
    assert ask(pool, namespace_labels=edge, labels={"app": "db"})[0] == "NoPool"
    assert ask(pool, namespace_labels={}, labels=web)[0] == "NoPool"


# --- reservations -------------------------------------------------------------------------------


def test_a_reserved_address_is_for_whom_it_is_kept() -> None:
    kept = Ledger([ipam.reserved("192.0.2.1", "default/me")])
    assert ask(on=kept, name="you") == ("192.0.2.2", "first")
    assert ask(on=kept, name="you", wanted="192.0.2.1") == (
        "AddressReserved",
        "192.0.2.1 is reserved for default/me",
    )
    assert ask(on=kept) == ("192.0.2.1", "first")


def test_a_reservation_comes_before_what_is_shown_and_after_a_request() -> None:
    kept = Ledger([ipam.reserved("192.0.2.2", "default/me")])
    assert ask(on=kept, shown="192.0.2.1") == ("192.0.2.2", "first")
    assert ask(on=kept, wanted="192.0.2.1") == ("192.0.2.1", "first")


def test_a_reservation_outside_every_pool_gives_way() -> None:
    kept = Ledger([ipam.reserved("203.0.113.9", "default/me")])
    assert ask(on=kept) == ("192.0.2.1", "first")


@pytest.mark.parametrize(
    ("released_at", "kept_for"), [("", "default/me"), ("2026-11-21T12:00:00Z", "")]
)
def test_taking_a_reservation_replaces_it_and_an_administrators_is_remembered(
    released_at: str, kept_for: str
) -> None:
    kept = ipam.reserved("192.0.2.1", "default/me", released_at=released_at)
    found = allocate(ipam.request(), POOLS, Ledger([kept]))
    assert isinstance(found, Grant)
    taken = found.allocation
    assert (taken.uid, taken.resource_version) == (kept.uid, kept.resource_version)
    assert taken.state is AllocationState.BOUND
    assert taken.holders == (ipam.holder(),)
    assert (taken.reserved_for, taken.released_at) == (kept_for, "")


# --- sharing ------------------------------------------------------------------------------------

DNS = ((53, "UDP"),)


def shared(*names: str, **overrides: Any) -> Ledger:
    made = ipam.bound("192.0.2.2", *names, sharing_key="web", uid="alloc", **overrides)
    return Ledger([made])


def test_a_service_of_the_same_key_and_other_ports_joins() -> None:
    me = ipam.holder(ports=DNS)
    found = allocate(ipam.request(holder=me, sharing_key="web"), POOLS, shared("a"))
    assert isinstance(found, Grant)
    assert found.allocation.uid == "alloc"
    assert found.allocation.holders == (ipam.holder("a"), me)
    assert found.allocation.sharing_key == "web"


def test_a_key_without_an_address_to_share_gets_the_lowest_free_one_under_that_key() -> None:
    found = allocate(ipam.request(sharing_key="web"), POOLS, Ledger())
    assert isinstance(found, Grant)
    assert (str(found.address), found.allocation.sharing_key) == ("192.0.2.1", "web")


def test_the_same_port_is_a_clash_that_names_who_has_it() -> None:
    assert ask(on=shared("a"), sharing_key="web", wanted="192.0.2.2") == (
        "PortClash",
        "192.0.2.2 has TCP port 80 in use by default/a",
    )
    assert ask(on=shared("a"), sharing_key="web") == ("192.0.2.1", "first")


def test_the_same_port_of_another_protocol_is_no_clash() -> None:
    me = ipam.holder(ports=((80, "UDP"),))
    assert ask(on=shared("a"), holder=me, sharing_key="web", wanted="192.0.2.2")[1] == "first"


def test_another_key_or_none_does_not_share() -> None:
    me = ipam.holder(ports=DNS)
    for key in ("", "other"):
        found = ask(on=shared("a"), holder=me, sharing_key=key, wanted="192.0.2.2")
        assert found == ("AddressTaken", "192.0.2.2 is held by default/a")


@pytest.mark.parametrize(
    ("theirs", "mine", "granted"),
    [
        ((), (), False),
        (("team-b",), (), False),
        ((), ("team-a",), False),
        (("team-b",), ("team-a",), True),
        (("*",), ("*",), True),
        (("team-c",), ("*",), False),
    ],
)
def test_across_namespaces_both_sides_must_consent(
    theirs: tuple[str, ...], mine: tuple[str, ...], granted: bool
) -> None:
    one = ipam.holder("team-a/one", shares_with=frozenset(theirs))
    two = ipam.holder("team-b/two", ports=DNS, shares_with=frozenset(mine))
    known = shared(holders=(one,))
    found = ask(on=known, holder=two, sharing_key="web", wanted="192.0.2.2")
    assert found[0] == ("192.0.2.2" if granted else "SharingNotAllowed")


@pytest.mark.parametrize(
    ("theirs", "mine", "granted"),
    [
        ("Cluster", "Cluster", True),
        ("Cluster", "Local/1", False),
        ("Local/1", "Local/1", True),
        ("Local/1", "Local/2", False),
    ],
)
def test_sharers_have_the_same_policy_and_with_local_the_same_pods(
    theirs: str, mine: str, granted: bool
) -> None:
    me = ipam.holder(ports=DNS, traffic=mine)
    known = shared(holders=(ipam.holder("a", traffic=theirs),))
    found = ask(on=known, holder=me, sharing_key="web", wanted="192.0.2.2")
    assert found[0] == ("192.0.2.2" if granted else "SharingNotAllowed")


def test_an_address_outside_every_pool_is_not_shared_further() -> None:
    lost = Ledger([ipam.bound("203.0.113.9", "a", sharing_key="web")])
    me = ipam.holder(ports=DNS)
    assert ask(on=lost, holder=me, sharing_key="web") == ("192.0.2.1", "first")
    wanted = ask(on=lost, holder=me, sharing_key="web", wanted="203.0.113.9")
    assert wanted[0] == "AddressNotInPool"


def test_allocating_changes_nothing() -> None:
    known = shared("a")
    before = known.at(builders.address("192.0.2.2"))
    ask(on=known, sharing_key="web", holder=ipam.holder(ports=DNS))
    assert known.at(builders.address("192.0.2.2")) is before
