from pathlib import Path

import pytest

from lbctl_lab import sweep

OWN = frozenset({100, 101})


def view(pid, *, marked=False, contained=False, netns=1):
    return sweep.View(pid, marked, contained, netns)


def test_a_process_is_the_labs_by_mark_or_root_or_namespace():
    views = [view(10, marked=True), view(11, contained=True), view(12, netns=101)]
    assert sweep.select(views, OWN, frozenset()) == {10, 11, 12}


def test_a_process_with_none_of_them_is_left_alone():
    views = [view(10), view(12, netns=0)]
    assert sweep.select(views, OWN, frozenset()) == frozenset()


def test_the_sweeping_process_and_its_parents_are_spared():
    assert sweep.select([view(10, netns=100), view(11, netns=100)], OWN, frozenset({10})) == {11}


def test_mounts_below_the_folder_come_newest_first_and_no_others():
    lines = (
        "21 1 0:1 / / rw - ext4 /dev/vda rw",
        "30 21 0:2 / /lab rw - tmpfs t rw",
        "31 30 0:3 / /lab/a rw - tmpfs t rw",
        "32 31 0:4 / /lab/a/b\\040c rw - tmpfs t rw",
        "33 21 0:5 / /labour rw - tmpfs t rw",
        "34 21 0:6 / /run/netns rw - tmpfs t rw",
    )
    found = sweep.parse_mounts("\n".join(lines) + "\n", Path("/lab"))
    assert found == [Path("/lab/a/b c"), Path("/lab/a"), Path("/lab")]


def test_cgroup_lines_of_both_versions_are_read():
    text = "9:name=systemd:/\n4:memory:/k8s.io/abc\n0::/user.slice/x\n"
    assert sweep.parse_cgroups(text) == {"k8s.io/abc", "user.slice/x"}


OVERLAY = "rw,lowerdir={0}/20/fs:{0}/19/fs,upperdir={0}/27/fs,workdir={0}/27/work"
ELSEWHERE = "31 1 0:4 / /lab/rootfs rw - overlay overlay " + OVERLAY.format("/lab")


@pytest.mark.parametrize(
    ("root", "contained"),
    [
        ("30 1 0:3 / / rw - overlay overlay " + OVERLAY.format("/lab/node-1"), True),
        ("30 1 0:3 / / rw - overlay overlay " + OVERLAY.format("/var/lib/containerd"), False),
        ("30 1 0:3 / / rw - overlay overlay " + OVERLAY.format("/labour"), False),
        ("30 1 8:1 / / rw - ext4 /dev/vda rw", False),
    ],
)
def test_what_runs_in_a_pod_is_known_by_its_root_whoever_mounts_what_else(root, contained):
    assert sweep.is_contained(f"{root}\n{ELSEWHERE}\n", Path("/lab")) is contained


def test_this_process_is_seen_and_is_not_the_labs():
    views = sweep.look()
    assert views
    mine = sweep.select(views, frozenset(), frozenset())
    assert not mine & sweep._ancestors()
