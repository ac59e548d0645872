"""Passes of the nft backend reach what one pass from scratch reaches, by valid transactions."""

import hypothesis
from hypothesis import strategies as st

import dataplane_builders as build
import nft_kernel
from lbctl.model.policy import ALGORITHMS, Limits
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend, Place
from lbctl_dataplane.rules.nft import contents, tracked
from lbctl_dataplane.rules.nft.compiler import PLACES as NUMBERS
from lbctl_dataplane.rules.nft.compiler import NftCompiler
from lbctl_dataplane.rules.place_numbers import Numbers
from lbctl_dataplane.rules.pod_routes import PodRoutes
from lbctl_dataplane.rules.tables import batch as nft_batch
from lbctl_dataplane.rules.tables.elements import Elements

PLACES = (
    build.place(),
    build.place(protocol="UDP"),
    build.place(port=81),
    build.place("198.18.0.2"),
)
PODS = tuple(f"10.0.0.{number}" for number in range(1, 6))
RANGES = ("10.0.0.0/8", "192.0.2.7/32")

members = st.frozensets(st.sampled_from(PODS)).map(lambda found: build.members(*found))
few = st.sampled_from([0, 5, 9])
limits = st.none() | st.frozensets(st.sampled_from(RANGES))


@st.composite
def frontends(draw: st.DrawFn, at: Place) -> Frontend:
    limited = draw(limits)
    return Frontend(
        "default.kuard",
        at,
        draw(members),
        draw(members),
        source_ranges=tuple(sorted(limited or ())),
        open_to_all=limited is None,
        affinity=draw(st.booleans()),
        affinity_timeout_s=draw(st.sampled_from([0, 7, 10_800])),
        algorithm=draw(st.sampled_from(ALGORITHMS)),
        limits=draw(st.builds(Limits, st.integers(0, 3), few, few)),
    )


serving = st.tuples(*(st.none() | frontends(at) for at in PLACES)).map(
    lambda found: [entry for entry in found if entry is not None]
)
routes = st.frozensets(st.sampled_from(PODS)).map(
    lambda found: PodRoutes({(4, 32): {int(build.ip(pod)): True for pod in found}})
)
passes = st.lists(st.tuples(serving, routes), min_size=1, max_size=5)


def wanted(serving: list[Frontend], ways: PodRoutes) -> Elements:
    here = {build.ip(pod) for pod in PODS if ways.lead_to(build.ip(pod))}
    merged, numbers = (
        dict(contents.frame(["svc0"], ["svc0"])),
        Numbers(constants.PLACE_NUMBER, NUMBERS),
    )
    for entry in serving:
        merged.update(contents.elements(entry, here, numbers))
    return merged


def apply(kernel: nft_kernel.Kernel, compiler: NftCompiler) -> None:
    for text in compiler.table.transactions()[0]:
        kernel.apply(text)
    compiler.table.took()


@hypothesis.given(passes)
def test_each_pass_reaches_what_is_wanted_and_then_rests(
    steps: list[tuple[list[Frontend], PodRoutes]],
) -> None:
    kernel, compiler = nft_kernel.Kernel(), NftCompiler(["svc0"], pinged=["svc0"])
    compiler.table.read_back(kernel.table())
    for step, ways in steps:
        compiler.update(step, ways)
        apply(kernel, compiler)
        assert kernel.table() == wanted(step, ways)
        assert compiler.table.transactions() == ((), 0)


@st.composite
def plain(draw: st.DrawFn) -> list[Frontend]:
    """Draw frontends without what only nft has words for."""
    return [
        Frontend("default.kuard", at, draw(members), algorithm=draw(st.sampled_from(ALGORITHMS)))
        for at in PLACES
        if draw(st.booleans())
    ]


@hypothesis.given(st.lists(plain(), min_size=2, max_size=5))
def test_a_pass_over_netlink_reaches_what_it_does_in_words(steps: list[list[Frontend]]) -> None:
    ways = PodRoutes({(4, 32): {int(build.ip(pod)): True for pod in PODS}})
    kernel, compiler = nft_kernel.Kernel(), NftCompiler(["svc0"], pinged=["svc0"])
    apply(kernel, compiler)
    for step in steps:
        compiler.update(step, ways)
        moves = compiler.table.moves()
        assert moves is not None
        batch = nft_batch.encode(compiler.table.table, moves)
        assert batch is not None
        kernel.take(batch)
        compiler.table.took()
        assert kernel.table() == wanted(step, ways)


@hypothesis.given(passes)
def test_a_restart_at_any_pass_goes_on_from_what_is_there(
    steps: list[tuple[list[Frontend], PodRoutes]],
) -> None:
    kernel = nft_kernel.Kernel()
    for step, ways in steps:
        compiler = NftCompiler(["svc0"], pinged=["svc0"])
        compiler.table.read_back(kernel.table())
        compiler.update(step, ways)
        apply(kernel, compiler)
        assert kernel.table() == wanted(step, ways)


@hypothesis.given(passes)
def test_what_may_have_connections_never_ends(
    steps: list[tuple[list[Frontend], PodRoutes]],
) -> None:
    compiler = NftCompiler(["svc0"], pinged=["svc0"])
    before: list[Frontend] = []
    for step, ways in steps:
        ended = compiler.update(step, ways)
        assert ended == tracked.of(before) - tracked.of(step)
        assert compiler.ended(tracked.of(before)) == ended
        before = step
