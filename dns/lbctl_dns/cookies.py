"""The secrets of DNS cookies that replicas share: read from a file, never shown.

A server that has the secret knows the cookies that others gave with it, so a client that meets
another replica is still known (RFC 7873 §5.5, RFC 9018 §5).
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from lbctl.model import errors
from lbctl.settings import NameServiceSettings, Settings
from lbctl_dns import edns, mounted

MIN_SECRET = 16
"""Bytes; fewer could be guessed."""
MAX_SECRETS = 8
"""More than any rotation needs; each costs a hash per cookie that is checked."""
_FIELD = "nameservice.cookieSecretFile"


async def follow(settings: Callable[[], Settings], take: Callable[[bytes], None]) -> None:
    """Call `take` with the keys again and again; never returns."""
    await mounted.follow(lambda: keys(settings().nameservice), take, "secrets of cookies")


def keys(settings: NameServiceSettings) -> bytes:
    """Return the keys that the file of the settings gives, the first to make cookies with.

    Each has `edns.KEY_SIZE` bytes; nothing where no file is named. Raises Misconfigured naming
    file and line.
    """
    path = settings.cookie_secret_file
    if not path:
        return b""
    try:
        text = Path(path).read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise errors.Misconfigured(f"{_FIELD}: {path}: {error.strerror}") from error
    found = tuple(_secrets(text, path))
    if not 0 < len(found) <= MAX_SECRETS:
        raise errors.Misconfigured(
            f"{_FIELD}: {path}: has {len(found)} secrets, must have 1 to {MAX_SECRETS}, one a line"
        )
    # All of one size, whatever was given: they travel without a form of their own.
    return b"".join(hashlib.blake2s(one, digest_size=edns.KEY_SIZE).digest() for one in found)


def _secrets(text: str, path: str) -> Iterator[bytes]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            secret = bytes.fromhex(line)
        except ValueError:
            secret = b""
        if len(secret) < MIN_SECRET:
            # Without the line: it may be a secret all the same.
            raise errors.Misconfigured(
                f"{_FIELD}: {path}:{number}: is no secret of {MIN_SECRET} bytes or more in "
                "hexadecimal, as `openssl rand -hex 16` makes them"
            )
        yield secret
