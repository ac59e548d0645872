"""The router's nftables table, both ways."""

import dataclasses
import json
from typing import Any

import dataplane_builders as build
from lbctl_dataplane.rules.router import spread
from lbctl_dataplane.rules.router.spread import Ruleset, Spread

ONE = Spread(4, False, ((1, 1),))
TWO = Spread(4, False, ((1, 3), (2, 2)))
AT = build.place()


def ruleset(how: Spread | None = TWO) -> Ruleset:
    places = {AT: how} if how else {}
    answering = frozenset(place.vip for place in places)
    return Ruleset(frozenset({"client0"}), frozenset({AT.vip}), places, answering)


def test_weights_become_ranges_of_one_hash() -> None:
    text = spread.render(ruleset(), ruleset(None))
    assert "mod 5 seed 0x1b map { 0-2 : 0x1b000001, 3-4 : 0x1b000002 }" in text


def test_a_sticky_spread_hashes_the_client_alone() -> None:
    sticky = dataclasses.replace(TWO, sticky=True)
    assert "jhash ip saddr mod 5" in spread.render(ruleset(sticky), ruleset(None))
    assert sticky.chain != TWO.chain


def test_a_change_of_weights_swaps_the_chain_in_one_transaction() -> None:
    lines = spread.render(ruleset(TWO), ruleset(ONE)).splitlines()
    assert lines[0] == f"add chain inet lbctl {TWO.chain}"
    assert lines[3:] == [
        "delete element inet lbctl places4 { 198.18.0.1 . tcp . 80 }",
        f"add element inet lbctl places4 {{ 198.18.0.1 . tcp . 80 : goto {TWO.chain} }}",
        f"flush chain inet lbctl {ONE.chain}",
        f"delete chain inet lbctl {ONE.chain}",
    ]


def test_a_vip_that_loses_its_legs_stops_answering_pings() -> None:
    lines = spread.render(ruleset(None), ruleset()).splitlines()
    assert "delete element inet lbctl answering4 { 198.18.0.1 }" in lines
    assert not any("vips4" in line for line in lines)


def test_agreement_is_silence() -> None:
    assert spread.render(ruleset(), ruleset()) == ""
    assert spread.render(None, None) == ""


def test_no_fabric_takes_the_table_away() -> None:
    assert spread.render(None, ruleset()) == "delete table inet lbctl\n"


def test_a_damaged_table_is_made_anew_in_one_transaction() -> None:
    broken = dataclasses.replace(ruleset(), broken=True)
    lines = spread.render(ruleset(), broken).splitlines()
    assert lines[:3] == ["add table inet lbctl", "delete table inet lbctl", "add table inet lbctl"]
    assert any("198.18.0.1 . tcp . 80 : goto" in line for line in lines)


def test_a_chain_that_a_crash_left_is_removed() -> None:
    left = dataclasses.replace(ruleset(), unused=frozenset({"legs4-0000"}))
    assert spread.render(ruleset(), left).splitlines() == [
        "flush chain inet lbctl legs4-0000",
        "delete chain inet lbctl legs4-0000",
    ]


def listing(how: Spread = TWO, *, name: str = "", rules: int = 2) -> str:
    """What nft 1.0.6 lists as JSON for `ruleset(how)`."""
    chain = name or how.chain
    ranges: list[list[Any]] = []
    start = 0
    for leg, weight in how.legs:
        key = {"range": [start, start + weight - 1]} if weight > 1 else start
        ranges.append([key, 0x1B000000 + leg])
        start += weight
    choice = {"mangle": {"value": {"map": {"key": {}, "data": {"set": ranges}}}}}
    frame = {"route": 1, "refuse": 2, "vip4": 4, "vip6": 4, "prerouting": 2, "answer": 2}
    objects: list[dict[str, Any]] = [{"table": {"name": "lbctl"}}]
    objects += [{"chain": {"name": entry}} for entry in (*frame, chain)]
    for entry, count in frame.items():
        objects += [{"rule": {"chain": entry, "expr": []}}] * count
    objects += [{"rule": {"chain": chain, "expr": [choice]}}] * rules
    elements = [[{"concat": ["198.18.0.1", "tcp", 80]}, {"goto": {"target": chain}}]]
    objects += [
        {"set": {"name": "clients", "elem": ["client0"]}},
        {"set": {"name": "vips4", "elem": ["198.18.0.1"]}},
        {"set": {"name": "vips6"}},
        {"set": {"name": "answering4", "elem": ["198.18.0.1"]}},
        {"set": {"name": "answering6"}},
        {"map": {"name": "places4", "elem": elements}},
        {"map": {"name": "places6"}},
    ]
    return json.dumps({"nftables": [{"metainfo": {}}, *objects]})


def test_what_nft_lists_is_read_back() -> None:
    assert spread.parse(listing()) == ruleset()
    assert spread.parse(listing(ONE)) == ruleset(ONE)
    assert spread.parse("") is None


def test_a_chain_that_is_not_what_its_name_says_is_damage() -> None:
    for text in (listing(TWO, name=ONE.chain), listing(rules=1)):
        found = spread.parse(text)
        assert found is not None
        assert found.broken


def test_a_frame_with_a_rule_less_is_damage() -> None:
    content = json.loads(listing())
    content["nftables"] = [
        entry for entry in content["nftables"] if entry.get("rule", {}).get("chain") != "route"
    ]
    found = spread.parse(json.dumps(content))
    assert found is not None
    assert found.broken
