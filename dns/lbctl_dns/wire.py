"""From the bytes of a query to the bytes of its reply: the hot path, without a parser. Pure.

A query that is one plain question for a set we hold costs two dictionary lookups and one
concatenation; a plain denial costs one lookup more per label that does not exist. Everything
else goes to `careful`, which would give the same bytes.
"""

from lbctl_dns import careful, edns, gate, lookup, names, table, tally
from lbctl_dns.careful import Transport
from lbctl_dns.table import Denial, Table

UDP = Transport(512, edns.PAYLOAD)
TCP = Transport(65535, 65535)

_ONE_QUESTION = b"\0\x01\0\0\0\0\0\0"
_AND_OPT = b"\0\x01\0\0\0\0\0\x01"
_MIN_QUERY = 17
"""Header, the root's name, type, class."""
_POINTERS = tuple((0xC000 | at).to_bytes(2) for at in range(12 + names.MAX_NAME))
"""Compression pointers by where they point."""
NXDOMAIN = table.heads(lookup.NXDOMAIN, (0, 1, 0))
NODATA = table.heads(lookup.NOERROR, (0, 1, 0))
"""How plain denials start: of a name, of a set that a name lacks."""
_TRUNCATED = table.truncated_heads()


class Responder:
    """Answers messages of one transport; `table` may be swapped between two messages.

    An answer that is there ready-made is not counted here: the hot path is for answering.
    """

    __slots__ = ("clerk", "gate", "table", "tally")

    def __init__(self, known: Table, clerk: edns.Clerk) -> None:
        self.table = known
        self.clerk = clerk
        self.gate = gate.Gate()
        """Who may take zones; may be swapped too."""
        self.tally = tally.Tally()

    def answer(self, packet: bytes, transport: Transport, client: str) -> bytes | None:
        """Return the reply to one message, None where silence is right. Never raises.

        `gate.HANDED` is no reply: the feed process answers.
        """
        known = self.table
        end = packet.find(0, 12) + 5
        # The third byte below 2: a query, opcode 0, AA and TC clear.
        if end >= _MIN_QUERY and packet[2] < 2:
            counts = packet[4:12]
            if counts == _ONE_QUESTION and len(packet) == end:
                limit, opt, head = transport.plain, b"", packet[2]
            elif counts == _AND_OPT and (found := self.clerk.opt(packet[end:], client)):
                limit, opt, head = transport.limit(found[0]), found[1], packet[2] + 2
            else:
                return self._carefully(packet, transport, client)
            question = packet[12:end]
            kind, name = question[-4:], question[:-4].lower()
            sets = known.sets.get(kind)
            entry = sets.get(name) if sets else None
            if entry is None:
                entry = _denied(known, kind, name)
                if entry is None:
                    return self._carefully(packet, transport, client)
                if entry[0] is NXDOMAIN:
                    self.tally.nxdomain += 1
            reply = packet[:2] + entry[0][head] + question + entry[1] + opt
            if len(reply) <= limit:
                return reply
            self.tally.truncated += 1
            return packet[:2] + _TRUNCATED[head] + question + opt
        return self._carefully(packet, transport, client)

    def _carefully(self, packet: bytes, transport: Transport, client: str) -> bytes | None:
        if gate.concerns(packet):
            now_s = self.clerk.now_s
            reply = self.gate.answer(packet, client, transport, now_s, self._plainly)
        else:
            reply = self._plainly(packet, transport, client)
        self.tally.careful(reply)
        return reply

    def _plainly(self, packet: bytes, transport: Transport, client: str) -> bytes | None:
        return careful.answer(self.table, packet, transport, self.clerk, client)


def _denied(known: Table, kind: bytes, name: bytes) -> table.Entry | None:
    """Return the denial of a name's set; None where the long way must decide."""
    if kind not in known.deniable or len(name) > names.MAX_NAME:
        return None
    nearest, exists = known.nearest, known.exists
    heads, encloser = NODATA, name
    denial = nearest.get(name)
    while denial is None and encloser not in exists:
        heads = NXDOMAIN
        length = encloser[0]
        if not 0 < length <= names.MAX_LABEL:
            return None
        encloser = encloser[1 + length :]
        if not encloser:
            return None
        denial = nearest.get(encloser)
    if denial is None:
        denial = _around(known, encloser)
        if denial is None:
            return None
    return heads, _POINTERS[12 + len(name) - len(denial.origin)] + denial.rest


def _around(known: Table, name: bytes) -> Denial | None:
    """Return the denial of the zone around an existing name."""
    for origin in names.lineage(name):
        denial = known.zones.get(origin)
        if denial is not None:
            known.nearest[name] = denial
            return denial
    return None
