"""Places that remember their clients: what they need, and who is to be forgotten."""

import pytest

import dataplane_builders as build
from lbctl_dataplane.rules.frontend import Member
from lbctl_dataplane.rules.nft import affinity

PLACE, NUMBER = "198.18.0.1 . 6 . 80", 0xC800_0010
TWO = build.members("10.0.0.1", "10.0.0.2")


def needs(*members: Member, timeout_s: int = 60) -> set[tuple[str, str, str]]:
    return set(affinity.elements(4, PLACE, NUMBER, members, timeout_s))


def test_a_place_has_a_number_a_port_and_a_time_for_each_member() -> None:
    assert needs(*TWO) == {
        ("numbered4", PLACE, "c800:10"),
        ("ports4", "c800:10", "8080"),
        ("idle4", "c800:10 . 10.0.0.1 . 8080", "goto keep4x60"),
        ("idle4", "c800:10 . 10.0.0.2 . 8080", "goto keep4x60"),
    }


def test_members_with_several_ports_are_not_remembered() -> None:
    assert needs(*TWO, *build.members("10.0.0.3", port=9090)) == set()


@pytest.mark.parametrize(
    ("timeout_s", "chain"),
    [(1, "keep4x1"), (4, "keep4x5"), (10_800, "keep4x10800"), (86_400, "keep4x86400")],
)
def test_a_time_is_never_shorter_than_asked(timeout_s: int, chain: str) -> None:
    verdicts = {value for home, _, value in needs(*TWO, timeout_s=timeout_s) if home == "idle4"}
    assert verdicts == {f"goto {chain}"}


def test_every_time_has_its_chain_and_they_come_in_order() -> None:
    chains = {name for name, _, _ in affinity.times(6)}
    assert chains == {f"keep6x{time_s}" for time_s in affinity.TIMES_S}
    assert list(affinity.TIMES_S) == sorted(affinity.TIMES_S)


def test_clients_of_members_that_are_none_any_more_are_forgotten() -> None:
    members = {key for home, key, _ in needs(*TWO) if home == "idle4"}
    remembered = {
        "192.0.2.1 . c800:10": "10.0.0.1",
        "192.0.2.2 . c800:10": "10.0.0.9",
        "192.0.2.3 . c800:11": "10.0.0.1",
    }
    assert affinity.forget("inet t", 4, remembered, members) == (
        "add element inet t kept4 { 192.0.2.2 . c800:10 timeout 1s : 10.0.0.9,"
        " 192.0.2.3 . c800:11 timeout 1s : 10.0.0.1 }\n"
        "delete element inet t kept4 { 192.0.2.2 . c800:10, 192.0.2.3 . c800:11 }\n"
    )


def test_nobody_is_forgotten_who_has_his_member() -> None:
    members = {key for home, key, _ in needs(*TWO) if home == "idle4"}
    known = {"192.0.2.1 . c800:10": "10.0.0.1"}
    assert affinity.forget("inet t", 4, known, members) == ""
