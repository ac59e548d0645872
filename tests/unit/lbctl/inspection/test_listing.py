"""Tables, names, JSON, YAML and trees of whatever was found."""

import datetime
import json

import yaml

from lbctl.inspection import ages, listing
from lbctl.inspection.listing import Branch, Column, Listing, Row


def row(name: str, namespace: str = "", *children: str) -> Row:
    return Row(
        cells=(namespace, name, "x" * len(children)),
        names=frozenset({name, f"{namespace}/{name}"}),
        reference=f"things/{name}",
        item={"name": name, "children": list(children)},
        branch=lambda: Branch(name, tuple(Branch(child, (Branch("leaf"),)) for child in children)),
        namespaces=frozenset({namespace} if namespace else ()),
    )


FOUND = Listing(
    (Column("NAMESPACE"), Column("NAME"), Column("SIZE", wide=True)),
    (row("a", "shop", "one", "two"), row("longer", "default"), row("cluster")),
)


def test_columns_are_aligned_and_end_without_spaces() -> None:
    assert listing.render_table(FOUND, wide=False).splitlines() == [
        "NAMESPACE   NAME",
        "shop        a",
        "default     longer",
        "            cluster",
    ]


def test_wide_columns_come_when_asked_for() -> None:
    first, second, *_ = listing.render_table(FOUND, wide=True).splitlines()
    assert first == "NAMESPACE   NAME      SIZE"
    assert second == "shop        a         xx"


def test_one_namespace_needs_no_column_for_it() -> None:
    table = listing.render_table(FOUND.within("shop"), wide=False)
    assert table.splitlines() == ["NAME", "a", "cluster"]


def test_names_choose_rows_in_their_order_and_unknown_ones_come_back() -> None:
    chosen, missing = FOUND.named(["default/longer", "nobody", "a"])
    assert [entry.reference for entry in chosen.rows] == ["things/a", "things/longer"]
    assert missing == ("nobody",)


def test_scripts_read_the_same_as_json_and_yaml() -> None:
    wanted = {"items": [dict(entry.item) for entry in FOUND.rows]}
    assert json.loads(listing.render_json(FOUND)) == wanted
    assert yaml.safe_load(listing.render_yaml(FOUND)) == wanted


def test_a_tree_is_drawn_to_its_leaves() -> None:
    assert listing.render_tree(FOUND).splitlines() == [
        "a",
        "├─ one",
        "│  └─ leaf",
        "└─ two",
        "   └─ leaf",
        "longer",
        "cluster",
    ]


def test_ages_are_kubectls() -> None:
    spans = (0, 119, 120, 599, 600, 10799, 10800, 8 * 3600, 172800, 8 * 86400, 63072000, 252288000)
    assert [ages.shown(span) for span in spans] == [
        "0s",
        "119s",
        "2m",
        "9m59s",
        "10m",
        "179m",
        "3h",
        "8h",
        "2d",
        "8d",
        "2y",
        "8y",
    ]
    assert ages.shown(-5) == "0s"
    assert ages.since("never", datetime.datetime.now(tz=datetime.UTC)) == ages.UNKNOWN
    assert ages.shown(365 * 86400 * 3 + 86400 * 5) == "3y5d"
