"""What may succeed later is tried again, and nothing else."""

import pytest

import event_loops
from lbctl.kube import retry
from lbctl.model import errors


class Flaky:
    """Fails with each of the errors it was given, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def call(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


async def call(flaky: Flaky) -> str:
    async for attempt in retry.forever(cap_s=0.001):
        with attempt:
            return flaky.call()
    raise AssertionError("unreachable: the policy has no end")


def test_a_retryable_call_is_repeated_until_it_succeeds() -> None:
    flaky = Flaky(errors.Unavailable("a"), errors.Conflict("b"))
    assert event_loops.run(call(flaky)) == "done"
    assert flaky.calls == 3


def test_a_permanent_failure_is_raised_at_once() -> None:
    flaky = Flaky(errors.Rejected("no"))
    with pytest.raises(errors.Rejected):
        event_loops.run(call(flaky))
    assert flaky.calls == 1
