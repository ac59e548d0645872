"""What `make bench-dataplane` prints: tables in markdown, and which bars were kept. Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dataplane_loads import Load
from dataplane_programs import Run
from dataplane_traffic import Traffic

PLAIN_ROUTING = "plain routing"
FLAT = 0.9
"""How much of its connections/s a path keeps that is called flat."""
Key = tuple[str, int]
"""A path or program, and how many Services."""


@dataclass(frozen=True)
class Names:
    """What paths, programs and layouts are called."""

    ours: str
    theirs: str
    tried: Sequence[str]
    """What would be taken in if it were far better than ours."""
    baselines: Mapping[str, str]
    """What a path is compared with where it is not plain routing as it is."""


@dataclass(slots=True)
class Found:
    """All figures of one run, a list with one entry for each round."""

    traffic: dict[Key, list[Traffic]] = field(default_factory=dict)
    runs: dict[Key, list[Run]] = field(default_factory=dict)
    layouts: dict[Key, list[Load]] = field(default_factory=dict)
    bundles_s: list[float] = field(default_factory=list)
    loaded_s: dict[Key, float] = field(default_factory=dict)
    """Wall time of programming a path, once."""


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def percentile(values: Iterable[float], part: float) -> float:
    """Return the smallest value that so many are not above."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def traffic_table(found: Found, names: Names) -> list[str]:
    """Return the rows about packets."""
    rows = [
        "| path | Services | connections/s | x plain | CPU of one, µs | x plain | p50, µs "
        "| p99, µs | Mbit/s | x plain | failed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, services), rounds in found.traffic.items():
        base = found.traffic[names.baselines.get(name, PLAIN_ROUTING), 0]
        rate, stream = _rates(rounds), _streams(rounds)
        rows.append(
            f"| {name} | {services or ''} | {statistics.median(rate):,.0f} "
            f"| {ratio(rate, _rates(base)):.2f} "
            f"| {statistics.median(_costs(rounds)):.1f} "
            f"| {ratio(_costs(rounds), _costs(base)):.2f} "
            f"| {statistics.median(one.p50_us for one in rounds):.0f} "
            f"| {statistics.median(one.p99_us for one in rounds):.0f} "
            f"| {statistics.median(stream):,.0f} | {ratio(stream, _streams(base)):.2f} "
            f"| {sum(one.failed for one in rounds)} |"
        )
    return rows


def _rates(rounds: Iterable[Traffic]) -> list[float]:
    return [one.per_s for one in rounds]


def _costs(rounds: Iterable[Traffic]) -> list[float]:
    return [one.cpu_us for one in rounds]


def _per_cpu_s(rounds: Iterable[Traffic]) -> list[float]:
    return [1e6 / one.cpu_us for one in rounds]


def _streams(rounds: Iterable[Traffic]) -> list[float]:
    return [one.mbit_s for one in rounds]


CONNECTIONS = {"connections/s": _rates, "connections per CPU second": _per_cpu_s}
"""By what paths are compared. On a busy machine only the second one says much."""
MEASURES = {**CONNECTIONS, "throughput": _streams}


def programs_table(found: Found) -> list[str]:
    """Return the rows about the programs."""
    rows = [
        "| program | Services | start to last transaction, s | CPU of that, s "
        "| slice changed to programmed, p50 / p99, ms | CPU of a change, ms | memory (peak), MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, services), rounds in found.runs.items():
        took = [one for run in rounds for one in run.changes_ms]
        rows.append(
            f"| {name} | {services:,} | {_median(run.loaded_s for run in rounds):.1f} "
            f"| {_median(run.load_cpu_s for run in rounds):.1f} "
            f"| {percentile(took, 0.5):.0f} / {percentile(took, 0.99):.0f} of {len(took)} "
            f"| {_median(run.change_cpu_ms for run in rounds):.0f} "
            f"| {_median(run.rss_mb for run in rounds):.0f} "
            f"({max(run.peak_mb for run in rounds):.0f}) |"
        )
    return rows


def loads_table(found: Found) -> list[str]:
    """Return the rows about loading by nft, and the line about the bundle."""
    rows = [
        "| layout of rules | Services | load, CPU s | one change, CPU ms |",
        "|---|---|---|---|",
    ]
    for (name, services), rounds in found.layouts.items():
        rows.append(
            f"| {name} | {services:,} | {_median(one.all_s for one in rounds):.2f} "
            f"| {1000 * _median(one.change_s for one in rounds):.1f} |"
        )
    return rows


def paths_line(found: Found) -> str:
    """Return how long each path took to be ready."""
    told = (
        f"{name} {services:,}: {took_s:.1f} s"
        for (name, services), took_s in found.loaded_s.items()
        if services
    )
    return f"programmed from nothing, once, wall time: {', '.join(told)}"


@dataclass(frozen=True)
class Bar:
    """One promise and what was measured."""

    what: str
    value: float
    limit: float
    at_least: bool

    @property
    def line(self) -> str:
        """Return it in words."""
        kept = self.value >= self.limit if self.at_least else self.value < self.limit
        sign = "≥" if self.at_least else "<"
        verdict = "kept" if kept else "MISSED"
        return f"{verdict}: {self.what}: {self.value:.2f} ({sign} {self.limit:g})"


def bars(found: Found, names: Names, large: int) -> list[Bar]:
    """Return the promises that something was measured for."""
    return [
        *_traffic_bars(found, names, large),
        *_layout_bars(found, large),
        *_program_bars(found, names, large),
        *_bundle_bar(found, large),
    ]


def _traffic_bars(found: Found, names: Names, large: int) -> Iterable[Bar]:
    for measure, rates_of in CONNECTIONS.items():
        rates = {key: rates_of(rounds) for key, rounds in found.traffic.items()}
        for services in (1, large):
            ours, theirs = rates.get((names.ours, services)), rates.get((names.theirs, services))
            if ours and theirs:
                what = f"{names.ours} / {names.theirs}, {measure}, Services: {services:,}"
                yield Bar(what, ratio(ours, theirs), 1.0, at_least=True)
        few, many = rates.get((names.ours, 1)), rates.get((names.ours, large))
        if few and many:
            what = f"{names.ours}, {measure}, {large:,} Services / 1"
            yield Bar(what, ratio(many, few), FLAT, at_least=True)


def tried_lines(found: Found, names: Names) -> Iterable[str]:
    """Return what experiments gave, and from where on they would be taken in."""
    ours = found.traffic.get((names.ours, 1))
    for name in names.tried:
        tried = found.traffic.get((name, 1))
        for measure, rates_of in MEASURES.items():
            if tried and ours:
                gain = ratio(rates_of(tried), rates_of(ours))
                yield f"{name} / {names.ours}, {measure}: {gain:.2f} (taken in from 1.2 on)"


def _layout_bars(found: Found, large: int) -> Iterable[Bar]:
    if found.layouts:
        ours, theirs = found.layouts.values()
        loads = ratio([one.all_s for one in theirs], [one.all_s for one in ours])
        changes = ratio([one.change_s for one in theirs], [one.change_s for one in ours])
        yield Bar(f"load of {large:,}, kube-proxy's layout / ours", loads, 4, at_least=True)
        yield Bar(f"a change at {large:,}, kube-proxy's layout / ours", changes, 5, at_least=True)


def _program_bars(found: Found, names: Names, large: int) -> Iterable[Bar]:
    for services, limit_mb in ((1_000, 80), (large, 250)):
        rounds = found.runs.get((names.ours, services))
        if rounds:
            memory = _median(run.rss_mb for run in rounds)
            what = f"{names.ours}, agent's memory at {services:,} Services, MB"
            yield Bar(what, memory, limit_mb, at_least=False)
    rounds = found.runs.get((names.ours, 1_000))
    if rounds:
        took = percentile((one for run in rounds for one in run.changes_ms), 0.99)
        what = f"{names.ours}, slice changed to programmed at 1,000 Services, p99 ms"
        yield Bar(what, took, 50, at_least=False)


def _bundle_bar(found: Found, large: int) -> Iterable[Bar]:
    if found.bundles_s:
        what = f"Open vSwitch takes {large:,} Services in one bundle, s"
        yield Bar(what, statistics.median(found.bundles_s), 1, at_least=False)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
