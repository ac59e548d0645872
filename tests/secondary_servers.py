"""Real secondaries for tests: BIND, Knot and NSD on loopback, each with one zone of ours."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nameserver_process

SECRET = "c2VjcmV0IG9mIDMyIGJ5dGVzLCBub3QgdG8gYmUga2VwdA=="
ZONE = "lb.example"


@dataclass(frozen=True)
class Setup:
    """What one secondary is started with."""

    folder: Path
    port: int
    primary: int
    """Port of the server that it takes the zone from."""
    key: str
    secret: str = SECRET
    others: tuple[int, ...] = ()
    """Ports of further primaries, for Knot."""


def bind(setup: Setup) -> list[str]:
    path = setup.folder / "named.conf"
    path.write_text(f"""
key "{setup.key}" {{ algorithm hmac-sha256; secret "{setup.secret}"; }};
options {{
    directory "{setup.folder}"; pid-file none; lock-file none;
    session-keyfile "{setup.folder}/session.key"; managed-keys-directory "{setup.folder}";
    listen-on port {setup.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; notify no; allow-transfer {{ 127.0.0.1; }}; dnssec-validation no;
}};
controls {{ }};
zone "{ZONE}" {{
    type secondary; file "{ZONE}.zone"; allow-notify {{ key "{setup.key}"; }};
    primaries {{ 127.0.0.1 port {setup.primary} key "{setup.key}"; }};
}};
""")
    return ["named", "-g", "-n", "1", "-c", str(path)]


def knot(setup: Setup, *further: str) -> list[str]:
    path = setup.folder / "knot.conf"
    remotes = "".join(
        f"""
  - id: lbctl-{port}
    address: 127.0.0.1@{port}
    key: {setup.key}"""
        for port in (setup.primary, *setup.others)
    )
    masters = ", ".join(f"lbctl-{port}" for port in (setup.primary, *setup.others))
    path.write_text(
        f"""
server:
    listen: 127.0.0.1@{setup.port}
    rundir: {setup.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {setup.folder}
key:
  - id: {setup.key}
    algorithm: hmac-sha256
    secret: {setup.secret}
remote:{remotes}
acl:
  - id: notify-from-lbctl
    key: {setup.key}
    action: notify
  - id: tests
    address: 127.0.0.1
    action: transfer
zone:
  - domain: {ZONE}
    storage: {setup.folder}
    master: [{masters}]
    acl: [notify-from-lbctl, tests]
"""
        + "".join(f"    {line}\n" for line in further)
    )
    return ["knotd", "-c", str(path)]


def signer(setup: Setup) -> list[str]:
    """Knot that signs what it carries."""
    return knot(setup, "dnssec-signing: on")


def nsd(setup: Setup) -> list[str]:
    path = setup.folder / "nsd.conf"
    path.write_text(f"""
server:
    ip-address: 127.0.0.1@{setup.port}
    username: ""
    zonesdir: {setup.folder}
    xfrdir: {setup.folder}
    xfrdfile: {setup.folder}/xfrd.state
    zonelistfile: {setup.folder}/zone.list
    pidfile: {setup.folder}/nsd.pid
    database: ""
    server-count: 1
    verbosity: 2
    xfrd-reload-timeout: 0
remote-control:
    control-enable: no
key:
    name: {setup.key}
    algorithm: hmac-sha256
    secret: "{setup.secret}"
zone:
    name: {ZONE}
    zonefile: {ZONE}.zone
    allow-notify: 127.0.0.1 {setup.key}
    request-xfr: UDP 127.0.0.1@{setup.primary} {setup.key}
    provide-xfr: 127.0.0.1 NOKEY
""")
    return ["nsd", "-d", "-c", str(path)]


KINDS: dict[str, Callable[[Setup], list[str]]] = {
    "bind": bind,
    "knot": knot,
    "nsd": nsd,
    "signer": signer,
}


@dataclass(frozen=True)
class Secondary:
    """One running server."""

    port: int
    log: Path

    def serial(self) -> int:
        """The serial that it answers with; 0 while it has no zone."""
        found = dig(self.port, "+short", "SOA", ZONE).split()
        return int(found[2]) if len(found) > 2 and found[2].isdigit() else 0

    def records(self) -> list[str]:
        """Everything it holds, sorted."""
        return records(dig(self.port, "AXFR", ZONE))


def dig(port: int, *arguments: str) -> str:
    command = ["dig", "@127.0.0.1", "-p", str(port), "+tries=3", "+time=5", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def signed(key: str, secret: str = SECRET) -> tuple[str, str]:
    """Arguments that have dig sign its query."""
    return "-y", f"hmac-sha256:{key}:{secret}"


def records(shown: str) -> list[str]:
    """The records that dig shows, sorted, one of each; without signatures and spacing."""
    lines = (re.sub(r"\s+", " ", line) for line in shown.splitlines())
    return sorted({line for line in lines if line and line[0] != ";" and " TSIG " not in line})


@contextlib.contextmanager
def running(kind: str, setup: Setup) -> Iterator[Secondary]:
    """Start a secondary and end it, whatever happens."""
    setup.folder.mkdir(parents=True, exist_ok=True)
    log = setup.folder / "log"
    with log.open("wb") as output:
        command = KINDS[kind](setup)
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=setup.folder)
    try:
        yield Secondary(setup.port, log)
    finally:
        process.terminate()
        try:
            process.wait(nameserver_process.PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def validated(port: int, folder: Path, host: str) -> str:
    """What delv says of a name whose zone's keys are the only ones it trusts."""
    keys = (line.split(maxsplit=3) for line in dig(port, "+short", "DNSKEY", ZONE).splitlines())
    listed = (f'{ZONE}. static-key {" ".join(key[:3])} "{key[3]}";' for key in keys)
    anchor = folder / "anchor"
    anchor.write_text("trust-anchors { " + " ".join(listed) + " };")
    command = ["delv", "@127.0.0.1", "-p", str(port), "-a", str(anchor), f"+root={ZONE}", host]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout + found.stderr
