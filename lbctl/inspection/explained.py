"""An explanation as text for people and as JSON for scripts. Pure."""

import datetime
import json

from lbctl.inspection import ages
from lbctl.inspection.explain import sentence
from lbctl.inspection.stages import Explanation, Stage


def render_text(found: Explanation, now: datetime.datetime) -> str:
    """Return one paragraph per stage and the sentence that sums up."""
    width = max(len(stage.name) for stage in found.stages)
    lines = [line for stage in found.stages for line in _paragraph(stage, width, now)]
    return "\n".join([*lines, "", sentence(found)])


def _paragraph(stage: Stage, width: int, now: datetime.datetime) -> list[str]:
    indent = " " * (width + 11)
    age = f" ({ages.since(stage.since, now)})" if stage.since else ""
    reason = f"{stage.reason.value}: " if stage.reason and stage.open else ""
    lines = [f"{stage.mark.value:<8} {stage.name:<{width}}  {reason}{stage.text}{age}"]
    if stage.open and stage.meaning not in stage.text:
        lines.append(f"{indent}{stage.meaning}")
    return lines + [f"{indent}{detail}" for detail in stage.details]


def render_json(found: Explanation) -> str:
    """Return an object with the verdict and the list `stages`."""
    waits = found.waits_for
    tree = {
        "service": found.service,
        "served": list(found.served),
        "waitsFor": _stage(waits) if waits else None,
        "sentence": sentence(found),
        "stages": [_stage(stage) for stage in found.stages],
    }
    return json.dumps(tree, indent=2)


def _stage(stage: Stage) -> dict[str, object]:
    return {
        "stage": stage.name,
        "mark": stage.mark.value,
        "reason": stage.reason.value if stage.reason else "",
        "meaning": stage.meaning,
        "text": stage.text,
        "since": stage.since,
        "details": list(stage.details),
    }
