"""Write objects of one kind, gathered: however much changes meanwhile, each costs one write."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from lbctl.kube import client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl.plan import objects
from lbctl.plan.objects import ObjectStep

log = logging.getLogger(__name__)

GATHER_S = 1.0
"""Time between two writes of one object."""
Plan = Callable[[], Iterable[ObjectStep]]
Tell = Callable[[Json, Json], None]
"""Takes an object, and a condition of it that is news."""


class Objects:
    """Carries out what a plan says of the objects of one kind, whenever something changed."""

    def __init__(
        self,
        api: client.Client,
        resource: Resource,
        store: Store,
        plan: Plan,
        tell: Tell = lambda obj, condition: None,
    ) -> None:
        self._api = api
        self._resource = resource
        self._store = store
        self._plan = plan
        self._tell = tell
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Plan again soon."""
        self._changed.set()

    async def run(self, delay_s: float = 0.0) -> None:
        """Write what differs `delay_s` after a change, for ever; what fails is tried again."""
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(delay_s)
            self._changed.clear()
            for step in self._plan():
                await self._try(step)
            await asyncio.sleep(GATHER_S - delay_s)

    async def _try(self, step: ObjectStep) -> None:
        try:
            answer = await self._write(step)
        except (errors.Conflict, errors.AlreadyExists, errors.NotFound):
            self._changed.set()  # somebody else wrote: the watch will show what
        except errors.LbctlError as error:
            log.warning("%s: %s", self._resource.kind, error)
            if isinstance(error, errors.Retryable):
                self._changed.set()
        else:
            if answer is not None:
                self._store.wrote(answer)

    async def _write(self, step: ObjectStep) -> Json | None:
        match step:
            case objects.Create(body):
                return await self._api.create(self._resource, body)
            case objects.Replace(body):
                return await self._api.replace(self._resource, body)
            case objects.Delete(name, uid):
                await self._api.delete(self._resource, name, uid=uid)
                return None
            case objects.WriteStatus(body, told):
                # Replaced, not merged: a field that is no more has to go.
                namespace = body["metadata"].get("namespace")
                answer = await self._api.replace(self._resource, body, namespace, sub="status")
                for condition in told:
                    self._tell(answer, condition)
                return answer
