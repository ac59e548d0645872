"""Whatever leaders decide, in whatever order: answers are what a search through decisions finds."""

import ipaddress
from typing import Any

import dnslib
from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl_dns import contents, decisions, edns, frames, names, publications, table, wire, zone

Object = dict[str, Any]
HOSTS = ["a.lb.example", "*.a.lb.example", "c.b.a.lb.example", "*.lb.example", "d.lb.example"]
VIPS = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
REVERSE = ["2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"]
STYLE = contents.Style("lab", owner_records=False)
SERVICES = ["x", "y", "z"]

DECISIONS = st.builds(
    lambda service, vips, hosts, ports, state, phase, created: nb.decision(
        service,
        *vips,
        hosts=tuple(hosts),
        ports={name: 80 for name in ports},
        published=state == "published",
        no_data=state == "empty",
        phase=phase,
        created=created,
        grant="shared",
    ),
    st.sampled_from(SERVICES),
    st.lists(st.sampled_from(VIPS), unique=True, max_size=2),
    st.lists(st.sampled_from(HOSTS), unique=True, max_size=3),
    st.lists(st.sampled_from(["", "http"]), unique=True, max_size=2),
    st.sampled_from([*["published"] * 4, "empty", "silent"]),
    st.sampled_from([*["Serving"] * 4, "Draining", "Withdrawn"]),
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
)
NAMES = (
    *(host.replace("*", "w") for host in HOSTS),
    *(f"_http._tcp.{host.replace('*', 'w')}" for host in HOSTS),
    *(ipaddress.ip_address(vip).reverse_pointer for vip in VIPS),
    "lb.example",
    "b.a.lb.example",
    "_tcp.a.lb.example",
    "q.r.lb.example",
)
TYPES = (zone.A, zone.AAAA, zone.SRV, zone.TXT, zone.PTR)
Records = dict[tuple[str, int], set[str]]


def stated(obj: Object) -> Records:
    """Return the records that one decision asks for, by name and type, as text."""
    spec = obj["spec"]
    found: Records = {}
    if spec["phase"] == "Withdrawn":
        return found
    vips = [vip["address"] for vip in spec["vips"]]
    answered = [name["host"] for name in spec["names"] if name["published"]]
    for host in answered:
        for vip in vips:
            kind = zone.AAAA if ":" in vip else zone.A
            found.setdefault((host, kind), set()).add(vip)
        for port in spec["listeners"]:
            if port["name"] and vips and "*" not in host:
                found[f"_{port['name']}._tcp.{host}", zone.SRV] = {f"0 0 {port['port']} {host}."}
    for name in spec["names"]:
        if name["noData"] and not name["published"]:
            found[name["host"], zone.TXT] = {"owner"}
    first = next((host for host in answered if "*" not in host), None)
    for vip in vips if first else ():
        found[ipaddress.ip_address(vip).reverse_pointer, zone.PTR] = {f"{first}."}
    return found


def published(last: dict[str, Object]) -> Records:
    """Return all records: each name is its oldest claimant's."""

    def age(obj: Object) -> tuple[str, str]:
        return obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]

    found: Records = {}
    owners: dict[str, str] = {}
    for obj in sorted(last.values(), key=age):
        for (name, kind), data in stated(obj).items():
            if owners.setdefault(name, obj["metadata"]["uid"]) == obj["metadata"]["uid"]:
                found[name, kind] = data
    return found


def expected(known: Records, qname: str, qtype: int) -> tuple[int, set[str]]:
    """Search everything: rcode and data."""
    origins = ["lb.example", *REVERSE]
    exist = {above for name in (*origins, *(key[0] for key in known)) for above in ancestors(name)}
    source = qname
    if qname not in exist:
        source = "*." + next(above for above in ancestors(qname) if above in exist)
        if source not in exist:
            return 3, set()
    return 0, known.get((source, qtype), set())


def ancestors(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


def text(one: dnslib.RR) -> str:
    return "owner" if one.rtype == zone.TXT else str(one.rdata)


def same(responder: wire.Responder, records: Records) -> None:
    """Ask for everything; compare rcode and data."""
    for qname in NAMES:
        for qtype in TYPES:
            reply = responder.answer(nb.query(qname, qtype), wire.TCP, "")
            assert reply is not None
            parsed = dnslib.DNSRecord.parse(reply)
            found = parsed.header.rcode, {text(one) for one in parsed.rr}
            assert found == expected(records, qname, qtype), (qname, qtype)


@given(steps=st.lists(DECISIONS, min_size=1, max_size=4))
def test_answers_are_what_a_search_through_the_decisions_finds(steps: list[Object]) -> None:
    zones = [nb.own_zone(), *(zone.Zone(names.to_wire(one), nb.SOA, ()) for one in REVERSE)]
    authority = zone.Authority(zones)
    known = publications.Publications(authority, STYLE)
    replica = frames.Replica()
    first = frames.Transaction(tuple(table.encode_all(authority.contents())), reset=True)
    number = 0
    last: dict[str, Object] = {}
    for obj in (None, *steps):
        sent = first
        if obj is not None:
            owner = obj["metadata"]["name"]
            last[owner] = obj
            change = known.decided(owner, decisions.parse(decisions.slim(obj)))
            sent = frames.Transaction(tuple(map(table.encode, change.upserts)), change.deletes)
        for body in frames.bodies(sent):
            number += 1
            replica.take(frames.render(1, number, body))
    same(wire.Responder(replica.table, edns.Clerk(b"k" * 16)), published(last))
