"""Real secondaries take a zone, follow its changes and end with the same records."""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import nameserver_builders as nb
import secondary_servers
from nameserver_process import Server, configuration, free_port, serving, until
from secondary_servers import SECRET, ZONE, Secondary, Setup, dig, signed, validated

CHANGES = 1000
SERVICES = 50
"""So many change, again and again."""
STANDING = 1000
"""So many stand by: the zone is larger than what changes between two looks at it."""
READER = "reader.example"
"""Our own key; each secondary has one of its name."""


class World:
    """An API server, our server and its secondaries."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder = folder
        self.api = nb.NamesApi()
        self.port = free_port()
        self.ports = ports

    def arguments(self) -> tuple[str, ...]:
        secret = self.folder / "secret"
        secret.write_text(SECRET + "\n")
        transfer = {
            "keys": [{"name": name, "secretFile": str(secret)} for name in (*self.ports, READER)],
            "allow": [{"key": name, "networks": ["127.0.0.0/8"]} for name in (*self.ports, READER)],
            "notify": [
                {"address": f"127.0.0.1:{port}", "key": kind} for kind, port in self.ports.items()
            ],
        }
        found = configuration(self.folder, self.api.port)
        settings = Path(found[1])
        tree = json.loads(settings.read_text())
        tree["nameservice"]["transfer"] = transfer
        settings.write_text(json.dumps(tree))
        return found

    def serving(self) -> contextlib.AbstractContextManager[Server]:
        return serving(*self.arguments(), port=self.port)

    def secondary(self, kind: str) -> contextlib.AbstractContextManager[Secondary]:
        setup = Setup(self.folder / kind, self.ports[kind], self.port, kind)
        return secondary_servers.running(kind, setup)

    def records(self) -> list[str]:
        return secondary_servers.records(dig(self.port, *signed(READER), "AXFR", ZONE))

    def serial(self) -> int:
        return Secondary(self.port, self.folder).serial()


async def put(api: nb.NamesApi, number: int) -> None:
    """One change of one Service's names: an address moves, or the name comes or goes."""
    service, round_ = number % SERVICES, number // SERVICES
    addresses = (f"198.18.{round_}.{service}", f"2001:2::{round_:x}:{service:x}")
    published = (service + round_) % 7 != 0
    await api.put(nb.decision(f"svc{service}", *addresses, published=published))


def transfers(log: str, form: str, key: str) -> int:
    return len(re.findall(rf"{form} of lb\.example\., serial \d+, to 127.0.0.1, key {key}\.", log))


def test_bind_knot_and_nsd_follow_a_thousand_changes(tmp_path: Path) -> None:
    world = World(tmp_path, {kind: free_port() for kind in ("bind", "knot", "nsd")})

    async def scenario(api: nb.NamesApi) -> None:
        for number in range(STANDING):
            address = f"198.19.{number // 250}.{number % 250}"
            await api.put(nb.decision(f"standing{number}", address))
        for number in range(SERVICES):
            await put(api, number)
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(in_thread(world.serving()))
            found = [stack.enter_context(world.secondary(kind)) for kind in world.ports]
            await asyncio.to_thread(until, lambda: all(one.serial() for one in found))
            first = world.serial()
            for number in range(SERVICES, SERVICES + CHANGES):
                await put(api, number)
                await asyncio.sleep(0.002)
            await is_shown(world, SERVICES + CHANGES - 1)
            for one in found:
                await has_the_same(world, one)
            assert world.serial() - first >= CHANGES
            assert len(world.records()) > STANDING
            before = server.log()
            await put(api, SERVICES + CHANGES + 1)
            await is_shown(world, SERVICES + CHANGES + 1)
            for one in found:
                await has_the_same(world, one)
            log = server.log()
            for kind in world.ports:
                assert transfers(log, "axfr", kind) == transfers(before, "axfr", kind) >= 1
                assert transfers(log, "ixfr", kind) > transfers(before, "ixfr", kind)
            assert "a transfer broke off" not in log

    nb.run(scenario, world.api)


def test_after_a_restart_a_secondary_gets_what_changed_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path, {"knot": free_port()})

    async def scenario(api: nb.NamesApi) -> None:
        for number in range(SERVICES):
            await put(api, number)
        with world.secondary("knot") as knot:
            async with in_thread(world.serving()) as server:
                await has_the_same(world, knot)
                assert transfers(server.log(), "axfr", "knot") == 1
            await put(api, 2 * SERVICES + 1)
            async with in_thread(world.serving()) as server:
                await is_shown(world, 2 * SERVICES + 1)
                await has_the_same(world, knot)
                assert transfers(server.log(), "axfr", "knot") == 0
                assert transfers(server.log(), "ixfr", "knot") >= 1

    nb.run(scenario, world.api)


def test_a_secondary_signs_what_it_gets_and_validators_agree(tmp_path: Path) -> None:
    world = World(tmp_path, {"signer": free_port()})
    port = world.ports["signer"]

    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        async with in_thread(world.serving()):
            with world.secondary("signer") as signer:
                await asyncio.to_thread(until, signer.serial)
                await api.put(nb.decision("kuard", "198.18.0.2"))
                await api.put(nb.decision("other", "198.18.0.3"))
                host = f"kuard.default.{ZONE}"
                await asyncio.to_thread(
                    until, lambda: dig(port, "+short", host).split() == ["198.18.0.2"]
                )
                shown = await asyncio.to_thread(validated, port, tmp_path, host)
                assert "; fully validated" in shown
                assert "198.18.0.2" in shown
                shown = await asyncio.to_thread(validated, port, tmp_path, f"missing.{ZONE}")
                assert "; negative response, fully validated" in shown

    nb.run(scenario, world.api)


def test_a_secret_that_is_replaced_counts_without_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, {})
    another = base64.b64encode(b"another secret, 32 bytes long...").decode()

    def shown(secret: str) -> list[str]:
        found = dig(world.port, *signed(READER, secret), "AXFR", ZONE)
        return secondary_servers.records(found)

    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        async with in_thread(world.serving()) as server:
            await asyncio.to_thread(until, lambda: shown(SECRET))
            (tmp_path / "secret").write_text(another)
            await asyncio.to_thread(until, lambda: shown(another))
            assert await asyncio.to_thread(shown, SECRET) == []
            (tmp_path / "secret").write_text("no secret")
            await asyncio.to_thread(until, lambda: "secondaries stay as they were" in server.log())
            assert await asyncio.to_thread(shown, another)

    nb.run(scenario, world.api)


@contextlib.asynccontextmanager
async def in_thread(context: contextlib.AbstractContextManager[Server]) -> AsyncIterator[Server]:
    """Start and end a server without blocking the loop that the API server is on."""
    server = await asyncio.to_thread(context.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def has_the_same(world: World, one: Secondary) -> None:
    """Wait until a secondary holds what our server holds, its SOA included."""
    await asyncio.to_thread(until, lambda: one.records() == world.records() != [])


async def is_shown(world: World, number: int) -> None:
    """Wait until our server answers what one change said."""
    host, wanted = f"svc{number % SERVICES}.default.{ZONE}", f"198.18.{number // SERVICES}."
    await asyncio.to_thread(until, lambda: dig(world.port, "+short", host).startswith(wanted))
