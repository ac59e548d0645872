"""Write container images as OCI archives, byte for byte the same each time. Pure.

The lab's own images are one layer with a few files; those of lbctl have several (`layers.py`).
Format: OCI image-spec v1 image layout in a tar.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = f"{LAYER}+gzip"
NAME_ANNOTATION = "io.containerd.image.name"
"""What `ctr images import` names an image by; one index entry per name."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image to write: its names, files (path without leading slash → content), command."""

    names: tuple[str, ...]
    files: Mapping[str, bytes]
    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it is stored, and the digest of its tar before compression."""

    media_type: str
    blob: bytes
    diff_id: str


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of the files and their folders: sorted, root's, executable, of no time."""
    folders = {parent for name in files for parent in _parents(name)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(folders | set(files)):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if name in files:
                entry.size = len(files[name])
                archive.addfile(entry, io.BytesIO(files[name]))
            else:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
    return out.getvalue()


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def archive(image: Image) -> bytes:
    """Return the OCI archive of an image for amd64 Linux."""
    content = tar(image.files)
    config = {"Entrypoint": image.entrypoint, "Env": image.env, "Labels": image.labels}
    return assemble(image.names, {"config": config}, (Layer(LAYER, content, digest(content)),))


def assemble(names: Sequence[str], config: Mapping[str, object], layers: Sequence[Layer]) -> bytes:
    """Return the OCI archive of an image with these layers, lowest first, for amd64 Linux.

    The configuration is all of OCI's but the platform and the layers' digests.
    """
    platform = {"architecture": "amd64", "os": "linux"}
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    described = _json({**config, **platform, "rootfs": rootfs})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, described),
            "layers": [_descriptor(layer.media_type, layer.blob) for layer in layers],
        }
    )
    blobs = (*(layer.blob for layer in layers), described, manifest)
    layout = _json({"imageLayoutVersion": "1.0.0"})
    stored = {_blob_path(blob): blob for blob in blobs}
    return tar({"oci-layout": layout, "index.json": _index(names, manifest), **stored})


def _blob_path(blob: bytes) -> str:
    return "blobs/" + digest(blob).replace(":", "/")


def _index(names: Sequence[str], manifest: bytes) -> bytes:
    entry = _descriptor(MANIFEST, manifest)
    entries = [{**entry, "annotations": {NAME_ANNOTATION: name}} for name in names]
    return _json({"schemaVersion": 2, "manifests": entries})


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def digest(blob: bytes) -> str:
    """Return the name of a blob: `sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
