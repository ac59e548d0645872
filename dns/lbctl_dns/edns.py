"""EDNS (RFC 6891) and its cookies (RFC 7873): what a query's OPT asks, what ours answers. Pure.

The clock is an input: whoever reads packets calls `Clerk.tick` once per wake-up.
"""

import hashlib
import hmac
from dataclasses import dataclass

KEY_SIZE = 32
"""Bytes of a key that cookies are made with."""
PAYLOAD = 1232
"""Largest UDP reply: fits an IPv6 path of 1280 bytes without fragments (DNS flag day 2020)."""

_START = b"\0\0\x29"
_FIXED = 11
_COOKIE = 10
_MAX_OPTIONS = 32
"""More options than any client sends; bounds the work on a hostile packet."""
_REMEMBERED = 1024
_COOKIE_LIVES_S, _CLOCKS_DIFFER_S = 3600, 300
"""How old, and how far ahead, the time in a cookie of ours may be (RFC 9018 §4.3)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The OPT record of one query."""

    payload: int
    """UDP size the client can take, bytes; under 512 counts as 512."""
    version: int
    dnssec_ok: bool
    cookie: bytes
    """Client cookie, with a server cookie behind it or not; empty when not sent."""


def parse(block: bytes) -> Asked | None:
    """Return the OPT that `block` is, nothing before or after it; None when it is malformed."""
    if len(block) < _FIXED or block[:3] != _START:
        return None
    if int.from_bytes(block[9:11]) != len(block) - _FIXED:
        return None
    cookie = _cookie_in(block)
    if cookie is None:
        return None
    return Asked(int.from_bytes(block[3:5]), block[6], block[7] >= 0x80, cookie)


def _cookie_in(block: bytes) -> bytes | None:
    """Return the first cookie, empty when there is none; None when an option is malformed."""
    cookie = b""
    at = _FIXED
    for _ in range(_MAX_OPTIONS):
        if at == len(block):
            return cookie
        if at + 4 > len(block):
            return None
        code, length = int.from_bytes(block[at : at + 2]), int.from_bytes(block[at + 2 : at + 4])
        at += 4 + length
        if at > len(block):
            return None
        if code == _COOKIE:
            if length != 8 and not 16 <= length <= 40:
                return None
            cookie = cookie or block[at - length : at]
    return cookie if at == len(block) else None


def render(dnssec_ok: bool = False, extended_rcode: int = 0, options: bytes = b"") -> bytes:
    """Return our OPT record: version 0, DO as asked, no option of the client's."""
    fixed = _START + PAYLOAD.to_bytes(2) + bytes((extended_rcode, 0, 0x80 * dnssec_ok, 0))
    return fixed + len(options).to_bytes(2) + options


_LONE_COOKIES = {23: b"\0\x0c\0\x0a\0\x08", 39: b"\0\x1c\0\x0a\0\x18"}
"""By length of the OPT: what stands between its flags and a cookie that is the only option."""
_OUR_COOKIE = b"\0\x0a\0\x18"
_BEFORE_COOKIE = tuple(
    render(dnssec_ok, options=bytes(28))[:11] + _OUR_COOKIE for dnssec_ok in (False, True)
)


class Clerk:
    """Answers OPT records; remembers answers, as a client sends the same OPT with each query."""

    __slots__ = ("_accepted", "_given", "_key", "_known", "_stamp", "now_s")

    def __init__(self, *keys: bytes) -> None:
        self._known: dict[bytes, tuple[int, bytes]] = {}
        """By OPT, those without a cookie."""
        self._given: dict[tuple[bytes, str], tuple[int, bytes]] = {}
        """By OPT and client, those with a cookie alone; of this second."""
        self.use(*keys)
        self.now_s = -1
        """Unix time of the last tick."""
        self.tick(0)

    def use(self, *keys: bytes) -> None:
        """Make cookies with the first key from now on, and know those of any; ≤ 32 bytes each."""
        self._key, self._accepted = keys[0], keys
        self._given.clear()

    def tick(self, now_s: int) -> None:
        """Set the Unix time that cookies are stamped with."""
        if now_s != self.now_s:
            # The layout of RFC 9018, with BLAKE2s for SipHash: only our secret's holders check it.
            self.now_s, self._stamp = now_s, b"\x01\0\0\0" + now_s.to_bytes(4)
            self._given.clear()

    def opt(self, block: bytes, client: str) -> tuple[int, bytes] | None:
        """Return the client's payload size and our OPT; None unless it is a sound version 0."""
        known = self._known.get(block) or self._given.get((block, client))
        if known is not None:
            return known
        # What resolvers and dig send; parsing it step by step would cost more than the answer.
        if block[9:15] == _LONE_COOKIES.get(len(block)) and block[:3] == _START and not block[6]:
            opt = _BEFORE_COOKIE[block[7] >> 7] + self._cookie(block[15:23], client)
            if len(self._given) >= _REMEMBERED:
                self._given.clear()
            found = self._given[block, client] = block[3] << 8 | block[4], opt
            return found
        asked = parse(block)
        if asked is None or asked.version:
            return None
        if asked.cookie:
            options = _OUR_COOKIE + self._cookie(asked.cookie[:8], client)
            return asked.payload, render(asked.dnssec_ok, options=options)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        found = self._known[block] = asked.payload, render(asked.dnssec_ok)
        return found

    def knows(self, block: bytes, client: str) -> bool:
        """Tell whether an OPT carries a cookie that we gave this client lately."""
        asked = parse(block)
        if asked is None or len(asked.cookie) != len(self._stamp) + 16:
            return False
        start, proof = asked.cookie[:16], asked.cookie[16:]
        age_s = self.now_s - int.from_bytes(start[12:])
        fresh = -_CLOCKS_DIFFER_S <= age_s <= _COOKIE_LIVES_S
        return fresh and any(
            hmac.compare_digest(_proof(key, start, client), proof) for key in self._accepted
        )

    def _cookie(self, of_client: bytes, client: str) -> bytes:
        # Always a new one: nobody's grows older than the half hour of RFC 9018 §4.3 while he asks.
        start = of_client + self._stamp
        return start + _proof(self._key, start, client)


def _proof(key: bytes, start: bytes, client: str) -> bytes:
    return hashlib.blake2s(start + client.encode(), key=key, digest_size=8).digest()


def split_keys(keys: bytes) -> tuple[bytes, ...]:
    """Return keys that came as one string."""
    return tuple(keys[at : at + KEY_SIZE] for at in range(0, len(keys), KEY_SIZE))
