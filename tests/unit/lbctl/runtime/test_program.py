"""A program runs until it ends, fails or is told to stop."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from lbctl.model import errors
from lbctl.runtime import program
from lbctl.settings import Settings


async def until_stopped(number: signal.Signals | None, seen: list[str]) -> None:
    try:
        if number is not None:
            os.kill(os.getpid(), number)
        await asyncio.Event().wait()
    finally:
        seen.append("cleaned up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_program_in_order_with_code_0(number: signal.Signals) -> None:
    seen: list[str] = []
    assert program.run(until_stopped(number, seen)) == 0
    assert seen == ["cleaned up"]


def test_a_program_that_ends_by_itself_has_code_0() -> None:
    async def short() -> None:
        await asyncio.sleep(0)

    assert program.run(short()) == 0


@pytest.mark.parametrize("grouped", [False, True])
def test_an_error_of_ours_is_printed_without_a_trace(
    capsys: pytest.CaptureFixture[str], grouped: bool
) -> None:
    async def broken() -> None:
        error = errors.Misconfigured("kubeconfig x: no such file")
        raise ExceptionGroup("g", [error]) if grouped else error

    assert program.run(broken()) == 1
    assert capsys.readouterr().err == "lbctl: kubeconfig x: no such file\n"


def test_another_error_is_not_swallowed() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program.run(broken())


def test_a_cancellation_that_no_signal_caused_is_not_swallowed() -> None:
    async def broken() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        program.run(broken())


def test_settings_that_do_not_load_end_the_start_with_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def never(settings: Settings) -> None:
        raise AssertionError("must not start")

    assert program.start(tmp_path / "absent.yaml", never) == 1
    assert "absent.yaml" in capsys.readouterr().err


def test_a_program_is_made_of_its_settings(tmp_path: Path) -> None:
    seen: list[str] = []
    path = tmp_path / "settings.yaml"
    path.write_text("LbctlSettings: {clusterName: lab, logLevel: ERROR}")

    async def short(settings: Settings) -> None:
        seen.append(settings.lbctl.cluster_name)

    assert program.start(path, short) == 0
    assert seen == ["lab"]
