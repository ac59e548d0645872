"""Pinned Debian packages: fetched by apt into the cache, and what images take of them. Shell.

No maintainer script runs and nothing is installed: files are read out of the packages. The pins
(`lab/debian/*.txt`, one `name=version sha256:…` a line) say which packages, so images are the same
until someone pins again. Where the mirror has dropped a pinned version, the one it has is taken and
said aloud, unless the build is to be exact.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lbctl_lab import commands, errors, layers, progress, sbom, toolchain

PINS = Path(__file__).parent.parent / "debian"
PROGRAMS = frozenset(
    [
        "python3",
        "python3.11",
        "ip",
        "bridge",
        "nft",
        "conntrack",
        "ovs-appctl",
        "ovs-ofctl",
        "ovs-vsctl",
        "ovsdb-client",
    ]
)
"""All programs of lbctl's images: there is no shell and no package tool."""

PYTHON = "usr/lib/python3.11/"
UNUSED_MODULES = frozenset(
    [
        "curses",
        "dbm",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "test",
        "tkinter",
        "turtledemo",
        "turtle.py",
        "sitecustomize.py",
        "EXTERNALLY-MANAGED",
    ]
)
UNUSED_EXTENSIONS = re.compile(
    r"lib-dynload/(_curses\w*|_dbm|_gdbm|readline|nis|_ctypes_test|_test\w+|_xxtest\w+"
    r"|xx\w+)\.cpython-"
)
SHARED_OBJECT = re.compile(r"usr/lib(64|/x86_64-linux-gnu)/[^/]+\.so(\.[\w.-]+)?")
DOCUMENTS = re.compile(r"usr/share/doc/[^/]+(/copyright)?")
SETTINGS = re.compile(r"etc/(protocols|services|iproute2/.+)")
"""`nft` and `ip` print numbers instead of names without these."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One Debian package in one version."""

    name: str
    version: str
    sha256: str

    def line(self) -> str:
        """Return the line of the pins' file."""
        return f"{self.name}={self.version} sha256:{self.sha256}"


def parse_pins(text: str) -> tuple[Pin, ...]:
    """Return the pins of a file; raise `LabError` naming the line that is not one.

    >>> parse_pins("zlib1g=1:1.2.13 sha256:ab12")
    (Pin(name='zlib1g', version='1:1.2.13', sha256='ab12'),)
    """
    pins = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([a-z0-9.+-]+)=(\S+) sha256:([0-9a-f]+)", line.strip())
        if found is None:
            raise errors.LabError("pins", f"line {number} is no package: {line!r}")
        pins.append(Pin(*found.groups()))
    return tuple(pins)


def kept(path: str, programs: frozenset[str] = PROGRAMS) -> bool:
    """Return whether an image takes this path of a package (without leading slash, /usr merged)."""
    if path.startswith(PYTHON):
        inner = path.removeprefix(PYTHON)
        return inner.partition("/")[0] not in UNUSED_MODULES and not UNUSED_EXTENSIONS.match(inner)
    place = PurePosixPath(path)
    if str(place.parent) in ("usr/bin", "usr/sbin"):
        return place.name in programs
    return any(rule.fullmatch(path) for rule in (SHARED_OBJECT, DOCUMENTS, SETTINGS))


def pins_text(name: str) -> str:
    """Return the pins' file of a set of packages: `python`, `agent` or `agnhost`."""
    return (PINS / f"{name}.txt").read_text()


def contents(package: Path, programs: frozenset[str] = PROGRAMS) -> layers.Tree:
    """Return what images take of a package file, with its control file for scanners."""
    tree: dict[str, layers.Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(_files_of(package))) as archive:
        for member in archive:
            path = layers.merged(member.name)
            if member.isdir() or not kept(path, programs):
                continue
            if member.issym():
                tree[path] = layers.Link(member.linkname)
            elif (opened := archive.extractfile(member)) is not None:
                tree[path] = layers.File(opened.read(), bool(member.mode & 0o100))
    control = commands.run(["dpkg-deb", "-f", str(package)])
    name = package.name.partition("_")[0]
    tree[f"var/lib/dpkg/status.d/{name}"] = layers.File(control.encode())
    return tree


def _files_of(package: Path) -> bytes:
    argv = ["dpkg-deb", "--fsys-tarfile", str(package)]
    read = subprocess.run(argv, capture_output=True, check=False)
    if read.returncode != 0:
        package.unlink()  # the next build fetches it again
        raise errors.LabError(str(package), read.stderr.decode().strip(), "build again")
    return read.stdout


