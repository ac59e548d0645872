"""Replicas give one content for one serial, whenever the leader's word reaches each of them."""

from collections.abc import Iterator

from hypothesis import assume, given
from hypothesis import strategies as st

from lbctl_dns import zone
from lbctl_dns.agreement import Agreement, Cut
from lbctl_dns.zone import Change, RecordSet, SetKey

NAMES = [bytes([1, letter, 0]) for letter in b"abc"]


def sets(name: bytes, last: int) -> RecordSet:
    return RecordSet(name, zone.A, 5, (bytes([192, 0, 2, last]),))


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Draw changes one after the other."""
    upsert = st.builds(sets, st.sampled_from(NAMES), st.integers(1, 3))
    one = st.one_of(
        upsert.map(lambda found: Change((found,))),
        st.sampled_from(NAMES).map(lambda name: Change((), ((name, zone.A),))),
    )
    return draw(st.lists(one, min_size=1, max_size=12))


def applied(content: dict[SetKey, RecordSet], change: Change) -> dict[SetKey, RecordSet]:
    kept = {key: one for key, one in content.items() if key not in change.deletes}
    return kept | {one.key: one for one in change.upserts}


def digest(content: dict[SetKey, RecordSet]) -> str:
    return repr(sorted(content.items()))


def contents(made: list[Change]) -> list[dict[SetKey, RecordSet]]:
    """Return what the zone holds before, between and after the changes."""
    found: list[dict[SetKey, RecordSet]] = [{}]
    for change in made:
        found.append(applied(found[-1], change))
    return found


def replica(
    made: list[Change], told: list[tuple[int, int]], lags: list[int]
) -> Iterator[tuple[int, dict[SetKey, RecordSet]]]:
    """Yield each serial with the content that one replica gives under it.

    `told` are serials with the index of their content; the word of each comes `lags` changes
    after that content was shown, or, where that is negative, so many before.
    """
    states = contents(made)
    agreed = Agreement(digest(states[0]))
    content: dict[SetKey, RecordSet] = {}

    def take(cut: Cut | None) -> Iterator[tuple[int, dict[SetKey, RecordSet]]]:
        nonlocal content
        if cut is not None:
            content = applied(content, cut.change)
            yield cut.serial, content

    due = sorted(
        (index + lag, serial, index) for (serial, index), lag in zip(told, lags, strict=True)
    )
    for now in range(min([0, *(when for when, _, _ in due)]), len(made) + 20):
        if 1 <= now <= len(made):
            yield from take(agreed.changed(made[now - 1], digest(states[now])))
        for when, serial, index in due:
            if when == now:
                yield from take(agreed.told(serial, digest(states[index])))


@given(changes(), st.data())
def test_a_serial_means_one_content_everywhere(made: list[Change], data: st.DataObject) -> None:
    indexes = sorted(data.draw(st.sets(st.integers(0, len(made)), min_size=1)))
    told = list(enumerate(indexes, start=1))
    states = contents(made)
    for _ in range(2):
        # The leader's words keep their order, as one watch brings them.
        lag = data.draw(st.integers(-2, 3))
        for serial, content in replica(made, told, [lag] * len(told)):
            assert digest(content) == digest(states[indexes[serial - 1]])


@given(changes())
def test_a_word_that_comes_late_covers_nothing_that_came_after(made: list[Change]) -> None:
    states = contents(made)
    assume(states[0] not in states[1:])
    agreed = Agreement(digest(states[0]))
    for change, state in zip(made, states[1:], strict=True):
        assert agreed.changed(change, digest(state)) is None
    cut = agreed.told(7, digest(states[1]))
    assert cut is not None
    last = max(index for index, state in enumerate(states) if digest(state) == digest(states[1]))
    assert applied({}, cut.change) == states[1]
    assert agreed.is_open == (last < len(made))


@given(changes())
def test_where_no_word_comes_all_changes_get_a_serial_together(made: list[Change]) -> None:
    states = contents(made)
    agreed = Agreement(digest(states[0]))
    for change, state in zip(made, states[1:], strict=True):
        agreed.changed(change, digest(state))
    assert applied({}, agreed.overdue(9).change) == states[-1]
    assert not agreed.is_open
