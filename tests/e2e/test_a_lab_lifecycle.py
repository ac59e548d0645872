"""A lab leaves nothing behind, however it ends. These tests own the machine's one lab."""

import subprocess

import pytest

import lab_commands
from lab_commands import lab

pytestmark = [pytest.mark.lab, pytest.mark.lab_alone]


@pytest.fixture(autouse=True)
def no_lab_before_or_after():
    lab("down")
    yield
    lab("down")


def kill_up_after(step: str) -> None:
    """Start `up` and kill it -9 as soon as it has printed a step."""
    argv = [lab_commands.LBCTL, "lab", "up", "--bare"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        for line in up.stderr:
            if step in line:
                up.kill()
                break
        else:
            pytest.fail(f"`up` ended without the step {step!r}")


# At the last step pods run: their processes carry nothing of the lab but their root file system.
@pytest.mark.parametrize("step", ["namespaces", "API server", "nodes Ready", "cluster DNS answers"])
def test_down_removes_all_that_a_killed_up_has_made(step):
    kill_up_after(step)
    assert lab_commands.traces() != []
    lab("down")
    assert lab_commands.traces() == []


def test_up_after_a_killed_up_works_and_down_then_leaves_nothing():
    kill_up_after("switches, containerd, images")
    lab("up", "--bare", "--nodes", "1")
    assert "node-1 Ready" in lab("status")
    refused = subprocess.run(
        [lab_commands.LBCTL, "lab", "up", "--bare", "--nodes", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "this machine runs one already (1 nodes, cluster only (--bare)" in refused.stderr
    assert "lbctl lab down" in refused.stderr
    lab("down")
    assert lab_commands.traces() == []


def test_commands_say_what_to_do_when_there_is_no_lab():
    for words in (["status"], ["env"], ["exec", "client", "true"], ["stop", "etcd"], ["restart"]):
        done = subprocess.run(
            [lab_commands.LBCTL, "lab", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "Error: " in done.stderr
