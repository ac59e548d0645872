"""What we know of one resource: an indexed copy, fed by a watch and by our own writes."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lbctl.kube.objects import Json, key_of, version_of


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after; `new` is None when it is gone."""

    key: str
    old: Json | None
    new: Json | None


Listener = Callable[[Change], None]
Transform = Callable[[Json], Json]
Index = Callable[[Json], Iterable[str]]
"""Names the index keys of one object, such as the Service that an EndpointSlice belongs to."""


class Store:
    """Objects by key, never older than what was seen. Single-threaded: one event loop."""

    def __init__(self, *, transform: Transform | None = None, index: Index | None = None) -> None:
        self.synced = asyncio.Event()
        self.resource_version = 0
        """Everything up to here has been seen."""
        self._objects: dict[str, Json] = {}
        self._listeners: list[Listener] = []
        self._transform = transform
        self._index = index
        self._indexed: dict[str, dict[str, Json]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Json]:
        return iter(self._objects.values())

    def get(self, key: str) -> Json | None:
        """Return the object of that key, None when there is none."""
        return self._objects.get(key)

    def indexed(self, index_key: str) -> tuple[Json, ...]:
        """Return the objects under one index key, in no particular order."""
        return tuple(self._indexed.get(index_key, {}).values())

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` on each change; at once for what is already known."""
        self._listeners.append(listener)
        for key, obj in self._objects.items():
            listener(Change(key, None, obj))

    def replace(self, objects: Iterable[Json], resource_version: int) -> None:
        """Take a whole list: what is missing from it is gone, unless we wrote it after."""
        listed = {key_of(obj): obj for obj in objects}
        for key in [key for key in self._objects if key not in listed]:
            if version_of(self._objects[key]) <= resource_version:
                self._remove(key)
        self.resource_version = max(self.resource_version, resource_version)
        for key, obj in listed.items():
            self._put(key, obj)
        self.synced.set()

    def apply(self, kind: str, obj: Json) -> None:
        """Take one watch event; a BOOKMARK only moves the version."""
        version = version_of(obj)
        if kind == "DELETED":
            known = self._objects.get(key_of(obj))
            if known is not None and version_of(known) <= version:
                self._remove(key_of(obj))
        elif kind != "BOOKMARK":
            self._put(key_of(obj), obj)
        self.resource_version = max(self.resource_version, version)

    def wrote(self, obj: Json) -> None:
        """Take the server's answer to our own write, ahead of the watch.

        An answer at or before the watch's position was overtaken (the object may even be deleted
        since), so it is dropped.
        """
        if version_of(obj) > self.resource_version:
            self._put(key_of(obj), obj)

    def _put(self, key: str, obj: Json) -> None:
        old = self._objects.get(key)
        if old is not None and version_of(old) >= version_of(obj):
            return
        new = self._transform(obj) if self._transform else obj
        self._objects[key] = new
        self._reindex(key, old, new)
        self._notify(Change(key, old, new))

    def _remove(self, key: str) -> None:
        old = self._objects.pop(key)
        self._reindex(key, old, None)
        self._notify(Change(key, old, None))

    def _reindex(self, key: str, old: Json | None, new: Json | None) -> None:
        if self._index is None:
            return
        for index_key in self._index(old) if old else ():
            bucket = self._indexed.get(index_key, {})
            bucket.pop(key, None)
            if not bucket:
                self._indexed.pop(index_key, None)
        for index_key in self._index(new) if new else ():
            self._indexed.setdefault(index_key, {})[key] = new  # type: ignore[assignment]

    def _notify(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
