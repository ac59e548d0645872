"""The running server fed by L4VirtualServices of an API server that comes and goes."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import dns_messages
import nameserver_builders as nb
from nameserver_process import Server, configuration, serving, until

KUARD = "kuard.default.lb.example"


async def becomes(server: Server, wanted: list[str], host: str = KUARD) -> None:
    await asyncio.to_thread(until, lambda: server.short(host) == wanted)


async def has_rcode(server: Server, wanted: str, host: str = KUARD) -> None:
    await asyncio.to_thread(until, lambda: server.rcode(host) == wanted)


class Running:
    """`serving` for coroutines: starting and ending must not block the API server's loop."""

    def __init__(self, folder: Path, api: nb.NamesApi, port: int = 0) -> None:
        self._context = serving(*configuration(folder, api.port), port=port)

    async def __aenter__(self) -> Server:
        return await asyncio.to_thread(self._context.__enter__)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._context.__exit__, None, None, None)


def serial(server: Server) -> int:
    return int(server.dig("+short", "lb.example", "SOA").split()[2])


def test_a_decision_is_answered_and_its_end_denied(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        async with Running(tmp_path, api) as server:
            await has_rcode(server, "NXDOMAIN")
            first = serial(server)
            await api.put(nb.decision("kuard", "198.18.0.1", "2001:2::1"))
            await becomes(server, ["198.18.0.1"])
            assert server.short(KUARD, "AAAA") == ["2001:2::1"]
            assert server.rcode("default.lb.example") == "NOERROR"
            await api.put(nb.decision("kuard", "198.18.0.1", published=False))
            await has_rcode(server, "NXDOMAIN")
            assert server.rcode("default.lb.example") == "NXDOMAIN"
            denied = re.sub(r"\s+", " ", server.dig(KUARD))
            assert "flags: qr aa rd;" in denied
            assert re.search(
                r"lb\.example\. 30 IN SOA ns1\.lb\.example\. hostmaster\.lb\.example\. "
                r"\d+ 10800 3600 86400 30 ",
                denied,
            )
            assert serial(server) >= first + 2

    nb.run(scenario, nb.NamesApi())


def test_25_scaling_to_zero_denies_with_the_short_ttl_and_back_answers_as_the_serial_grows(
    tmp_path: Path,
) -> None:
    def asked(server: Server) -> dns_messages.Message:
        reply = server.udp(nb.query(KUARD))
        assert reply is not None
        return dns_messages.read(reply)

    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        running = Running(tmp_path, api)
        configure(tmp_path, {"subdomains": ["lb.example"], "soa": {"negativeTtl": 5}})
        async with running as server:
            await becomes(server, ["198.18.0.1"])
            serials = [serial(server)]
            await api.put(nb.decision("kuard", "198.18.0.1", published=False))
            await has_rcode(server, "NXDOMAIN")
            (soa,) = (await asyncio.to_thread(asked, server)).authority
            assert (soa.owner, soa.rtype, soa.ttl_s) == (
                "lb.example.",
                dns_messages.TYPES["SOA"],
                5,
            )
            serials.append(serial(server))
            await api.put(nb.decision("kuard", "198.18.0.1"))
            await has_rcode(server, "NOERROR")
            answer = (await asyncio.to_thread(asked, server)).shown("answer")
            assert answer == [f"{KUARD}. 5 A 198.18.0.1"]
            serials.append(serial(server))
            assert sorted(set(serials)) == serials

    nb.run(scenario, nb.NamesApi())


def test_a_lost_api_server_changes_nothing(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        async with Running(tmp_path, api) as server:
            await becomes(server, ["198.18.0.1"])
            await api.stop()
            assert await asyncio.to_thread(server.short, KUARD) == ["198.18.0.1"]
            await api.put(nb.decision("kuard", "198.18.0.2"))
            await api.start()
            await becomes(server, ["198.18.0.2"])

    nb.run(scenario, nb.NamesApi())


def test_a_restart_without_the_api_serves_the_last_names_with_a_later_serial(
    tmp_path: Path,
) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        async with Running(tmp_path, api) as server:
            await becomes(server, ["198.18.0.1"])
            before = await asyncio.to_thread(serial, server)
        await api.stop()
        async with Running(tmp_path, api) as server:
            assert await asyncio.to_thread(server.short, KUARD) == ["198.18.0.1"]
            assert await asyncio.to_thread(serial, server) > before
            await api.put(nb.decision("kuard", "198.18.0.1", phase="Withdrawn"))
            await api.delete("default.kuard")
            await api.start()
            await has_rcode(server, "NXDOMAIN")

    nb.run(scenario, nb.NamesApi())


def test_without_api_and_snapshot_nothing_is_denied(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        await api.stop()
        async with Running(tmp_path, api) as server:
            assert await asyncio.to_thread(server.rcode, KUARD) == "SERVFAIL"
            assert await asyncio.to_thread(server.rcode, "www.example.org") == "REFUSED"
            assert await asyncio.to_thread(server.short, "lb.example", "NS") == ["ns1.lb.example."]
            await api.start()
            await has_rcode(server, "NXDOMAIN")

    nb.run(scenario, nb.NamesApi())


def test_an_object_deleted_while_live_keeps_its_names(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await api.put(nb.decision("other", "198.18.0.2"))
        async with Running(tmp_path, api) as server:
            await becomes(server, ["198.18.0.1"])
            await api.delete("default.kuard")
            await api.put(nb.decision("other", "198.18.0.3"))
            await becomes(server, ["198.18.0.3"], "other.default.lb.example")
            assert await asyncio.to_thread(server.short, KUARD) == ["198.18.0.1"]
            await api.put(nb.decision("other", "198.18.0.1"))
            await has_rcode(server, "NXDOMAIN")

    nb.run(scenario, nb.NamesApi())


def test_a_killed_worker_comes_back_with_all_names(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi) -> None:
        for n in range(2000):
            await api.put(nb.decision(f"svc-{n}", f"198.18.{n >> 8}.{n & 255}"))
        async with Running(tmp_path, api) as server:
            await becomes(server, ["198.18.7.207"], "svc-1999.default.lb.example")
            os.kill(server.workers()[0], signal.SIGKILL)
            await api.put(nb.decision("kuard", "198.18.255.1"))
            await becomes(server, ["198.18.255.1"])
            shown = await asyncio.to_thread(server.short, "svc-0.default.lb.example")
            assert shown == ["198.18.0.0"]

    nb.run(scenario, nb.NamesApi())


def configure(folder: Path, nameservice: dict[str, Any]) -> None:
    """Swap the settings file in one step, as a mounted ConfigMap does."""
    new = folder / "settings.new"
    new.write_text(json.dumps({"nameservice": nameservice}))
    new.rename(folder / "settings.yaml")


def test_zones_follow_the_settings_without_a_gap_in_answers(tmp_path: Path) -> None:
    other = "kuard.default.lb.example.net"
    asked = {"NOERROR": 0}

    async def ask(server: Server, ended: asyncio.Event) -> None:
        while not ended.is_set():
            rcode = await asyncio.to_thread(server.rcode, KUARD)
            asked[rcode] = asked.get(rcode, 0) + 1

    async def scenario(api: nb.NamesApi) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1", hosts=(KUARD, other)))
        async with Running(tmp_path, api) as server:
            await becomes(server, ["198.18.0.1"])
            await has_rcode(server, "REFUSED", other)
            first, pid, workers = serial(server), server.process.pid, server.workers()
            ended = asyncio.Event()
            asking = asyncio.ensure_future(ask(server, ended))
            zones = ["lb.example", "lb.example.net"]
            configure(tmp_path, {"subdomains": zones, "nsAddresses": ["127.0.0.2"]})
            await becomes(server, ["198.18.0.1"], other)
            assert serial(server) > first
            assert server.short("ns1.lb.example") == ["127.0.0.2"]
            configure(tmp_path, {"subdomains": zones, "nsAddresses": ["nowhere"]})
            await asyncio.to_thread(until, lambda: "nameservice.nsAddresses" in server.log())
            assert server.short(other) == ["198.18.0.1"]
            configure(tmp_path, {"subdomains": ["lb.example"], "soa": {"refresh": 77}})
            await has_rcode(server, "REFUSED", other)
            assert server.dig("+short", "lb.example", "SOA").split()[3] == "77"
            ended.set()
            await asking
            assert (server.process.pid, server.workers()) == (pid, workers)

    nb.run(scenario, nb.NamesApi())
    assert asked["NOERROR"] > 100
    assert set(asked) == {"NOERROR"}
