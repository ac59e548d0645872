"""Pools that people edit as they like: what gives addresses, whoever looks and whenever."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

import ipam_builders as ipam
from lbctl.ipam.resolve import Resolved, resolve
from lbctl.model.pool import AddressPool, DeclaredPool, overlap
from lbctl.model.reasons import Reason, Refused

NAMES = ("a", "b", "c", "d")
SETTINGS = "s"
WRONG = Refused(Reason.POOL_MALFORMED, "spec.addresses: nonsense")


def pools_of(name: str) -> st.SearchStrategy[AddressPool]:
    """Pools of up to four out of twelve addresses."""
    return st.tuples(st.integers(0, 11), st.integers(0, 3)).map(
        lambda pair: ipam.pool(name, f"192.0.2.{pair[0]}-192.0.2.{min(sum(pair), 11)}")
    )


def edits_of(name: str) -> st.SearchStrategy[AddressPool | Refused]:
    return pools_of(name) | st.just(WRONG)


EDITS = st.lists(
    st.fixed_dictionaries({}, optional={name: edits_of(name) for name in NAMES}), max_size=6
)
"""What people make of some objects, again and again."""
CONFIGURED = st.just(()) | pools_of(SETTINGS).map(lambda pool: (pool,))


def kept(found: Resolved, said: dict[str, DeclaredPool]) -> dict[str, DeclaredPool]:
    """Return the objects with their last good specs as the leader writes them."""
    return {
        name: dataclasses.replace(entry, accepted=found.pools.named(name))
        for name, entry in said.items()
    }


def edited(
    said: dict[str, DeclaredPool], edit: dict[str, AddressPool | Refused]
) -> dict[str, DeclaredPool]:
    now = dict(said)
    for name, wanted in edit.items():
        before = said.get(name)
        accepted = before.accepted if before else None
        now[name] = DeclaredPool(name, "", wanted, accepted)
    return now


@given(configured=CONFIGURED, edits=EDITS)
def test_an_edit_takes_addresses_from_nobody_and_keeping_what_holds_changes_nothing(
    configured: tuple[AddressPool, ...], edits: list[dict[str, AddressPool | Refused]]
) -> None:
    said: dict[str, DeclaredPool] = {}
    for edit in edits:
        before = {name: entry.accepted for name, entry in said.items()}
        said = edited(said, edit)
        found = resolve(configured, said.values())
        assert found == resolve(configured, reversed(said.values()))
        for name, accepted in before.items():
            unedited = accepted is not None and said[name].pool == accepted
            assert not unedited or found.pools.named(name) == accepted
            assert accepted is None or found.gives(name)
        said = kept(found, said)
        again = resolve(configured, said.values())
        assert again == found  # a new leader, or this one after its write, decides the same


@given(configured=CONFIGURED, edits=EDITS)
def test_no_address_is_in_two_pools_and_who_is_refused_has_a_cause(
    configured: tuple[AddressPool, ...], edits: list[dict[str, AddressPool | Refused]]
) -> None:
    said: dict[str, DeclaredPool] = {}
    for edit in edits:
        said = edited(said, edit)
        found = resolve(configured, said.values())
        given = list(found.pools)
        assert not any(overlap(one, two) for one in given for two in given if one is not two)
        for name, entry in said.items():
            if name not in found.refused:
                assert found.pools.named(name) == entry.pool
                continue
            others = [pool for pool in given if pool.name != name]
            wanted = entry.pool
            assert isinstance(wanted, Refused) or any(overlap(wanted, pool) for pool in others)
        said = kept(found, said)
