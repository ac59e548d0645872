"""Build the lab's programs from their Go modules into the per-user cache. Shell.

One folder per origin under `lab/go`; the cache folder's name carries a hash of everything that
decides the result, so an origin is built once and a change never meets a stale program.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbctl_lab import errors, progress, toolchain

SAY_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Origin:
    """One Go module: what to build in it, how, and what its programs are called."""

    name: str
    target: str = "tool"
    stamps: tuple[str, ...] = ()
    """Linker variables that get the version of the origin's main module."""
    stamp_module: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return the folder with the origin's go.mod."""
        return toolchain.GO_ROOT / self.name


KUBERNETES = Origin(
    "kubernetes",
    stamps=(
        "k8s.io/component-base/version.gitVersion",
        "k8s.io/client-go/pkg/version.gitVersion",
    ),
    stamp_module="k8s.io/kubernetes",
    renames={"server": "etcd", "v3": "etcd"},
)
COREDNS = Origin("coredns")
ECHO = Origin("echo", target="./cmd/...")
HELM = Origin(
    "helm",
    stamps=("helm.sh/helm/v4/internal/version.version",),
    stamp_module="helm.sh/helm/v4",
)
METALLB = Origin("metallb")
E2E = Origin(
    "e2e",
    stamps=("k8s.io/component-base/version.gitVersion",),
    stamp_module="k8s.io/kubernetes",
)
NEEDED = (KUBERNETES, COREDNS, ECHO, HELM)
"""What `up` needs; the others are for benchmarks and conformance, built when asked for by name."""
ORIGINS = {origin.name: origin for origin in (*NEEDED, METALLB, E2E)}


def linker_flags(origin: Origin, go_mod: str) -> str:
    """Return the linker flags: no debug tables, and the version where kubectl looks for it."""
    found = re.search(rf"^\s*{re.escape(origin.stamp_module)} (v\S+)", go_mod, re.MULTILINE)
    version = found.group(1) if found and origin.stamp_module else ""
    stamps = [f"-X {name}={version}" for name in origin.stamps if version]
    return " ".join(["-s", "-w", *stamps])


def build_flags(origin: Origin, go_mod: str) -> tuple[str, ...]:
    """Return the arguments of `go build` that decide the result."""
    return ("-trimpath", "-buildvcs=false", "-ldflags", linker_flags(origin, go_mod))


def cache_key(sources: Mapping[str, bytes], flags: tuple[str, ...], go_version: str) -> str:
    """Return 12 hex digits over all that decides the programs; no order matters."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name])}\0".encode() + sources[name])
    digest.update("\0".join((*flags, go_version)).encode())
    return digest.hexdigest()[:12]


def _sources(folder: Path) -> dict[str, bytes]:
    wanted = [*folder.glob("go.*"), *folder.rglob("*.go")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in wanted}


def built(origin: Origin, shown: progress.Progress) -> Path:
    """Return the folder with the origin's programs, building them first when they are not there."""
    go = toolchain.find_go(toolchain.wanted_version(origin.folder))
    flags = build_flags(origin, (origin.folder / "go.mod").read_text())
    key = cache_key(_sources(origin.folder), flags, toolchain.version_of(go))
    place = toolchain.cache_dir() / "bin" / f"{origin.name}-{key}"
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.parent / f".{origin.name}.lock"):
        for scratch in place.parent.glob(f".{origin.name}-*"):
            shutil.rmtree(scratch)  # of a build that was killed: nobody else holds the lock
        if not place.exists():
            _build(origin, go, flags, place, shown)
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(
    origin: Origin, go: str, flags: tuple[str, ...], place: Path, shown: progress.Progress
) -> None:
    shown.say(f"building {origin.name} from its Go module (once; kept in {place.parent})")
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{origin.name}-") as scratch:
        out = Path(scratch) / "bin"
        out.mkdir()
        argv = [go, "build", "-v", *flags, "-o", f"{out}/", origin.target]
        tail = _run_with_progress(argv, origin, shown)
        if tail is not None:
            raise errors.LabError(
                f"go build of {origin.name}",
                tail or "failed",
                "see the lines above; then try again",
            )
        for old, new in origin.renames.items():
            if (out / old).exists():
                (out / old).rename(out / new)
        out.rename(place)


def _environment() -> dict[str, str]:
    # CGO off: the same programs with and without a C compiler, and static ones for the images.
    own = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GOROOT": ""}
    return {**os.environ, **own}


def _run_with_progress(argv: list[str], origin: Origin, shown: progress.Progress) -> str | None:
    """Run a build, print how far it is; return nothing when it worked, else its last lines."""
    lines: list[str] = []
    done = threading.Event()
    build = subprocess.Popen(
        argv, cwd=origin.folder, env=_environment(), stderr=subprocess.PIPE, text=True
    )

    def ticker() -> None:
        while not done.wait(SAY_EVERY_S):
            last = lines[-1] if lines else "starting"
            shown.say(f"  {origin.name}: {len(lines)} packages so far, now {last}")

    told = threading.Thread(target=ticker, daemon=True)
    told.start()
    if build.stderr is not None:
        for line in build.stderr:  # the ticker reads the list while it grows
            lines.append(line.strip())  # noqa: PERF401
    code = build.wait()
    done.set()
    told.join()
    return None if code == 0 else "\n  ".join(lines[-12:])
