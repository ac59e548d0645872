"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import lbctl

MODULES = sorted(found.name for found in pkgutil.walk_packages(lbctl.__path__, "lbctl."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, raise_on_error=False).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [finder.find(importlib.import_module(name)) for name in MODULES]
    assert sum(len(one.examples) for tests in found for one in tests) >= 8
