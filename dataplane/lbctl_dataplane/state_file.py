"""The last state that was seen, kept on disk for a restart while the API server is away.

A state from before a reboot is not read: pods got new addresses since, and another pod may have
an old one.
"""

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lbctl.kube.objects import Json
from lbctl_dataplane.packed import unpack

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Objects = Mapping[str, list[Json]]
"""Objects by the plural of their resource."""


def load(path: Path) -> Objects | None:
    """Return the state of this boot, None when there is none that can be trusted."""
    try:
        content = json.loads(path.read_text())
        if content["bootId"] != _boot_id():
            log.info("state %s is from before a reboot: not used", path)
            return None
        objects: Objects = content["objects"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("state %s not used: %r", path, error)
        return None
    return objects


def save(path: Path, objects: Objects) -> None:
    """Replace the state in one step. A failure is logged: serving goes on without it."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as out:
            temporary = out.name
            out.writelines(_pieces(objects))
        os.replace(temporary, path)  # noqa: PTH105 - the two are the same call
    except OSError as error:
        log.warning("state %s not written: %s", path, error)
        with contextlib.suppress(OSError):
            Path(temporary).unlink()


def _pieces(objects: Objects) -> Iterator[str]:
    """Yield the text object by object: all of them in one would be as much memory again."""
    yield f'{{"bootId":{json.dumps(_boot_id())},"objects":{{'
    for number, (plural, known) in enumerate(objects.items()):
        yield f"{',' if number else ''}\n{json.dumps(plural)}:["
        for place, obj in enumerate(known):
            yield f"{',' if place else ''}\n{json.dumps(unpack(obj), separators=(',', ':'))}"
        yield "]"
    yield "}}\n"


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()
