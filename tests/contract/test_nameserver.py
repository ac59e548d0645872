"""The running server with a zone file, asked by dig and by raw sockets."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dnslib
import pytest

import nameserver_builders as nb
import nameserver_process
from nameserver_process import Server, is_running, serving, until

ZONE = """\
$TTL 5
@ 30 IN SOA ns1 hostmaster 7 10800 3600 86400 30
@ IN NS ns1
@ IN NS ns2
ns1 IN A 127.0.0.1
ns1 IN AAAA ::1
ns2 IN A 127.0.0.2
kuard.default IN A 192.0.2.10
kuard.default IN AAAA 2001:db8::10
v4only.default IN A 192.0.2.11
*.apps IN A 192.0.2.12
_http._tcp.kuard.default IN SRV 0 0 80 kuard.default.lb.example.
www IN CNAME kuard.default
sub IN NS ns.sub
ns.sub IN A 192.0.2.53
"""
BIG = "".join(f"big.default IN A 192.0.3.{n}\n" for n in range(60))
HUGE = "".join(f"huge.default IN A 192.0.4.{n}\n" for n in range(200))


@pytest.fixture(scope="module")
def zone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zones") / "lb.example.zone"
    path.write_text(ZONE + BIG + HUGE)
    return path


@pytest.fixture(scope="module")
def server(zone_file: Path) -> Iterator[Server]:
    with serving("--zone", f"lb.example={zone_file}") as found:
        yield found


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SOA lb.example", ["status: NOERROR", "flags: qr aa rd;", "ANSWER: 1"]),
        ("A kuard.default.lb.example", [r"kuard.default.lb.example. 5 IN A 192.0.2.10"]),
        ("AAAA kuard.default.lb.example", ["5 IN AAAA 2001:db8::10"]),
        ("AAAA v4only.default.lb.example", ["NOERROR", "ANSWER: 0", "lb.example. 30 IN SOA"]),
        (
            "A missing.default.lb.example",
            [
                "NXDOMAIN",
                "flags: qr aa rd;",
                "lb.example. 30 IN SOA ns1.lb.example. hostmaster.lb.example. "
                "7 10800 3600 86400 30",
            ],
        ),
        ("A default.lb.example", ["NOERROR", "ANSWER: 0", "AUTHORITY: 1"]),
        ("A KuArD.DeFaUlT.lb.example", ["KuArD.DeFaUlT.lb.example. 5 IN A 192.0.2.10"]),
        ("A www.example.org", ["REFUSED", "flags: qr rd;", "AUTHORITY: 0"]),
        ("A x.apps.lb.example", ["x.apps.lb.example. 5 IN A 192.0.2.12"]),
        ("SRV _http._tcp.kuard.default.lb.example", ["SRV 0 0 80 kuard", "ADDITIONAL: 3"]),
        ("NS lb.example", ["ANSWER: 2", "ns1.lb.example. 5 IN AAAA ::1"]),
        ("TYPE666 lb.example", ["NOERROR", "ANSWER: 0", "AUTHORITY: 1"]),
        ("ANY kuard.default.lb.example +notcp", ["NOERROR", "ANSWER: 1"]),
        ("A www.lb.example", ["IN CNAME kuard.default.lb.example.", "IN A 192.0.2.10"]),
        ("A x.sub.lb.example", ["flags: qr rd;", "sub.lb.example. 5 IN NS", "IN A 192.0.2.53"]),
        ("A huge.default.lb.example +tcp", ["ANSWER: 200"]),
        ("A huge.default.lb.example", ["ANSWER: 200", r"(TCP)"]),
        ("A big.default.lb.example +noedns +ignore", ["flags: qr aa tc rd;", "ANSWER: 0"]),
        ("A big.default.lb.example +ignore", ["ANSWER: 60"]),
        ("SOA lb.example +edns=1 +noednsneg", ["BADVERS", "version: 0", "ANSWER: 0"]),
        ("SOA lb.example +dnssec", ["flags: do; udp: 1232"]),
        ("SOA lb.example +ednsopt=100 +nocookie", ["NOERROR", "OPT PSEUDOSECTION"]),
        ("SOA lb.example +header-only", ["FORMERR"]),
        ("SOA lb.example +opcode=15", ["NOTIMP", "QUERY: 0"]),
        ("SOA lb.example +opcode=UPDATE", ["REFUSED", "QUERY: 0"]),
        ("CH TXT version.bind", ["REFUSED"]),
    ],
)
@pytest.mark.parametrize("at", ["127.0.0.1", "::1"])
def test_dig_shows(server: Server, at: str, query: str, wanted: list[str]) -> None:
    words = query.split()
    shown = re.sub(r"[ \t]+", " ", server.dig(*words, at=at))
    for part in wanted:
        assert part in shown


def test_dig_accepts_our_cookie(server: Server) -> None:
    shown = server.dig("+cookie=0102030405060708", "SOA", "lb.example")
    assert re.search(r"COOKIE: 0102030405060708[0-9a-f]{32} \(good\)", shown)


def test_bad_datagrams_get_silence_or_format_errors_and_cost_no_later_query(
    server: Server,
) -> None:
    good = nb.query("kuard.default.lb.example")
    for silent in (b"\0" * 11, good[:2] + b"\x80" + good[3:]):
        assert server.udp(silent, timeout_s=0.1) is None
    for broken in (good[:-1], good + b"x" * 4000, good[:12] + b"\xc0\x0c" * 600):
        assert server.udp(broken) == b"\x12\x34\x80\x01" + bytes(8)
    assert server.rcode("kuard.default.lb.example") == "NOERROR"


def framed(*packets: bytes) -> bytes:
    return b"".join(len(packet).to_bytes(2) + packet for packet in packets)


def replies(sock: socket.socket, count: int) -> list[dnslib.DNSRecord]:
    with sock.makefile("rb") as stream:
        found = [stream.read(int.from_bytes(stream.read(2))) for _ in range(count)]
    return [dnslib.DNSRecord.parse(one) for one in found]


HOSTS = ["kuard.default.lb.example", "missing.lb.example", "www.example.org"]


def test_tcp_answers_pipelined_queries_in_order(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(framed(*(nb.query(host) for host in HOSTS)) * 300)
        got = [one.header.rcode for one in replies(sock, 900)]
    assert got == [0, 3, 5] * 300


def test_tcp_takes_a_query_byte_by_byte_and_answers_after_half_a_close(server: Server) -> None:
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(nb.query(HOSTS[0])):
            sock.send(bytes((byte,)))
        sock.shutdown(socket.SHUT_WR)
        (reply,) = replies(sock, 1)
        assert (reply.header.rcode, sock.recv(1)) == (0, b"")


def test_a_client_that_never_reads_does_not_stop_the_others(server: Server) -> None:
    with server.connect() as deaf:
        deaf.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                deaf.sendall(framed(nb.query("huge.default.lb.example")) * 1000)
        assert server.short("kuard.default.lb.example") == ["192.0.2.10"]


def test_a_killed_worker_is_replaced_and_no_query_is_refused_meanwhile(zone_file: Path) -> None:
    with serving("--zone", f"lb.example={zone_file}") as server:
        (before,) = server.workers()
        os.kill(before, signal.SIGKILL)
        assert server.rcode("kuard.default.lb.example") == "NOERROR"
        (after,) = server.workers()
        assert after != before


def test_workers_share_the_port_and_end_with_the_feed_process(zone_file: Path) -> None:
    with serving("--zone", f"lb.example={zone_file}", "--workers", "2") as server:
        until(lambda: len(server.workers()) == 2)
        for _ in range(40):
            assert server.rcode("kuard.default.lb.example") == "NOERROR"
        workers = server.workers()
        server.process.terminate()
        server.process.wait()
        until(lambda: not any(is_running(pid) for pid in workers))


def test_a_crash_of_the_feed_process_is_no_gap_in_answers(zone_file: Path) -> None:
    arguments = ("--zone", f"lb.example={zone_file}")
    seen: list[str] = []
    with serving(*arguments) as first, contextlib.ExitStack() as stack:
        workers = first.workers()
        first.process.kill()
        first.process.wait()
        second = Server(*arguments, port=first.port)
        stack.callback(second.end)
        while len(seen) < 10 or any(is_running(pid) for pid in workers):
            seen.append(first.rcode("kuard.default.lb.example"))
        seen.extend(second.rcode("kuard.default.lb.example") for _ in range(10))
        assert set(seen) == {"NOERROR"}


def test_a_second_server_on_the_port_of_a_living_one_is_refused(zone_file: Path) -> None:
    arguments = ("--zone", f"lb.example={zone_file}")
    with serving(*arguments) as first:
        second = Server(*arguments, port=first.port)
        until(lambda: second.process.poll() is not None)
        assert "cannot listen on" in second.log()
        assert second.end() == 1


def test_sigterm_ends_all_processes_at_once(zone_file: Path) -> None:
    with serving("--zone", f"lb.example={zone_file}") as server:
        workers = server.workers()
        assert server.end() == 0
        assert not any(is_running(pid) for pid in workers)


def test_sighup_reads_the_file_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_text(ZONE)
    with serving("--zone", f"lb.example={path}") as server:
        path.write_text(ZONE.replace("192.0.2.10", "192.0.2.77").replace(" 7 ", " 8 "))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.short("kuard.default.lb.example") == ["192.0.2.77"])
        path.write_text("no zone\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the zone stays as it was" in server.log())
        assert server.short("kuard.default.lb.example") == ["192.0.2.77"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--listen", "127.0.0.1:0"], "0 is not a port"),
        (["--listen", "192.0.2.1:5353"], "cannot listen on 192.0.2.1:5353"),
        (["--listen", "127.0.0.1:1", "--zone", "lb.example"], "is not ORIGIN=FILE"),
        (["--listen", "127.0.0.1:1", "--zone", "lb.example=/nowhere"], "No such file"),
        (["--listen", "127.0.0.1:1"], "nameservice.subdomains"),
    ],
)
def test_bad_arguments_end_with_a_reason(
    zone_file: Path, arguments: list[str], reason: str
) -> None:
    if "192.0.2.1:5353" in arguments:
        arguments = [*arguments, "--zone", f"lb.example={zone_file}"]
    command = [nameserver_process.LBCTL, "dns", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
