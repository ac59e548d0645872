"""Ask one's own workers, as a resolver would: over loopback, UDP and TCP.

The way a query takes through kernel, worker and table is what is checked, not what we believe.
"""

import asyncio

from lbctl_dns import exchange, listening, lookup, names, zone

UDP_ATTEMPTS = 2
"""From a port each: the kernel chooses the worker by the port, and one may be starting."""
ATTEMPT_S = 0.8
"""All attempts together stay below the time that a kubelet gives a probe."""
NOBODY = b"lbctl-ready-probe"
"""A label that no Service publishes: its denial tells that the names are known."""


def reachable(place: listening.Place) -> listening.Place:
    """Return where to ask what listens at a place: on loopback where it listens everywhere."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return listening.Place(loopback.get(place.host, place.host), place.port)


async def alive(place: listening.Place) -> str:
    """Return what is wrong; nothing when a worker answers at all."""
    return await _asked("UDP", exchange.by_udp, place, (names.ROOT, zone.SOA), UDP_ATTEMPTS)


async def ready(place: listening.Place, origin: bytes) -> str:
    """Return what is wrong; nothing when workers answer on UDP and TCP and know the names."""
    question = names.from_labels([NOBODY])[:-1] + origin, zone.A
    by_udp = await _asked("UDP", exchange.by_udp, place, question, UDP_ATTEMPTS)
    return by_udp or await _asked("TCP", exchange.by_tcp, place, question, 1)


async def _asked(
    how: str,
    asked: exchange.Exchange,
    place: listening.Place,
    question: tuple[bytes, int],
    attempts: int,
) -> str:
    name, rtype = question
    wrong = ""
    for _ in range(attempts):
        query = exchange.query(name, rtype)
        try:
            async with asyncio.timeout(ATTEMPT_S):
                reply = await asked(place, query)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            wrong = f"no answer on {how} {place}: {error!r}"
            continue
        if len(reply) < 12 or reply[:2] != query[:2]:
            return f"an answer to another question on {how} {place}"
        if name != names.ROOT and reply[3] & 15 == lookup.SERVFAIL:
            return "the names are not known yet: no snapshot, no API server"
        return ""
    return wrong
