"""Ask a server a question, as dig does: again over UDP, over TCP where the reply does not fit."""

import asyncio
import time
from dataclasses import dataclass

from lbctl_dns import edns, exchange, listening, message, replies, zone

ATTEMPTS = 3
ATTEMPT_S = 2.0
_RECURSE = 0x0100
"""Wished for, so that a resolver may be asked as well; our own servers only copy it."""


class NoAnswer(Exception):
    """Nothing came that answers the question; says from where and why."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a wire name and a record type."""

    name: bytes
    rtype: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and how."""

    reply: replies.Reply
    place: listening.Place
    transport: str
    """`UDP` or `TCP`."""
    took_ms: float
    """Of the attempt that was answered."""

    @property
    def soa(self) -> replies.Record | None:
        """Return the zone's SOA where the reply has it."""
        everything = self.reply.answer + self.reply.authority
        return next((one for one in everything if one.rtype == zone.SOA), None)


async def ask(place: listening.Place, asked: Question, *, by_tcp: bool) -> Answer:
    """Return the answer. Raises NoAnswer after `ATTEMPTS`."""
    if not by_tcp:
        found = await _attempts("UDP", exchange.by_udp, place, asked)
        if not found.reply.is_truncated:
            return found
    return await _attempts("TCP", exchange.by_tcp, place, asked)


async def _attempts(
    transport: str, by: exchange.Exchange, place: listening.Place, asked: Question
) -> Answer:
    wrong = ""
    for _ in range(ATTEMPTS):
        query = exchange.query(asked.name, asked.rtype, flags=_RECURSE, opt=edns.render())
        began = time.perf_counter()
        try:
            async with asyncio.timeout(ATTEMPT_S):
                packet = await by(place, query)
            took_ms = (time.perf_counter() - began) * 1000
            return Answer(_matching(packet, query), place, transport, took_ms)
        except TimeoutError:
            wrong = f"silence for {ATTEMPT_S:g} s"
        except asyncio.IncompleteReadError:
            wrong = "the connection was closed"
        except OSError as error:
            wrong = error.strerror or str(error)
        except message.Malformed as error:
            wrong = f"malformed: {error}"
    raise NoAnswer(f"no answer from {place} by {transport} in {ATTEMPTS} attempts: {wrong}")


def _matching(packet: bytes, query: bytes) -> replies.Reply:
    """Return the reply if it is one to this query; servers may leave the question out of errors."""
    found = replies.parse(packet)
    sent = query[message.HEADER : message.HEADER + len(found.question)]
    if found.number != query[:2] or found.question.lower() != sent.lower():
        raise message.Malformed("it answers another question")
    return found
