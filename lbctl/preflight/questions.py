"""One DNS question, "who are the name servers of this zone?", and its answer (RFC 1035). Pure."""

import struct

from lbctl.preflight.facts import Delegation

NS, INTERNET = 2, 1
_RECURSION_DESIRED = 0x0100
_HEADER = struct.Struct("!6H")
_MAX_JUMPS = 16


def render(zone: str, number: int) -> bytes:
    """Return the query for the NS records of a zone, numbered 0 to 65535."""
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    labels = [label.encode("ascii") for label in zone.rstrip(".").split(".") if label]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return header + name + struct.pack("!2H", NS, INTERNET)


def parse(answer: bytes, number: int) -> Delegation:
    """Return what an answer to that query says. Raises ValueError where it is none."""
    try:
        found, flags, questions, answers, _, _ = _HEADER.unpack_from(answer)
        if found != number or not flags & 0x8000:
            raise ValueError("not an answer to our question")
        place = _HEADER.size
        for _ in range(questions):
            place = _name(answer, place)[1] + 4
        servers: list[str] = []
        for _ in range(answers):
            place = _name(answer, place)[1]
            kind, _, _, length = struct.unpack_from("!2HIH", answer, place)
            place += 10
            if kind == NS:
                servers.append(_name(answer, place)[0])
            place += length
    except (struct.error, IndexError) as error:
        raise ValueError(f"cut short: {error}") from error
    return Delegation(flags & 0xF, tuple(sorted(servers)))


def _name(message: bytes, place: int) -> tuple[str, int]:
    """Return the name at a place, and the place after it."""
    labels: list[str] = []
    after, jumps = 0, 0
    while length := message[place]:
        if length >= 0xC0:
            after = after or place + 2
            jumps += 1
            if jumps > _MAX_JUMPS:
                raise ValueError("a name that leads in a circle")
            place = (length & 0x3F) << 8 | message[place + 1]
        else:
            labels.append(message[place + 1 : place + 1 + length].decode("ascii", "replace"))
            place += 1 + length
    return ".".join(labels).lower(), after or place + 1
