"""From settings and options to the plan for secondaries."""

from pathlib import Path

import pytest

from lbctl.model import errors
from lbctl.settings import Settings
from lbctl_dns import access, notify, primary, secondaries
from transfer_builders import KEY, SECRET


def settings(folder: Path, **transfer: object) -> Settings:
    (folder / "secret").write_text(SECRET + "\n")
    keys = [{"name": "xfr.example", "secretFile": str(folder / "secret")}]
    return Settings.model_validate({"nameservice": {"transfer": {"keys": keys, **transfer}}})


def test_settings_and_options_say_the_same(tmp_path: Path) -> None:
    asked = settings(
        tmp_path,
        allow=[
            {"key": "xfr.example", "networks": ["192.0.2.0/24", "2001:db8::/32"]},
            {"networks": ["127.0.0.1/32"]},
            {"key": "xfr.example"},
        ],
        notify=[{"address": "192.0.2.1", "key": "xfr.example"}, {"address": "[2001:db8::1]:5353"}],
    )
    by_options = secondaries.from_options(
        [f"xfr.example:hmac-sha256:@{tmp_path / 'secret'}"],
        [
            "xfr.example@192.0.2.0/24",
            "xfr.example@2001:db8::/32",
            "127.0.0.1",
            "xfr.example",
        ],
        ["xfr.example@192.0.2.1:53", "[2001:db8::1]:5353"],
    )
    assert secondaries.plan(asked) == by_options
    assert by_options.access.keys == {KEY.name: KEY}
    assert by_options.is_needed


def test_without_settings_there_are_no_secondaries() -> None:
    assert secondaries.plan(Settings()) == primary.ALONE
    assert not primary.ALONE.is_needed


@pytest.mark.parametrize(
    ("transfer", "said"),
    [
        ({"allow": [{"key": "other"}]}, r"other\. is no key that is known"),
        ({"notify": [{"address": "192.0.2.1", "key": "other"}]}, r"other\. is no key"),
        ({"notify": [{"address": "somewhere"}]}, "somewhere"),
        ({"keys": [{"name": "k", "secretFile": "/nowhere/at/all"}]}, "/nowhere/at/all"),
    ],
)
def test_a_fault_names_the_settings_and_the_reason(
    tmp_path: Path, transfer: dict[str, object], said: str
) -> None:
    with pytest.raises(errors.Misconfigured, match=f"nameservice.transfer: .*{said}"):
        secondaries.plan(settings(tmp_path, **transfer))


@pytest.mark.parametrize("rule", [{}, {"key": ""}, {"networks": ["192.0.2.0/33"]}])
def test_a_rule_that_lets_everybody_in_is_no_rule(tmp_path: Path, rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="allow"):
        settings(tmp_path, allow=[rule])


@pytest.mark.parametrize(
    "text", ["k", "k:hmac-sha256", "k:md5:" + SECRET, "k:hmac-sha256:c2hvcnQ="]
)
def test_a_bad_key_option_is_refused_without_saying_the_secret(text: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        secondaries.from_options([text], [], [])
    assert SECRET not in str(caught.value)


def test_options_make_targets_and_rules() -> None:
    plan = secondaries.from_options([], ["127.0.0.0/8"], ["127.0.0.1:5300"])
    assert plan.access.rules == (access.rule("127.0.0.0/8"),)
    assert plan.targets == (notify.target("127.0.0.1:5300"),)
