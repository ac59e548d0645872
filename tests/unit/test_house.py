"""The rules of the house that no linter knows."""

import ast
import collections
import functools
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lbctl.model.reasons import MEANING, Reason

ROOT = Path(__file__).parents[2]
SHIPPED = ("lbctl", "dns", "dataplane", "lab")
ROOMS = (*SHIPPED, "tests")
MAX_FUNCTION, MAX_FILE = 50, 400
BANNED_WORDS = {"manager", "helper", "util", "utils", "handler", "data", "info", "process", "do"}
NAMED_BY_OTHERS = {"data_received"}
"""Methods that asyncio calls by that name."""
DISTRIBUTIONS = {"dns", "dataplane", "lab"}
"""Folders of the repository; only the packages inside them can be imported."""
OTHERS = {"dns", "dataplane"}
"""Names that packages of others have: a module of ours would hide them."""
PATCHING = ("mock" + ".patch", "monkeypatch" + ".setattr", "mark" + ".skip", "mark" + ".xfail")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def sources(*rooms: str) -> tuple[Path, ...]:
    found = (path for room in rooms for path in (ROOT / room).rglob("*.py"))
    return tuple(sorted(found))


class Definition(NamedTuple):
    """A function or class of a file."""

    name: str
    lines: int
    is_function: bool


@functools.cache
def definitions(path: Path) -> tuple[Definition, ...]:
    """Return what a file defines, also inside others (kept instead of the trees, which are big)."""
    return tuple(
        Definition(node.name, length(node), isinstance(node, Function))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, Function | ast.ClassDef)
    )


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def length(node: Function | ast.ClassDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def words(name: str) -> set[str]:
    """Return the words of a name in either style: `TaskQueue` and `task_queue`."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)}


def names_of(path: Path) -> set[str]:
    return {path.stem, *(found.name for found in definitions(path))}


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{place(path)}: {found.name} has {found.lines} lines"
        for path in sources(*ROOMS)
        for found in definitions(path)
        if found.is_function and found.lines > MAX_FUNCTION
    ]
    assert long == []


def test_files_are_short() -> None:
    sizes = {place(path): path.read_text().count("\n") for path in sources(*ROOMS)}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE} == {}


def test_no_module_hides_another_package() -> None:
    taken = (sys.stdlib_module_names | OTHERS) - {"__init__"}
    assert [place(path) for path in sources(*ROOMS) if path.stem in taken] == []


def test_no_package_hides_another() -> None:
    folders = {path.parent.relative_to(ROOT) for path in sources(*SHIPPED)}
    taken = sys.stdlib_module_names | OTHERS
    inside = {
        folder
        for folder in folders
        if len(folder.parts) > 1 or folder.parts[0] not in DISTRIBUTIONS
    }
    assert {str(folder) for folder in inside if folder.name in taken} == set()


def test_names_say_what_a_thing_is() -> None:
    found = [
        f"{place(path)}: {name}"
        for path in sources(*SHIPPED)
        for name in names_of(path)
        if words(name) & BANNED_WORDS and name not in NAMED_BY_OTHERS
    ]
    assert found == []


def test_tests_patch_nothing_and_skip_nothing() -> None:
    found = [
        f"{place(path)}: {word}"
        for path in sources("tests")
        for word in PATCHING
        if word in path.read_text()
    ]
    assert found == []


def test_no_test_file_has_the_name_of_another() -> None:
    counted = collections.Counter(path.name for path in sources("tests"))
    assert [name for name, count in counted.items() if count > 1 and name != "conftest.py"] == []


def test_tests_are_no_package() -> None:
    assert [path for path in sources("tests") if path.name == "__init__.py"] == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_one_line(reason: Reason) -> None:
    assert MEANING[reason]
    assert "\n" not in MEANING[reason]
    assert re.fullmatch(r"([A-Z][a-z]+)+", reason.value)


def test_reasons_are_told_apart() -> None:
    assert len({reason.value for reason in Reason}) == len(MEANING)


def test_there_are_pinned_requirements() -> None:
    assert list((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=place)
def test_requirements_name_no_index_and_pin_every_hash(path: Path) -> None:
    text = path.read_text()
    pinned = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert re.findall(r".*(?:://|index-url|find-links).*", text) == []
    assert all("==" in line for line in pinned)
    assert text.count("--hash=sha256:") >= len(pinned) > 0
