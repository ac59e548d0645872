"""What a lab that was restarted still waits for."""

import datetime

import pytest

from lbctl_lab import restarting

BEGAN = datetime.datetime(2026, 11, 21, 12, 0, 5, 500000, tzinfo=datetime.UTC)
EARLIER, LATER = "2026-11-21T12:00:04.000000Z", "2026-11-21T12:00:06.000000Z"


def item(namespace, name, **parts):
    return {"metadata": {"namespace": namespace, "name": name}, **parts}


def lease(name, renewed):
    spec = {"renewTime": renewed} if renewed else {}
    return item("kube-node-lease", name, spec=spec)


def test_a_lease_counts_once_it_was_renewed_since():
    listing = {
        "items": [
            lease("node-1", LATER),
            lease("node-2", EARLIER),
            lease("node-3", None),
            lease("others", EARLIER),
        ]
    }
    wanted = frozenset(f"kube-node-lease/node-{n}" for n in (1, 2, 3, 4))
    left = restarting.unrenewed(listing, wanted, BEGAN)
    assert left == [f"kube-node-lease/node-{n}" for n in (2, 3, 4)]


def container(started, *, ready=True):
    state = {"running": {"startedAt": started}} if started else {"waiting": {"reason": "x"}}
    return {"ready": ready, "state": state}


@pytest.mark.parametrize(
    ("containers", "waited_for"),
    [
        ([container("2026-11-21T12:00:05Z")], False),
        ([container("2026-11-21T12:00:04Z")], True),
        ([container("2026-11-21T12:00:06Z", ready=False)], True),
        ([container("2026-11-21T12:00:06Z"), container(None)], True),
        ([], True),
    ],
)
def test_a_pod_is_back_when_all_its_containers_are_new_and_ready(containers, waited_for):
    pod = item("default", "kuard", status={"phase": "Running", "containerStatuses": containers})
    left = restarting.unstarted({"items": [pod]}, BEGAN)
    assert left == (["default/kuard"] if waited_for else [])


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_who_did_not_run_is_not_waited_for(phase):
    pod = item("default", "kuard", status={"phase": phase})
    assert restarting.unstarted({"items": [pod]}, BEGAN) == []


def test_who_goes_is_not_waited_for():
    pod = item("default", "kuard", status={"phase": "Running"})
    pod["metadata"]["deletionTimestamp"] = EARLIER
    assert restarting.unstarted({"items": [pod]}, BEGAN) == []
