"""The reference of Service fields has the fields that the API server knows, and no others."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import event_loops
from lbctl.kube import config
from lbctl.kube.client import Client
from lbctl.kube.objects import Json

pytestmark = pytest.mark.root
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "service-fields.md"
CORE = "io.k8s.api.core.v1."


@pytest.fixture(scope="module")
def schemas(real_api: Path) -> Json:
    """The schemas of the core group, by name, as the API server publishes them."""

    async def body() -> Json:
        async with Client(config.load(real_api)) as api:
            document = await api.raw("GET", "/openapi/v3/api/v1")
            found: Json = document["components"]["schemas"]
            return found

    return event_loops.run(body())


def leaves(schemas: Json, kind: str) -> Iterator[str]:
    """Yield the paths of all fields of a core type that have no core type below them."""
    for name, field in schemas[CORE + kind]["properties"].items():
        path, below = (f"{name}[]", field["items"]) if "items" in field else (name, field)
        kinds = re.findall(rf"{re.escape(CORE)}(\w+)", str(below))
        if not kinds:
            yield name
        for inner in kinds:
            yield from (f"{path}.{leaf}" for leaf in leaves(schemas, inner))


@functools.cache
def rows(section: str) -> frozenset[str]:
    """Return the fields in the first column of one section of the page."""
    _, _, rest = PAGE.read_text().partition(f"\n## {section}\n")
    table = rest.partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", table, re.M)
    return frozenset(
        text.partition(":")[0] for cell in cells for text in re.findall(r"`([^`]+)`", cell)
    )


@pytest.mark.parametrize(
    ("kind", "section"), [("ServiceSpec", "spec"), ("ServiceStatus", "status")]
)
def test_every_field_of_the_api_has_a_row_and_every_row_a_field(
    schemas: Json, kind: str, section: str
) -> None:
    assert set(leaves(schemas, kind)) == rows(section)
