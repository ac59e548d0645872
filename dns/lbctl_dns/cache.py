"""What the API says about L4VirtualServices, and in which way it said so."""

import time
from collections.abc import Callable, Iterable

from lbctl.kube import store
from lbctl.kube.objects import Json
from lbctl_dns import decisions


class Cache(store.Store):
    """A Store that tells whether an object went by a watch event or is missing from a list."""

    def __init__(self) -> None:
        super().__init__(transform=decisions.slim)
        self.listing = False
        self.arrived_s: float | None = None
        """When the watch event that is being taken came, by `time.monotonic`."""
        self.heard: Callable[[], None] = lambda: None
        """Called whenever the API server said something, be it that there is nothing new."""

    def replace(self, objects: Iterable[Json], resource_version: int) -> None:
        """Take a whole list."""
        self.listing = True
        try:
            super().replace(objects, resource_version)
        finally:
            self.listing = False
        self.heard()

    def apply(self, kind: str, obj: Json) -> None:
        """Take one watch event."""
        self.arrived_s = time.monotonic()
        try:
            super().apply(kind, obj)
        finally:
            self.arrived_s = None
        self.heard()
