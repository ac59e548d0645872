"""What stands before the answers: signatures are checked and added, transfers let in. Pure.

A worker lets in what may have a whole zone and leaves it to the feed process; the feed process asks
the same questions again before it answers, so a worker is not believed.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lbctl_dns import access, lookup, message, tsig
from lbctl_dns.careful import Transport
from lbctl_dns.message import Message

HANDED = b""
"""In the place of a reply: this message is the feed process's to answer."""

_MARKS = tuple(
    rtype.to_bytes(2) + rclass
    for rtype, rclass in (
        (message.TSIG, b"\0\xff"),
        (message.AXFR, b"\0\x01"),
        (message.IXFR, b"\0\x01"),
    )
)
_IN = b"\0\x01"
_ONE_QUESTION = b"\0\x01" + bytes(6)


Clock = Callable[[], int]
"""Unix time; asked for each message, as a transfer may take longer than clocks may differ."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message whose signature is right, or that has none."""

    asked: Message
    key: tsig.Key | None
    mac: bytes = b""
    """The MAC that the reply's covers."""

    @property
    def key_name(self) -> bytes:
        """Return the name of the key; empty for none."""
        return self.key.name if self.key else b""

    def sealed(self, messages: Iterable[bytes], clock: Clock) -> Iterator[bytes]:
        """Yield the messages of one reply, each signed where the request was."""
        signer = tsig.Signer(self.key, self.mac) if self.key else None
        for one in messages:
            yield signer.sign(one, clock()) if signer else one

    def reply(self, packet: bytes, now_s: int) -> bytes:
        """Return a reply of one message, signed where the request was."""
        return next(self.sealed((packet,), lambda: now_s))

    def refused(self, rcode: int, now_s: int) -> bytes:
        """Return a reply without content."""
        return self.reply(_refusal(self.asked, rcode), now_s)


def concerns(packet: bytes) -> bool:
    """Tell whether a message may be signed or ask for a transfer; False is certain."""
    return len(packet) > message.HEADER and any(mark in packet for mark in _MARKS)


def is_query(asked: Message, *qtypes: int) -> bool:
    """Tell whether a message is a query of class IN for one of these types."""
    return asked.packet[2] & 0xF8 == 0 and asked.qtype in qtypes and asked.question[-2:] == _IN


def admit(packet: bytes, known: access.Access, now_s: int) -> Admitted | bytes:
    """Return the message without its signature, or the reply that says what is wrong with it.

    Raises Malformed.
    """
    parsed = message.parse(packet)
    signature = tsig.find(parsed)
    if signature is None:
        return Admitted(parsed, None)
    verdict = tsig.verify(packet, signature, known.keys, now_s)
    inner = message.parse(tsig.stripped(packet, signature))
    if verdict.error == tsig.NOERROR:
        return Admitted(inner, verdict.key, signature.mac)
    refusal = _refusal(inner, tsig.NOTAUTH)
    if verdict.key is None:
        return tsig.unsigned(refusal, signature, verdict.error)
    other = now_s.to_bytes(6) if verdict.error == tsig.BADTIME else b""
    signer = tsig.Signer(verdict.key, signature.mac)
    return signer.sign(refusal, signature.time_s, verdict.error, other)


def _refusal(asked: Message, rcode: int) -> bytes:
    return message.reply_start(asked.packet, rcode) + _ONE_QUESTION + asked.question


class Gate:
    """What one worker knows of keys and rules."""

    __slots__ = ("known",)

    def __init__(self, known: access.Access | None = None) -> None:
        self.known = known or access.Access()

    def answer(
        self,
        packet: bytes,
        client: str,
        transport: Transport,
        now_s: int,
        answer: Callable[[bytes, Transport, str], bytes | None],
    ) -> bytes | None:
        """Return the reply to a message that `concerns` is true for, HANDED, or None (silence).

        `answer` gives the reply to the same message without its signature.
        """
        if packet[2] & 0x80:
            return None
        try:
            admitted = admit(packet, self.known, now_s)
        except message.Malformed:
            return answer(packet, transport, client)
        if isinstance(admitted, bytes):
            return admitted
        if is_query(admitted.asked, message.AXFR, message.IXFR):
            return self._transfer(admitted, client, transport, now_s)
        if admitted.key is None:
            return answer(packet, transport, client)
        size = admitted.key.record_size
        shorter = dataclasses.replace(
            transport, plain=transport.plain - size, ceiling=transport.ceiling - size
        )
        reply = answer(admitted.asked.packet, shorter, client)
        return reply and admitted.reply(reply, now_s)

    def _transfer(self, admitted: Admitted, client: str, transport: Transport, now_s: int) -> bytes:
        by_udp = transport.plain < 65535
        full = admitted.asked.qtype == message.AXFR
        if self.known.allows(admitted.key_name, client) and not (by_udp and full):
            return HANDED
        return admitted.refused(lookup.REFUSED, now_s)
