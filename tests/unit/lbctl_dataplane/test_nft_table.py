"""The nftables table of a node: what it holds, and the transactions that change it."""

import re

import pytest

import dataplane_builders as build
import nft_kernel
from lbctl.model.policy import Limits
from lbctl_dataplane.rules import constants, maglev
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import contents
from lbctl_dataplane.rules.nft.compiler import NftCompiler
from lbctl_dataplane.rules.nft.layout import TABLE
from lbctl_dataplane.rules.place_numbers import Numbers
from lbctl_dataplane.rules.tables.elements import Element, Elements

ONE = "10.0.0.1"
HERE = {build.ip(text) for text in (ONE, "10.0.0.2", "fd00::1", "fd00::2")}
KEY = "198.18.0.1 . 6 . 80"


def numbers() -> Numbers:
    return Numbers(constants.PLACE_NUMBER, 1000)


def elements(*addresses: str, vip: str = "198.18.0.1", **fields: object) -> Elements:
    wanted = build.frontend(build.place(vip), *addresses, **fields)
    return contents.elements(wanted, HERE, numbers())


def test_one_member_needs_no_table() -> None:
    assert elements(ONE) == {
        Element("vips4", "198.18.0.1"): (),
        Element("ways4", KEY): ("goto by4x1",),
        Element("ends4", KEY): (f"{ONE} . 8080",),
    }


def test_several_members_have_a_maglev_table() -> None:
    found = elements(ONE, "10.0.0.2")
    ends = found[Element("ends4", KEY)]
    assert found[Element("ways4", KEY)] == (f"goto by4x{len(ends)}",)
    assert len(ends) == maglev.SIZES[0]
    assert set(ends) == {f"{ONE} . 8080", "10.0.0.2 . 8080"}


def test_lingering_and_unreachable_members_get_nobody_new() -> None:
    found = elements("10.9.9.9", ONE, lingering=build.members("10.0.0.2"))
    assert found[Element("ends4", KEY)] == (f"{ONE} . 8080",)


def test_without_a_member_the_place_leads_nowhere_and_the_vip_is_still_ours() -> None:
    assert elements(lingering=build.members(ONE)) == {Element("vips4", "198.18.0.1"): ()}


def test_a_place_that_nobody_serves_is_refused_by_its_port_as_others_may_have_the_vip() -> None:
    assert elements() == {Element("vacant4", KEY): ()}
    assert elements(elsewhere=True) == {}


def test_limits_are_elements_as_nft_writes_them() -> None:
    ranges = ("10.0.0.0/8", "192.0.2.7/32")
    found = elements(ONE, open_to_all=False, source_ranges=ranges)
    assert {entry for entry in found if entry.home in ("limited4", "sources4")} == {
        Element("limited4", KEY),
        Element("sources4", f"{KEY} . 10.0.0.0/8"),
        Element("sources4", f"{KEY} . 192.0.2.7"),
    }


def test_a_place_with_limits_has_elements_that_carry_them() -> None:
    found = elements(ONE, limits=Limits(connections=9, connections_per_s=5))
    assert found[Element("counts4", KEY)] == ("ct count over 9",)
    assert found[Element("rates4", KEY)] == ("limit rate over 5/second",)


def test_a_limit_of_clients_is_a_meter_that_the_place_leads_to() -> None:
    found = elements(ONE, limits=Limits(connections_per_client=9))
    assert found[Element("atmost4", "9")] == ()
    assert found[Element("perclient4", KEY)] == ("jump atmost4x9",)


def test_a_client_has_no_more_connections_than_ports() -> None:
    found = elements(ONE, limits=Limits(connections_per_client=65_535))
    assert found == elements(ONE)


def test_a_meter_comes_before_what_leads_to_it_and_goes_after_it() -> None:
    wanted = {
        Element("atmost4", "9"): (),
        **{
            Element("perclient4", f"198.18.{number // 250}.{number % 250} . 6 . 80"): (
                "jump atmost4x9",
            )
            for number in range(6000)
        },
    }
    coming, going = list(TABLE.transactions(wanted, {})), list(TABLE.transactions({}, wanted))
    assert len(coming) == len(going) == 2
    assert "add chain inet lbctl-node atmost4x9\n" in coming[0]
    assert going[-1].endswith("delete chain inet lbctl-node atmost4x9\n")


def test_affinity_is_an_element_as_well() -> None:
    found = elements("fd00::1", "fd00::2", vip="2001:2::1", affinity=True)
    assert Element("sticky6", "2001:2::1 . 6 . 80") in found


@pytest.mark.parametrize(
    "asked",
    [
        {"affinity": True},
        {"affinity": True, "affinity_timeout_s": 60},
        {"algorithm": "round-robin"},
        {"limits": Limits(connections=9)},
        {"limits": Limits(connections_per_s=9)},
        {"open_to_all": False},
    ],
    ids=str,
)
def test_a_place_that_asks_for_more_takes_the_careful_way(asked: dict[str, object]) -> None:
    way = Element("ways4", KEY)
    assert elements(ONE, "10.0.0.2", **asked)[way] == ("goto careful4",)
    # Whom nobody serves here is refused by the same rules: who may not connect hears nothing.
    assert elements(lingering=build.members(ONE), **asked)[way] == ("goto careful4",)


