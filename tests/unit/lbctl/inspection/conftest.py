"""The commands, typed against the API server in memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import controller_bed
import event_loops
import inspect_bed
from inspect_reasons import Story
from lbctl import cli

Typed = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """Type a command after a story; the controller runs as long as nothing else is said."""

    def run(
        story: Story,
        *argv: str,
        controlled: bool = True,
        kubeconfig: bool = True,
        configured: bool = True,
    ) -> Result:
        async def within() -> Result:
            made = controller_bed.controlled if controlled else controller_bed.bed
            settings = (story.settings,) if controlled else ()
            async with made(tmp_path, *settings) as bed:
                await story.act(bed)
                if configured:
                    await inspect_bed.configure(bed, story.settings)
                await event_loops.turns(200)
                where = ("--kubeconfig", str(bed.kubeconfig)) if kubeconfig else ()
                runner = CliRunner(env={"HOME": str(tmp_path), "KUBECONFIG": ""})
                return await asyncio.to_thread(runner.invoke, cli.main, [*argv, *where])

        return event_loops.run(within())

    return run
