"""What happens between the pins and apt, with programs that answer like apt in its place."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from lbctl_lab import debian_packages, errors, progress

# Offers what the file `offered` lists (`name version` a line); notes each call.
APT_CACHE = """#!/bin/sh
echo "apt-cache $*" >> "$FAKE_APT/calls"
shift
for name; do
  awk -v n="$name" '$1 == n { print " " n " | " $2 " | mirror Packages" }' "$FAKE_APT/offered"
done
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$FAKE_APT/calls"
[ "$1" = update ] && exit 0
for word; do
  case $word in
  *::*) ;;
  *=*) printf '%s' "$word" > "$(echo "$word" | tr = _)_amd64.deb" ;;
  esac
done
"""


class Apt:
    """A mirror with chosen packages; the content of a package is `name=version`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offer(self, packages: Mapping[str, str]) -> None:
        lines = [f"{name} {version}\n" for name, version in packages.items()]
        (self.folder / "offered").write_text("".join(lines))

    def calls(self) -> str:
        return (self.folder / "calls").read_text()


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    folder = tmp_path / "apt"
    folder.mkdir()
    for name, text in {"apt-cache": APT_CACHE, "apt-get": APT_GET}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "calls").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_APT", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Apt(folder)


def pin(name: str, version: str) -> debian_packages.Pin:
    checksum = hashlib.sha256(f"{name}={version}".encode()).hexdigest()
    return debian_packages.Pin(name, version, checksum)


PINS = (pin("libc6", "2.36-9"), pin("zlib1g", "1.2.13"))
TEXT = "".join(f"{each.line()}\n" for each in PINS)


def fetched(text: str = TEXT, *, exact: bool = False) -> tuple[debian_packages.Pin, ...]:
    return debian_packages.fetched(text, progress.Progress(), exact=exact)


def test_pinned_packages_come_into_the_cache(apt):
    apt.offer({"libc6": "2.36-9", "zlib1g": "1.2.13"})
    assert fetched(exact=True) == PINS
    assert [debian_packages.path_of(each).read_text() for each in PINS] == [
        "libc6=2.36-9",
        "zlib1g=1.2.13",
    ]


def test_what_is_in_the_cache_is_not_asked_for_again(apt):
    apt.offer({"libc6": "2.36-9", "zlib1g": "1.2.13"})
    fetched()
    before = apt.calls()
    assert fetched() == PINS
    assert apt.calls() == before


def test_a_version_that_is_gone_is_replaced_and_said_aloud(apt, capsys):
    apt.offer({"libc6": "2.36-10", "zlib1g": "1.2.13"})
    assert fetched() == (pin("libc6", "2.36-10"), PINS[1])
    assert "libc6 2.36-9 is gone: taking 2.36-10" in capsys.readouterr().err


def test_a_replacement_is_remembered(apt):
    apt.offer({"libc6": "2.36-10", "zlib1g": "1.2.13"})
    first = fetched()
    before = apt.calls()
    assert fetched() == first
    assert apt.calls() == before


def test_an_exact_build_takes_no_replacement(apt):
    apt.offer({"libc6": "2.36-10", "zlib1g": "1.2.13"})
    fetched()
    with pytest.raises(errors.LabError, match="gone"):
        fetched(exact=True)


def test_a_package_with_another_checksum_is_refused_and_not_kept(apt):
    apt.offer({"zlib1g": "1.2.13"})
    wrong = debian_packages.Pin("zlib1g", "1.2.13", "0" * 64)
    with pytest.raises(errors.LabError, match="not the pinned one"):
        fetched(f"{wrong.line()}\n")
    assert list(debian_packages.folder().glob("*.deb")) == []


def test_a_package_nobody_offers_is_named(apt):
    apt.offer({"libc6": "2.36-9"})
    with pytest.raises(errors.LabError, match="apt knows no zlib1g"):
        fetched()


def test_pinning_again_takes_the_newest_versions(apt):
    apt.offer({"zlib1g": "1.3", "libc6": "2.36-10"})
    names = [each.name for each in PINS]
    assert debian_packages.pin_again(names, progress.Progress()) == (
        pin("libc6", "2.36-10"),
        pin("zlib1g", "1.3"),
    )


def test_the_newest_version_is_the_first_that_apt_names():
    listing = (
        " libc6 | 2.36-10 | mirror bookworm-security/main amd64 Packages\n"
        " libc6 | 2.36-9 | mirror bookworm/main amd64 Packages\n"
        " libc6 | 2.40 | mirror bookworm/main Sources\n"
    )
    assert debian_packages.offered(listing) == {"libc6": ["2.36-10", "2.36-9"]}
