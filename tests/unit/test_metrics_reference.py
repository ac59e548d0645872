"""The reference of metrics, the dashboard and the alerts speak of the metrics that there are."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

import drift
import generate_metrics
from lbctl.runtime.metrics import Definition

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "lbctl" / "files"
OF_THE_LIBRARY = {"process_resident_memory_bytes"}


def definitions() -> dict[str, Definition]:
    return {one.name: one for _, _, own in generate_metrics.SECTIONS for one in own}


def dashboard() -> list[dict[str, object]]:
    panels: list[dict[str, object]] = json.loads((FILES / "dashboard.json").read_text())["panels"]
    return panels


def expressions() -> list[str]:
    """Return every query of the dashboard and of the alerts."""
    asked = itertools.chain.from_iterable(panel.get("targets", ()) for panel in dashboard())  # type: ignore[call-overload]
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    return [target["expr"] for target in asked] + alerts


def test_the_page_is_up_to_date() -> None:
    assert drift.stale(generate_metrics.generated()) == [], drift.COMMAND


@pytest.mark.parametrize("one", definitions().values(), ids=definitions())
def test_a_metric_follows_the_conventions(one: Definition) -> None:
    assert re.fullmatch(r"lbctl_[a-z_]+", one.name)
    assert one.name.endswith("_total") == (one.kind == "counter")
    assert one.name.endswith("_seconds") >= (one.kind == "histogram")
    assert list(one.buckets) == sorted(set(one.buckets))
    assert bool(one.buckets) == (one.kind == "histogram")
    assert one.help.endswith(".")
    assert not {"service", "name", "namespace", "key"} & set(one.labels)


@pytest.mark.parametrize("expression", expressions())
def test_a_query_names_metrics_and_labels_that_exist(expression: str) -> None:
    known = definitions()
    plain = re.sub(r'"[^"]*"', '""', expression)
    found = re.findall(r"\b((?:lbctl|process)_[a-z_]+)(?:\{([^}]*)\})?", plain)
    assert found
    for name, selected in found:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in known or base in known or name in OF_THE_LIBRARY
        wanted = set(re.findall(r"(\w+)\s*[=!]", selected))
        assert wanted <= set(known[base].labels if base in known else ())
    by = {label for group in re.findall(r"by \(([^)]*)\)", plain) for label in group.split(", ")}
    labels = {label for name, _ in found for label in _labels(name)}
    assert by - {"le", "instance", "pod", "namespace"} <= labels


def _labels(name: str) -> tuple[str, ...]:
    known = definitions()
    found = known.get(name) or known.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return found.labels if found else ()


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard():
        place = panel["gridPos"]
        assert isinstance(place, dict)
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not taken & cells, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard()]
    assert len(ids) == len(set(ids))


def test_every_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    for rule in itertools.chain.from_iterable(group["rules"] for group in groups):
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
