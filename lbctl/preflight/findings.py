"""What a check found, and how findings read as text and as JSON. Pure."""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Works, but not all that could; or could not be looked at."""
    PROBLEM = "problem"
    """lbctl, or what is there already, would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    level: Level
    title: str
    reason: str
    fix: str = ""
    """What to change; empty only where nothing is to be changed."""


def ok(title: str, reason: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, title, reason)


def warning(title: str, reason: str, fix: str) -> Finding:
    """Return a warning."""
    return Finding(Level.WARNING, title, reason, fix)


def problem(title: str, reason: str, fix: str) -> Finding:
    """Return a problem."""
    return Finding(Level.PROBLEM, title, reason, fix)


def passed(findings: Sequence[Finding]) -> bool:
    """Tell whether there is no problem; warnings do not count."""
    return all(finding.level is not Level.PROBLEM for finding in findings)


def render_text(findings: Sequence[Finding]) -> str:
    """Return one paragraph per finding and a line of totals."""
    width = max((len(finding.title) for finding in findings), default=0)
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.level.name:<8} {finding.title:<{width}}  {finding.reason}")
        indent = " " * (width + 11)
        first, *rest = finding.fix.splitlines() or [""]
        lines += [f"{indent}fix: {first}"] if first else []
        lines += [f"{indent}     {line}" for line in rest]
    totals = ", ".join(f"{_count(findings, level)} {level.value}" for level in Level)
    return "\n".join([*lines, totals])


def render_json(findings: Sequence[Finding]) -> str:
    """Return an object with `passed` and the list `findings`."""
    listed = [
        {
            "level": finding.level.value,
            "title": finding.title,
            "reason": finding.reason,
            "fix": finding.fix,
        }
        for finding in findings
    ]
    return json.dumps({"passed": passed(findings), "findings": listed}, indent=2)


def _count(findings: Sequence[Finding], level: Level) -> int:
    return sum(finding.level is level for finding in findings)
