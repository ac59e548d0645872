"""A controller at work, for the tests of the engine."""

from pathlib import Path

import pytest

import controller_bed
import event_loops


@pytest.fixture
def play(tmp_path: Path) -> controller_bed.Play:
    """Run a body beside a controller."""

    def played(body: controller_bed.Body) -> None:
        async def within() -> None:
            async with controller_bed.controlled(tmp_path) as bed:
                await body(bed)

        event_loops.run(within(), event_loops.Hurried)

    return played
