"""A delta is false when there is nothing to change."""

import pytest

from lbctl import delta


@pytest.mark.parametrize(
    ("desired", "observed", "changes"),
    [
        ({}, {}, False),
        ({"a": 1}, {"a": 1}, False),
        ({"a": 1}, {}, True),
        ({"a": 1}, {"a": 2}, True),
        ({}, {"a": 1}, True),
    ],
)
def test_a_delta_is_true_when_something_differs(
    desired: dict[str, int], observed: dict[str, int], changes: bool
) -> None:
    assert bool(delta.diff(desired, observed)) is changes


def test_deletes_and_upserts_are_told_apart() -> None:
    found = delta.diff({"a": 1, "b": 2}, {"b": 3, "c": 4})
    assert found.upserts == {"a": 1, "b": 2}
    assert found.deletes == {"c"}
