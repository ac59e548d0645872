"""A delta reaches what is desired, and then there is nothing left to change."""

from hypothesis import given
from hypothesis import strategies as st

from lbctl.delta import diff

POOLS = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(0, 2))


@given(desired=POOLS, observed=POOLS)
def test_applying_a_delta_reaches_desired_and_then_rests(
    desired: dict[str, int | None], observed: dict[str, int | None]
) -> None:
    delta = diff(desired, observed)
    after = {k: v for k, v in {**observed, **delta.upserts}.items() if k not in delta.deletes}
    assert after == desired
    assert not diff(desired, after)
    assert delta.upserts.keys().isdisjoint(delta.deletes)


@given(desired=POOLS, observed=POOLS)
def test_a_delta_changes_nothing_that_was_right(
    desired: dict[str, int | None], observed: dict[str, int | None]
) -> None:
    delta = diff(desired, observed)
    for key in delta.upserts:
        assert key not in observed or observed[key] != desired[key]
