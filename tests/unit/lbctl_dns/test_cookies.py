"""Secrets of cookies that several servers share, and their rotation."""

import itertools
import re
from pathlib import Path

import pytest

import nameserver_builders as nb
from lbctl.model import errors
from lbctl.settings import NameServiceSettings
from lbctl_dns import cookies, edns, wire

OLD, NEW = "0f" * 16, "a5" * 32
CLIENT = "192.0.2.1"
ASKING = edns.render(options=b"\0\x0a\0\x08clientck")


def settings(file: Path | None) -> NameServiceSettings:
    return NameServiceSettings(cookie_secret_file=str(file or ""))


def clerk(folder: Path, *lines: str) -> edns.Clerk:
    """Return the clerk of one replica, as of its file; the time is 1000."""
    file = folder / "secrets"
    file.write_text("\n".join(lines))
    made = edns.Clerk(*edns.split_keys(cookies.keys(settings(file))))
    made.tick(1000)
    return made


def given(by: edns.Clerk) -> bytes:
    """Return the OPT of a client that shows what this replica gave it."""
    found = by.opt(ASKING, CLIENT)
    assert found is not None
    return found[1]


def test_without_a_file_there_is_nothing_to_share() -> None:
    assert cookies.keys(settings(None)) == b""


def test_replicas_with_one_file_know_each_others_cookies(tmp_path: Path) -> None:
    one, another = clerk(tmp_path, OLD), clerk(tmp_path, f"# comment\n\n  {OLD.upper()}\n")
    assert given(one) == given(another)
    assert another.knows(given(one), CLIENT)
    assert not another.knows(given(one), "192.0.2.2")
    assert not clerk(tmp_path, NEW).knows(given(one), CLIENT)


def test_while_a_rotation_reaches_replicas_one_by_one_each_knows_what_the_other_gave(
    tmp_path: Path,
) -> None:
    steps = [(OLD,), (OLD, NEW), (NEW, OLD)]
    replicas = [clerk(tmp_path, *step) for step in steps]
    for one, another in itertools.pairwise(replicas):
        assert one.knows(given(another), CLIENT)
        assert another.knows(given(one), CLIENT)
    last = clerk(tmp_path, NEW)
    assert replicas[2].knows(given(last), CLIENT)
    assert last.knows(given(replicas[2]), CLIENT)
    assert not last.knows(given(replicas[0]), CLIENT)


def test_a_clerk_that_takes_new_keys_forgets_what_it_gave_with_the_old(tmp_path: Path) -> None:
    found = clerk(tmp_path, OLD)
    before = given(found)
    found.use(*edns.split_keys(cookies.keys(settings(rewritten(tmp_path, NEW)))))
    assert given(found) != before
    assert given(found) == given(clerk(tmp_path, NEW))


def rewritten(folder: Path, text: str) -> Path:
    file = folder / "secrets"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("age_s", "known"), [(-301, False), (-300, True), (0, True), (3600, True), (3601, False)]
)
def test_a_cookie_lives_an_hour_and_clocks_may_differ(
    tmp_path: Path, age_s: int, known: bool
) -> None:
    found = clerk(tmp_path, OLD)
    shown = given(found)
    found.tick(1000 + age_s)
    assert found.knows(shown, CLIENT) is known


def test_whoever_shows_a_cookie_gets_a_new_one(tmp_path: Path) -> None:
    found = clerk(tmp_path, OLD)
    responder = wire.Responder(nb.table_of(), found)
    shown = given(found)
    found.tick(1000 + 3000)
    reply = responder.answer(nb.query("lb.example", opt=shown), wire.UDP, CLIENT)
    assert reply is not None
    assert reply[-12:-8] == (4000).to_bytes(4)
    assert found.knows(reply[-len(shown) :], CLIENT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "secrets: has 0 secrets, must have 1 to 8"),
        ("# nothing\n", "secrets: has 0 secrets"),
        (f"{OLD}\n" * 9, "secrets: has 9 secrets, must have 1 to 8"),
        (f"{OLD}\n{OLD[:-2]}\n", "secrets:2: is no secret of 16 bytes or more"),
        (f"# one\n\n{OLD[:-1]}x\n", "secrets:3: is no secret of 16 bytes or more in hexadecimal"),
        (f"{OLD[:-1]}ä\n", "secrets:1: is no secret"),
    ],
)
def test_a_fault_names_file_and_line_and_never_the_secret(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(errors.Misconfigured, match=re.escape(said)) as caught:
        cookies.keys(settings(rewritten(tmp_path, text)))
    assert "nameservice.cookieSecretFile" in str(caught.value)
    assert OLD[:8] not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match=r"cookieSecretFile: .*/none: No such file"):
        cookies.keys(settings(tmp_path / "none"))