def part(pin: Pin) -> sbom.Part:
    """Return the package's line in a bill of materials."""
    return sbom.Part("deb", pin.name, pin.version, pin.sha256)


def folder() -> Path:
    """Return the cache's folder for package files."""
    return toolchain.cache_dir() / "images" / "debs"


def path_of(pin: Pin) -> Path:
    """Return where the cache keeps a package file."""
    return folder() / f"{pin.name}_{pin.sha256[:16]}.deb"


def fetched(text: str, shown: progress.Progress, *, exact: bool) -> tuple[Pin, ...]:
    """Return what stands for the pins of this text, all of it in the cache.

    Raises `LabError` when a pinned version is gone and the build is to be exact.
    """
    pins = parse_pins(text)
    noted = folder() / f"instead-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not exact and noted.exists():
        pins = tuple(Pin(*each) for each in json.loads(noted.read_text()))
    missing = tuple(pin for pin in pins if not path_of(pin).exists())
    if not missing:
        return pins
    shown.say(f"fetching {len(missing)} Debian packages")
    wanted = _available({pin.name: pin.version for pin in missing})
    gone = [pin for pin in missing if wanted[pin.name] != pin.version]
    for pin in gone:
        shown.say(f"  {pin.name} {pin.version} is gone: taking {wanted[pin.name]}")
    if gone and exact:
        raise errors.LabError("Debian packages", "pinned versions are gone", "make image-pins")
    got = {pin.name: pin for pin in _download(wanted)}
    _check(missing, got)
    result = tuple(got.get(pin.name, pin) for pin in pins)
    if gone:
        noted.write_text(json.dumps([(pin.name, pin.version, pin.sha256) for pin in result]))
    return result


def pin_again(names: Iterable[str], shown: progress.Progress) -> tuple[Pin, ...]:
    """Return the newest versions of packages, fetched into the cache."""
    wanted = _available({name: "" for name in names})
    shown.say(f"fetching {len(wanted)} Debian packages")
    return tuple(sorted(_download(wanted), key=lambda pin: pin.name))


def _check(pins: Sequence[Pin], got: dict[str, Pin]) -> None:
    for pin in pins:
        there = got[pin.name]
        if there.version == pin.version and there.sha256 != pin.sha256:
            path_of(there).unlink()
            raise errors.LabError(
                f"{pin.name} {pin.version}", f"has sha256 {there.sha256}, not the pinned one"
            )


def offered(listing: str) -> dict[str, list[str]]:
    r"""Return the versions per package in the output of `apt-cache madison`, newest first.

    >>> offered(" libc6 | 2.36-9 | mirror amd64 Packages\n libc6 | 2.35 | other\n")
    {'libc6': ['2.36-9', '2.35']}
    """
    found: dict[str, list[str]] = {}
    for line in listing.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) == 3 and "Sources" not in columns[2]:
            found.setdefault(columns[0], []).append(columns[1])
    return found


def _available(wanted: dict[str, str]) -> dict[str, str]:
    """Return for each package the wanted version, or the newest one when that is not offered."""
    versions = _offered_now(wanted)
    complete = all(
        version and version in versions.get(name, ()) for name, version in wanted.items()
    )
    if not complete and os.geteuid() == 0:
        commands.run(["apt-get", "update", "-qq"], timeout_s=300)
        versions = _offered_now(wanted)
    if lacking := [name for name in wanted if not versions.get(name)]:
        reason = f"apt knows no {', '.join(lacking)}"
        raise errors.LabError("Debian packages", reason, "apt-get update, on Debian 12")
    return {
        name: version if version in versions[name] else versions[name][0]
        for name, version in wanted.items()
    }


def _offered_now(names: Iterable[str]) -> dict[str, list[str]]:
    return offered(commands.run(["apt-cache", "madison", *names]))


def _download(wanted: dict[str, str]) -> list[Pin]:
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    pins = []
    with tempfile.TemporaryDirectory(dir=place, prefix=".new-") as scratch:
        words = [f"{name}={version}" for name, version in wanted.items()]
        # As root, apt would fetch as another user, who may not write here.
        plain = ("-o", "APT::Sandbox::User=root")
        script = 'cd "$1" && shift && exec apt-get download -qq "$@"'
        commands.run(["sh", "-c", script, "sh", scratch, *plain, *words], timeout_s=600)
        for package in sorted(Path(scratch).glob("*.deb")):
            name = package.name.partition("_")[0]
            checksum = hashlib.sha256(package.read_bytes()).hexdigest()
            pins.append(Pin(name, wanted[name], checksum))
            package.rename(path_of(pins[-1]))
    return pins
