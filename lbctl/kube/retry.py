"""The one retry policy of calls to the API server: jittered, capped, for Retryable errors only."""

import logging

import tenacity

from lbctl.model import errors

log = logging.getLogger(__name__)

SAY_EVERY = 20
"""Attempts between two warnings about the same outage: some 100 s."""


def forever(*, cap_s: float = 5.0) -> tenacity.AsyncRetrying:
    """Return a policy that repeats a call until it stops raising Retryable.

    Waits are random up to 0.1 s, 0.2 s, 0.4 s … `cap_s`.
    """
    return tenacity.AsyncRetrying(
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=cap_s),
        retry=tenacity.retry_if_exception_type(errors.Retryable),
        before_sleep=_say,
        reraise=True,
    )


def _say(attempt: tenacity.RetryCallState) -> None:
    """Warn of an outage when it begins and now and then: every attempt would flood the log."""
    if attempt.attempt_number % SAY_EVERY == 1 and attempt.outcome is not None:
        log.warning("attempt %d: %s", attempt.attempt_number, attempt.outcome.exception())
