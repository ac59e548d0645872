"""The guest kernel that tests of IPVS run on: it boots, it has IPVS, it ends with its maker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import guest_kernel
import spaces

pytestmark = pytest.mark.root

MAKER = """
import sys
import guest_kernel
with guest_kernel.guest(sys.argv[1]) as guest:
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def space() -> Iterator[str]:
    name = spaces.named("guest", "wires")
    spaces.add(name)
    yield name
    spaces.delete(name)


def pids_in(space: str) -> list[str]:
    return spaces.sh("ip", "netns", "pids", space).split()


def ended(space: str) -> bool:
    """Tell whether nothing runs there any more, soon."""
    deadline = time.monotonic() + 10
    while pids_in(space) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not pids_in(space)


def test_a_guest_lists_its_virtual_servers_and_ends(space: str) -> None:
    with guest_kernel.guest(space) as guest:
        guest.call("guest.commands:load", "ip_vs")
        assert guest.call("guest.ipvs_listing:listing") == []
        guest.run("ipvsadm", "-A", "-t", "198.18.0.1:80", "-s", "mh")
        guest.run("ipvsadm", "-a", "-t", "198.18.0.1:80", "-r", "10.0.0.1:8080", "-m")
        assert guest.call("guest.ipvs_listing:listing") == ["198.18.0.1:80 mh → 10.0.0.1:8080"]
    assert ended(space)


def test_a_guest_answers_every_call(space: str) -> None:
    with guest_kernel.guest(space) as guest:
        said = [guest.run("echo", f"{number:04} {'x' * 500}") for number in range(200)]
    assert [line.split()[0] for line in said] == [f"{number:04}" for number in range(200)]


def test_what_fails_in_the_guest_is_told(space: str) -> None:
    with (
        guest_kernel.guest(space) as guest,
        pytest.raises(RuntimeError, match="No such file or directory: 'no-such-command'"),
    ):
        guest.run("no-such-command")


def test_a_guest_ends_with_its_maker_that_was_killed(space: str) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKER, space],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(guest_kernel.__file__).parent)},
    )
    assert maker.stdout is not None
    assert maker.stdin is not None
    with maker.stdin, maker.stdout:
        assert maker.stdout.readline() == b"up\n"
        assert pids_in(space)
        maker.send_signal(signal.SIGKILL)
        maker.wait()
    assert ended(space)
