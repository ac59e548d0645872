"""Two name servers that follow one leader's serials, and a secondary that may ask either."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nameserver_builders as nb
import secondary_servers
from lbctl.model.zones import Digests
from lbctl.settings import Settings
from lbctl.translate import zones as zone_basis
from nameserver_process import Server, configuration, free_port, serving, until
from secondary_servers import SECRET, ZONE, Secondary, Setup, dig, signed

SERVICES, CHANGES = 20, 300
KEY = "secondary.example"


class Leader:
    """Decides, and gives each content a serial some changes later."""

    def __init__(self, settings: Settings) -> None:
        self.zones = nb.Listed()
        self.api = nb.NamesApi(self.zones)
        self.serial = int(time.time()) - 100_000
        """Long ago: what replicas would count by themselves is far ahead of it."""
        self.told = free_port()
        """Where the secondary listens."""
        self._digests = Digests(settings.zones, zone_basis.basis(settings))

    async def change(self, number: int) -> None:
        service, round_ = number % SERVICES, number // SERVICES
        published = (service + round_) % 7 != 0
        address = f"198.18.{round_}.{service}"
        obj = nb.decision(f"svc{service}", address, published=published)
        self._digests.put(obj["metadata"]["name"], obj)
        await self.api.put(obj)

    async def write(self) -> None:
        self.serial += 1
        spec = {"serial": self.serial, "digest": self._digests.of(ZONE), "resourceVersion": "1"}
        await self.zones.put({"metadata": {"name": ZONE}, "spec": spec})


def arguments(folder: Path, api_port: int, told: int) -> tuple[str, ...]:
    """Write the settings of one replica, which lets secondaries take the zone and tells Knot."""
    folder.mkdir(exist_ok=True)
    secret = folder / "secret"
    secret.write_text(SECRET)
    found = configuration(folder, api_port)
    settings = json.loads(Path(found[1]).read_text())
    settings["nameservice"]["transfer"] = {
        "keys": [{"name": KEY, "secretFile": str(secret)}],
        "allow": [{"key": KEY}],
        "notify": [{"address": f"127.0.0.1:{told}", "key": KEY}],
    }
    Path(found[1]).write_text(json.dumps(settings))
    return found


def settings_in(folder: Path) -> Settings:
    arguments(folder, 0, 0)
    return Settings.model_validate_json((folder / "settings.yaml").read_text())


@contextlib.asynccontextmanager
async def replica(folder: Path, leader: Leader, port: int = 0) -> AsyncIterator[Server]:
    """Run a server; starting and ending must not block the API server's loop."""
    context = serving(*arguments(folder, leader.api.port, leader.told), port=port)
    server = await asyncio.to_thread(context.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def taken(server: Server) -> list[str]:
    return secondary_servers.records(dig(server.port, *signed(KEY), "AXFR", ZONE))


async def agree(leader: Leader, *servers: Server | Secondary) -> None:
    """Wait until all have the leader's last serial."""
    found = [Secondary(one.port, Path()) for one in servers]
    reached = lambda: all(one.serial() == leader.serial for one in found)  # noqa: E731
    await asyncio.to_thread(until, reached)


def test_replicas_give_one_content_for_one_serial_and_a_secondary_may_ask_either(
    tmp_path: Path,
) -> None:
    leader = Leader(settings_in(tmp_path))

    async def scenario() -> None:
        for number in range(SERVICES):
            await leader.change(number)
        await leader.write()
        async with replica(tmp_path / "b", leader) as second:
            port = free_port()
            async with replica(tmp_path / "a", leader, port) as first:
                await agree(leader, first, second)
                assert await asyncio.to_thread(taken, first) == taken(second) != []
                setup = Setup(tmp_path / "knot", leader.told, port, KEY, others=(second.port,))
                with secondary_servers.running("knot", setup) as knot:
                    await agree(leader, knot)
                    await changed(leader, range(SERVICES, CHANGES))
                    await agree(leader, first, second, knot)
                    assert taken(first) == taken(second) == knot.records()
                    await asyncio.to_thread(first.process.kill)
                    await asyncio.to_thread(first.process.wait)
                    await changed(leader, range(CHANGES, CHANGES + 20))
                    await agree(leader, second, knot)
                    async with replica(tmp_path / "a", leader, port) as again:
                        await agree(leader, again)
                        await changed(leader, range(CHANGES + 20, CHANGES + 40))
                        await agree(leader, again, second, knot)
                        assert taken(again) == taken(second) == knot.records()
                        assert "counting on without it" not in again.log() + second.log()

    async def body() -> None:
        await leader.api.start()
        try:
            await scenario()
        finally:
            await leader.api.stop()

    asyncio.run(body())


async def changed(leader: Leader, numbers: range) -> None:
    for number in numbers:
        await leader.change(number)
        if number % 7 == 0:
            await leader.write()
        await asyncio.sleep(0.002)
    await leader.write()
