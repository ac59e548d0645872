"""Pinned Python packages, and our own: fetched or built as wheels, and read for images. Shell.

Wheels are unpacked by this module and not by an installer, so that a layer depends on nothing of
the machine it is made on. Format: the wheel specification (a zip; `*.data` folders apart).
"""

import dataclasses
import email.parser
import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lbctl_lab import commands, layers, progress, sbom, state, toolchain

SITE = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for what does not come from Debian."""

# The order counts: of two wheels of one release, pip takes the one whose platform comes first.
GLIBC_MINORS = (36, 35, 34, 31, 28, 27, 24, 17, 12, 5)
"""Debian 12 has glibc 2.36: wheels for it and for all before it run there."""

DROPPED_SUFFIXES = frozenset([".c", ".h", ".hash", ".pxd", ".pxi", ".pyi", ".pyx", ".pyc"])
DROPPED_FOLDERS = frozenset(["tests", "test", "__pycache__", "e2e_test"])
DROPPED_RECORDS = frozenset(["RECORD", "INSTALLER", "REQUESTED", "direct_url.json"])
"""Of a `.dist-info` folder: they tell of an installation, and there is none."""


@dataclass(frozen=True, slots=True)
class Own:
    """Our own code."""

    tree: layers.Tree
    part: sbom.Part


def kept(path: str) -> bool:
    """Return whether an image takes this file of a wheel.

    >>> kept("aiohttp/client.py"), kept("aiohttp/_http_parser.pyx"), kept("yarl/tests/a.py")
    (True, False, False)
    """
    place = PurePosixPath(path)
    folders = place.parts[:-1]
    if any(part in DROPPED_FOLDERS for part in folders) or place.suffix in DROPPED_SUFFIXES:
        return False
    return not (folders and folders[0].endswith(".dist-info") and place.name in DROPPED_RECORDS)


def installed_path(path: str) -> str | None:
    """Return where a wheel's file lies in an image; nothing for scripts, headers and the like.

    >>> installed_path("a/b.py"), installed_path("a-1.data/purelib/a.py")
    ('a/b.py', 'a.py')
    >>> installed_path("a-1.data/scripts/run")
    """
    found = re.fullmatch(r"[^/]+\.data/(?:(?:purelib|platlib)/(.+)|.*)", path)
    return found.group(1) if found else path


def contents(wheel: Path) -> layers.Tree:
    """Return what images take of a wheel."""
    tree: dict[str, layers.Entry] = {}
    with zipfile.ZipFile(wheel) as opened:
        for path in opened.namelist():
            there = installed_path(path)
            if there and not path.endswith("/") and kept(there):
                tree[f"{SITE}/{there}"] = layers.File(opened.read(path))
    return tree


def part(wheel: Path) -> sbom.Part:
    """Return the wheel's line in a bill of materials; the name is normalised (PEP 503)."""
    with zipfile.ZipFile(wheel) as opened:
        path = next(name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        fields = email.parser.Parser().parsestr(opened.read(path).decode(), headersonly=True)
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    name = re.sub(r"[-_.]+", "-", str(fields["Name"])).lower()
    stated = str(fields["License-Expression"] or "")
    return sbom.Part("pypi", name, str(fields["Version"]), checksum, stated)


def fetched(component: str, shown: progress.Progress) -> list[Path]:
    """Return the wheels that requirements/<component>.txt pins, from the cache if they are there.

    pip checks the hashes; only wheels are taken, and the same ones on every machine.
    """
    requirements = requirements_path(component)
    decides = requirements.read_bytes() + repr(GLIBC_MINORS).encode()
    key = hashlib.sha256(decides).hexdigest()[:16]
    place = toolchain.cache_dir() / "images" / "wheels" / f"{component}-{key}"
    if not place.exists():
        shown.say(f"fetching the Python packages of {component}")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as scratch:
            target = Path(scratch) / "wheels"
            platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS]
            chosen = [f"--platform={name}" for name in (*platforms, "manylinux2014_x86_64")]
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            exact = ["--require-hashes", "--only-binary=:all:", "--python-version=3.11"]
            words = [*pip, *exact, "--implementation=cp", *chosen, "-r", str(requirements)]
            commands.run([*words, "-d", str(target)], timeout_s=600)
            for old in place.parent.glob(f"{component}-*"):
                shutil.rmtree(old)
            target.rename(place)
    return sorted(place.glob("*.whl"))


def requirements_path(component: str) -> Path:
    """Return the file that pins a component's Python packages."""
    return Path(state.checkout()) / "requirements" / f"{component}.txt"


def own() -> Own:
    """Return our own code as its wheel has it, built now from this checkout."""
    with tempfile.TemporaryDirectory() as scratch:
        # -P: with the checkout first on the path, its folders would hide packages of their names.
        build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", scratch]
        commands.run(["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", state.checkout(), *build])
        wheel = next(Path(scratch).glob("*.whl"))
        # No checksum: the wheel's own carries times, and nobody gets that file.
        return Own(contents(wheel), dataclasses.replace(part(wheel), sha256=""))
