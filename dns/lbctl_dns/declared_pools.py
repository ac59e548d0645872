"""AddressPool objects as the API server tells of them: zones of PTR records are made for them."""

from collections.abc import Callable

from lbctl.kube.objects import Json
from lbctl.kube.store import Change, Store
from lbctl.model.pool import DeclaredPool
from lbctl.translate.pools import is_mirror, translate_pool


def _slim(obj: Json) -> Json:
    kept = ("name", "creationTimestamp", "resourceVersion", "labels")
    meta = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    status = {"accepted": (obj.get("status") or {}).get("accepted")}
    return {"metadata": meta, "spec": obj.get("spec") or {}, "status": status}


class DeclaredPools:
    """What AddressPool objects ask for; those that mirror the settings are no source."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self.store = Store(transform=_slim)
        """What the API says; feed it and everything follows."""
        self._moved = moved
        self._declared: dict[str, DeclaredPool] = {}
        self.store.subscribe(self._changed)

    @property
    def all(self) -> tuple[DeclaredPool, ...]:
        """Return the pools, by name."""
        return tuple(pool for _, pool in sorted(self._declared.items()))

    def _changed(self, change: Change) -> None:
        before = self._declared.pop(change.key, None)
        if change.new is not None and not is_mirror(change.new):
            self._declared[change.key] = translate_pool(change.new)
        if self._declared.get(change.key) != before:  # else it is its counters that moved
            self._moved()
