"""Who may take zones: text forms, and what rules let in."""

import pytest

from lbctl_dns import access, names
from transfer_builders import KEY, KNOWN, OTHER, SECRET

NAME = KEY.name


@pytest.mark.parametrize(
    ("rule", "key", "client", "allowed"),
    [
        ("xfr.example", NAME, "203.0.113.1", True),
        ("xfr.example", b"", "203.0.113.1", False),
        ("192.0.2.0/24", b"", "192.0.2.9", True),
        ("192.0.2.0/24", b"", "192.0.3.9", False),
        ("2001:db8::/32", b"", "2001:db8::1", True),
        ("2001:db8::/32", b"", "192.0.2.1", False),
        ("fe80::/10", b"", "fe80::1%eth0", True),
        ("xfr.example@192.0.2.0/24", NAME, "192.0.2.9", True),
        ("xfr.example@192.0.2.0/24", NAME, "192.0.3.9", False),
        ("xfr.example@192.0.2.0/24", b"", "192.0.2.9", False),
        ("xfr.example@192.0.2.0/24", OTHER.name, "192.0.2.9", False),
    ],
)
def test_a_rule_lets_in_what_it_names(rule: str, key: bytes, client: str, *, allowed: bool) -> None:
    known = access.checked([KEY, OTHER], [access.rule(rule)])
    assert known.allows(key, client) is allowed


def test_without_a_rule_nobody_is_let_in() -> None:
    assert not access.Access({NAME: KEY}).allows(NAME, "127.0.0.1")


def test_what_workers_get_is_what_was_said() -> None:
    assert access.parse(access.render(KNOWN)) == KNOWN
    assert access.parse(access.render(access.Access())) == access.Access()


def test_case_and_final_dots_of_keys_do_not_matter() -> None:
    assert access.key("XFR.Example.", "HMAC-SHA256.", SECRET + "\n") == KEY


@pytest.mark.parametrize(
    ("name", "algorithm", "secret", "said"),
    [
        ("k", "hmac-md5", SECRET, "'hmac-md5' is none of hmac-sha256"),
        ("k", "hmac-sha256", "not base64!", "16 bytes or more, in base64"),
        ("k", "hmac-sha256", "c2hvcnQ=", "16 bytes or more, in base64"),
        ("a..b", "hmac-sha256", SECRET, "a label has 1 to 63 bytes"),
    ],
)
def test_a_bad_key_is_refused_without_saying_its_secret(
    name: str, algorithm: str, secret: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        access.key(name, algorithm, secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "rules", "said"),
    [
        ([KEY, KEY], [], "two keys have one name"),
        ([], [access.Rule(names.to_wire("gone"))], r"gone\. is no key that is known"),
        ([], [access.Rule()], "would let everybody in"),
    ],
)
def test_rules_and_keys_must_fit(keys: list[object], rules: list[access.Rule], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        access.checked(keys, rules)  # type: ignore[arg-type]
