"""Tables whose rules stay and whose sets change: their text, and what is read of it."""

import json
from typing import Any

from lbctl.delta import Delta
from lbctl_dataplane.rules import ipvs_filter, nft_sets
from lbctl_dataplane.rules.nft_sets import Contents, Element

TABLE = ipvs_filter.table("svc0", answer_pings=True)


def listing(*objects: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *objects]})


def test_a_change_is_one_command_for_each_set() -> None:
    gone, new = Element("vips4", "198.18.0.9"), [Element("vips4", f"198.18.0.{n}") for n in (1, 2)]
    assert TABLE.render(Delta(dict.fromkeys(new, ""), frozenset({gone}))) == (
        "delete element inet lbctl-ipvs vips4 { 198.18.0.9 }\n"
        "add element inet lbctl-ipvs vips4 { 198.18.0.1, 198.18.0.2 }\n"
    )
    assert TABLE.render(Delta({}, frozenset())) == ""


def test_a_listing_tells_elements_and_rules() -> None:
    prefix = {"prefix": {"addr": "203.0.113.0", "len": 24}}
    text = listing(
        {"set": {"name": "vips4", "elem": ["198.18.0.1"]}},
        {"set": {"name": "allowed4", "elem": [{"concat": ["198.18.0.1", 6, 80, prefix]}]}},
        {"set": {"name": "limited6"}},
        {"rule": {"chain": "entry", "comment": "entry-0"}},
        {"rule": {"chain": "input"}},
    )
    assert nft_sets.parse(text) == Contents(
        ("entry-0", ""),
        frozenset(
            {
                Element("vips4", "198.18.0.1"),
                Element("allowed4", "198.18.0.1 . 6 . 80 . 203.0.113.0/24"),
            }
        ),
    )


def test_no_table_has_nothing() -> None:
    assert nft_sets.parse("") == Contents((), frozenset())


def test_a_table_is_replaced_as_a_whole_and_its_rules_are_told_again() -> None:
    lines = TABLE.render_new().splitlines()
    name = "inet lbctl-ipvs"
    assert lines[:3] == [f"add table {name}", f"delete table {name}", f"add table {name}"]
    comments = [line.split('"')[-2] for line in lines if line.startswith("add rule")]
    made = [{"rule": {"chain": "entry", "comment": text}} for text in comments]
    assert nft_sets.parse(listing(*made)).rules == TABLE.rules
    assert len(set(TABLE.rules)) == len(TABLE.rules)
