"""`lbctl explain`, `lbctl get` and `kubectl describe` side by side on a real API server."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import api_builders
import controller_bed
import event_loops
import inspect_bed
from lbctl.inspection import commands
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.settings import AddressPoolSettings
from lbctl_lab import binaries, progress
from real_controller import controlled

pytestmark = pytest.mark.root
POOLS = (AddressPoolSettings(name="default", addresses=("198.51.100.0/24",)),)
SETTINGS = controller_bed.SETTINGS.model_copy(update={"address_pools": POOLS})
PAUSE_S = 0.1


class Terminal:
    """Somebody with the administrator's kubeconfig."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig = kubeconfig
        self._config = inspect_bed.settings_file(folder, SETTINGS)
        self._kubectl = binaries.built(binaries.KUBERNETES, progress.Progress()) / "kubectl"

    async def lbctl(self, *argv: str) -> tuple[int, str]:
        """Run a command of lbctl; return its code and output."""
        where = (f"--kubeconfig={self._kubeconfig}", f"--config={self._config}")
        return await _run(str(Path(sys.executable).parent / "lbctl"), *argv, *where)

    async def kubectl(self, *argv: str) -> str:
        """Run a command of kubectl and return its output."""
        code, text = await _run(str(self._kubectl), f"--kubeconfig={self._kubeconfig}", *argv)
        assert code == 0, text
        return text

    async def shown(self, wanted: Callable[[str], bool], *argv: str) -> str:
        """Run a command of kubectl until its output is as wanted; return it."""
        while not wanted(text := await self.kubectl(*argv)):  # noqa: ASYNC110 (`run` ends it)
            await asyncio.sleep(PAUSE_S)
        return text


async def _run(*argv: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    text, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, text.decode()


async def _member(api: Client, name: str) -> None:
    body = {
        "metadata": {"name": f"{name}-abc", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.1.1"], "nodeName": "node-1"}],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }
    await api.create(resources.ENDPOINT_SLICES, body, "default")


def test_describe_and_explain_tell_the_same_reason(
    real_api: Path, name: str, tmp_path: Path
) -> None:
    async def body() -> None:
        at = Terminal(real_api, tmp_path)
        async with controlled(real_api, SETTINGS) as api:
            obj = api_builders.service(name, loadBalancerIP="203.0.113.1")
            await api.create(resources.SERVICES, obj, "default")
            told = await at.shown(lambda text: "AddressNotInPool" in text, "describe", "svc", name)
            code, text = await at.lbctl("explain", f"default/{name}")
            (line,) = [line for line in told.splitlines() if "AddressNotInPool" in line]
            message = line.split("lbctl-controller")[1].strip()
            assert code == 1
            assert f"AddressNotInPool: {message}" in text

    event_loops.run(body())


def test_a_served_service_is_in_every_list(real_api: Path, name: str, tmp_path: Path) -> None:
    async def body() -> None:
        at = Terminal(real_api, tmp_path)
        async with controlled(real_api, SETTINGS) as api:
            await _member(api, name)
            await api.create(resources.SERVICES, api_builders.service(name), "default")
            found = ("get", "lbvs", "--no-headers", "--ignore-not-found", f"default.{name}")
            vip = (await at.shown(lambda text: "Down" in text, *found)).split()[1]
            for kind in ("vs", "members", "vips", "records"):
                code, text = await at.lbctl("get", kind, f"default/{name}", "-o", "json")
                assert code == 0, text
                item = json.loads(text)["items"][0]
                assert kind == "members" or vip in json.dumps(item)
            code, text = await at.lbctl("explain", name)
            assert (code, "NoAgent" in text) == (1, True)

    event_loops.run(body())


def test_the_lists_of_the_cluster_are_there(real_api: Path, tmp_path: Path) -> None:
    async def body() -> None:
        at = Terminal(real_api, tmp_path)
        for kind in commands.KINDS:
            code, text = await at.lbctl("get", kind, "-o", "json")
            assert (code, list(json.loads(text))) == (0, ["items"])

    event_loops.run(body())
