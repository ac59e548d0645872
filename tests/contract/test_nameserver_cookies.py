"""Two running servers that share the secrets of cookies, in a file that changes under them."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import nameserver_builders as nb
from lbctl_dns import edns
from nameserver_process import Server, serving, until

ZONE = """\
$TTL 5
@ 30 IN SOA ns1 hostmaster 7 10800 3600 86400 30
@ IN NS ns1
ns1 IN A 127.0.0.1
"""
OLD, NEW = "0f" * 16, "a5" * 16
FLOOD = 40
"""Queries; of those that show no cookie that is known, one a second is answered."""


@contextlib.contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Serve one zone twice, each limited to one equal answer a second and knowing OLD."""
    (folder / "zone").write_text(ZONE)
    settings = {
        "cookieSecretFile": str(folder / "secrets"),
        "rateLimit": {"responsesPerSecond": 1, "slip": 0},
    }
    (folder / "secrets").write_text(OLD)
    (folder / "settings").write_text(json.dumps({"nameservice": settings}))
    arguments = ("--config", str(folder / "settings"), "--zone", f"lb.example={folder / 'zone'}")
    with serving(*arguments) as one, serving(*arguments) as another:
        yield one, another


FRESH_NAMES = (f"no-{number}.lb.example" for number in itertools.count())


def cookie_from(server: Server) -> bytes:
    """Return an OPT with the cookie that the server gives a new client; TCP is never limited."""
    asking = edns.render(options=b"\0\x0a\0\x08clientck")
    return server.tcp(nb.query("lb.example", opt=asking))[-39:]


def knows(server: Server, opt: bytes) -> bool:
    """Tell whether a flood with this cookie is answered to the last query."""
    query = nb.query(next(FRESH_NAMES), opt=opt)
    return all(server.udp(query, timeout_s=0.5) for _ in range(FLOOD))


def test_a_cookie_of_one_server_is_known_to_the_other(tmp_path: Path) -> None:
    with two_servers(tmp_path) as (one, another):
        until(lambda: knows(another, cookie_from(one)))
        assert knows(one, cookie_from(another))
        stranger = cookie_from(one)[:-8] + bytes(8)
        assert not knows(another, stranger)


def test_secrets_are_replaced_without_a_restart(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    with two_servers(tmp_path) as (one, another):
        until(lambda: knows(another, cookie_from(one)))
        of_old = cookie_from(one)
        secrets.write_text(f"{NEW}\n{OLD}\n")
        until(lambda: all("secrets of cookies now: 2" in each.log() for each in (one, another)))
        assert knows(one, of_old)
        assert knows(another, cookie_from(one))
        secrets.write_text(f"{NEW}\n")
        until(lambda: "secrets of cookies now: 1" in after(another.log(), "now: 2"))
        assert not knows(another, of_old)
        secrets.write_text("no secret\n")
        until(lambda: "secrets:1: is no secret" in another.log())
        assert knows(another, cookie_from(another))


def after(text: str, mark: str) -> str:
    return text.partition(mark)[2]
