"""The compiled path of the name server, built where its source is newer, and servers by path."""

import build_compiled
from lbctl_dns import compiled, wire

build_compiled.build()
ENGINES = ("compiled", "python")


def environment(engine: str) -> dict[str, str]:
    """What makes a server's workers answer in this way and in no other."""
    return {compiled.SWITCH: engine}


def answer(responder: wire.Responder, packet: bytes, host: str) -> bytes | None:
    """The reply of the compiled path alone; None for what it leaves to Python."""
    from lbctl_dns import _shortest

    known, clerk = responder.table, responder.clerk
    return _shortest.answer(packet, host, known, clerk, compiled.DENIALS, compiled.LIMITS)
