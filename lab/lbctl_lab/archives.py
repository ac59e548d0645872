"""Write container images as OCI archives, byte for byte the same each time. Pure.

An image here is one layer with a few files. Format: OCI image-spec v1 image layout in a tar.
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
    layer = tar(image.files)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Env": image.env,
                "Labels": image.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer)],
        }
    )
    blobs = {_blob_path(blob): blob for blob in (layer, config, manifest)}
    layout = _json({"imageLayoutVersion": "1.0.0"})
    return tar({"oci-layout": layout, "index.json": _index(image.names, manifest), **blobs})


def _blob_path(blob: bytes) -> str:
    return "blobs/" + _digest(blob).replace(":", "/")


def _index(names: Sequence[str], manifest: bytes) -> bytes:
    entry = _descriptor(MANIFEST, manifest)
    entries = [{**entry, "annotations": {NAME_ANNOTATION: name}} for name in names]
    return _json({"schemaVersion": 2, "manifests": entries})


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
