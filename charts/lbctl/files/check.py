#!/usr/bin/python3
"""Check an installed lbctl: what `helm test` runs; needs only Python. Exit code 0: all is well.

check.py LEASE (no-)agents (no-)dns
"""

import json
import os
import secrets
import socket
import ssl
import struct
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ZONES = Path("/etc/lbctl/zones")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 2.0
PATIENCE_S = 60.0
"""Time that a fresh install may take until all of it works."""

NOERROR = 0
SOA = 6
AUTHORITATIVE = 0x0400

Exchange = Callable[[str, int, bytes], bytes]


class NotWell(Exception):
    """What is not as it should be, in one line."""


def zones() -> list[str]:
    """Return the zones that the settings name."""
    return ZONES.read_text().split() if ZONES.exists() else []


def query(name: str, kind: int) -> bytes:
    """Return a DNS query (RFC 1035 §4.1)."""
    labels = [label.encode() for label in name.split(".") if label]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    head = struct.pack(">HHHHHH", secrets.randbits(16), 0, 1, 0, 0, 0)
    return head + question + struct.pack(">HH", kind, 1)


def by_udp(address: str, port: int, message: bytes) -> bytes:
    """Return the answer to a query over UDP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect((address, port))
        sock.send(message)
        return sock.recv(4096)


def by_tcp(address: str, port: int, message: bytes) -> bytes:
    """Return the answer to a query over TCP."""
    with socket.create_connection((address, port), timeout=TIMEOUT_S) as sock:
        sock.sendall(struct.pack(">H", len(message)) + message)
        with sock.makefile("rb") as stream:
            (length,) = struct.unpack(">H", stream.read(2))
            return stream.read(length)


def asked(exchange: Exchange, place: tuple[str, int], name: str, kind: int) -> tuple[int, int]:
    """Return flags and number of answers to a question. Raises NotWell when there is no reply."""
    message = query(name, kind)
    where = f"{exchange.__name__} {place[0]} port {place[1]}"
    try:
        reply = exchange(*place, message)
        number, flags, _, answers = struct.unpack(">HHHH", reply[:8])
    except (OSError, struct.error) as error:
        raise NotWell(f"{where}: no answer about {name}: {error}") from error
    if number != struct.unpack(">H", message[:2])[0]:
        raise NotWell(f"{where}: an answer to another question")
    return flags, answers


def api(path: str) -> dict[str, Any]:
    """Return an object of the API."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    token = (ACCOUNT / "token").read_text().strip()
    request = urllib.request.Request(
        f"https://{server}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as reply:  # noqa: S310
            found: dict[str, Any] = json.load(reply)
            return found
    except OSError as error:
        raise NotWell(f"GET {path}: {error}") from error


def leader(lease: str) -> str:
    """Check that a controller holds its Lease and renews it."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{os.environ['NAMESPACE']}/leases/{lease}"
    first = api(path)["spec"]
    if not first.get("holderIdentity"):
        raise NotWell(f"nobody holds the Lease {lease}")
    end = time.monotonic() + 2.0 * first["leaseDurationSeconds"]
    while time.monotonic() < end:
        time.sleep(0.5)
        now = api(path)["spec"]
        if now["renewTime"] != first["renewTime"]:
            return f"{now['holderIdentity']} leads"
    raise NotWell(f"{first['holderIdentity']} does not renew the Lease {lease}")


def agents() -> str:
    """Check that every node's agent runs and has reported what it programmed."""
    path = f"/apis/apps/v1/namespaces/{os.environ['NAMESPACE']}/daemonsets/lbctl-agent"
    status = api(path)["status"]
    wanted, there = status["desiredNumberScheduled"], status.get("numberAvailable", 0)
    if there < wanted:
        raise NotWell(f"{there} of {wanted} agents are available")
    items = api("/apis/lbctl.io/v1alpha1/servingnodes")["items"]
    reported = [item for item in items if item["spec"].get("role") == "node"]
    failing = [item for item in reported if item.get("status", {}).get("allFailing")]
    if len(reported) < wanted:
        raise NotWell(f"{len(reported)} of {wanted} agents have reported")
    if failing:
        status = failing[0]["status"]
        raise NotWell(f"{failing[0]['metadata']['name']}: {status.get('message', 'all fails')}")
    return f"{wanted} agents have reported"


def answers() -> str:
    """Check that the DNS Service answers for every zone, on UDP and TCP."""
    address = os.environ["LBCTL_DNS_SERVICE_HOST"]
    for exchange in (by_udp, by_tcp):
        for zone in zones():
            flags, count = asked(exchange, (address, 53), zone, SOA)
            if flags & 0xF != NOERROR or not flags & AUTHORITATIVE or not count:
                raise NotWell(f"{exchange.__name__} {address}: no authoritative SOA of {zone}")
        if not zones():
            asked(exchange, (address, 53), ".", SOA)
    return f"DNS answers for {', '.join(zones()) or 'no zone yet'}"


def eventually(check: Callable[[], str]) -> None:
    """Print what a check found, as soon as it is well."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            print(f"ok    {check()}", flush=True)
        except NotWell as error:
            if time.monotonic() > end:
                raise
            print(f"wait  {error}", flush=True)
            time.sleep(2)
        else:
            return


def install(lease: str, with_agents: str, with_dns: str) -> None:
    """Check an installed release."""
    eventually(lambda: leader(lease))
    if with_agents == "agents":
        eventually(agents)
    if with_dns == "dns":
        eventually(answers)


def main() -> int:
    """Run the checks that the arguments name."""
    try:
        install(*sys.argv[1:])
    except NotWell as error:
        print(f"not well: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
