"""What holds for every test."""

import gc


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out what was imported: it stays until the end."""
    gc.freeze()
