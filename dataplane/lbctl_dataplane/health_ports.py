"""Serves health check node ports where kube-proxy does not."""

import asyncio
import contextlib
from collections.abc import Mapping

from lbctl.runtime import endpoint
from lbctl_dataplane.rules import health_ports
from lbctl_dataplane.rules.health_ports import LocalEndpoints

ALWAYS, NEVER = "always", "never"
KUBE_PROXY_PORTS = (10256, 10249)
"""Where kube-proxy answers for its own health and metrics unless it is told otherwise."""
LOOK_S = 5.0
"""Time between two looks for kube-proxy, while there is a port to serve."""
LOOKING_S = 1.0
"""Longest time that a look may take."""
_JSON = "application/json"


class HealthPorts:
    """The health check node ports of one node: one listener for each."""

    def __init__(
        self,
        mode: str,
        ready: endpoint.Check,
        beside: tuple[int, ...] = KUBE_PROXY_PORTS,
    ) -> None:
        """Serve ports by `mode`; while `ready` finds something wrong the node is not healthy.

        Unless the mode is always or never, whoever listens on a loopback port of `beside` is
        kube-proxy, and has them all.
        """
        self._mode = mode
        self._ready = ready
        self._beside = beside
        self._wanted: Mapping[int, LocalEndpoints] = {}
        self._changed = asyncio.Event()

    def want(self, wanted: Mapping[int, LocalEndpoints]) -> None:
        """Take what to answer for; listeners follow soon, answers at once."""
        if wanted.keys() != self._wanted.keys():
            self._changed.set()
        self._wanted = wanted

    async def follow(self) -> None:
        """Serve for ever."""
        serving: dict[int, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                wanted = self._wanted.keys() if await self._ours() else frozenset[int]()
                for port in serving.keys() - wanted:
                    serving.pop(port).cancel()
                for port in wanted - serving.keys():
                    serving[port] = tasks.create_task(self._serve(port))
                await self._pause()

    async def _pause(self) -> None:
        looking = self._mode not in (ALWAYS, NEVER) and self._wanted
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if looking else None):
                await self._changed.wait()

    async def _ours(self) -> bool:
        if self._mode in (ALWAYS, NEVER):
            return self._mode == ALWAYS
        if not self._wanted:
            return False
        for port in self._beside:
            if await _answers(port):
                return False
        return True

    async def _serve(self, port: int) -> None:
        async def reply() -> endpoint.Reply:
            return await self._reply(port)

        await endpoint.Endpoint({endpoint.ANY: reply}, what="health check node port").run(port)

    async def _reply(self, port: int) -> endpoint.Reply:
        local = self._wanted.get(port)
        if local is None:
            return endpoint.Reply(404, b"no Service has this port any more\n")
        status, body = health_ports.answer(local, healthy=not await self._ready())
        fields = (
            ("X-Content-Type-Options", "nosniff"),
            (health_ports.WEIGHT, str(local.count)),
        )
        return endpoint.Reply(status, body, _JSON, fields)


async def _answers(port: int) -> bool:
    """Tell whether somebody of this machine takes connections at a loopback port."""
    for address in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LOOKING_S):
                _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return True
    return False
