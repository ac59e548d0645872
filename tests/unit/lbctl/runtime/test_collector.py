"""What full collections walk, seen through the collector itself."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from lbctl.runtime import collector


class Node:
    """Something that can be part of a cycle."""

    other: "Node"


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The clock of a freezer that is called by the real collector."""
    made = Clock()
    freezer = collector.Freezer(made)
    gc.callbacks.append(freezer)
    yield made
    gc.callbacks.remove(freezer)
    gc.collect()


def cycle() -> Node:
    one, other = Node(), Node()
    one.other, other.other = other, one
    return one


def test_survivors_of_a_full_collection_are_walked_no_more(clock: Clock) -> None:
    kept = [cycle() for _ in range(100)]
    gc.collect()
    assert not any(walked is kept for walked in gc.get_objects())
    assert gc.get_freeze_count() > len(kept)


def test_what_came_since_is_collected(clock: Clock) -> None:
    gc.collect()
    gone = weakref.ref(cycle())
    gc.collect()
    assert gone() is None


def test_a_young_collection_freezes_nothing(clock: Clock) -> None:
    gc.collect()
    before = gc.get_freeze_count()
    kept = [cycle() for _ in range(100)]
    gc.collect(1)
    assert gc.get_freeze_count() <= before
    assert kept


def test_a_cycle_that_died_after_it_was_frozen_is_found_by_the_sweep(clock: Clock) -> None:
    kept = cycle()
    gone = weakref.ref(kept)
    gc.collect()
    del kept
    gc.collect()
    assert gone() is not None
    clock.now = collector.SWEEP_S
    gc.collect()
    assert gone() is None


def test_the_next_sweep_comes_as_much_later(clock: Clock) -> None:
    clock.now = collector.SWEEP_S
    gc.collect()
    kept = cycle()
    gone = weakref.ref(kept)
    gc.collect()
    del kept
    gc.collect()
    assert gone() is not None
    clock.now *= 2
    gc.collect()
    assert gone() is None


def test_the_collector_is_left_as_it_was() -> None:
    before = list(gc.callbacks)
    with collector.leaving_out_survivors():
        assert len(gc.callbacks) == len(before) + 1
    assert gc.callbacks == before


def test_nothing_is_searched_while_loading_and_what_was_loaded_never_is() -> None:
    with collector.loading():
        assert not gc.isenabled()
        loaded: list[object] = [[]]
    assert gc.isenabled()
    assert all(one is not loaded for one in gc.get_objects())


def test_a_load_that_fails_does_not_end_searching() -> None:
    with pytest.raises(ValueError, match="broken"), collector.loading():
        raise ValueError("broken")
    assert gc.isenabled()
