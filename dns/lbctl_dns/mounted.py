"""Follow what is read from files that change in place: Secrets that are mounted."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from lbctl.model import errors

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""A Secret that is mounted changes under settings that stay."""

Content = TypeVar("Content")


async def follow(
    read: Callable[[], Content], take: Callable[[Content], None], subject: str
) -> None:
    """Give `take` what `read` returns, changed or not, again and again; never returns.

    Where `read` raises Misconfigured all stays as it was; the log says so once, naming `subject`.
    """
    said = ""
    while True:
        try:
            take(read())
            said = ""
        except errors.Misconfigured as error:
            if str(error) != said:
                log.error("%s stay as they were: %s", subject, error)
            said = str(error)
        await asyncio.sleep(LOOK_EVERY_S)
