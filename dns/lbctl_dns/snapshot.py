"""The last published state on disk: served at once by the next start, before the API is read."""

import hashlib
import os
from pathlib import Path

from lbctl_dns import frames, table, zone

_MAGIC = b"lbctl-names-1\n"
_NAME = "names.snapshot"


class Damaged(Exception):
    """The file is not a snapshot that this program wrote whole."""


def path_in(folder: Path) -> Path:
    """Return where the snapshot lies in a state folder."""
    return folder / _NAME


def render(body: bytes) -> bytes:
    """Return the content of a snapshot file; `body` is all sets, each as a `frames.piece`."""
    return _MAGIC + hashlib.sha256(body).digest() + body


def save(path: Path, content: bytes) -> None:
    """Replace the file in one step that survives a power cut. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> tuple[zone.RecordSet, ...] | None:
    """Return the saved sets, None when there is no file. Raises Damaged, OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + 32
    body = content[start:]
    if content[:start] != _MAGIC + hashlib.sha256(body).digest():
        raise Damaged(f"{path} is not a whole snapshot")
    return tuple(table.decode(one) for one in frames.read_body(body).upserts)
