#!/usr/bin/env python3
"""Generate the chart's values and what describes them, from one description of every value.

Settings come from `lbctl.settings`, the rest from `chart_values.yaml` beside this file. Written are
`values.yaml` and `values.schema.json` of the chart and `docs/reference/values.md`. With --check
nothing is written: exit code 1 and the names of the files that are not what they should be.
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import drift
from lbctl.settings import Settings

CHART = drift.ROOT / "charts" / "lbctl"
DEPLOYMENT = Path(__file__).with_name("chart_values.yaml")
COMMAND = drift.COMMAND

NOT_IN_THE_CHART = {
    ("agent", "legs"): "differs from node to node: annotate each Node with `lbctl.io/legs`",
    ("lease", "namespace"): "is the namespace of the release",
}
"""Settings that are no values, and why."""

FLAG_WORDS = {("LbctlSettings", "deleteConfig"): [False, True]}
"""What `--set` makes of a word, allowed beside it."""

Schema = dict[str, Any]
Row = tuple[str, str, str, str]


def resolve(node: Schema, definitions: Schema) -> Schema:
    """Return a JSON schema with its references replaced by what they stand for, without titles."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        # What a class says of itself is more than what the field that holds it says.
        node = {**{key: value for key, value in node.items() if key != "$ref"}, **target}
    found = {key: value for key, value in node.items() if key not in ("$defs", "title")}
    if "properties" in found:
        found.pop("default", None)  # said by the properties
        each = found["properties"].items()
        found["properties"] = {name: resolve(value, definitions) for name, value in each}
    if isinstance(found.get("items"), dict):
        found["items"] = resolve(found["items"], definitions)
    return found


def settings_schema() -> Schema:
    """Return the properties of the settings that a chart's value can say."""
    raw = Settings.model_json_schema(by_alias=True)
    sections: Schema = resolve(raw, raw.get("$defs", {}))["properties"]
    for section, key in NOT_IN_THE_CHART:
        del sections[section]["properties"][key]
    for (section, key), further in FLAG_WORDS.items():
        found = sections[section]["properties"][key]
        del found["type"]
        found["enum"] = [*found["enum"], *further]
    return sections


def deployment_schema() -> Schema:
    """Return the properties of everything else; each object is closed unless it says otherwise."""
    properties: Schema = yaml.safe_load(DEPLOYMENT.read_text())["properties"]
    # A round trip, as YAML's anchors have made one object of several places.
    properties = json.loads(json.dumps(properties))
    for node in properties.values():
        close(node)
    return properties


def close(node: Schema) -> None:
    """Refuse unknown keys in an object and all objects in it."""
    if node.get("type") == "object":
        node.setdefault("additionalProperties", False)
    for child in node.get("properties", {}).values():
        close(child)


def values_schema() -> Schema:
    """Return the schema of all values: the settings' sections, then the others."""
    merged = settings_schema()
    for name, node in deployment_schema().items():
        shared = merged.get(name, {"properties": {}})["properties"]
        properties = {**shared, **node.get("properties", {})}
        # What the chart says of a setting adds to what the setting says of itself.
        properties |= {key: {**shared[key], **properties[key]} for key in shared}
        merged[name] = {**node, "properties": properties} if properties else node
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart lbctl",
        "type": "object",
        "additionalProperties": False,
        "properties": merged,
    }


def default_of(node: Schema) -> Any:
    """Return the default of a value: its own, or that of its parts."""
    if "properties" not in node or "default" in node:
        return node.get("default")
    return {name: default_of(child) for name, child in node["properties"].items()}


def leaves(node: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Yield every value that has no further documented parts, with its path, in order."""
    for name, child in node["properties"].items():
        if "properties" in child and "default" not in child:
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


def parts_of(items: Schema) -> str:
    """Return what the objects of a list consist of, for a comment."""
    return ", ".join(items.get("properties", {}))


def comment(text: str, indent: str) -> Iterator[str]:
    """Yield the lines of a comment."""
    yield from textwrap.wrap(
        text,
        width=100,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def yaml_lines(node: Schema, depth: int = 0) -> Iterator[str]:
    """Yield the lines of values.yaml."""
    indent = "  " * depth
    for name, child in node["properties"].items():
        if name == "global":
            continue
        if not depth:
            yield ""
        parts = parts_of(child.get("items", {}))
        text = child["description"] + (f" Each entry: {parts}." if parts else "")
        yield from comment(text, indent)
        if "properties" in child and "default" not in child:
            yield f"{indent}{name}:"
            yield from yaml_lines(child, depth + 1)
        else:
            yield f"{indent}{name}: {in_one_line(default_of(child))}"


def in_one_line(value: Any) -> str:
    """Return a value as YAML in one line; text that could be taken for another type is quoted."""
    if value == "":
        return '""'
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").strip()


def kind(node: Schema) -> str:
    """Return the type of a value for people, with its bounds."""
    if "enum" in node or "const" in node:
        words = node.get("enum", [node.get("const")])
        return " or ".join(f"`{word}`" for word in words if not isinstance(word, bool))
    if "type" not in node and "anyOf" in node:
        return " or ".join(kind(choice) for choice in node["anyOf"])
    types = node.get("type", "string")
    if types == "array":
        inner = node.get("items", {})
        return "list of objects" if inner.get("type") == "object" else f"list of {kind(inner)}s"
    text = " or ".join(types) if isinstance(types, list) else str(types)
    low = node.get("minimum", node.get("exclusiveMinimum"))
    if low is None:
        return text
    above = ">" if "exclusiveMinimum" in node else "≥"
    high = node.get("maximum")
    return f"{text} {above} {low}" + (f", ≤ {high}" if high is not None else "")


def rows(node: Schema, path: str) -> Iterator[Row]:
    """Yield key, type, default and meaning of every value below a section."""
    for name, child in node.get("properties", {}).items():
        place = f"{path}{name}"
        if "properties" in child and "default" not in child:
            yield f"`{place}`", "", "", child["description"]
            yield from rows(child, f"{place}.")
            continue
        default = f"`{in_one_line(default_of(child))}`" if "default" in child else ""
        yield f"`{place}`", kind(child), default, child["description"]
        yield from rows(child, f"{place}.")
        yield from rows(child.get("items", {}), f"{place}[].")


def reference(schema: Schema) -> str:
    """Return the reference page."""
    lines = [
        "# Values of the chart",
        "",
        f"Generated by `{COMMAND}`. A key that is not here is refused, by name. What stands under",
        "“Needs a restart” replaces the pods it concerns, one by one; any other setting of lbctl",
        "is taken over by running pods when the kubelet has updated their file (about a minute).",
        "",
        "Settings of lbctl that are no values of the chart:",
        *(f"`{'.'.join(path)}` {why}." for path, why in NOT_IN_THE_CHART.items()),
    ]
    for name, child in schema["properties"].items():
        lines += ["", f"## {name}", "", child["description"], ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        inner = {"properties": {name: child}} if "properties" not in child else child
        prefix = "" if "properties" not in child else f"{name}."
        cells = [(*row[:3], row[3].replace("|", "\\|")) for row in rows(inner, prefix)]
        lines += [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """Return the files that are generated, with what they should hold."""
    schema = values_schema()
    head = (
        f"# Values of the chart lbctl. Generated by `{COMMAND}`: change the descriptions there.\n"
    )
    return {
        CHART / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        CHART / "values.yaml": head + "\n".join(yaml_lines(schema)) + "\n",
        drift.ROOT / "docs" / "reference" / "values.md": reference(schema),
    }


if __name__ == "__main__":
    sys.exit(drift.main("Generate the chart's values.", generated))
