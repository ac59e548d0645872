"""Tell secondaries that a zone changed (RFC 1996), again and again until they say they heard."""

import asyncio
import logging
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl_dns import access, journal, listening, message, names, tsig, zone

log = logging.getLogger(__name__)

COALESCE_S = 0.05
"""Changes that come within this time are told together."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""Time to wait for the answer before telling again: twice as long each time."""
OUTCOMES = ("heard", "refused", "unanswered")
"""What may become of one notification."""
_PATIENT = 5
"""Tries after which the log says that a secondary does not answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """A secondary that is told."""

    place: listening.Place
    key: bytes = b""
    """Name of the key to sign with; empty: not signed."""


def target(text: str) -> Target:
    """Return the target written `ADDR:PORT` or `KEY@ADDR:PORT`. Raises ValueError.

    >>> target("[2001:db8::1]:53").place.port
    53
    """
    key, _, place = text.rpartition("@")
    return Target(listening.parse(place), names.to_wire(key) if key else b"")


def notification(history: journal.History, origin: bytes, number: bytes) -> bytes:
    """Return the message: the SOA goes along as a hint."""
    question = origin + zone.SOA.to_bytes(2) + zone.CLASS_IN
    header = number + bytes((message.NOTIFY << 3 | 0x04, 0)) + b"\0\x01\0\x01\0\0\0\0"
    return header + question + b"".join(history.alone())


def answered(reply: bytes, number: bytes) -> bool:
    """Tell whether a message is the answer to the notification with this number."""
    return len(reply) >= message.HEADER and reply[:2] == number and reply[2] & 0xF8 == 0xA0


class Notifier:
    """Keeps each secondary told of each zone."""

    def __init__(self, library: journal.Library) -> None:
        self._library = library
        self._sources: dict[bool, str] = {}
        """By whether it is IPv6: secondaries know us by the address that we listen on."""
        self._targets: frozenset[Target] = frozenset()
        self._known = access.Access()
        self._unheard: dict[tuple[Target, bytes], asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._refusing: set[tuple[Target, bytes]] = set()
        """Who refused a zone the last time: told to the log once."""
        self.counts: Counter[str] = Counter()
        """Notifications by outcome, one of OUTCOMES."""

    def configure(self, targets: Iterable[Target], known: access.Access) -> None:
        """Tell these secondaries from now on, first of all zones."""
        self._targets, self._known = frozenset(targets), known
        self.changed(self._library.zones)

    def changed(self, origins: Iterable[bytes]) -> None:
        """Take note of zones that changed."""
        for one in self._targets:
            for origin in origins:
                self._unheard.setdefault((one, origin), asyncio.Event()).set()
        self._changed.set()

    async def run(self, places: Iterable[listening.Place]) -> None:
        """Tell of changes until cancelled, from the addresses of these places."""
        self._sources = {":" in one.host: one.host for one in reversed(tuple(places))}
        telling: set[tuple[Target, bytes]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for pair in self._unheard.keys() - telling:
                    telling.add(pair)
                    group.create_task(self._keep_told(*pair, self._unheard[pair]))

    async def _keep_told(self, one: Target, origin: bytes, unheard: asyncio.Event) -> None:
        while True:
            await unheard.wait()
            await asyncio.sleep(COALESCE_S)
            unheard.clear()
            wait_s, tries = FIRST_WAIT_S, 0
            while one in self._targets and origin in self._library.zones:
                if await self._tell(one, origin, wait_s):
                    break
                wait_s, tries = min(2 * wait_s, LONGEST_WAIT_S), tries + 1
                if tries == _PATIENT:
                    log.warning("%s does not answer NOTIFY of %s", one.place, _text(origin))

    async def _tell(self, one: Target, origin: bytes, wait_s: float) -> bool:
        """Send one notification; return whether an answer came in time."""
        notice = self._notice(one, origin)
        self._unheard[one, origin].clear()  # what changed until now is in it
        end = asyncio.get_running_loop().time() + wait_s
        try:
            async with asyncio.timeout_at(end):
                rcode = await self._exchange(one.place, notice)
        except (OSError, TimeoutError) as error:
            log.debug("NOTIFY of %s to %s: %r", _text(origin), one.place, error)
            self.counts["unanswered"] += 1
            await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
            return False
        self._heard((one, origin), rcode)
        return True

    def _notice(self, one: Target, origin: bytes) -> "_Notice":
        number = secrets.token_bytes(2)
        packet = notification(self._library.zones[origin], origin, number)
        key = self._known.keys.get(one.key)
        if key is None:
            return _Notice(packet, number)
        signer = tsig.Signer(key)
        return _Notice(signer.sign(packet, int(time.time())), number, key, signer.mac)

    def _heard(self, pair: tuple[Target, bytes], rcode: int) -> None:
        if not rcode:
            self.counts["heard"] += 1
            self._refusing.discard(pair)
            return
        self.counts["refused"] += 1
        if pair not in self._refusing:
            log.warning("%s refuses NOTIFY of %s: rcode %d", pair[0].place, _text(pair[1]), rcode)
        self._refusing.add(pair)

    async def _exchange(self, place: listening.Place, notice: "_Notice") -> int:
        """Send a notification and wait for its answer; return the rcode."""
        loop = asyncio.get_running_loop()
        is_ipv6 = ":" in place.host
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            if is_ipv6 in self._sources:
                sock.bind((self._sources[is_ipv6], 0))
            await loop.sock_connect(sock, (place.host, place.port))
            await loop.sock_sendall(sock, notice.packet)
            while not notice.is_answered(reply := await loop.sock_recv(sock, 4096)):
                pass  # somebody else's, or late
            return reply[3] & 15


@dataclass(frozen=True, slots=True)
class _Notice:
    """One notification on its way."""

    packet: bytes
    number: bytes
    key: tsig.Key | None = None
    mac: bytes = b""

    def is_answered(self, reply: bytes) -> bool:
        """Tell whether a message answers this one, signed if this one is."""
        if not answered(reply, self.number):
            return False
        if self.key is None:
            return True
        try:
            signature = tsig.find(message.parse(reply))
        except message.Malformed:
            return False
        keys, now_s = {self.key.name: self.key}, int(time.time())
        return (
            signature is not None
            and tsig.verify(reply, signature, keys, now_s, self.mac).error == tsig.NOERROR
        )


def _text(origin: bytes) -> str:
    return names.to_text(origin)
