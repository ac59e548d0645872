"""The tree says which calls may be repeated."""

import pytest

from lbctl.model import errors


@pytest.mark.parametrize(
    "kind", [errors.Unavailable, errors.Throttled, errors.Conflict, errors.Expired]
)
def test_calls_that_may_succeed_later_are_retryable(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.Retryable)
    assert not issubclass(kind, errors.Permanent)


@pytest.mark.parametrize(
    "kind",
    [
        errors.NotFound,
        errors.AlreadyExists,
        errors.Rejected,
        errors.Unauthorised,
        errors.Misconfigured,
    ],
)
def test_calls_that_will_fail_again_are_permanent(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.Permanent)
    assert not issubclass(kind, errors.Retryable)


def test_a_throttled_call_says_how_long_to_wait() -> None:
    error = errors.Throttled("too many", 2.5)
    assert str(error) == "too many"
    assert error.retry_after_s == 2.5
