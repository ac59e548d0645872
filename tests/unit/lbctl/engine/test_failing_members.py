"""What nodes say of failing members moves the status of the decision."""

import asyncio
from pathlib import Path

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed

UNTIMED = SETTINGS.lbctl.model_copy(update={"full_sync_frequency": 0})
EVENT_S = 200.0
"""By the loop's hurried clock; leases of the bed last 600 s."""


def failing(*numbers: int) -> list[dict[str, object]]:
    return [
        {
            "key": "default.kuard",
            "address": f"10.244.1.{number}",
            "protocol": "TCP",
            "port": 8080,
            "reason": "TimedOut",
        }
        for number in numbers
    ]


async def counted(bed: Bed, members: str) -> None:
    # Long before the agent's Lease ends, which would bring a pass as well.
    async with asyncio.timeout(EVENT_S):
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == members)


def test_a_member_that_fails_is_not_counted_and_one_that_is_back_is(tmp_path: Path) -> None:
    async def body() -> None:
        settings = SETTINGS.model_copy(update={"lbctl": UNTIMED})
        async with controller_bed.controlled(tmp_path, settings) as bed:
            await bed.agent("node-1")
            await bed.scale(2)
            await bed.create()
            await bed.until(lambda: bed.decision() is not None)
            await bed.acknowledge("node-1")
            await counted(bed, "2/2")
            await bed.acknowledge("node-1", failing=failing(1))
            await counted(bed, "1/2")
            await bed.acknowledge("node-1", failing=[])
            await counted(bed, "2/2")

    event_loops.run(body(), event_loops.Hurried)
