"""`lbctl dns query` against the running server, and against servers that misbehave."""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nameserver_process import LBCTL, Server, free_port, serving

ZONE = """\
$TTL 5
@ 30 IN SOA ns1 hostmaster 7 10800 3600 86400 30
@ IN NS ns1
ns1 IN A 127.0.0.1
kuard IN A 192.0.2.10
kuard IN AAAA 2001:db8::10
kuard IN TXT "it is" "here"
_http._tcp.kuard IN SRV 0 0 80 kuard.lb.example.
"""
BIG = "".join(f"big IN A 192.0.3.{n}\n" for n in range(200))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("zones") / "zone"
    path.write_text(ZONE + BIG)
    with serving("--zone", f"lb.example={path}") as found:
        yield found


def query(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [LBCTL, "dns", "query", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env=environment
    )


def shown(server: Server, *arguments: str) -> tuple[int, list[list[str]]]:
    """Ask the server; return the exit code and the words of each line."""
    found = query(*arguments, LBCTL_DNS=f"127.0.0.1:{server.port}")
    assert found.stderr == ""
    return found.returncode, [line.split() for line in found.stdout.splitlines()]


def test_a_name_that_is_there(server: Server) -> None:
    code, (status, in_zone, *records) = shown(server, "kuard.lb.example")
    assert code == 0
    assert status[:5] == [";;", "NOERROR,", "flags", "qr", "aa"]
    assert status[-8:-2] == ["rd,", "from", f"127.0.0.1:{server.port}", "by", "UDP", "in"]
    assert in_zone == [";;", "zone", "lb.example.,", "serial", "7"]
    assert records == [["kuard.lb.example.", "5", "IN", "A", "192.0.2.10"]]


@pytest.mark.parametrize(
    ("asked", "code", "record"),
    [
        (("kuard.lb.example.", "aaaa"), 0, "AAAA 2001:db8::10"),
        (("kuard.lb.example", "TXT"), 0, 'TXT "it is" "here"'),
        (("_http._tcp.kuard.lb.example", "SRV"), 0, "SRV 0 0 80 kuard.lb.example."),
        (("lb.example", "NS", "--tcp"), 0, "NS ns1.lb.example."),
        (("kuard.lb.example", "TYPE65"), 1, "SOA ns1.lb.example. hostmaster.lb.example. 7"),
        (("no.lb.example",), 1, "SOA ns1.lb.example. hostmaster.lb.example. 7"),
    ],
)
def test_the_exit_code_says_what_came(
    server: Server, asked: tuple[str, ...], code: int, record: str
) -> None:
    found, lines = shown(server, *asked)
    assert found == code
    assert any(" ".join(line[3:]).startswith(record) for line in lines)


def test_an_error_is_no_answer(server: Server) -> None:
    code, (status,) = shown(server, "192.0.2.10")  # 10.2.0.192.in-addr.arpa is not ours
    assert (code, status[1]) == (2, "REFUSED,")


def test_what_does_not_fit_is_asked_by_tcp(server: Server) -> None:
    code, (status, _, *records) = shown(server, "big.lb.example")
    assert (code, len(records)) == (0, 200)
    assert "TCP" in status


def test_json_says_the_same(server: Server) -> None:
    found = query("kuard.lb.example", "-o", "json", "--server", f"[::1]:{server.port}")
    said = json.loads(found.stdout)
    assert said["answer"] == [
        {"name": "kuard.lb.example.", "ttlSeconds": 5, "type": "A", "data": "192.0.2.10"}
    ]
    assert (said["status"], said["flags"]) == ("NOERROR", ["qr", "aa", "rd"])
    assert (said["zone"], said["serial"]) == ("lb.example.", 7)
    assert said["server"] == f"[::1]:{server.port}"
    assert said["milliseconds"] > 0


def test_the_settings_name_the_server(tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("nameservice: {nsAddresses: ['127.254.254.254', '192.0.2.1']}")
    found = query("lb.example", "--config", str(settings))
    # Whether this machine has a resolver there or not: that is who was asked.
    assert "from 127.254.254.254:53 by UDP" in found.stderr + found.stdout


def test_nobody_there_is_no_answer() -> None:
    found = query("lb.example", "--server", f"127.0.0.1:{free_port()}")
    assert found.returncode == 2
    assert "by UDP in 3 attempts: Connection refused" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lb.example",), "nobody to ask: give --server, $LBCTL_DNS"),
        (("lb.example", "--server", "ns1"), "--server: ns1: 'ns1' does not appear to be"),
        (("lb..example", "--server", "::1"), "a label has 1 to 63 bytes"),
        (("lb.example", "X", "--server", "::1"), "'X' is no record type"),
    ],
)
def test_what_cannot_be_asked_is_explained(arguments: tuple[str, ...], said: str) -> None:
    found = query(*arguments)
    assert found.returncode == 2
    assert said in found.stderr


@contextlib.contextmanager
def replying(reply: Callable[[bytes], bytes]) -> Iterator[int]:
    """A UDP server that answers each query with what `reply` makes of it; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    query, peer = sock.recvfrom(4096)
                    sock.sendto(reply(query), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda query: b"", "malformed: no reply"),
        (lambda query: query, "malformed: no reply"),
        (lambda query: b"\0\0\x80\0" + bytes(8), "it answers another question"),
        (lambda query: query[:2] + b"\x80\0\0\1\0\1" + bytes(4) + b"\0\0\1\0\1", "malformed: a na"),
        (lambda query: query[:2] + b"\x80\0\0\1" + bytes(6) + b"\0\0\1\0\1", "another question"),
    ],
)
def test_a_server_that_talks_nonsense_has_not_answered(
    reply: Callable[[bytes], bytes], said: str
) -> None:
    with replying(reply) as port:
        found = query("lb.example", "--server", f"127.0.0.1:{port}")
    assert found.returncode == 2
    assert said in found.stderr
