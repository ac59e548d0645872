"""The reference of reasons has every reason, and where it is told."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lbctl.model.reasons import MEANING, Reason

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    path = ROOT / "scripts" / "generate_reasons.py"
    spec = importlib.util.spec_from_file_location("generate_reasons", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_table_says() -> None:
    assert generator().PAGE.read_text() == generator().page(), "make values"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.POOL_EXHAUSTED, "condition, event"),
        (Reason.NO_ENDPOINTS, "condition"),
        (Reason.WITHDRAWN, "L4VirtualService"),
        (Reason.OVERLAPS, "condition of the AddressPool"),
        (Reason.NO_CONTROLLER, ""),
    ],
)
def test_it_says_where_a_reason_is_told(reason: Reason, told: str) -> None:
    assert f"| `{reason.value}` | {told} | {MEANING[reason]} |" in generator().page()
