"""Health checks and metrics of the running DNS server, workers and all."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import event_loops
import metrics_reader
import nameserver_builders as nb
from lbctl_dns.server import TIMED
from nameserver_process import Server, configuration, free_port, serving, until

KUARD = "kuard.default.lb.example"
QUERIES = "lbctl_dns_queries_total"
AGE = "lbctl_dns_data_age_seconds"
LIMITED = "lbctl_dns_rate_limited_total"
VISIBLE = "lbctl_dns_visible_seconds"
TWO_WORKERS = {"subdomains": ["lb.example"], "nsAddresses": ["127.0.0.1"], "workers": 2}

Scenario = Callable[[nb.NamesApi, Server, int], Coroutine[Any, Any, None]]


def run(folder: Path, scenario: Scenario, *, reachable: bool = True, **further: object) -> None:
    """Run a scenario with an API server, a DNS server and the port of its endpoint."""

    async def body() -> None:
        api = nb.NamesApi()
        await api.start()
        if not reachable:
            await api.stop()
        port = free_port()
        settings = {"metrics": {"port": port}, **further}
        started = serving(*configuration(folder, api.port, **settings))
        server = await asyncio.to_thread(started.__enter__)
        try:
            await scenario(api, server, port)
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
            await api.stop()

    event_loops.run(body())


async def asked(server: Server, *hosts: str) -> list[str]:
    return [await asyncio.to_thread(server.rcode, host) for host in hosts]


def test_it_is_ready_when_it_knows_the_names_and_not_before(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        said = await metrics_reader.until_status(port, "/readyz", 503)
        assert "not known yet" in said
        assert (await metrics_reader.get(port, "/healthz")) == (200, "ok\n")
        shown = await metrics_reader.scrape(port)
        assert shown.value("lbctl_dns_names_known") == 0
        assert shown.value(AGE) > 0
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await api.start()
        await metrics_reader.until_status(port, "/readyz", 200)
        assert await asked(server, KUARD) == ["NOERROR"]
        shown = await metrics_reader.until(port, lambda shown: shown.value(AGE) == 0)
        assert shown.value("lbctl_dns_names_known") == 1

    run(tmp_path, scenario, reachable=False)


def test_counters_count_what_was_really_asked(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await metrics_reader.until(port, lambda shown: shown.value("lbctl_dns_names") == 3)
        before = await metrics_reader.scrape(port)
        await asked(server, *[KUARD] * 20, *["no.lb.example"] * 7, *["example.org"] * 3)
        await asyncio.to_thread(server.dig, "+tcp", KUARD)
        after = await metrics_reader.scrape(port)

        def more(name: str, **labels: str) -> float:
            return after.value(name, **labels) - before.value(name, **labels)

        assert more(QUERIES, transport="udp", rcode="NOERROR") == 20
        assert more(QUERIES, transport="udp", rcode="NXDOMAIN") == 7
        assert more(QUERIES, transport="udp", rcode="REFUSED") == 3
        assert more(QUERIES, transport="tcp", rcode="NOERROR") == 1
        assert more("lbctl_dns_slow_path_total", transport="udp") == 3
        assert more("lbctl_dns_worker_cpu_seconds_total") > 0
        serial = after.value("lbctl_dns_zone_serial", zone="lb.example.")
        assert serial == int(server.dig("+short", "lb.example", "SOA").split()[2])
        assert after.value("lbctl_dns_workers") == 1

    run(tmp_path, scenario)


def test_one_batch_of_many_is_timed(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await asked(server, *[KUARD] * 2 * TIMED)
        shown = await metrics_reader.scrape(port)
        assert 1 <= shown.value("lbctl_dns_query_seconds_count") <= 4
        assert shown.value("lbctl_dns_query_seconds_sum") > 0

    run(tmp_path, scenario)


def test_the_time_until_a_change_is_visible_is_that_of_the_slowest_worker(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        stopped = (await two_workers(server, port))[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            await api.put(nb.decision("kuard", "198.18.0.1"))
            shown = await metrics_reader.until(
                port, lambda shown: shown.value("lbctl_dns_names") == 3
            )
            taken_at = time.monotonic()
            assert shown.value(VISIBLE + "_count") == 0
            await asyncio.sleep(0.1)
            known_late_s = time.monotonic() - taken_at
        finally:
            os.kill(stopped, signal.SIGCONT)
        shown = await metrics_reader.until(port, lambda shown: shown.value(VISIBLE + "_count"))
        assert shown.value(VISIBLE + "_count") == 1
        assert shown.value(VISIBLE + "_sum") >= known_late_s

    run(tmp_path, scenario, nameservice=TWO_WORKERS)


def test_a_worker_that_dies_keeps_no_change_from_being_visible(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        dying = (await two_workers(server, port))[0]
        os.kill(dying, signal.SIGSTOP)
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await metrics_reader.until(port, lambda shown: shown.value("lbctl_dns_names") == 3)
        os.kill(dying, signal.SIGKILL)
        await metrics_reader.until(port, lambda shown: shown.value(VISIBLE + "_count") == 1)

    run(tmp_path, scenario, nameservice=TWO_WORKERS)


async def two_workers(server: Server, port: int) -> list[int]:
    await metrics_reader.until_status(port, "/readyz", 200)
    await metrics_reader.until(port, lambda shown: shown.value("lbctl_dns_workers") == 2)
    return server.workers()


def test_a_list_is_no_change_that_somebody_waited_for(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await api.start()
        shown = await metrics_reader.until(port, lambda shown: shown.value("lbctl_dns_names") == 3)
        assert shown.value(VISIBLE + "_count") == 0

    run(tmp_path, scenario, reachable=False)


def test_counters_never_go_down_when_a_worker_is_replaced(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await metrics_reader.until_status(port, "/readyz", 200)
        await asked(server, *["no.lb.example"] * 10)
        before = (await metrics_reader.scrape(port)).value(
            QUERIES, transport="udp", rcode="NXDOMAIN"
        )
        os.kill(server.workers()[0], signal.SIGKILL)
        await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_dns_worker_restarts_total") == 1
        )
        await metrics_reader.until_status(port, "/readyz", 200)
        await asked(server, "no.lb.example")
        after = await metrics_reader.scrape(port)
        assert after.value(QUERIES, transport="udp", rcode="NXDOMAIN") > before >= 10

    run(tmp_path, scenario)


def test_a_worker_that_hangs_makes_it_unwell_and_metrics_are_still_there(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await metrics_reader.until_status(port, "/readyz", 200)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            assert "no answer on UDP" in await metrics_reader.until_status(port, "/healthz", 503)
            assert (await metrics_reader.get(port, "/readyz"))[0] == 503
            assert (await metrics_reader.scrape(port)).value("lbctl_dns_workers") == 1
        finally:
            os.kill(worker, signal.SIGCONT)
        await metrics_reader.until_status(port, "/readyz", 200)

    run(tmp_path, scenario)


def test_the_age_of_the_names_grows_while_the_api_server_is_away(tmp_path: Path) -> None:
    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await metrics_reader.until(port, lambda shown: shown.value(AGE) == 0)
        await api.stop()
        shown = await metrics_reader.until(port, lambda shown: shown.value(AGE) > 0)
        assert (await metrics_reader.get(port, "/readyz"))[0] == 200
        assert shown.value("lbctl_api_watches", resource="l4virtualservices") == 0
        assert shown.total("lbctl_api_watch_restarts_total", resource="l4virtualservices") >= 1
        await api.start()
        await metrics_reader.until(port, lambda shown: shown.value(AGE) == 0)

    run(tmp_path, scenario)


def test_a_server_of_zone_files_is_ready_and_has_no_age(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_text("$TTL 5\n@ SOA ns1 host 7 1 1 1 1\n@ NS ns1\nns1 A 127.0.0.1\n")
    settings = tmp_path / "settings.yaml"
    port = free_port()
    settings.write_text(f"metrics: {{port: {port}}}")

    async def body() -> None:
        await metrics_reader.until_status(port, "/readyz", 200)
        shown = await metrics_reader.scrape(port)
        assert shown.value("lbctl_dns_zone_serial", zone="lb.example.") == 7
        assert shown.value("lbctl_dns_names") == 2
        assert shown.value(AGE) == 0

    with serving("--config", str(settings), "--zone", f"lb.example={path}"):
        event_loops.run(body())


def test_a_flood_gets_a_bounded_number_of_replies_and_tcp_all_of_them(tmp_path: Path) -> None:
    query, count = nb.query(KUARD), 60
    limits = {"responsesPerSecond": 5, "slip": 3}

    def flooded(server: Server) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", server.port))
            for _ in range(count):
                sock.send(query)
            sock.settimeout(0.5)
            found = []
            with contextlib.suppress(TimeoutError):
                while True:
                    found.append(sock.recv(512))
            return found

    async def scenario(api: nb.NamesApi, server: Server, port: int) -> None:
        await api.put(nb.decision("kuard", "198.18.0.1"))
        await asyncio.to_thread(until, lambda: server.tcp(query)[3] & 15 == 0)
        replies = await asyncio.to_thread(flooded, server)
        short = [reply for reply in replies if reply[2] & 2]
        assert 5 <= len(replies) - len(short) < count / 2
        for _ in range(count):
            assert (await asyncio.to_thread(server.tcp, query))[2:4] == b"\x84\0"
        shown = await metrics_reader.scrape(port)
        assert shown.value(LIMITED, action="truncated") >= len(short) > 0
        assert shown.value(LIMITED, action="dropped") >= count - len(replies) > 0

    zones = {"subdomains": ["lb.example"], "rateLimit": limits}
    run(tmp_path, scenario, nameservice=zones)
