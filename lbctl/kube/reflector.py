"""Keep one Store equal to one resource of the API server: list, watch, resume, list again."""

import asyncio
import logging
import random
from collections.abc import Callable

from lbctl.kube import client, retry
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors

log = logging.getLogger(__name__)

PAUSE_S = 0.2
"""Least wait between two watches, so that a server that ends each at once is not hammered."""


class Reflector:
    """Feeds one Store for as long as `run` runs; the Store keeps the last state through outages."""

    def __init__(
        self,
        api: client.Client,
        resource: Resource,
        store: Store,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self._api = api
        self._resource = resource
        self._store = store
        self._namespace = namespace
        self.refused: Callable[[], None] = lambda: None
        """Called when there is no such resource, or no right to list it."""
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}

    async def run(self) -> None:
        """List and watch forever; returns only by cancellation."""
        while True:
            async for attempt in retry.forever():
                with attempt:
                    version = await self._list()
            try:
                await self._watch(version)
            except errors.Expired:
                log.info("watch of %s expired: listing again", self._resource.plural)
            except errors.Permanent as error:
                log.error("watch of %s refused: %s", self._resource.plural, error)
                await asyncio.sleep(5)

    async def _list(self) -> str:
        try:
            listed = await self._api.list(self._resource, self._namespace, **self._selectors)
        except errors.Permanent as error:
            # An absent CRD or a missing right may be mended while we run; say so and go on.
            self.refused()
            raise errors.Unavailable(f"cannot list {self._resource.plural}: {error}") from error
        self._store.replace(listed.items, int(listed.resource_version or 0))
        return listed.resource_version

    async def _watch(self, version: str) -> None:
        """Watch from one version on, until it is no longer kept; an outage is told once."""
        broken = False
        while True:
            try:
                async for event in self._api.watch(
                    self._resource, version, self._namespace, **self._selectors
                ):
                    self._store.apply(event.type, event.object)
                    version = event.object["metadata"]["resourceVersion"]
                    broken = False
            except errors.Expired:
                raise
            except errors.Retryable as error:
                if not broken:
                    log.warning("watch of %s broke: %s", self._resource.plural, error)
                broken = True
                await asyncio.sleep(random.uniform(0, 1))  # noqa: S311
            await asyncio.sleep(PAUSE_S)
