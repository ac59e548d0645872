"""Image layers with links, folders and owners, byte for byte the same each time. Pure.

Times are 0 and names are sorted, so the same tree gives the same bytes. Compression is zlib's; the
digest of the uncompressed tar does not depend on its version.
"""

import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lbctl_lab import archives

GZIP = 31
"""`wbits` of zlib for a gzip stream; the header it writes carries no time and no name."""

MERGED = ("bin", "sbin", "lib", "lib64")
"""Folders that are links into `usr` (Debian's merged /usr); packages still name them directly."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file of root's; mode 0644, or 0755 for a program."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; those that are only parents of others need not be named."""

    mode: int = 0o755
    owner: int = 0
    """User and group id."""


Entry: TypeAlias = File | Link | Folder
Tree: TypeAlias = Mapping[str, Entry]
"""Path without leading slash → what is there."""


def merged(path: str) -> str:
    """Return where a path of a package lies in a merged /usr.

    >>> merged("bin/ip"), merged("usr/bin/dig"), merged("./lib64/ld.so")
    ('usr/bin/ip', 'usr/bin/dig', 'usr/lib64/ld.so')
    """
    plain = path.removeprefix("./").strip("/")
    first = plain.partition("/")[0]
    return f"usr/{plain}" if first in MERGED else plain


def tar(tree: Tree) -> bytes:
    """Return the tree as a tar: sorted, of no time, each folder before what is in it."""
    full = {**{parent: Folder() for path in tree for parent in _parents(path)}, **tree}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(full, key=lambda path: path.split("/")):
            _add(archive, path, full[path])
    return out.getvalue()


def layer(tree: Tree) -> archives.Layer:
    """Return the tree as a compressed layer."""
    content = tar(tree)
    packer = zlib.compressobj(level=6, wbits=GZIP)
    packed = packer.compress(content) + packer.flush()
    return archives.Layer(archives.LAYER_GZIP, packed, archives.digest(content))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path)
    match entry:
        case File(content, executable):
            member.size = len(content)
            member.mode = 0o755 if executable else 0o644
            archive.addfile(member, io.BytesIO(content))
        case Link(target):
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(member)
        case Folder(mode, owner):
            member.type, member.mode = tarfile.DIRTYPE, mode
            member.uid = member.gid = owner
            archive.addfile(member)
