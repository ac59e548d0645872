"""What two definitions say of one thing is the same."""

import re
from pathlib import Path
from typing import Any

import yaml

from lbctl.settings_agent import AgentSettings

CHART = Path(__file__).parents[2] / "charts" / "lbctl"
DEFINITIONS = CHART / "files" / "crds"
OF_ONE_NODE = {"legs"}


def spec_of(plural: str) -> dict[str, Any]:
    """Return the schema of the fields of a kind's spec."""
    text = (DEFINITIONS / f"{plural}.yaml").read_text()
    (version,) = yaml.safe_load(text)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return found


def test_users_ask_for_monitors_as_decisions_have_them() -> None:
    asked, decided = spec_of("l4policies"), spec_of("l4virtualservices")["policy"]["properties"]
    assert asked["monitor"] == decided["monitor"]


def test_users_ask_for_what_decisions_can_have() -> None:
    asked, decided = spec_of("l4policies"), spec_of("l4virtualservices")["policy"]["properties"]
    assert asked["algorithm"]["enum"] == decided["algorithm"]["enum"]
    assert asked["limits"]["properties"].keys() == decided["limits"]["properties"].keys()
    places = {"targetRefs": "", "persistence": "sessionAffinity"}
    assert {places.get(name, name) for name in asked} - {""} <= decided.keys()


def test_the_chart_tells_agents_all_their_settings_but_those_of_one_node() -> None:
    parts = (CHART / "templates" / "_parts.tpl").read_text()
    (picked,) = re.findall(r"pick \.Values\.agent (.*?)\)", parts)
    known = {field.alias or name for name, field in AgentSettings.model_fields.items()}
    assert set(picked.replace('"', "").split()) == known - OF_ONE_NODE
