"""What annotations say about names: ours first, then external-dns's, and what does not parse."""

import pytest

from lbctl.model.hostnames import AtZero, SuffixRule
from lbctl.model.reasons import Reason
from lbctl.settings_names import SuffixSettings
from lbctl.translate import hostnames

OWN, THEIRS = "lbctl.io/hostname", "external-dns.alpha.kubernetes.io/hostname"
TTL, THEIR_TTL = "lbctl.io/ttl", "external-dns.alpha.kubernetes.io/ttl"


def hosts(annotations: dict[str, str]) -> list[str]:
    return [wish.host for wish in hostnames.read_names(annotations).hosts]


def test_names_are_a_list_each_once_in_its_order() -> None:
    assert hosts({OWN: "b.lb.example, a.lb.example,,B.lb.example."}) == [
        "b.lb.example",
        "a.lb.example",
    ]


def test_ours_counts_alone_where_it_is_there() -> None:
    both = {OWN: "a.lb.example", THEIRS: "b.lb.example"}
    assert hosts(both) == ["a.lb.example"]
    assert hosts(both | {OWN: " "}) == ["b.lb.example"]
    (wish,) = hostnames.read_names({THEIRS: "b.lb.example"}).hosts
    assert not wish.is_own


def test_a_name_that_is_none_costs_no_other() -> None:
    found = hostnames.read_names({OWN: "a_b.lb.example,a.lb.example"})
    assert [wish.host for wish in found.hosts] == ["a.lb.example"]
    (fault,) = found.faults
    assert fault.reason is Reason.HOSTNAME_MALFORMED
    assert fault.detail == "annotation lbctl.io/hostname: 'a_b.lb.example' is not a host name"


def test_too_many_names_are_told_and_the_first_ones_count() -> None:
    asked = [f"h{number}.lb.example" for number in range(hostnames.MAX_HOSTS + 2)]
    found = hostnames.read_names({OWN: ",".join(asked)})
    assert [wish.host for wish in found.hosts] == asked[: hostnames.MAX_HOSTS]
    assert [fault.reason for fault in found.faults] == [Reason.HOSTNAME_MALFORMED]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("60", 60), ("90s", 90), ("1m30s", 90), ("2h", 7200), ("1h1m1s", 3661)],
)
def test_a_ttl_is_seconds_or_a_duration(text: str, seconds: int) -> None:
    assert hostnames.read_names({TTL: text}).ttl_s == seconds
    assert hostnames.read_names({THEIR_TTL: text}).ttl_s == seconds
    assert hostnames.read_names({TTL: "7", THEIR_TTL: text}).ttl_s == 7


@pytest.mark.parametrize("text", ["-1", "soon", "1.5", "10ms", "5 m", "٣"])
def test_what_is_no_ttl_is_told(text: str) -> None:
    found = hostnames.read_names({TTL: text})
    assert found.ttl_s is None
    assert [fault.reason for fault in found.faults] == [Reason.NAME_SETTING_MALFORMED]


@pytest.mark.parametrize(("text", "named"), [("true", True), ("False", False), ("", None)])
def test_a_service_may_want_names_or_none(text: str, named: bool | None) -> None:
    found = hostnames.read_names({"lbctl.io/dns": text})
    assert (found.named, found.faults) == (named, ())


@pytest.mark.parametrize("mode", AtZero)
def test_a_service_says_what_is_answered_at_zero(mode: AtZero) -> None:
    assert hostnames.read_names({"lbctl.io/dns-at-zero": mode.value}).at_zero is mode


@pytest.mark.parametrize("key", ["lbctl.io/dns", "lbctl.io/dns-at-zero"])
def test_a_word_that_is_none_of_the_known_ones_is_told_with_them(key: str) -> None:
    found = hostnames.read_names({key: "maybe"})
    assert (found.named, found.at_zero) == (None, None)
    (fault,) = found.faults
    assert fault.reason is Reason.NAME_SETTING_MALFORMED
    assert fault.detail.startswith(f"annotation {key}: 'maybe' is none of ")


def test_rules_of_the_settings_become_rules_of_the_model() -> None:
    entry = SuffixSettings.model_validate(
        {"suffix": "shop.lb.example.", "namespaces": ["shop"], "namespaceSelectors": [{}]}
    )
    (rule,) = hostnames.suffix_rules([entry])
    assert isinstance(rule, SuffixRule)
    assert rule.suffix == "shop.lb.example"
    assert rule.allows("a.shop.lb.example", "anywhere", {})
