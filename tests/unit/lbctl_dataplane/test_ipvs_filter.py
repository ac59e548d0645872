"""The table beside IPVS: its elements, its text, and what is read of it."""

import json
from typing import Any

import dataplane_builders as build
from lbctl.delta import Delta
from lbctl_dataplane.rules import ipvs_filter
from lbctl_dataplane.rules.ipvs_filter import Element, Filter

FOUR, SIX = build.place(), build.place("2001:2::1", "UDP")


def listing(*objects: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *objects]})


def test_who_is_open_to_all_has_no_limits() -> None:
    assert set(ipvs_filter.elements(build.frontend(SIX, "fd00::1"))) == {
        Element("places6", "2001:2::1 . 17 . 80"),
        Element("vips6", "2001:2::1"),
    }


def test_source_ranges_are_written_as_they_are_listed() -> None:
    limited = build.frontend(
        FOUR, "10.0.0.1", open_to_all=False, source_ranges=("203.0.113.0/24", "192.0.2.7/32")
    )
    assert set(ipvs_filter.elements(limited)) == {
        Element("places4", "198.18.0.1 . 6 . 80"),
        Element("vips4", "198.18.0.1"),
        Element("limited4", "198.18.0.1 . 6 . 80"),
        Element("allowed4", "198.18.0.1 . 6 . 80 . 203.0.113.0/24"),
        Element("allowed4", "198.18.0.1 . 6 . 80 . 192.0.2.7"),
    }


def test_ranges_that_let_nobody_in_let_nobody_in() -> None:
    closed = build.frontend(FOUR, "10.0.0.1", open_to_all=False)
    homes = [element.home for element in ipvs_filter.elements(closed)]
    assert "limited4" in homes
    assert "allowed4" not in homes


def test_a_change_is_one_command_for_each_set() -> None:
    gone, new = Element("vips4", "198.18.0.9"), [Element("vips4", f"198.18.0.{n}") for n in (1, 2)]
    assert ipvs_filter.render(Delta(dict.fromkeys(new, ""), frozenset({gone}))) == (
        "delete element inet lbctl-ipvs vips4 { 198.18.0.9 }\n"
        "add element inet lbctl-ipvs vips4 { 198.18.0.1, 198.18.0.2 }\n"
    )
    assert ipvs_filter.render(Delta({}, frozenset())) == ""


def test_a_listing_tells_elements_and_rules() -> None:
    prefix = {"prefix": {"addr": "203.0.113.0", "len": 24}}
    text = listing(
        {"set": {"name": "vips4", "elem": ["198.18.0.1"]}},
        {"set": {"name": "allowed4", "elem": [{"concat": ["198.18.0.1", 6, 80, prefix]}]}},
        {"set": {"name": "limited6"}},
        {"rule": {"chain": "entry", "comment": "entry-0"}},
        {"rule": {"chain": "input"}},
    )
    assert ipvs_filter.parse(text) == Filter(
        ("entry-0", ""),
        frozenset(
            {
                Element("vips4", "198.18.0.1"),
                Element("allowed4", "198.18.0.1 . 6 . 80 . 203.0.113.0/24"),
            }
        ),
    )


def test_no_table_has_nothing() -> None:
    assert ipvs_filter.parse("") == Filter((), frozenset())
