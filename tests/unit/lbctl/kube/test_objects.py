"""Reading metadata of objects, also of those that lack parts of it."""

from typing import Any

import pytest

from lbctl.kube import objects


def test_metadata_may_be_absent() -> None:
    assert objects.metadata({}) == {}
    assert objects.name_of({}) == ""
    assert objects.uid_of({"metadata": None}) == ""


@pytest.mark.parametrize(
    ("meta", "key"),
    [({"namespace": "default", "name": "kuard"}, "default/kuard"), ({"name": "n1"}, "n1")],
)
def test_keys_have_a_namespace_where_there_is_one(meta: dict[str, Any], key: str) -> None:
    assert objects.key_of({"metadata": meta}) == key


@pytest.mark.parametrize(
    ("meta", "version", "generation"),
    [
        ({}, 0, 0),
        ({"resourceVersion": ""}, 0, 0),
        ({"resourceVersion": "7", "generation": 2}, 7, 2),
    ],
)
def test_versions_are_numbers_and_0_where_absent(
    meta: dict[str, Any], version: int, generation: int
) -> None:
    assert objects.version_of({"metadata": meta}) == version
    assert objects.generation_of({"metadata": meta}) == generation


def test_name_and_uid_are_read() -> None:
    obj = {"metadata": {"name": "kuard", "uid": "u"}}
    assert (objects.name_of(obj), objects.uid_of(obj)) == ("kuard", "u")
