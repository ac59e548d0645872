"""The time until changes are visible: the slowest worker counts, once."""

from lbctl_dns import sightings


def test_a_change_is_visible_when_the_last_worker_has_seen_it() -> None:
    delays = sightings.Delays()
    change = sightings.Sighting(100.0, 2, delays)
    change.seen(100.25)
    assert sum(delays.buckets) == 0
    change.seen(100.5)
    assert sum(delays.buckets) == 1
    assert delays.total_s == 0.5


def test_bounds_belong_to_their_buckets_and_nothing_is_too_slow_to_count() -> None:
    delays = sightings.Delays()
    for bound in sightings.BUCKETS_S:
        delays.take(bound)
    delays.take(sightings.BUCKETS_S[-1] + 1)
    assert delays.buckets == [1] * (len(sightings.BUCKETS_S) + 1)
