"""Searches for garbage stop while much is loaded, and go on afterwards."""

import gc

import pytest

from lbctl.runtime import garbage


def test_nothing_is_searched_while_loading_and_what_was_loaded_never_is() -> None:
    with garbage.loading():
        assert not gc.isenabled()
        loaded: list[object] = [[]]
    assert gc.isenabled()
    assert all(one is not loaded for one in gc.get_objects())


def test_a_load_that_fails_does_not_end_searching() -> None:
    with pytest.raises(ValueError, match="broken"), garbage.loading():
        raise ValueError("broken")
    assert gc.isenabled()
