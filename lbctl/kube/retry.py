"""The one retry policy of calls to the API server: jittered, capped, for Retryable errors only."""

import logging

import tenacity

from lbctl.model import errors

log = logging.getLogger(__name__)


def forever(*, cap_s: float = 5.0) -> tenacity.AsyncRetrying:
    """Return a policy that repeats a call until it stops raising Retryable.

    Waits are random up to 0.1 s, 0.2 s, 0.4 s … `cap_s`.
    """
    return tenacity.AsyncRetrying(
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=cap_s),
        retry=tenacity.retry_if_exception_type(errors.Retryable),
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
