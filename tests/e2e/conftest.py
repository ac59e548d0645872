"""The lab for end-to-end tests: up once per session; `LBCTL_LAB_KEEP=1` uses and leaves one."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import lab_commands

KEEP = os.environ.get("LBCTL_LAB_KEEP") == "1"
BARE = os.environ.get("LBCTL_LAB_BARE") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """Declare this folder's own marks."""
    config.addinivalue_line("markers", "lab_alone: takes labs up and down by itself")
    config.addinivalue_line("markers", "lab_last: every pod has restarted after it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, when a lab is to be kept, the tests that take labs down; order the rest.

    Whoever kills a pod wants it back at once: the kubelet makes one wait that has restarted before.
    """
    items.sort(key=lambda item: item.get_closest_marker("lab_last") is not None)
    alone = [item for item in items if item.get_closest_marker("lab_alone")]
    if KEEP and alone:
        config.hook.pytest_deselected(items=alone)
        items[:] = [item for item in items if item not in alone]


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[None]:
    """A running lab with lbctl on it (`LBCTL_LAB_BARE=1`: the cluster alone)."""
    argv = [lab_commands.LBCTL, "lab", "up", *(["--bare"] if BARE else [])]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # the steps are for whoever waits
        sys.stderr.write("\n")
        done = subprocess.run(argv, check=False, stdout=sys.stderr)
    if done.returncode != 0:
        pytest.exit("the lab does not come up; see above", returncode=1)
    yield
    if not KEEP:
        lab_commands.lab("down")
