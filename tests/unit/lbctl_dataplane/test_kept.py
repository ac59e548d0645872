"""What should be there beside what is known to be there."""

from lbctl.delta import Delta
from lbctl_dataplane.rules.kept import Kept


def text(number: int) -> str:
    """An entry of its own, equal to others of the same number."""
    return f"entry {number} " * 2


def kept(*wanted: int) -> Kept[str, str | None]:
    made: Kept[str, str | None] = Kept()
    made.add({text(number): text(number) for number in wanted})
    return made


def test_what_is_there_already_is_no_change() -> None:
    made = kept(1, 2)
    made.read_back({text(1): text(1), text(2): text(2)})
    assert made.changes() == Delta({}, frozenset())


def test_what_differs_is_lacking_or_too_much_is_changed() -> None:
    made = kept(1, 2, 3)
    made.read_back({text(1): text(1), text(2): "another", text(4): text(4)})
    assert made.changes() == Delta({text(2): text(2), text(3): text(3)}, frozenset({text(4)}))


def test_an_entry_without_a_value_has_to_be_there_all_the_same() -> None:
    made: Kept[str, str | None] = Kept()
    made.add({text(1): None})
    made.read_back({})
    assert made.changes() == Delta({text(1): None}, frozenset())


def test_what_was_read_is_held_once() -> None:
    made = kept(1)
    made.read_back({text(1): text(1)})
    (key, value), (known, holds) = *made.desired.items(), *made.verified.items()
    assert known is key
    assert holds is value
