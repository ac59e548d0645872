"""How many examples property tests try: `LBCTL_EXAMPLES=2000` for a long night."""

import os

from hypothesis import settings

settings.register_profile(
    "lbctl", max_examples=int(os.environ.get("LBCTL_EXAMPLES", "50")), deadline=None
)
settings.load_profile("lbctl")
