"""When everything is read back."""

import asyncio

import pytest

import event_loops
from lbctl_dataplane.backends import audits
from lbctl_dataplane.backends.audits import Audits


async def audit(made: Audits, took_s: float) -> None:
    with made.running():
        await asyncio.sleep(took_s)


async def pause(made: Audits) -> float:
    """Return how long no audit is due."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await event_loops.until(made.due)
    return clock() - began


def test_the_first_audit_is_due_and_the_next_one_after_a_pause() -> None:
    async def body() -> float:
        made = Audits()
        assert made.due()
        await audit(made, 0)
        assert not made.due()
        return await pause(made)

    assert audits.EVERY_S <= event_loops.run(body(), event_loops.Hurried) < 2 * audits.EVERY_S


def test_a_long_audit_makes_the_next_one_come_later() -> None:
    took_s = 2 * audits.EVERY_S * audits.SHARE

    async def body() -> float:
        made = Audits()
        await audit(made, took_s)
        return await pause(made)

    assert event_loops.run(body(), event_loops.Hurried) >= took_s / audits.SHARE


def test_doubt_makes_it_due_at_once() -> None:
    async def body() -> bool:
        made = Audits()
        await audit(made, 0)
        made.distrust()
        return made.due()

    assert event_loops.run(body())


def test_an_audit_that_fails_stays_due() -> None:
    async def body() -> bool:
        made = Audits()
        with pytest.raises(OSError, match="away"), made.running():
            raise OSError("away")
        return made.due()

    assert event_loops.run(body())
