"""The lab's images: what is in them, and how they get into the nodes' containerd. Shell."""

import platform
import re
from collections.abc import Sequence
from pathlib import Path

from lbctl_lab import archives, commands, errors, plan, state

PAUSE = "lbctl.test/pause:1"
COREDNS = "lbctl.test/coredns:1"
ECHO = ("lbctl.test/kuard:1", "gcr.io/kuar-demo/kuard-amd64:1", "gcr.io/kuar-demo/kuard-amd64:blue")
"""Names of the test server's image; the last ones are those of AKO's own example."""


def lab_images(echo: Path, coredns: Path) -> dict[str, archives.Image]:
    """Return the images that every node gets, by archive name; reads the built programs."""
    return {
        "pause": _image((PAUSE,), echo / "pause", "pause"),
        "echo": _image(ECHO, echo / "echo", "echo"),
        "coredns": _image((COREDNS,), coredns / "coredns", "coredns"),
    }


def _image(names: tuple[str, ...], program: Path, command: str) -> archives.Image:
    files = {command: program.read_bytes(), "tmp/.keep": b""}
    return archives.Image(names, files, (f"/{command}",))


def write_archives(echo: Path, coredns: Path) -> list[Path]:
    """Write the lab's images as archives beside the programs they are made of; kept there."""
    written = []
    for name, image in lab_images(echo, coredns).items():
        folder = coredns if name == "coredns" else echo
        path = folder / f"{name}.tar"
        if not path.exists():
            beside = path.with_suffix(".new")
            beside.write_bytes(archives.archive(image))
            beside.rename(path)
        written.append(path)
    return written


def socket(node: plan.Node) -> Path:
    """Return the socket of a node's containerd."""
    return state.ROOT / node.name / "containerd.sock"


def ctr(node: plan.Node, *words: str) -> str:
    """Run containerd's `ctr` for the Kubernetes images of a node."""
    argv = ["ctr", f"--address={socket(node)}", "--namespace=k8s.io", *words]
    return commands.run(argv, timeout_s=180)


def imported_names(output: str) -> list[str]:
    """Return the image names in the output of `ctr images import`.

    >>> imported_names("unpacking lbctl.test/kuard:1 (sha256:ab12)...done")
    ['lbctl.test/kuard:1']
    """
    return re.findall(r"^unpacking (\S+) \(", output, re.MULTILINE)


def load(node: plan.Node, archive: Path, names: Sequence[str] = ()) -> list[str]:
    """Import an archive into a node, give it further names; return all names it has then."""
    imported = imported_names(ctr(node, "images", "import", str(archive)))
    if not imported:  # an archive whose image has no name gets one by its digest
        unnamed = ("--digests", "--base-name", "lbctl.test/imported")
        imported = imported_names(ctr(node, "images", "import", *unnamed, str(archive)))
    if not imported:
        raise errors.LabError(str(archive), f"holds no image for {platform.machine()}")
    for name in names:
        ctr(node, "images", "tag", "--force", imported[0], name)
    return [*imported, *names]
