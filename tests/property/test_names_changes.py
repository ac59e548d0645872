"""Changes in any order, by any road, end in the same table as starting from the end."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl_dns import frames, names, table, zone

HOSTS = st.sampled_from([f"{host}.lb.example" for host in ("a", "b.a", "c.b.a", "*.a", "d")])
SETS = st.builds(nb.sets, HOSTS, st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]))
CLAIMS = st.builds(
    lambda rank, sets: zone.Claim((rank, ""), tuple({one.key: one for one in sets}.values())),
    st.sampled_from(["1", "2"]),
    st.lists(SETS, min_size=1, max_size=3).map(
        lambda found: [one for sets in found for one in sets]
    ),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z"]), st.one_of(st.none(), CLAIMS)), max_size=12
)


def state(found: table.Table) -> dict[str, Any]:
    """Everything a table answers from, without the empty shelves that changes leave behind."""
    shelves = {name: getattr(found, name) for name in table.Table().__dict__}
    for name in ("sets", "linked"):
        shelves[name] = {kind: sets for kind, sets in shelves[name].items() if sets}
    return shelves


def fresh(contents: tuple[zone.RecordSet, ...]) -> table.Table:
    found = table.Table()
    found.loaded = True
    for one in table.encode_all(contents):
        found.put(one)
    return found


@given(steps=STEPS)
def test_a_replica_fed_by_changes_equals_one_built_from_the_end(
    steps: list[tuple[str, zone.Claim | None]],
) -> None:
    authority = zone.Authority([nb.own_zone()])
    replica = frames.Replica()
    number = 1
    first = frames.Transaction(tuple(table.encode_all(authority.contents())), reset=True)
    for body in frames.bodies(first):
        replica.take(frames.render(1, number, body))
    for owner, claim in steps:
        change = authority.raise_serials(authority.publish(owner, claim), 1)
        sent = frames.Transaction(
            tuple(table.encode(one) for one in change.upserts), change.deletes
        )
        for body in frames.bodies(sent):
            number += 1
            replica.take(frames.render(1, number, body))
        assert state(replica.table) == state(fresh(authority.contents()))


@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(
    steps: list[tuple[str, zone.Claim | None]], order: Any
) -> None:
    last = dict(steps)
    shuffled = list(last.items())
    order.shuffle(shuffled)
    one, other = zone.Authority([nb.own_zone()]), zone.Authority([nb.own_zone()])
    for owner, claim in steps:
        one.publish(owner, claim)
    for owner, claim in shuffled:
        other.publish(owner, claim)
    assert set(one.contents()) == set(other.contents())


@given(steps=STEPS)
def test_a_change_is_the_difference_and_a_serial_never_goes_back(
    steps: list[tuple[str, zone.Claim | None]],
) -> None:
    authority = zone.Authority([nb.own_zone()])
    for owner, claim in steps:
        before = {one.key: one for one in authority.contents()}
        serial = authority.serials[nb.ORIGIN]
        change = authority.publish(owner, claim)
        after = {one.key: one for one in authority.contents()}
        assert change == zone.difference(before, after)
        authority.raise_serials(change, 3)
        assert authority.serials[nb.ORIGIN] == (serial if not change else max(serial + 1, 3))


@given(sets=st.lists(SETS, max_size=8), order=st.randoms(use_true_random=False))
def test_puts_and_removes_leave_nothing_behind(
    sets: list[tuple[zone.RecordSet, ...]], order: Any
) -> None:
    encoded = [table.encode(one) for found in sets for one in found]
    found = table.Table()
    for one in encoded:
        found.put(one)
    order.shuffle(encoded)
    for one in encoded:
        assert names.ROOT in found.exists
        found.remove(one.name, one.rtype)
        found.remove(one.name, one.rtype)
        if not found.exists:
            break
    assert state(found) == state(table.Table())