def test_equal_members_share_their_table() -> None:
    first, second = (
        contents.elements(
            Frontend("default.kuard", build.place(port=port), build.members(ONE, "10.0.0.2")),
            HERE,
            numbers(),
        )[Element("ends4", f"198.18.0.1 . 6 . {port}")]
        for port in (80, 81)
    )
    assert first is second


def test_a_member_less_changes_its_slots_and_nothing_else() -> None:
    three, two = (
        {Element("ends4", KEY): contents.ends(build.members(*addresses), in_turn=False)}
        for addresses in ((ONE, "10.0.0.2", "10.0.0.3", "10.0.0.4"), (ONE, "10.0.0.2", "10.0.0.3"))
    )
    (text,) = TABLE.transactions(two, three)
    leaving, coming = text.splitlines()
    assert leaving.startswith("delete element inet lbctl-node slots4x41 {")
    assert leaving.count(",") == coming.count(",") < 20
    assert "10.0.0.4" not in coming


def test_the_way_to_a_place_changes_with_its_members() -> None:
    places = {
        KEY.replace("198.18.0.1", f"198.18.0.{number}"): contents.ends(
            build.members(ONE, f"10.0.1.{number}"), in_turn=False
        )
        for number in range(250)
    }
    load: Elements = {
        **{Element("ends4", key): ends for key, ends in places.items()},
        **{Element("ways4", key): (f"goto by4x{len(ends)}",) for key, ends in places.items()},
    }
    for texts in (TABLE.transactions(load, {}), TABLE.transactions({}, load)):
        parts = list(texts)
        assert len(parts) > 1
        ways = [set(re.findall(r"([\d.]+) \. 6 \. 80(?: : goto|[,} ])", text)) for text in parts]
        slots = [set(re.findall(r"([\d.]+) \. 6 \. 80 \. \d+", text)) for text in parts]
        assert ways == slots


def test_a_large_load_comes_in_parts_and_its_vips_come_last() -> None:
    ends = tuple("10.0.0.1 . 80" for _ in range(41))
    places = {Element("ends4", f"198.18.0.{number} . 6 . 80"): ends for number in range(250)}
    vips = {Element("vips4", f"198.18.0.{number}"): () for number in range(250)}
    texts = list(TABLE.transactions({**places, **vips}, {}))
    assert len(texts) == 3
    assert [("vips4" in text) for text in texts] == [False, False, True]
    back = list(TABLE.transactions({}, {**places, **vips}))
    assert ("vips4" in back[0], "vips4" in back[-1]) == (True, False)


MADE = TABLE.new() + next(TABLE.transactions(elements(ONE), {}))
SINGLE = f"add element {TABLE.name} single4 {{ {KEY} : {ONE} . 8080 }}\n"
SLOT = f"add element {TABLE.name} slots4x23 {{{{ {KEY} . {{}} : 10.0.0.9 . 1 }}}}\n"
REFUSE = f"{TABLE.name} refuse"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (' comment "', ' comment "f'),
        ("vips6 {", "vips5 {"),
        (f"add chain {REFUSE}", f"add chain {TABLE.name} other\nadd chain {REFUSE}"),
        (f"add rule {REFUSE}", f"add rule {REFUSE} drop\nadd rule {REFUSE}"),
        (SINGLE, SINGLE + SLOT.format(0)),
        (SINGLE, SLOT.format(23)),
    ],
)
def test_a_table_that_is_not_as_we_make_it_is_not_whole(before: str, after: str) -> None:
    assert nft_kernel.Kernel().apply(MADE).table() == elements(ONE)
    assert before in MADE
    assert nft_kernel.Kernel().apply(MADE.replace(before, after, 1)).table() is None


METER = "add chain {0} atmost4x9\nadd rule {0} atmost4x9 {1}\n"


def test_a_meter_that_was_made_otherwise_makes_a_table_not_whole() -> None:
    wanted = {Element("atmost4", "9"): ()}
    whole = TABLE.new() + next(TABLE.transactions(wanted, {}))
    assert nft_kernel.Kernel().apply(whole).table() == wanted
    mark = f'drop comment "{TABLE.meter_marks(Element("atmost4", "9"))[0]}"'
    alike = TABLE.new() + METER.format(TABLE.name, mark)
    assert nft_kernel.Kernel().apply(alike).table() == wanted
    for text in (
        METER.format(TABLE.name, 'drop comment "f"'),
        f"add chain {TABLE.name} atmost4x9\n",
        METER.format(TABLE.name, mark).replace("atmost4x9", "atmost4xx"),
    ):
        assert nft_kernel.Kernel().apply(TABLE.new() + text).table() is None


def test_no_table_is_not_whole() -> None:
    assert nft_kernel.Kernel().table() is None


def test_what_the_compiler_did_not_read_it_replaces() -> None:
    texts, changed = NftCompiler(["svc0"], pinged=["svc0"]).table.transactions()
    assert texts[0].startswith("add table inet lbctl-node\ndelete table inet lbctl-node\n")
    assert changed == len(TABLE.chains) + len(contents.frame(["svc0"], ["svc0"]))
