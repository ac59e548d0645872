"""Read what Kubernetes' suite reports of a case; write it as a table and as a log. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lbctl_lab.conformance_cases import Case, Outcome, Step, Verdict

VERDICTS: Mapping[str, Verdict] = {"passed": "passed", "skipped": "skipped"}
"""Ginkgo's words for how a spec ended; every other one is a failure."""
REASON_LENGTH = 300
HEAD = """<!-- Written by `make conformance`. -->
# Kubernetes' own load-balancer cases on lbctl: the last whole run

Suite and cluster: Kubernetes {version}; {nodes} nodes, backend `{backend}`,
pods by `{cni}`, {jobs} cases at once.
{passed} of {count} cases passed in {took}. What each case did, step by step: [{log}]({log}).

| # | case | result | time | figures, reason |
|---|---|---|---|---|
"""


def parse(case: Case, text: str) -> Outcome:
    """Return the outcome in a JSON report of ginkgo's.

    `not run` when the case is not in it, with what failed before it (set-up) as the reason.
    """
    specs = json.loads(text)[0]["SpecReports"]
    ran = [spec for spec in specs if spec["LeafNodeType"] == "It" and spec["NumAttempts"] > 0]
    if not ran:
        broken = [spec for spec in specs if spec["State"] not in ("passed", "skipped")]
        return Outcome(case, "not run", reason=_reason(broken[0]) if broken else "no such case")
    spec = ran[0]
    verdict = VERDICTS.get(spec["State"], "failed")
    reason = "" if verdict == "passed" else _reason(spec)
    took_s, figures = spec["RunTime"] / 1e9, _figures(spec)
    return Outcome(case, verdict, took_s, reason, figures, _steps(spec))


def _reason(spec: Mapping[str, object]) -> str:
    failure = spec.get("Failure")
    message = failure.get("Message", "") if isinstance(failure, dict) else ""
    line = " ".join(str(message or spec.get("State", "")).split())
    return line if len(line) <= REASON_LENGTH else f"{line[:REASON_LENGTH]}…"


def _figures(spec: Mapping[str, object]) -> str:
    """Return the success rates that a case of many requests has told, one per roll-out."""
    rates = re.findall(r"Success rate: ([\d.]+)%", str(spec.get("CapturedGinkgoWriterOutput", "")))
    return f"requests answered, per roll-out: {', '.join(rates)} %" if rates else ""


def _steps(spec: Mapping[str, object]) -> tuple[Step, ...]:
    began = _moment(spec["StartTime"])
    events = spec.get("SpecEvents") or ()
    if not isinstance(events, list):
        return ()
    said = [event for event in events if event["SpecEventType"] == "By" and event["Message"]]
    return tuple(
        Step((_moment(event["TimelineLocation"]["Time"]) - began).total_seconds(), event["Message"])
        for event in said
    )


def _moment(stamp: object) -> datetime:
    """Return a time stamp of Go's, whose fraction has up to nine digits."""
    whole, _, rest = str(stamp).partition(".")
    fraction = rest.rstrip("Z")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{whole.rstrip('Z')}.{fraction}+00:00")


def duration(seconds: float) -> str:
    """Return seconds for people.

    >>> duration(6.34), duration(754.2)
    ('6.3 s', '12 min 34 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def row(outcome: Outcome) -> str:
    """Return a case's line of the table; what it waits for stands before the failure."""
    lacks = outcome.case.lacks if outcome.verdict != "passed" else ""
    parts = (outcome.figures, lacks, outcome.reason)
    why = ". ".join(part for part in parts if part).replace("|", "\\|")
    case = outcome.case
    time = duration(outcome.took_s) if outcome.took_s else ""
    return f"| {case.key} | {case.group}: {case.text} | {outcome.verdict} | {time} | {why} |"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a run was of, and with what."""

    version: str
    """Of Kubernetes: the suite and the cluster."""
    nodes: int
    backend: str
    cni: str
    jobs: int
    """Cases at once."""
    took_s: float


def table(outcomes: Sequence[Outcome], run: Circumstances, log: str) -> str:
    """Return the page with all outcomes, in the order given; `log` is the file beside it."""
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    head = HEAD.format(
        version=run.version,
        nodes=run.nodes,
        backend=run.backend,
        cni=run.cni,
        jobs=run.jobs,
        passed=passed,
        count=len(outcomes),
        took=duration(run.took_s),
        log=log,
    )
    return head + "".join(f"{row(outcome)}\n" for outcome in outcomes)


def log(outcomes: Sequence[Outcome]) -> str:
    """Return what each case did: its steps with the seconds since its start, and how it ended."""
    return "\n".join(_told(outcome) for outcome in outcomes)


def _told(outcome: Outcome) -> str:
    case = outcome.case
    lines = [f"{case.key}. {case.group}: {case.text}"]
    lines += [f"  {step.after_s:7.1f} s  {' '.join(step.text.split())}" for step in outcome.steps]
    ending = ": ".join(part for part in (outcome.verdict, outcome.figures, outcome.reason) if part)
    lines.append(f"  {outcome.took_s:7.1f} s  {ending}")
    return "\n".join(lines) + "\n"
