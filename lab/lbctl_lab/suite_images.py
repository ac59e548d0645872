"""The images that Kubernetes' end-to-end suite starts pods of, made without a registry. Shell.

`agnhost` is upstream's own server, built from the Kubernetes module, on Debian's shell, curl, wget,
netcat and ss in place of Alpine's: the cases execute these in its pods. `pause` is the lab's.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lbctl_lab import (
    archives,
    commands,
    debian_packages,
    errors,
    layers,
    product_images,
    progress,
)

AGNHOST, PAUSE = "agnhost", "pause"
REPOSITORIES = {
    AGNHOST: "registry.k8s.io/e2e-test-images/agnhost",
    PAUSE: "registry.k8s.io/pause",
}
PROGRAMS = frozenset(
    [
        *("sh", "dash", "curl", "wget", "nc.openbsd", "ip", "ss"),
        *("cat", "cut", "date", "echo", "env", "false", "grep", "head", "ls", "mkdir"),
        *("printf", "rm", "seq", "sleep", "sort", "tail", "test", "timeout", "touch", "tr"),
        *("true", "uniq", "wc"),
    ]
)
SOURCES = (archives, layers, debian_packages, product_images, sys.modules[__name__])
"""Modules that decide what the archives hold."""

CONFIG = {
    "Entrypoint": ["/agnhost"],
    "Cmd": ["pause"],
    "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "WorkingDir": "/",
}


def names(listed: str) -> Mapping[str, str]:
    """Return the two images' names in the output of `lbe2e --list-images` (pure).

    Of several versions, the newest: the older ones belong to cases about image pulls.

    >>> names("registry.k8s.io/pause:3.9 registry.k8s.io/e2e-test-images/agnhost:2.63.0")["pause"]
    'registry.k8s.io/pause:3.9'
    """
    found = {}
    for key, repository in REPOSITORIES.items():
        tags = [word for word in listed.split() if word.startswith(f"{repository}:")]
        if not tags:
            raise errors.LabError("lbe2e", f"names no image of {repository}")
        found[key] = max(tags, key=_version)
    return found


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rpartition(":")[2].split(".") if part.isdecimal())


def tree(packages: Iterable[Path]) -> layers.Tree:
    """Return agnhost's root file system without agnhost: what no package brings, then theirs."""
    found: dict[str, layers.Entry] = {
        **product_images.base_tree(),
        "root": layers.Folder(),
        "uploads": layers.Folder(),
        "usr/bin/nc": layers.Link("nc.openbsd"),
        # Alpine's wget tries once; Debian's twenty times, which takes longer than cases wait.
        "etc/wgetrc": layers.File(b"tries = 1\n"),
    }
    for package in packages:
        found |= debian_packages.contents(package, PROGRAMS)
    return found


def write_archives(programs: Path, pause: Path, shown: progress.Progress) -> list[Path]:
    """Return the archives of both images, kept beside the programs they are made of.

    `programs` is the folder of the built suite, `pause` the lab's own pause program.
    """
    wanted = names(commands.run([str(programs / "lbe2e"), "--list-images"]))
    return [
        _kept(programs, wanted[AGNHOST], lambda name: _agnhost(name, programs, shown), shown),
        _kept(programs, wanted[PAUSE], lambda name: _pause(name, pause), shown),
    ]


def _kept(folder: Path, name: str, make: Callable[[str], bytes], shown: progress.Progress) -> Path:
    pins = debian_packages.pins_text(AGNHOST)
    sources = [Path(str(module.__file__)).read_bytes() for module in SOURCES]
    key = product_images.cache_key([name.encode(), pins.encode(), *sources])
    path = folder / f"image-{key}.tar"
    if not path.exists():
        with shown.step(f"image {name}"):
            beside = path.with_suffix(".new")
            beside.write_bytes(make(name))
            beside.rename(path)
    return path


def _agnhost(name: str, programs: Path, shown: progress.Progress) -> bytes:
    pins = debian_packages.fetched(debian_packages.pins_text(AGNHOST), shown, exact=False)
    system = layers.layer(tree(debian_packages.path_of(pin) for pin in pins))
    server = layers.File((programs / AGNHOST).read_bytes(), executable=True)
    own = layers.layer({AGNHOST: server, "agnhost-2": layers.Link(AGNHOST)})
    return archives.assemble((name,), {"config": CONFIG}, (system, own))


def _pause(name: str, program: Path) -> bytes:
    files = {PAUSE: program.read_bytes()}
    return archives.archive(archives.Image((name,), files, (f"/{PAUSE}",)))
