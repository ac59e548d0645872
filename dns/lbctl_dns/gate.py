"""What stands before the answers: signatures are checked and added, transfers let in. Pure.

A worker lets in what may have a whole zone and leaves it to the feed process; the feed process asks
the same questions again before it answers, so a worker is not believed.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lbctl_dns import access, edns, message, tsig
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
_ONE_QUESTION = b"\0\x01" + bytes(5)
_OPT = 41


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


def edns_of(asked: Message) -> edns.Asked | None:
    """Return what the OPT record of a message asks; None without a sound one."""
    found = (one for one in asked.records if one.section == 3 and one.rtype == _OPT)
    opt = next(found, None)
    return edns.parse(asked.packet[opt.start : opt.end]) if opt else None


def our_opt(asked: Message) -> bytes:
    """Return the OPT record of a reply, nothing where none was asked with; no cookie is made."""
    wanted = edns_of(asked)
    return edns.render(wanted.dnssec_ok) if wanted else b""


def _refusal(asked: Message, rcode: int) -> bytes:
    opt = our_opt(asked)
    counts = _ONE_QUESTION + bytes((bool(opt),))
    return message.reply_start(asked.packet, rcode) + counts + asked.question + opt


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
        if self._is_let_in(admitted, client, transport):
            return HANDED
        plain = _without_serial(admitted.asked)
        if admitted.key is None:
            return answer(plain, transport, client)
        size = admitted.key.record_size
        shorter = dataclasses.replace(
            transport, plain=transport.plain - size, ceiling=transport.ceiling - size
        )
        reply = answer(plain, shorter, client)
        return reply and admitted.reply(reply, now_s)

    def _is_let_in(self, admitted: Admitted, client: str, transport: Transport) -> bool:
        """Tell whether this is a transfer that is to be made; others are refused as any query."""
        by_udp = transport.plain < 65535
        served = (message.IXFR,) if by_udp else (message.AXFR, message.IXFR)
        asks = is_query(admitted.asked, *served)
        return asks and self.known.allows(admitted.key_name, client)


def _without_serial(asked: Message) -> bytes:
    """Return an IXFR without the SOA that it starts from, any other message as it is.

    What is left is a plain query, which is refused as one, with EDNS and cookie.
    """
    packet = asked.packet
    if not is_query(asked, message.IXFR):
        return packet
    rest = next((one.start for one in asked.records if one.section == 3), len(packet))
    return packet[:8] + b"\0\0" + packet[10:12] + asked.question + packet[rest:]
