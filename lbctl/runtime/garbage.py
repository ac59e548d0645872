"""When Python looks for garbage in cycles: not while much is loaded, nor through that afterwards.

A search through 10,000 names and what they were made from takes 70 ms, in which nothing else is
done. Most of it goes by reference counts all the same, also what is exempt here.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Suspend searches; what there is at the end is never searched again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
