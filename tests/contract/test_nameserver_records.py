"""Every record of a Service, asked of the running server with dig."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nameserver_builders as nb
from nameserver_process import Server, configuration, serving, until

KUARD = "kuard.default.lb.example"
POOL = {
    "metadata": {"name": "objects", "uid": "p", "resourceVersion": "1"},
    "spec": {"addresses": ["198.51.100.0/26", "2001:db8::/124"]},
}


@contextlib.asynccontextmanager
async def running(
    folder: Path, *decisions: dict[str, Any], **nameservice: Any
) -> AsyncIterator[tuple[Server, nb.NamesApi]]:
    """Run the server beside an API server with these decisions and a pool."""
    api = nb.NamesApi()
    api.pools = [POOL]
    await api.start()
    try:
        for obj in decisions:
            await api.put(obj)
        pools = [{"name": "settings", "addresses": ["192.0.2.0/24"]}]
        arguments = configuration(folder, api.port, addressPools=pools)
        settings = json.loads((folder / "settings.yaml").read_text())
        settings["nameservice"] |= nameservice
        (folder / "settings.yaml").write_text(json.dumps(settings))
        context = serving(*arguments)
        server = await asyncio.to_thread(context.__enter__)
        try:
            known = decisions[0]["spec"]["names"][0]["host"].replace("*", "w")
            await asyncio.to_thread(until, lambda: server.rcode(known) == "NOERROR")
            await asyncio.to_thread(
                until, lambda: server.rcode("100.51.198.in-addr.arpa") == "NOERROR"
            )
            yield server, api
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
    finally:
        await api.stop()


def lines(text: str, section: str) -> list[str]:
    """Return the records of one section of dig's answer, blanks made one."""
    found = re.search(rf";; {section} SECTION:\n(.*?)\n\n", text, re.DOTALL)
    return [re.sub(r"\s+", " ", line) for line in found.group(1).splitlines()] if found else []


def test_ports_and_addresses_have_their_names(tmp_path: Path) -> None:
    async def body() -> None:
        kuard = nb.decision(
            "kuard",
            "192.0.2.10",
            "2001:db8::a",
            hosts=("www.lb.example", "*.apps.lb.example", KUARD),
            ports={"http": 8080},
        )
        async with running(tmp_path, kuard) as (server, _):

            def look() -> None:
                for host in ("www.lb.example", "x.y.apps.lb.example", KUARD):
                    assert server.short(host) == ["192.0.2.10"]
                    assert server.short(host, "AAAA") == ["2001:db8::a"]
                srv = server.dig(f"_http._tcp.{KUARD}", "SRV")
                assert lines(srv, "ANSWER") == [
                    f"_http._tcp.{KUARD}. 5 IN SRV 0 0 8080 {KUARD}.",
                ]
                assert lines(srv, "ADDITIONAL") == [
                    f"{KUARD}. 5 IN A 192.0.2.10",
                    f"{KUARD}. 5 IN AAAA 2001:db8::a",
                ]
                assert server.rcode(f"_tcp.{KUARD}") == "NOERROR"
                assert server.short("-x", "192.0.2.10") == ["www.lb.example."]
                assert server.short("-x", "2001:db8::a") == ["www.lb.example."]
                assert server.rcode("11.2.0.192.in-addr.arpa") == "NXDOMAIN"
                assert server.rcode("1.3.0.192.in-addr.arpa") == "REFUSED"
                assert server.short("100.51.198.in-addr.arpa", "NS") == ["ns1.lb.example."]
                assert server.short(KUARD, "TXT") == []

            await asyncio.to_thread(look)

    asyncio.run(body())


def test_a_name_without_an_address_exists_and_says_whose_it_is(tmp_path: Path) -> None:
    async def body() -> None:
        kuard = nb.decision("kuard", "192.0.2.10", published=False, no_data=True)
        async with running(tmp_path, kuard) as (server, _):

            def look() -> None:
                assert server.rcode(KUARD) == "NOERROR"
                answer = server.dig(KUARD)
                assert lines(answer, "ANSWER") == []
                assert " SOA " in lines(answer, "AUTHORITY")[0]
                mark = "heritage=lbctl,lbctl/cluster=my-cluster,lbctl/service=default/kuard"
                assert server.short(KUARD, "TXT") == [f'"{mark}"']

            await asyncio.to_thread(look)

    asyncio.run(body())


def test_owner_records_come_with_the_setting_and_the_next_owner_takes_over(tmp_path: Path) -> None:
    async def body() -> None:
        shared = {"hosts": ("www.lb.example",), "grant": "one"}
        old = nb.decision("old", "192.0.2.10", created="2026-11-21T11:00:00Z", **shared)
        new = nb.decision("new", "192.0.2.10", **shared)
        async with running(tmp_path, old, new, ownerRecords=True) as (server, api):

            def owner() -> str:
                return "".join(server.short("www.lb.example", "TXT"))

            await asyncio.to_thread(until, lambda: owner().endswith('default/old"'))
            gone = nb.decision("old", "192.0.2.10", phase="Withdrawn", **shared)
            await api.put(gone)
            await asyncio.to_thread(until, lambda: owner().endswith('default/new"'))

    asyncio.run(body())
