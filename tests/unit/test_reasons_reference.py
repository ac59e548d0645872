"""The reference of reasons has every reason, and where it is told."""

import pytest

import drift
import generate_reasons
from lbctl.model.reasons import MEANING, Reason


def test_the_page_is_what_the_table_says() -> None:
    assert drift.stale(generate_reasons.generated()) == [], drift.COMMAND


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.POOL_EXHAUSTED, "condition, event"),
        (Reason.NO_ENDPOINTS, "condition"),
        (Reason.WITHDRAWN, "L4VirtualService"),
        (Reason.OVERLAPS, "condition of the AddressPool, event"),
        (Reason.POLICY_CONFLICTED, "condition of the L4Policy, event"),
        (Reason.NO_CONTROLLER, ""),
    ],
)
def test_it_says_where_a_reason_is_told(reason: Reason, told: str) -> None:
    assert f"| `{reason.value}` | {told} | {MEANING[reason]} |" in generate_reasons.page()
