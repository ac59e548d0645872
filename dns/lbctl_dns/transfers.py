"""From a request for a zone to the messages that carry it (RFC 5936, RFC 1995). Pure.

Messages are made one at a time, so whoever sends them decides the pace.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lbctl_dns import access, edns, gate, journal, lookup, message, tsig, zone
from lbctl_dns.gate import Admitted
from lbctl_dns.journal import Form, History

MAX_MESSAGE = 16 * 1024
"""Bytes of records in a message: under a millisecond to make and sign."""
_SERVABLE = (message.AXFR, message.IXFR, zone.SOA)
"""A secondary may ask for the SOA on the connection that it takes zones on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent for one request, and what that is, for people."""

    outcome: str
    """A Form's value, `refused`, or `invalid` for a signature that is not right."""
    messages: Iterator[bytes]
    zone: bytes = b""
    key: bytes = b""
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, how and when."""

    client: str
    by_udp: bool
    clock: gate.Clock


def reply(
    packet: bytes, library: journal.Library, known: access.Access, asker: Asker
) -> Reply | None:
    """Return the reply to one request; None where there is none to give: hang up."""
    try:
        admitted = gate.admit(packet, known, asker.clock())
    except message.Malformed:
        return None
    if isinstance(admitted, bytes):
        return Reply("invalid", iter((admitted,)))
    asked = admitted.asked
    if not gate.is_query(asked, *_SERVABLE):
        return None
    if not known.allows(admitted.key_name, asker.client):
        return _refused(admitted, lookup.REFUSED, asker)
    history = library.zones.get(asked.name)
    if history is None:
        # Before the names are known every zone is missing: a secondary should try again soon.
        return _refused(admitted, tsig.NOTAUTH if library.zones else lookup.SERVFAIL, asker)
    form, records = _content(asked, history)
    messages = _messages(asked, records)
    if asker.by_udp:
        form, messages = _fitted(admitted, history, form, messages)
    sealed = admitted.sealed(messages, asker.clock)
    return Reply(form.value, sealed, asked.name, admitted.key_name, history.serial)


def _refused(admitted: Admitted, rcode: int, asker: Asker) -> Reply:
    refusal = admitted.refused(rcode, asker.clock())
    return Reply("refused", iter((refusal,)), admitted.asked.name, admitted.key_name)


def _content(asked: message.Message, history: History) -> tuple[Form, Iterator[bytes]]:
    serial = asked.soa_serial
    if asked.qtype == zone.SOA:
        return Form.SOA, history.alone()
    if asked.qtype == message.AXFR or serial is None:
        return Form.FULL, history.full()
    return history.since(serial)


def _fitted(
    admitted: Admitted, history: History, form: Form, messages: Iterator[bytes]
) -> tuple[Form, Iterator[bytes]]:
    """Return one message that fits into a datagram: the SOA alone where there is too much."""
    first, second = next(messages), next(messages, None)
    size = len(first) + (admitted.key.record_size if admitted.key else 0)
    if second is None and size <= _room(admitted.asked):
        return form, iter((first,))
    return Form.SOA, _messages(admitted.asked, history.alone())


def _room(asked: message.Message) -> int:
    """Return how long a datagram may be."""
    wanted = gate.edns_of(asked)
    return min(max(wanted.payload, 512), edns.PAYLOAD) if wanted else 512


def _messages(asked: message.Message, records: Iterator[bytes]) -> Iterator[bytes]:
    """Yield messages full of records; the first one has the question, and our OPT if asked."""
    start = message.reply_start(asked.packet, 0, authoritative=True)
    question = asked.question
    opt = gate.our_opt(asked)
    while batch := _batch(records):
        counts = bool(question), len(batch), 0, bool(opt)
        header = start + b"".join(count.to_bytes(2) for count in counts)
        yield header + question + b"".join(batch) + opt
        question = opt = b""


def _batch(records: Iterator[bytes]) -> list[bytes]:
    """Take as many records as fit into one message, and one at least."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record)
        if size >= MAX_MESSAGE:
            break
    return batch
