"""What the feed process sends its workers, and keeps on disk: changes cut into frames. Pure.

A transaction is one change that becomes visible at once, or (reset) a whole table. It travels as
one or more frames of bounded size. Each frame of a stream is `epoch, number, flags, body`; an
epoch starts with a reset, numbers go up by one, so a lost frame shows and is never applied past.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbctl_dns.table import Encoded, Role, Table
from lbctl_dns.zone import SetKey

RESET, LAST, LOADED, SECRET, COUNTS, ACCESS = 1, 2, 4, 8, 16, 32
"""Flags: starts a new table; ends its transaction; the table is complete; the keys of cookies; the
feed asks for counts; who may take zones. The last three stand beside the numbered stream."""

MAX_BODY = 48 * 1024
"""Bytes of a body, but for one set that is larger by itself (≤ 64 KiB of records)."""
POSITION = struct.Struct(">IQ")
"""Epoch and number; alone, it is a worker's acknowledgement."""
_START = struct.Struct(">IQB")
_PUT = struct.Struct(">BHBHI")
"""Name length, type, role, count, tail length."""
_GONE = 255
"""In the place of the role: the set goes."""
_ROLES = {role.value: role for role in Role}

COUNTS_ASKED = _START.pack(0, 0, COUNTS)
"""A whole frame: the worker sends what it has counted."""


class OutOfStep(Exception):
    """A frame is missing or damaged: the receiver must be given a whole table."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One change of a table, visible at once; `reset` starts from an empty one."""

    upserts: tuple[Encoded, ...] = ()
    deletes: tuple[SetKey, ...] = ()
    reset: bool = False
    loaded: bool = True


Body = tuple[int, bytes]
"""Flags and content of one frame, before it has a place in a stream."""


def bodies(change: Transaction) -> Iterator[Body]:
    """Yield the frames of a transaction; the last one has LAST set."""
    flags = (RESET if change.reset else 0) | (LOADED if change.loaded else 0)
    room = bytearray()
    for piece in _pieces(change):
        if room and len(room) + len(piece) > MAX_BODY:
            yield flags, bytes(room)
            flags &= ~RESET
            room.clear()
        room += piece
    yield flags | LAST, bytes(room)


def _pieces(change: Transaction) -> Iterator[bytes]:
    for name, rtype in change.deletes:
        yield _PUT.pack(len(name), rtype, _GONE, 0, 0) + name
    yield from map(piece, change.upserts)


def piece(one: Encoded) -> bytes:
    """Return the part of a body that puts one set."""
    start = _PUT.pack(len(one.name), one.rtype, one.role, one.count, len(one.tail))
    return start + one.name + one.tail


def is_aside(frame: bytes) -> bool:
    """Tell whether a frame says something that a whole table does not say again."""
    return bool(frame[_START.size - 1] & (SECRET | ACCESS))


def render(epoch: int, number: int, body: Body) -> bytes:
    """Return the frame with its place in the stream."""
    return _START.pack(epoch, number, body[0]) + body[1]


def read_body(body: bytes) -> Transaction:
    """Return the sets and keys of one body. Raises OutOfStep when it is damaged."""
    upserts: list[Encoded] = []
    deletes: list[SetKey] = []
    at = 0
    while at < len(body):
        try:
            length, rtype, role, count, size = _PUT.unpack_from(body, at)
        except struct.error as error:
            raise OutOfStep(f"damaged frame at byte {at}") from error
        middle = at + _PUT.size + length
        name, at = body[at + _PUT.size : middle], middle + size
        known = _ROLES.get(role)
        if at > len(body) or (known is None and role != _GONE):
            raise OutOfStep(f"damaged frame at byte {middle}")
        if known is None:
            deletes.append((name, rtype))
        else:
            upserts.append(Encoded(name, rtype, count, body[middle:at], known))
    return Transaction(tuple(upserts), tuple(deletes))


class Replica:
    """The receiving end: turns a stream of frames into tables, each visible only when whole."""

    def __init__(self) -> None:
        self.table = Table()
        """The last complete state; another object after a reset."""
        self.secret = b""
        """Keys of cookies, one behind the other."""
        self.access = b""
        """Who may take zones, as `access.render` wrote it."""
        self._epoch, self._number = 0, 0
        self._next: Table | None = None
        self._waiting: list[Transaction] = []

    def take(self, frame: bytes) -> bytes | None:
        """Take one frame; return the acknowledgement when it completed a transaction."""
        try:
            epoch, number, flags = _START.unpack_from(frame)
        except struct.error as error:
            raise OutOfStep("damaged frame") from error
        body = frame[_START.size :]
        if flags & SECRET:
            self.secret = body
            return None
        if flags & ACCESS:
            self.access = body
            return None
        if flags & RESET:
            self._next, self._epoch = Table(), epoch
            self._waiting.clear()
        elif (epoch, number) != (self._epoch, self._number + 1):
            raise OutOfStep(f"frame {epoch}/{number} after {self._epoch}/{self._number}")
        self._number = number
        self._gather(read_body(body))
        if not flags & LAST:
            return None
        self._show(bool(flags & LOADED))
        return POSITION.pack(epoch, number)

    def _gather(self, part: Transaction) -> None:
        # A new table is built while frames arrive: queries wait for one frame, not for all.
        if self._next is not None:
            _apply(self._next, (part,))
        else:
            self._waiting.append(part)

    def _show(self, loaded: bool) -> None:
        if self._next is not None:
            self.table, self._next = self._next, None
        _apply(self.table, self._waiting)
        self._waiting.clear()
        self.table.loaded = loaded


def _apply(table: Table, parts: Iterable[Transaction]) -> None:
    for part in parts:
        for name, rtype in part.deletes:
            table.remove(name, rtype)
        for one in part.upserts:
            table.put(one)
