"""A resolver of the kind that people have finds Services by way of a parent zone on BIND."""

import asyncio
import re
from pathlib import Path

import pytest

import delegation_bed
import nameserver_builders as nb
from delegation_bed import CHILD, Walk, ask
from nameserver_process import configuration, serving, until

pytestmark = pytest.mark.root
KUARD = "kuard.default.lb.example"
ZONES = {
    "nameservice": {
        "subdomains": ["lb.example"],
        "nsAddresses": [CHILD],
        # A second, so that a test can wait for what caches forget.
        "soa": {"negativeTtl": 1},
    },
    "addressPools": [{"name": "default", "addresses": ["192.0.2.0/24"]}],
}


def decided(published: bool = True) -> nb.Object:
    found = nb.decision(
        "kuard",
        "192.0.2.10",
        "2001:db8::a",
        hosts=(KUARD, "*.apps.lb.example"),
        ports={"http": 8080},
        published=published,
    )
    for name in found["spec"]["names"]:
        name["ttlSeconds"] = 1
    return found


def short(walk: Walk, host: str, rtype: str = "A") -> list[str]:
    return walk.ask("+short", host, rtype).splitlines()


def status(walk: Walk, host: str) -> str:
    found = re.search(r"status: (\w+)", walk.ask(host))
    return found.group(1) if found else ""


def look(walk: Walk) -> None:
    """Ask for every kind of record."""
    until(lambda: short(walk, KUARD) == ["192.0.2.10"])
    assert short(walk, KUARD, "AAAA") == ["2001:db8::a"]
    assert short(walk, "anything.apps.lb.example") == ["192.0.2.10"]
    assert short(walk, f"_http._tcp.{KUARD}", "SRV") == [f"0 0 8080 {KUARD}."]
    assert walk.ask("+short", "-x", "192.0.2.10").splitlines() == [f"{KUARD}."]
    assert short(walk, "lb.example", "NS") == ["ns1.lb.example."]
    assert status(walk, "default.lb.example") == "NOERROR"
    assert status(walk, "missing.default.lb.example") == "NXDOMAIN"
    assert status(walk, "3.2.0.192.in-addr.arpa") == "NXDOMAIN"


def test_a_resolver_walks_from_the_parent_to_the_services(tmp_path: Path) -> None:
    async def body() -> None:
        api = nb.NamesApi()
        await api.start()
        await api.put(decided())
        place = ("--listen", f"{CHILD}:53")
        context = serving(*configuration(tmp_path, api.port, **ZONES), *place)
        await asyncio.to_thread(context.__enter__)
        try:
            with delegation_bed.walked(tmp_path) as walk:
                await asyncio.to_thread(look, walk)
                await api.put(decided(published=False))
                await asyncio.to_thread(until, lambda: status(walk, KUARD) == "NXDOMAIN")
                await api.put(decided())
                await asyncio.to_thread(until, lambda: short(walk, KUARD) == ["192.0.2.10"])
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
            await api.stop()

    asyncio.run(body())


def test_parent_and_child_name_the_same_servers(tmp_path: Path) -> None:
    zone = tmp_path / "lb.example.zone"
    zone.write_text(
        "@ 300 IN SOA ns1 hostmaster 1 10800 3600 86400 30\n"
        f"@ 300 IN NS ns1.lb.example.\nns1 300 IN A {CHILD}\n"
    )
    with (
        serving("--zone", f"lb.example={zone}", "--listen", f"{CHILD}:53"),
        delegation_bed.walked(tmp_path) as walk,
    ):
        referral = walk.ask_parent("+norecurse", KUARD)
        assert "ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 2" in referral
        assert re.search(rf"ns1\.lb\.example\.\s+300\s+IN\s+A\s+{re.escape(CHILD)}", referral)
        assert ask(CHILD, 53, "+short", "lb.example", "NS") == "ns1.lb.example.\n"
        assert ask(CHILD, 53, "+short", "ns1.lb.example") == f"{CHILD}\n"
