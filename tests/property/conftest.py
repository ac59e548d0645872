"""How many examples property tests try: few at each save, `LBCTL_PROFILE=thorough` in CI.

`LBCTL_EXAMPLES=20000` sets the number itself, for a long night.
"""

import os

from hypothesis import settings

EXAMPLES = {"quick": 20, "thorough": 200}

for name, count in EXAMPLES.items():
    asked = int(os.environ.get("LBCTL_EXAMPLES", count))
    settings.register_profile(name, max_examples=asked, stateful_step_count=40, deadline=None)
settings.load_profile(os.environ.get("LBCTL_PROFILE", "quick"))
