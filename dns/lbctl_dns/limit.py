"""Response rate limiting: a flood of queries in another's name must not become ours. Pure.

Accounts as in Vixie and Schryver's DNS RRL (BIND, NSD, Knot have it): each network has one for
each kind of answer, filled by the second, and goes into debt while the flood lasts. Who proves
its address, by TCP or by a cookie of ours, is never limited.
"""

import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl_dns import edns, lookup, names, wire
from lbctl_dns.careful import Transport
from lbctl_dns.table import Table

ACCOUNTS = 16384
"""Accounts of one generation, two of which are kept: some 10 MB at most."""
_NETWORKS = 16384
_V4_BITS, _V6_BITS = 24, 56
"""What is taken for one victim, as BIND, NSD and Knot do."""
_HEADER = 12
_TC = 0x02


@dataclass(frozen=True, slots=True)
class Rules:
    """How much is too much."""

    per_s: int
    """Equal answers per second that one network gets from one worker."""
    slip: int
    """Of the replies over that, each n-th says `ask by TCP`; 0: none does."""
    window_s: int
    """So many seconds' worth of debt a flood runs up at most: it must rest for that long."""
    exempt: tuple[str, ...] = ()
    """Networks that are never limited."""

    def render(self) -> str:
        """Return the form in which a worker gets them on its command line."""
        return ",".join((str(self.per_s), str(self.slip), str(self.window_s), *self.exempt))


def parse(text: str) -> Rules:
    """Return what `Rules.render` wrote."""
    per_s, slip, window_s, *exempt = text.split(",")
    return Rules(int(per_s), int(slip), int(window_s), tuple(exempt))


@dataclass(slots=True)
class _Account:
    balance: int
    at_s: int
    withheld: int = 0


class Accounts:
    """What each network may still get; the oldest accounts are forgotten, never more kept."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._recent: dict[bytes, _Account] = {}
        self._older: dict[bytes, _Account] = {}

    def __len__(self) -> int:
        """Return how many accounts are kept."""
        return len(self._recent) + len(self._older)

    def take(self, key: bytes, now_s: int) -> bool:
        """Pay for one answer; False when the account is empty."""
        account = self._recent.get(key) or self._opened(key, now_s)
        if now_s != account.at_s:
            earned = max(0, now_s - account.at_s) * self._rules.per_s
            account.balance = min(account.balance + earned, self._rules.per_s)
            account.at_s = now_s
        if account.balance <= 0:
            return False
        account.balance -= 1
        return True

    def owe(self, key: bytes) -> bool:
        """Go further into debt for an answer that `take` refused; True when it may slip."""
        account = self._recent[key]
        account.balance = max(account.balance - 1, -self._rules.per_s * self._rules.window_s)
        account.withheld += 1
        return bool(self._rules.slip) and account.withheld % self._rules.slip == 0

    def _opened(self, key: bytes, now_s: int) -> _Account:
        account = self._older.pop(key, None) or _Account(self._rules.per_s, now_s)
        if len(self._recent) >= ACCOUNTS:
            self._older, self._recent = self._recent, {}
        self._recent[key] = account
        return account


class Responder(wire.Responder):
    """Answers datagrams within limits. In the place of `wire.Responder`: that one pays nothing."""

    __slots__ = ("_accounts", "_network")

    def __init__(self, known: Table, clerk: edns.Clerk, rules: Rules) -> None:
        super().__init__(known, clerk)
        self._accounts = Accounts(rules)
        self._network = networks(rules.exempt)

    def answer(self, packet: bytes, transport: Transport, client: str) -> bytes | None:
        """Return the reply to one message, None where silence is right. Never raises."""
        reply = wire.Responder.answer(self, packet, transport, client)
        if not reply:
            return reply
        network = self._network(client)
        if network is None:
            return reply
        key = network + kind_of(self.table, packet, reply)
        if self._accounts.take(key, self.clerk.now_s):
            return reply
        end = packet.find(0, _HEADER) + 5
        if self.clerk.knows(packet[end:], client):
            return reply
        if self._accounts.owe(key) and len(reply) > _HEADER:
            self.tally.slipped += 1
            found = self.clerk.opt(packet[end:], client) if packet[11] else None
            return _truncated(reply, packet[_HEADER:end], found[1] if found else b"")
        self.tally.dropped += 1
        return None


def networks(exempt: Iterable[str]) -> "functools._lru_cache_wrapper[bytes | None]":
    """Return what maps an address to its network, None for one that is exempt."""
    spared = [ipaddress.ip_network(text) for text in exempt]

    @functools.lru_cache(_NETWORKS)
    def network_of(client: str) -> bytes | None:
        address = ipaddress.ip_address(client.partition("%")[0])
        if any(address in one for one in spared):
            return None
        bits = _V4_BITS if address.version == 4 else _V6_BITS
        return bytes((address.version,)) + address.packed[: bits // 8]

    return network_of


def kind_of(known: Table, packet: bytes, reply: bytes) -> bytes:
    """Return what makes two replies the same to a flood, so that no variation evades its account.

    An answer counts by the name that holds it, so that all names of one wildcard are one; a denial
    by its zone, errors by their rcode.
    """
    rcode = reply[3] & 15
    end = packet.find(0, _HEADER) + 1
    answered = reply[6:8] != b"\0\0"
    if rcode == lookup.NOERROR and len(reply) > _HEADER:
        name = packet[_HEADER:end].lower()
        while name not in known.exists and name != names.ROOT:
            name = names.parent(name)
        return name + packet[end : end + 2] if answered else name
    if rcode == lookup.NXDOMAIN and not answered:
        owner = int.from_bytes(reply[end + 4 : end + 6]) & 0x3FFF
        return packet[owner:end].lower() + reply[3:4]
    return reply[3:4]


def _truncated(reply: bytes, question: bytes, opt: bytes) -> bytes:
    head = reply[:2] + bytes((reply[2] | _TC, reply[3])) + b"\0\1\0\0\0\0\0" + bytes((bool(opt),))
    return head + question + opt
