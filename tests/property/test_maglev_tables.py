"""Maglev tables keep their promises whatever the members are."""

from collections import Counter

import hypothesis
from hypothesis import strategies as st

import dataplane_builders as build
from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Member

ports = st.sampled_from((80, 8080))
members = st.builds(
    lambda number, port: Member(build.ip("10.0.0.0") + number, port),
    st.integers(1, 250),
    ports,
)
weighted = st.builds(
    lambda member, weight: Member(member.address, member.port, weight), members, st.integers(1, 5)
)
unique = {"unique_by": lambda member: (member.address, member.port)}
several = st.lists(members, min_size=2, max_size=30, **unique)
any_weights = st.lists(weighted, min_size=1, max_size=15, **unique)


@hypothesis.given(any_weights)
def test_every_member_has_its_share_of_the_slots(found: list[Member]) -> None:
    table = maglev.table(tuple(found))
    rounds = len(table) / sum(member.weight for member in found)
    shares = Counter(table)
    for member in found:
        # Only the last round may end before a member's turn.
        assert rounds * member.weight - member.weight <= shares[member]
        assert shares[member] <= rounds * member.weight + member.weight


@hypothesis.given(any_weights, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(found: list[Member], chance: object) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert maglev.table(tuple(shuffled)) == maglev.table(tuple(found))


@hypothesis.given(several, st.integers(0, 29))
def test_a_member_that_goes_moves_few_slots_of_those_that_stay(
    found: list[Member], which: int
) -> None:
    gone = found[which % len(found)]
    left = tuple(member for member in found if member != gone)
    hypothesis.assume(maglev.size_for(left) == maglev.size_for(found))
    before, after = maglev.table(tuple(found)), maglev.table(left)
    pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != gone]
    moved = sum(one != other for one, other in pairs)
    # The worst case of small tables; with a plain modulo nearly all move.
    assert moved <= 0.5 * len(pairs)
