"""`deleteConfig`, `lbctl uninstall` and namespaces no longer served let go of everything."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed, served
from lbctl import app
from lbctl.kube import resources
from lbctl.settings import LbctlSettings, Settings


def changed(**parts: Any) -> Settings:
    """Return the settings with parts of `LbctlSettings` changed."""
    lbctl = LbctlSettings(cluster_name="lab", **parts)
    return SETTINGS.model_copy(update={"lbctl": lbctl})


def empty(bed: Bed) -> bool:
    return not bed.all(resources.L4_VIRTUAL_SERVICES) and not bed.all(resources.IP_ALLOCATIONS)


def let_go(bed: Bed) -> bool:
    service = bed.service() or {}
    marks = service["metadata"].get("finalizers") or bed.ingress() or bed.conditions()
    return empty(bed) and not marks


async def born(bed: Bed) -> None:
    """Let a controller give a Service its address, and end."""
    await bed.create()
    async with event_loops.running(bed.controller()):
        await served(bed)


def play(tmp_path: Path, body: Any) -> None:
    async def within() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await born(bed)
            told: Coroutine[Any, Any, None] = body(bed)
            await told

    event_loops.run(within(), event_loops.Hurried)


def test_delete_config_lets_go_of_everything_and_reports_on_the_lease(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        def reported() -> bool:
            lease = bed.find(resources.LEASES, "lbctl-controller", controller_bed.NAMESPACE) or {}
            said = lease["metadata"].get("annotations", {}).get("lbctl.io/delete-config", "")
            return said.startswith("Done: ")

        async with event_loops.running(bed.controller(changed(delete_config="true"))):
            await bed.until(lambda: let_go(bed) and reported())

    play(tmp_path, body)


def test_a_dry_run_says_what_would_go_and_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def body(bed: Bed) -> None:
        async with event_loops.running(bed.controller(changed(delete_config="dryRun"))):
            await event_loops.until(lambda: "would withdraw 1 virtual services" in caplog.text)
        assert bed.ingress() == ["192.0.2.1"]

    play(tmp_path, body)


def test_a_namespace_that_is_blocked_is_let_go(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        blocked = changed(blocked_namespace_list=("default",))
        async with event_loops.running(bed.controller(blocked)):
            await bed.until(lambda: let_go(bed))

    play(tmp_path, body)


def test_uninstall_ends_when_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body(bed: Bed) -> None:
        await app.run_uninstall(SETTINGS, bed.kubeconfig, dry_run=True, deployment="")
        assert not empty(bed)
        await app.run_uninstall(SETTINGS, bed.kubeconfig, dry_run=False, deployment="")
        assert empty(bed)

    play(tmp_path, body)
    assert "free 1 addresses: default/kuard" in capsys.readouterr().out
