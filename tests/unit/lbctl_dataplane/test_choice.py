"""Which backend a node has."""

import socket
from pathlib import Path

import pytest

from lbctl_dataplane.backends import choice


@pytest.mark.parametrize("setting", ["ovs", "nft", "ipvs", "announce-only"])
def test_a_setting_counts_whatever_is_there(setting: str, tmp_path: Path) -> None:
    found = choice.choose(setting, "br-int", tmp_path)
    assert found == choice.Choice(setting, "setting agent.backend")


def test_without_open_vswitch_the_kernel_moves_packets(tmp_path: Path) -> None:
    found = choice.choose("auto", "br-int", tmp_path)
    assert found == choice.Choice("nft", f"auto: no Open vSwitch here ({tmp_path}/db.sock)")


def test_a_switch_that_does_not_answer_yet_is_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "db.sock"))
        found = choice.choose("auto", "br-int", tmp_path)
    assert found == choice.Choice("ovs", "auto: Open vSwitch is here and does not answer yet")
