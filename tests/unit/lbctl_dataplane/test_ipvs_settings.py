"""What the kernel is told so that IPVS works, and what is said where it can't be told."""

from pathlib import Path

import pytest

from lbctl.model import errors
from lbctl_dataplane.backends.ipvs import backend as ipvs

WANTED = {"vs/conntrack": "1", "vs/expire_nodest_conn": "1"}


def test_what_differs_is_written(tmp_path: Path) -> None:
    (tmp_path / "vs").mkdir()
    (tmp_path / "vs/conntrack").write_text("0\n")
    (tmp_path / "vs/expire_nodest_conn").write_text("1\n")
    ipvs.tell_kernel(WANTED, tmp_path)
    assert (tmp_path / "vs/conntrack").read_text() == "1"
    assert (tmp_path / "vs/expire_nodest_conn").read_text() == "1\n"


def test_a_kernel_without_ipvs_is_told_with_the_modules_to_load(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match=r"no net\.vs\.conntrack; .*modprobe -a ip_vs"):
        ipvs.tell_kernel(WANTED, tmp_path)


def test_what_may_not_be_written_is_told_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "vs/conntrack").mkdir(parents=True)
    with pytest.raises(errors.Unavailable, match=r"on the node: sysctl -w net\.vs\.conntrack=1"):
        ipvs.tell_kernel(WANTED, tmp_path)
