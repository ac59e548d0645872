"""lbctl's own images: what is in each, and how they are built and kept. Shell.

An image has three or four layers: Debian's Python, for the agent the network programs, the pinned
Python packages, our own code. All but the last are kept in the cache under a name that carries a
hash of what decides them, so a change of our code costs one small layer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl_lab import archives, debian_packages, errors, layers, progress, sbom, toolchain, wheels

USER = 65532
"""The user of those that need no rights; the number that distroless images use."""

STATE = "var/lib/lbctl"
REPOSITORY = "lbctl.io"
SOURCES = (archives, layers, debian_packages, wheels, sbom)
"""Modules that decide what a kept layer holds."""

START = b"""#!/usr/bin/python3 -P
import sys

from lbctl.cli import main

sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Component:
    """One image of lbctl."""

    name: str
    description: str
    command: tuple[str, ...]
    packages: tuple[str, ...] = ("python",)
    """Sets of Debian packages, one layer each."""
    user: int = USER


CONTROLLER = Component(
    "controller", "lbctl's controller: addresses, decisions, status", ("controller",)
)
DNS = Component("dns", "lbctl's authoritative DNS server", ("dns", "serve"))
AGENT = Component(
    "agent",
    "lbctl's agent on nodes and Linux routers",
    ("agent",),
    packages=("python", "agent"),
    user=0,  # netlink, nft and the switch's sockets; the chart leaves it few capabilities
)
COMPONENTS = {each.name: each for each in (CONTROLLER, DNS, AGENT)}


@dataclass(frozen=True, slots=True)
class Stored:
    """A layer with the packages it holds."""

    layer: archives.Layer
    parts: tuple[sbom.Part, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was written."""

    name: str
    """As containerd knows it after an import."""
    archive: Path
    sbom: Path
    size: int
    """Bytes of the archive (compressed layers)."""


def base_tree() -> layers.Tree:
    """Return what no package brings: links of the merged /usr, accounts, empty folders."""
    passwd = f"root:x:0:0:root:/:/sbin/nologin\nlbctl:x:{USER}:{USER}:lbctl:/:/sbin/nologin\n"
    group = f"root:x:0:\nlbctl:x:{USER}:\n"
    empty = ("dev", "proc", "run", "sys", "usr/sbin", "usr/lib64")
    return {
        **{name: layers.Link(f"usr/{name}") for name in layers.MERGED},
        **{name: layers.Folder() for name in empty},
        "tmp": layers.Folder(mode=0o1777),
        "etc/passwd": layers.File(passwd.encode()),
        "etc/group": layers.File(group.encode()),
        "etc/nsswitch.conf": layers.File(b"hosts: files dns\n"),
        "var/run": layers.Link("/run"),
    }


def cache_key(texts: Sequence[bytes]) -> str:
    """Return 16 hex digits over texts; their number, order and lengths count."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}\0".encode() + text)
    return digest.hexdigest()[:16]


def image_config(component: Component, version: str, created_s: int) -> dict[str, object]:
    """Return the OCI configuration of an image, without its layers."""
    label = "org.opencontainers.image."
    labels = {
        f"{label}title": f"lbctl-{component.name}",
        f"{label}description": component.description,
        f"{label}version": version,
        f"{label}licenses": "Apache-2.0",
        f"{label}vendor": "lbctl",
    }
    # The file system is read-only: byte code could not be kept. Logs are to be seen at once.
    environment = (
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
    )
    run = {
        "User": f"{component.user}:{component.user}",
        "Entrypoint": ["/usr/bin/lbctl"],
        "Cmd": list(component.command),
        "Env": list(environment),
        "WorkingDir": "/",
        "Labels": labels,
    }
    return {"created": sbom.timestamp(created_s), "config": run}


def image_name(component: Component, version: str) -> str:
    """Return the name that the archive gives an image."""
    return f"{REPOSITORY}/lbctl-{component.name}:{version}"


