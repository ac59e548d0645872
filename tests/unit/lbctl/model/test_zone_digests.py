"""The digest of a zone's content, and its serial."""

import itertools
from typing import Any

import pytest

from lbctl.model import zones

ORIGINS = ("lb.example", "apps.lb.example", "2.0.192.in-addr.arpa")


def decision(host: str = "a.lb.example", **spec: Any) -> dict[str, Any]:
    own = {
        "phase": "Serving",
        "vips": [{"address": "192.0.2.1", "role": "Current"}],
        "names": [{"host": host, "ttlSeconds": 5, "published": True}],
        "listeners": [{"name": "http", "protocol": "TCP", "port": 80}],
    }
    meta = {"uid": host, "creationTimestamp": "2026-11-21T12:00:00Z", "resourceVersion": "7"}
    return {"metadata": meta, "spec": {**own, **spec}}


def state(digests: zones.Digests) -> list[str]:
    return [digests.of(origin) for origin in ORIGINS]


def test_a_decision_counts_in_the_innermost_zone_of_its_names_and_addresses() -> None:
    digests = zones.Digests(ORIGINS)
    before = state(digests)
    assert digests.put("a", decision()) == {"lb.example", "2.0.192.in-addr.arpa"}
    assert [one == other for one, other in zip(before, state(digests), strict=True)] == [
        False, True, False,
    ]  # fmt: skip
    assert digests.put("b", decision("X.apps.LB.example.")) >= {"apps.lb.example"}
    assert digests.put("c", decision("elsewhere.example", vips=[])) == frozenset()


def test_the_order_of_decisions_does_not_matter_and_what_goes_leaves_nothing() -> None:
    found = set()
    for order in itertools.permutations("abc"):
        digests = zones.Digests(ORIGINS)
        for key in order:
            digests.put(key, decision(f"{key}.lb.example"))
        found.add(tuple(state(digests)))
        for key in order:
            digests.put(key, None)
        assert state(digests) == state(zones.Digests(ORIGINS))
    assert len(found) == 1


UNLIKE = {
    "another address": {"vips": [{"address": "192.0.2.2", "role": "Current"}]},
    "another TTL": {"names": [{"host": "a.lb.example", "ttlSeconds": 6, "published": True}]},
    "another port": {"listeners": [{"name": "http", "protocol": "TCP", "port": 81}]},
    "unpublished": {"names": [{"host": "a.lb.example", "ttlSeconds": 5, "published": False}]},
    "without data": {
        "names": [{"host": "a.lb.example", "ttlSeconds": 5, "published": False, "noData": True}]
    },
    "withdrawn": {"phase": "Withdrawn"},
}


@pytest.mark.parametrize("what", UNLIKE)
def test_what_names_are_made_from_changes_the_digest(what: str) -> None:
    digests = zones.Digests(ORIGINS)
    digests.put("a", decision())
    before = digests.of("lb.example")
    assert "lb.example" in digests.put("a", decision(**UNLIKE[what]))
    assert digests.of("lb.example") != before


SAME = {
    "draining, names published still": {"phase": "Draining"},
    "an address that comes": {
        "vips": [
            {"address": "192.0.2.1", "role": "Current"},
            {"address": "192.0.2.9", "role": "Incoming"},
        ]
    },
    "another policy": {"policy": {"externalTrafficPolicy": "Local"}},
}


@pytest.mark.parametrize("what", SAME)
def test_what_names_are_not_made_from_changes_nothing(what: str) -> None:
    digests = zones.Digests(ORIGINS)
    digests.put("a", decision())
    assert digests.put("a", decision(**SAME[what])) == frozenset()


@pytest.mark.parametrize(
    ("serial", "now_s", "later"),
    [
        (0, 5, 5),
        (5, 5, 6),
        (9, 5, 10),
        (2**32 - 1, 3, 3),
        (2**32 - 1, 2**31, 0),
        (2**32 - 1, 2**32 - 1, 0),
    ],
)
def test_a_later_serial_is_later_for_secondaries(serial: int, now_s: int, later: int) -> None:
    assert zones.later_serial(serial, now_s) == later
