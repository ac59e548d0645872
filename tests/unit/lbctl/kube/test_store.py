"""A store is never older than what was seen, by whichever way it came."""

from typing import Any

import pytest

from lbctl.kube.store import Change, Store


def thing(name: str, version: int, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **fields}


def watched(store: Store) -> list[tuple[str, int | None, int | None]]:
    """Return the list that fills with (key, old version, new version) as the store changes."""
    seen: list[tuple[str, int | None, int | None]] = []

    def version(obj: dict[str, Any] | None) -> int | None:
        return int(obj["metadata"]["resourceVersion"]) if obj else None

    store.subscribe(
        lambda change: seen.append((change.key, version(change.old), version(change.new)))
    )
    return seen


def test_a_new_store_is_empty_and_not_synced() -> None:
    store = Store()
    assert len(store) == 0
    assert list(store) == []
    assert not store.synced.is_set()
    assert store.get("a") is None
    assert store.indexed("x") == ()


def test_a_list_fills_it_and_marks_it_synced() -> None:
    store = Store()
    seen = watched(store)
    store.replace([thing("a", 1), thing("b", 2)], 5)
    assert seen == [("a", None, 1), ("b", None, 2)]
    assert store.synced.is_set()
    assert store.resource_version == 5
    assert {obj["metadata"]["name"] for obj in store} == {"a", "b"}


def test_what_a_later_list_lacks_is_gone_and_what_is_older_in_it_is_ignored() -> None:
    store = Store()
    store.replace([thing("a", 1), thing("b", 4)], 5)
    seen = watched(store)
    del seen[:]
    store.replace([thing("b", 3)], 6)
    assert seen == [("a", 1, None)]


def test_what_we_wrote_after_a_list_was_made_outlives_it() -> None:
    store = Store()
    store.replace([], 5)
    store.wrote(thing("a", 8))
    store.replace([], 7)
    assert store.get("a") is not None
    store.replace([], 8)
    assert store.get("a") is None


def test_a_list_never_moves_the_version_back() -> None:
    store = Store()
    store.apply("BOOKMARK", thing("", 9))
    store.replace([], 7)
    assert store.resource_version == 9


@pytest.mark.parametrize(
    ("kind", "version", "known"),
    [
        ("ADDED", 6, 6),
        ("MODIFIED", 6, 6),
        ("MODIFIED", 4, 5),
        ("DELETED", 6, None),
        ("DELETED", 4, 5),
    ],
)
def test_an_event_counts_unless_it_is_older_than_what_is_known(
    kind: str, version: int, known: int | None
) -> None:
    store = Store()
    store.replace([thing("a", 5)], 5)
    store.apply(kind, thing("a", version))
    found = store.get("a")
    assert (int(found["metadata"]["resourceVersion"]) if found else None) == known
    assert store.resource_version == max(5, version)


def test_deleting_what_is_unknown_changes_nothing() -> None:
    store = Store()
    seen = watched(store)
    store.apply("DELETED", thing("a", 3))
    assert seen == []
    assert store.resource_version == 3


def test_a_bookmark_moves_only_the_version() -> None:
    store = Store()
    seen = watched(store)
    store.apply("BOOKMARK", {"metadata": {"resourceVersion": "12"}})
    assert (store.resource_version, seen, len(store)) == (12, [], 0)


def test_the_answer_to_our_own_write_counts_ahead_of_the_watch() -> None:
    store = Store()
    store.replace([thing("a", 5)], 5)
    seen = watched(store)
    store.wrote(thing("a", 7))
    store.apply("MODIFIED", thing("a", 7))
    assert seen == [("a", None, 5), ("a", 5, 7)]


@pytest.mark.parametrize("version", [8, 9])
def test_an_answer_that_the_watch_has_overtaken_is_dropped(version: int) -> None:
    store = Store()
    store.replace([], 9)
    store.wrote(thing("a", version))
    assert store.get("a") is None


def test_a_late_subscriber_hears_what_is_known() -> None:
    store = Store()
    store.replace([thing("a", 1)], 1)
    heard: list[Change] = []
    store.subscribe(heard.append)
    assert heard == [Change("a", None, thing("a", 1))]


def test_objects_are_kept_as_they_were_transformed() -> None:
    store = Store(transform=lambda obj: {**obj, "slim": True})
    store.replace([thing("a", 1)], 1)
    found = store.get("a")
    assert found is not None
    assert found["slim"] is True


def labelled(name: str, version: int, *labels: str) -> dict[str, Any]:
    return thing(name, version, labels=list(labels))


def names(store: Store, key: str) -> set[str]:
    return {obj["metadata"]["name"] for obj in store.indexed(key)}


def test_an_index_follows_objects_as_they_come_change_and_go() -> None:
    store = Store(index=lambda obj: obj["labels"])
    store.replace([labelled("a", 1, "x", "y"), labelled("b", 2, "x")], 2)
    assert (names(store, "x"), names(store, "y")) == ({"a", "b"}, {"a"})
    store.apply("MODIFIED", labelled("a", 3, "y", "z"))
    assert (names(store, "x"), names(store, "y"), names(store, "z")) == ({"b"}, {"a"}, {"a"})
    store.apply("DELETED", labelled("b", 4, "x"))
    assert names(store, "x") == set()


def test_an_object_that_names_an_index_key_twice_leaves_it_whole() -> None:
    store = Store(index=lambda obj: obj["labels"])
    store.replace([labelled("a", 1, "x", "x")], 1)
    store.apply("DELETED", labelled("a", 2, "x", "x"))
    assert names(store, "x") == set()
