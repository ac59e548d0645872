"""The lines of a zone file that say one address and nothing else. Pure.

A large zone is mostly such lines, and a parser of the whole format takes 60 µs for each. What is
any harder stays in the text for that parser; where lines may not be what they seem, all of it does.
"""

import ipaddress
import re

from lbctl_dns import names, zone

Entry = tuple[zone.SetKey, int, bytes]
"""Key, TTL in seconds and rdata of one record."""

_PLAIN = re.compile(
    r"(@|[\w*-]+(?:\.[\w*-]+)*\.?)[ \t]+(?:(\d{1,9})[ \t]+)?(?:IN[ \t]+)?"
    r"(A|AAAA)[ \t]+([\da-fA-F.:]+)\s*",
    re.ASCII,
)
_ORIGIN = re.compile(r"\$ORIGIN[ \t]+([\w.-]+)\s*", re.ASCII)
_TTL = re.compile(r"\$TTL[ \t]+(\d{1,9})\s*", re.ASCII)
_OCTETS = {str(number): number for number in range(256)}
_QUOTED_OR_COMMENT = re.compile(r'"[^"]*"|;.*')


class _Unclear(Exception):
    """Lines of this text cannot be taken one by one."""


def split(text: str, origin: bytes) -> tuple[list[Entry], str]:
    """Return the records of plain lines, and the text without these lines."""
    reader = _Reader(origin)
    try:
        for line in text.split("\n"):
            reader.read(line)
    except (_Unclear, ValueError):
        return [], text
    return reader.entries, "\n".join(reader.rest)


class _Reader:
    def __init__(self, origin: bytes) -> None:
        self.entries: list[Entry] = []
        self.rest: list[str] = []
        self._origin, self._ttl_s = origin, 0
        self._wires: dict[str, bytes] = {}
        """Names that others lie below, under the present origin."""
        self._depth = 0
        self._last_plain: str | None = None
        """The line before this one, if it was taken: a line without a name would inherit its."""

    def read(self, line: str) -> None:
        """Take a line or leave it."""
        plain = None if self._depth else _PLAIN.fullmatch(line)
        if plain is not None:
            self._take(plain)
            return
        # A line without a name inherits it, and it may do so from before a directive.
        if line.startswith((" ", "\t", "$", "(", ")")) and not self._depth:
            self._give_back()
        self._leave(line)

    def _take(self, plain: re.Match[str]) -> None:
        name, ttl, kind, text = plain.groups()
        rtype = zone.A if kind == "A" else zone.AAAA
        packed = _packed(text) if rtype == zone.A else ipaddress.IPv6Address(text).packed
        ttl_s = int(ttl) if ttl else self._ttl_s
        self.entries.append(((self._absolute(name), rtype), ttl_s, packed))
        self._last_plain = plain.string

    def _absolute(self, name: str) -> bytes:
        if name == "@":
            return self._origin
        if len(name) > names.MAX_NAME:
            raise _Unclear
        label, dot, rest = name.lower().partition(".")
        if dot and not rest:
            above = names.ROOT
        elif rest:
            above = self._wires.get(rest) or self._remembered(rest)
        else:
            above = self._origin
        return names.below(label.encode("ascii"), above)

    def _remembered(self, name: str) -> bytes:
        wire = self._wires[name] = self._absolute(name)
        return wire

    def _give_back(self) -> None:
        if self._last_plain is not None:
            self.rest.append(self._last_plain)
            self.entries.pop()
            self._last_plain = None

    def _leave(self, line: str) -> None:
        self.rest.append(line)
        bare = _QUOTED_OR_COMMENT.sub("", line)
        self._depth += bare.count("(") - bare.count(")")
        if '"' in bare or "\\" in line or self._depth not in {0, 1}:
            raise _Unclear
        if bare.startswith("$"):
            self._direct(bare)
        elif bare.strip():
            self._last_plain = None

    def _direct(self, line: str) -> None:
        origin, ttl = _ORIGIN.fullmatch(line), _TTL.fullmatch(line)
        if origin:
            self._origin = names.to_wire(origin.group(1))
            self._wires.clear()
        elif ttl:
            self._ttl_s = int(ttl.group(1))
        else:
            raise _Unclear


def _packed(text: str) -> bytes:
    """Return an IPv4 address, strictly as RFC 1035 writes it. Raises ValueError."""
    octets = [_OCTETS.get(one, -1) for one in text.split(".")]
    if len(octets) != 4:
        raise ValueError(f"{text!r} is no IPv4 address")
    return bytes(octets)
