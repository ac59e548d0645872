"""The addresses of AddressPool objects: what zones of PTR records are made for."""

from collections.abc import Callable

from lbctl.kube.objects import Json, name_of
from lbctl.kube.store import Change, Store
from lbctl.model.pool import AddressPool, AddressRange
from lbctl.translate.pools import translate_pool


def _slim(obj: Json) -> Json:
    kept = ("name", "creationTimestamp", "resourceVersion")
    meta = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    return {"metadata": meta, "spec": obj.get("spec") or {}}


class PoolRanges:
    """What pools hold, by the name of the pool; a malformed edit leaves what was there."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self.store = Store(transform=_slim)
        """What the API says; feed it and everything follows."""
        self._moved = moved
        self._ranges: dict[str, tuple[AddressRange, ...]] = {}
        self.store.subscribe(self._changed)

    @property
    def all(self) -> tuple[AddressRange, ...]:
        """Return the ranges of all pools."""
        return tuple(one for _, ranges in sorted(self._ranges.items()) for one in ranges)

    def _changed(self, change: Change) -> None:
        before = self._ranges.get(change.key)
        if change.new is None:
            self._ranges.pop(change.key, None)
        else:
            found = translate_pool(change.new).pool
            if isinstance(found, AddressPool):
                self._ranges[name_of(change.new)] = found.given
        if self._ranges.get(change.key) != before:
            self._moved()
