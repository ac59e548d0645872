"""The running server with zone files, as secondaries and strangers ask it for zones."""

import base64
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import nameserver_builders as nb
import transfer_builders
from lbctl_dns import lookup
from nameserver_process import Server, serving, until
from secondary_servers import SECRET, ZONE, dig, records, signed

KEY = "xfr.lb.example"
CONTENT = """\
$TTL 5
@ 30 IN SOA ns1 hostmaster {serial} 10800 3600 86400 30
@ IN NS ns1
@ IN MX 10 @
ns1 IN A 127.0.0.1
*.apps IN A 192.0.2.12
_http._tcp.kuard.default IN SRV 0 0 80 kuard.default
www IN CNAME kuard.default
sub IN NS ns.sub
ns.sub IN A 192.0.2.53
"""


def write(path: Path, serial: int, *further: str) -> None:
    path.write_text(CONTENT.format(serial=serial) + "".join(line + "\n" for line in further))


@pytest.fixture(scope="module")
def zone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zones") / "zone"
    write(path, 7, "kuard.default IN A 192.0.2.10")
    return path


@pytest.fixture(scope="module")
def server(zone_file: Path) -> Iterator[Server]:
    with serving(
        *("--zone", f"{ZONE}={zone_file}", "--workers", "2"),
        *("--tsig-key", f"{KEY}:hmac-sha256:{SECRET}"),
        *("--tsig-key", f"afar:hmac-sha512:{SECRET}"),
        *("--allow-transfer", f"{KEY}@127.0.0.0/8", "--allow-transfer", "::1"),
        *("--allow-transfer", "afar@192.0.2.0/24"),
    ) as found:
        yield found


def reload(server: Server, serial: int) -> None:
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.short(ZONE, "SOA")[2:3] == [str(serial)])


def shown(server: Server, *arguments: str) -> str:
    return re.sub(r"[ \t]+", " ", dig(server.port, *arguments))


def test_a_zone_is_shown_whole_to_who_has_the_key(server: Server) -> None:
    found = records(shown(server, *signed(KEY), "AXFR", ZONE))
    assert "_http._tcp.kuard.default.lb.example. 5 IN SRV 0 0 80 kuard.default.lb.example." in found
    assert "lb.example. 5 IN MX 10 lb.example." in found
    assert len(found) == 10


def test_a_rule_by_address_needs_no_key(server: Server) -> None:
    by_address = records(server.dig("AXFR", ZONE, at="::1"))
    assert by_address == records(shown(server, *signed(KEY), "AXFR", ZONE))


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR=1"])
@pytest.mark.parametrize(
    "proof", [(), signed("nobody"), signed(KEY, base64.b64encode(bytes(32)).decode())]
)
def test_strangers_get_nothing(server: Server, proof: tuple[str, ...], qtype: str) -> None:
    found = shown(server, *proof, qtype, ZONE)
    assert "Transfer failed" in found
    assert records(found) == []


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (signed("nobody"), "NOTAUTH.* BADKEY"),
        (signed(KEY, base64.b64encode(bytes(32)).decode()), "NOTAUTH.* BADSIG"),
        (("-y", f"hmac-sha512:{KEY}:{SECRET}"), "NOTAUTH.* BADKEY"),
    ],
)
def test_queries_with_a_wrong_key_are_told_what_is_wrong(
    server: Server, proof: tuple[str, ...], said: str
) -> None:
    assert re.search(said, shown(server, *proof, "SOA", ZONE), re.DOTALL)


def test_signed_queries_get_signed_answers(server: Server) -> None:
    for rtype, host, wanted in (
        ("SOA", ZONE, "ANSWER: 1"),
        ("A", f"kuard.default.{ZONE}", "192.0.2.10"),
        ("A", f"missing.{ZONE}", "NXDOMAIN"),
    ):
        for transport in ("+notcp", "+tcp"):
            found = shown(server, *signed(KEY), transport, rtype, host)
            assert wanted in found
            assert " TSIG hmac-sha256. " in found
            assert "WARNING -- Some TSIG could not be validated" not in found


def raw(packet: bytes) -> bytes:
    return len(packet).to_bytes(2) + packet


def read(sock: socket.socket, count: int) -> list[bytes]:
    with sock.makefile("rb") as stream:
        return [stream.read(int.from_bytes(stream.read(2))) for _ in range(count)]


def test_axfr_by_udp_and_from_elsewhere_and_of_other_zones_is_refused(server: Server) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect(("::1", server.port))
        sock.send(transfer_builders.request())
        assert sock.recv(512)[3] & 15 == lookup.REFUSED
    elsewhere = shown(server, "-y", f"hmac-sha512:afar:{SECRET}", "AXFR", ZONE)
    assert "Transfer failed" in elsewhere
    assert "Transfer failed" in shown(server, *signed(KEY), "AXFR", "example.org")


def test_queries_before_and_after_on_the_same_connection_are_answered(server: Server) -> None:
    plain, zone_request = nb.query(f"kuard.default.{ZONE}"), transfer_builders.request()
    soa_request = transfer_builders.request(qtype=6)
    with socket.create_connection(("::1", server.port), timeout=20) as sock:
        together = raw(plain) * 100 + raw(zone_request) + raw(soa_request) + raw(zone_request)
        sock.sendall(together)
        found = read(sock, 103)
    assert {one[6:8] for one in found[:100]} == {b"\0\x01"}
    counts = [int.from_bytes(one[6:8]) for one in found[100:]]
    assert counts == [11, 1, 11]


def test_a_request_that_arrives_byte_by_byte_is_served(server: Server) -> None:
    with socket.create_connection(("::1", server.port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw(transfer_builders.request()):
            sock.send(bytes((byte,)))
        sock.shutdown(socket.SHUT_WR)
        (reply,) = read(sock, 1)
        assert int.from_bytes(reply[6:8]) == 11
        assert sock.recv(1) == b""


def test_a_reload_is_a_step_for_secondaries_by_tcp_and_udp(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    write(path, 7, "kuard.default IN A 192.0.2.10")
    arguments = ("--zone", f"{ZONE}={path}", "--allow-transfer", "127.0.0.1")
    with serving(*arguments) as server:
        write(path, 8, "kuard.default IN A 192.0.2.11", "new IN A 192.0.2.77")
        reload(server, 8)
        for transport in ("+tcp", "+notcp"):
            lines = shown(server, "IXFR=7", transport, ZONE).splitlines()
            found = [line.split(" IN ")[1] for line in lines if " IN " in line and line[0] != ";"]
            soa = "SOA ns1.lb.example. hostmaster.lb.example. {} 10800 3600 86400 30"
            old, new = soa.format(7), soa.format(8)
            assert found[:4] == [new, old, "A 192.0.2.10", new]
            assert sorted(found[4:]) == ["A 192.0.2.11", "A 192.0.2.77", new]
        path.write_text("not a zone")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the zone stays as it was" in server.log())
        write(path, 8, "kuard.default IN A 192.0.2.12")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "its serial did not rise" in server.log())
        assert server.short(f"kuard.default.{ZONE}") == ["192.0.2.12"]