def build(
    component: Component,
    code: wheels.Own,
    target: Path,
    shown: progress.Progress,
    *,
    exact: bool = False,
) -> Built:
    """Write the archive and the bill of materials of an image; `exact`: nothing but the pins."""
    with _locked():
        stored = [_debian_layer(name, shown, exact=exact) for name in component.packages]
        stored.append(_python_layer(component.name, shown))
    stored.append(Stored(layers.layer(code_tree(component, code.tree)), (code.part,)))
    version, created_s = code.part.version, creation_s()
    name = image_name(component, version)
    config = image_config(component, version, created_s)
    content = archives.assemble((name,), config, [each.layer for each in stored])
    parts = [part for each in stored for part in each.parts]
    digest = archives.digest(content)
    subject = sbom.Subject(f"lbctl-{component.name}", version, digest, created_s)
    path = target / f"{subject.name}-{version}.tar"
    bill = target / f"{subject.name}-{version}.sbom.json"
    target.mkdir(parents=True, exist_ok=True)
    _replace(path, content)
    _replace(bill, sbom.document(subject, parts).encode())
    return Built(name, path, bill, len(content))


def creation_s() -> int:
    """Return the time that images state, seconds since 1970: SOURCE_DATE_EPOCH, else 0."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not stated.isdecimal():
        raise errors.LabError("SOURCE_DATE_EPOCH", f"{stated!r} is no number of seconds")
    return int(stated)


def code_tree(component: Component, code: layers.Tree) -> layers.Tree:
    """Return the last layer: our code, the command, and the state folder of the image's user."""
    return {
        **code,
        "usr/bin/lbctl": layers.File(START, executable=True),
        STATE: layers.Folder(owner=component.user),
    }


def _debian_layer(name: str, shown: progress.Progress, *, exact: bool) -> Stored:
    pins = debian_packages.fetched(debian_packages.pins_text(name), shown, exact=exact)

    def tree() -> layers.Tree:
        found: dict[str, layers.Entry] = dict(base_tree()) if name == "python" else {}
        for pin in pins:
            found |= debian_packages.contents(debian_packages.path_of(pin))
        return found

    parts = tuple(debian_packages.part(pin) for pin in pins)
    inputs = "\n".join(pin.line() for pin in pins)
    return Stored(_kept(f"debian-{name}", inputs, tree, shown), parts)


def _python_layer(component: str, shown: progress.Progress) -> Stored:
    found = wheels.fetched(component, shown)
    parts = tuple(wheels.part(wheel) for wheel in found)

    def tree() -> layers.Tree:
        merged: dict[str, layers.Entry] = {}
        for wheel in found:
            merged |= wheels.contents(wheel)
        return merged

    inputs = "\n".join(f"{part.name}=={part.version} {part.sha256}" for part in parts)
    return Stored(_kept(f"packages-{component}", inputs, tree, shown), parts)


def _kept(
    name: str, inputs: str, tree: Callable[[], layers.Tree], shown: progress.Progress
) -> archives.Layer:
    """Return a layer from the cache, made first when nothing there has the same inputs."""
    # This module's own source counts for what `base_tree` says.
    modules = [Path(str(module.__file__)).read_bytes() for module in SOURCES]
    key = cache_key([inputs.encode(), *modules, Path(__file__).read_bytes()])
    place = toolchain.cache_dir() / "images" / "layers"
    blob, note = place / f"{name}-{key}.tar.gz", place / f"{name}-{key}.json"
    if note.exists():
        diff_id = json.loads(note.read_text())["diff_id"]
        return archives.Layer(archives.LAYER_GZIP, blob.read_bytes(), diff_id)
    with shown.step(f"layer {name}"):
        made = layers.layer(tree())
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob(f"{name}-*"):
        old.unlink(missing_ok=True)
    _replace(blob, made.blob)
    _replace(note, json.dumps({"diff_id": made.diff_id}).encode())
    return made


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.rename(path)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one build at a time fill the cache."""
    place = toolchain.cache_dir() / "images"
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
