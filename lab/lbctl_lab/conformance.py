"""`make conformance`: Kubernetes' own load-balancer cases against lbctl, from outside. Shell.

Each case is a process of its own, several at once, in the network of the lab's client: what they
send to a virtual address takes the way that traffic from outside takes. Cases wait much and work
little, so that more of them than the machine has cores run well beside each other.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from lbctl_lab import (
    binaries,
    commands,
    conformance_report,
    controlplane,
    credentials,
    errors,
    images,
    places,
    plan,
    progress,
    state,
    suite_images,
)
from lbctl_lab.conformance_cases import BY_KEY, CASES, Case, Outcome

LBCTL = str(Path(sys.executable).with_name("lbctl"))
DOCS = Path(state.checkout()) / "docs" / "conformance"
RAW = Path(state.checkout()) / "dist" / "conformance"
"""Whole logs and reports of the last run of each case; not kept in git."""
CASE_WITHIN_S = 1800.0
NODES = 3
"""One case wants a node with an endpoint, one with a client, and one with neither."""


def prepare(shown: progress.Progress) -> Path:
    """Build the suite, load its images into every node; return the suite's program."""
    programs = binaries.built(binaries.E2E, shown)
    pause = binaries.built(binaries.ECHO, shown) / "pause"
    for archive in suite_images.write_archives(programs, pause, shown):
        for node in plan.nodes(state.require_up().nodes):
            images.load(node, archive)
    return programs / "lbe2e"


def argv(program: Path, case: Case, report: Path) -> list[str]:
    """Return the command line of one case, run at the client's place (pure)."""
    words = [
        str(program),
        f"-kubeconfig={credentials.ADMIN}",
        f"-kubectl-path={controlplane.tools() / 'kubectl'}",
        "-provider=skeleton",
        "-node-os-distro=debian",
        f"-ginkgo.focus={case.focus}",
        f"-ginkgo.json-report={report}",
        f"-ginkgo.timeout={CASE_WITHIN_S:.0f}s",
        "-ginkgo.no-color",
        "-ginkgo.v",
    ]
    # A case must not outlive its run: it would go on with the lab of the next one.
    return ["setpriv", "--pdeathsig=TERM", *places.argv(plan.CLIENT, words)]


def run_case(program: Path, case: Case) -> Outcome:
    """Run one case and return how it went; its whole log stays in `RAW`."""
    RAW.mkdir(parents=True, exist_ok=True)
    report, log = RAW / f"{case.key}.json", RAW / f"{case.key}.log"
    report.unlink(missing_ok=True)
    with log.open("wb") as out:
        try:
            subprocess.run(
                argv(program, case, report),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=commands.environment(),
                timeout=CASE_WITHIN_S + 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(case, "failed", CASE_WITHIN_S, "did not end")
    try:
        return conformance_report.parse(case, report.read_text())
    except (OSError, ValueError):
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        return Outcome(case, "not run", reason=last[0] if last else "the suite did not start")


def run_cases(
    program: Path, cases: Sequence[Case], jobs: int, shown: progress.Progress
) -> list[Outcome]:
    """Run cases, `jobs` at a time, the long ones first; return the outcomes in the given order."""
    found: dict[str, Outcome] = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as crew:
        long_first = sorted(cases, key=lambda case: -case.minutes)
        futures = [crew.submit(run_case, program, case) for case in long_first]
        for future in concurrent.futures.as_completed(futures):
            outcome = future.result()
            found[outcome.case.key] = outcome
            took = conformance_report.duration(outcome.took_s)
            shown.say(f"{outcome.case.key:>3} {outcome.verdict}, {took}: {outcome.case.text}")
            if outcome.reason:
                shown.say(f"    {outcome.reason}")
    return [found[case.key] for case in cases]


def suite_version() -> str:
    """Return the version of Kubernetes that the suite is of."""
    text = (binaries.E2E.folder / "go.mod").read_text()
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def write_docs(outcomes: Sequence[Outcome], jobs: int, took_s: float) -> None:
    """Write the table and the log of a whole run."""
    DOCS.mkdir(parents=True, exist_ok=True)
    lab = state.require_up()
    run = conformance_report.Circumstances(
        suite_version(), lab.nodes, lab.backend, lab.cni, jobs, took_s
    )
    kind = suffix(lab.backend, lab.cni)
    results, log = DOCS / f"results{kind}.md", DOCS / f"log{kind}.txt"
    results.write_text(conformance_report.table(outcomes, run, log.name))
    log.write_text(conformance_report.log(outcomes))


def suffix(backend: plan.Backend, cni: plan.Cni) -> str:
    """Return what tells the pages of a kind of lab from those of the default one.

    >>> suffix("ovs", "ovs"), suffix("nft", "bridge")
    ('', '-nft-bridge')
    """
    return "" if backend == "ovs" else f"-{backend}-{cni}"


def conform(cases: Sequence[Case], jobs: int, shown: progress.Progress) -> int:
    """Run cases on the running lab; return the number of those that had to pass and did not."""
    program = prepare(shown)
    began = time.monotonic()
    outcomes = run_cases(program, cases, jobs, shown)
    if len(cases) == len(CASES):
        write_docs(outcomes, jobs, time.monotonic() - began)
    print("\n".join(conformance_report.row(outcome) for outcome in outcomes))
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    held = sum(outcome.is_held_against_us for outcome in outcomes)
    print(f"\nconformance: {passed} passed, {len(outcomes) - passed} failed")
    return held


@click.command()
@click.argument("keys", metavar="[CASE]...", nargs=-1, type=click.Choice(list(BY_KEY)))
@click.option("--jobs", default=4, show_default=True, type=click.IntRange(1, 16))
@click.option("--backend", default="ovs", show_default=True, type=click.Choice(plan.BACKENDS))
@click.option("--cni", type=click.Choice(plan.CNIS), help="Of the lab; by default the backend's.")
@click.option("--on-this-lab", is_flag=True, help="Use the lab that is up, and leave it up.")
def main(
    keys: Sequence[str],
    jobs: int,
    backend: plan.Backend,
    cni: plan.Cni | None,
    *,
    on_this_lab: bool,
) -> None:
    """Run Kubernetes' own load-balancer cases; all of them without arguments."""
    cases = [BY_KEY[key] for key in keys] or list(CASES)
    shown = progress.Progress()
    if not on_this_lab:
        subprocess.run([LBCTL, "lab", "down"], check=True)
    try:
        if not on_this_lab:
            network = (f"--cni={cni}",) if cni else ()
            up = ("up", f"--nodes={NODES}", f"--backend={backend}", *network)
            subprocess.run([LBCTL, "lab", *up], check=True)
        failed = conform(cases, jobs, shown)
    except (errors.LabError, subprocess.CalledProcessError) as broken:
        raise click.ClickException(str(broken)) from broken
    finally:
        if not on_this_lab and os.environ.get("KEEP") != "1":
            subprocess.run([LBCTL, "lab", "down"], check=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
