"""The table beside IPVS: its elements."""

import dataplane_builders as build
from lbctl.model.policy import Limits
from lbctl_dataplane.rules.ipvs import gate
from lbctl_dataplane.rules.tables.elements import Element

FOUR, SIX = build.place(), build.place("2001:2::1", "UDP")


def test_who_is_open_to_all_has_no_limits() -> None:
    assert set(gate.elements(build.frontend(SIX, "fd00::1"))) == {
        Element("places6", "2001:2::1 . 17 . 80"),
        Element("vips6", "2001:2::1"),
    }


def test_source_ranges_are_written_as_they_are_listed() -> None:
    limited = build.frontend(
        FOUR, "10.0.0.1", open_to_all=False, source_ranges=("203.0.113.0/24", "192.0.2.7/32")
    )
    assert set(gate.elements(limited)) == {
        Element("places4", "198.18.0.1 . 6 . 80"),
        Element("vips4", "198.18.0.1"),
        Element("limited4", "198.18.0.1 . 6 . 80"),
        Element("allowed4", "198.18.0.1 . 6 . 80 . 203.0.113.0/24"),
        Element("allowed4", "198.18.0.1 . 6 . 80 . 192.0.2.7"),
    }


def test_ranges_that_let_nobody_in_let_nobody_in() -> None:
    closed = build.frontend(FOUR, "10.0.0.1", open_to_all=False)
    homes = [element.home for element in gate.elements(closed)]
    assert "limited4" in homes
    assert "allowed4" not in homes


def test_limits_are_those_of_the_nftables_backend() -> None:
    limits = Limits(connections=9, connections_per_client=2)
    found = gate.elements(build.frontend(FOUR, "10.0.0.1", limits=limits))
    assert found[Element("counts4", "198.18.0.1 . 6 . 80")] == ("ct count over 9",)
    assert found[Element("perclient4", "198.18.0.1 . 6 . 80")] == ("jump atmost4x2",)
    assert found[Element("atmost4", "2")] == ()


def test_a_place_that_nobody_serves_is_refused_and_one_served_elsewhere_left_alone() -> None:
    vacant = {Element("vacant4", "198.18.0.1 . 6 . 80"): ()}
    assert gate.elements(build.frontend(FOUR)) == vacant
    assert gate.elements(build.frontend(FOUR, elsewhere=True)) == {}
