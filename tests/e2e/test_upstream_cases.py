"""The quick ones of Kubernetes' own load-balancer cases (`make conformance` runs all of them)."""

import pytest

from lbctl_lab import conformance, progress
from lbctl_lab.conformance_cases import BY_KEY

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]

QUICK = ("1", "2", "3", "8", "9", "10", "n2", "n8")
"""Type and ports (TCP, UDP), source ranges, finalizer, no node ports, UDP that keeps its port,
health port, status."""


@pytest.fixture(scope="module")
def outcomes(lab):
    """The cases' outcomes; they run beside each other, so this takes as long as the longest."""
    shown = progress.Progress()
    program = conformance.prepare(shown)
    cases = [BY_KEY[key] for key in QUICK]
    found = conformance.run_cases(program, cases, len(cases), shown)
    return {outcome.case.key: outcome for outcome in found}


@pytest.mark.parametrize("key", QUICK, ids=lambda key: f"{key}-{BY_KEY[key].text}")
def test_upstreams_case_passes(outcomes, key):
    assert (outcomes[key].verdict, outcomes[key].reason) == ("passed", "")
