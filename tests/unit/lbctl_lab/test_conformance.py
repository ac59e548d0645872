import json
import re
from pathlib import Path

import pytest

from lbctl_lab import conformance, conformance_cases, conformance_report, errors, suite_images
from lbctl_lab.conformance_cases import BY_KEY, CASES, Outcome

SPECS = Path(__file__).parents[2] / "golden" / "conformance" / "specs.txt"
"""All specs of the suite about Services and load balancers, as it names them."""


def spec(state: str, **more: object) -> dict[str, object]:
    """Return a spec of a ginkgo report."""
    begun = "2026-11-21T15:39:47.02472076Z"
    said = {
        "SpecEventType": "By",
        "Message": "creating a\nservice",
        "TimelineLocation": {"Time": "2026-11-21T15:39:48Z"},
    }
    started = {"SpecEventType": "Node", "Message": "x", "TimelineLocation": {"Time": begun}}
    plain = {"LeafNodeType": "It", "State": state, "NumAttempts": 1, "RunTime": 6_340_000_000}
    return {**plain, "StartTime": begun, "SpecEvents": [started, said], **more}


def outcome(*specs: dict[str, object], key: str = "8") -> Outcome:
    return conformance_report.parse(BY_KEY[key], json.dumps([{"SpecReports": specs}]))


NEVER = spec("skipped", NumAttempts=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_focus_picks_its_own_case_alone(case):
    # Python's and Go's expressions agree on what `focus` is made of.
    picked = [name for name in SPECS.read_text().splitlines() if re.search(case.focus, name)]
    assert len(picked) == 1
    assert case.text in picked[0]


def test_all_tagged_cases_are_among_ours():
    tagged = [name for name in SPECS.read_text().splitlines() if "Feature:LoadBalancer]" in name]
    ours = [case for case in CASES if not case.key.startswith("n")]
    assert len(tagged) == len(ours) == 17


def test_a_passed_case_tells_its_time_and_steps():
    found = outcome(NEVER, spec("passed"))
    assert (found.verdict, found.took_s, found.reason) == ("passed", 6.34, "")
    assert [(round(step.after_s, 3), step.text) for step in found.steps] == [
        (0.975, "creating a\nservice")
    ]
    assert not found.is_held_against_us


@pytest.mark.parametrize("state", ["failed", "panicked", "timedout", "interrupted", "aborted"])
def test_whatever_else_ginkgo_says_is_a_failure(state):
    found = outcome(spec(state, Failure={"Message": "not\n  reachable"}))
    assert (found.verdict, found.reason) == ("failed", "not reachable")
    assert found.is_held_against_us


def test_a_case_of_many_requests_tells_how_many_were_answered():
    told = "x] Success rate: 99.98%\n y] Success rate: 100.00%\n"
    found = outcome(spec("passed", CapturedGinkgoWriterOutput=told))
    assert found.figures == "requests answered, per roll-out: 99.98, 100.00 %"
    assert found.figures in conformance_report.row(found)


def test_a_skipped_case_is_no_pass():
    found = outcome(spec("skipped", Failure={"Message": "needs 2 nodes"}))
    assert (found.verdict, found.reason) == ("skipped", "needs 2 nodes")
    assert found.is_held_against_us


def test_a_case_that_never_started_says_what_broke_before_it():
    broken = spec("failed", LeafNodeType="BeforeSuite", Failure={"Message": "no API server"})
    assert outcome(NEVER, broken) == Outcome(BY_KEY["8"], "not run", reason="no API server")
    assert outcome(NEVER).reason == "no such case"


def test_a_long_reason_is_cut():
    found = outcome(spec("failed", Failure={"Message": "x" * 1000}))
    assert len(found.reason) == conformance_report.REASON_LENGTH + 1


def test_what_lbctl_is_known_to_lack_does_not_fail_a_run_but_is_said():
    case = conformance_cases.Case("99", "Services", "should fly", lacks="wings")
    failed = Outcome(case, "failed", 3.0, "it fell | hard")
    assert not failed.is_held_against_us
    assert conformance_report.row(failed) == (
        "| 99 | Services: should fly | failed | 3.0 s | wings. it fell \\| hard |"
    )
    assert conformance_report.row(Outcome(case, "passed", 90.0)).endswith(
        "| passed | 1 min 30 s |  |"
    )


def test_the_page_counts_what_passed():
    outcomes = [outcome(spec("passed")), outcome(NEVER, key="n8")]
    run = conformance_report.Circumstances("v1.36.3", 2, "nft", "vxlan", jobs=4, took_s=61)
    page = conformance_report.table(outcomes, run, "log-nft-vxlan.txt")
    assert "1 of 2 cases passed in 1 min 1 s" in page
    assert "2 nodes, backend `nft`,\npods by `vxlan`, 4 cases at once" in page
    assert "[log-nft-vxlan.txt](log-nft-vxlan.txt)" in page
    assert page.count("\n| ") == 3


def test_the_log_has_each_step_on_a_line():
    lines = conformance_report.log([outcome(spec("passed"))]).splitlines()
    assert lines[1:] == ["      1.0 s  creating a service", "      6.3 s  passed"]


def test_of_several_versions_of_an_image_the_newest_counts():
    listed = "registry.k8s.io/pause:3.9\nregistry.k8s.io/pause:3.10.2\n"
    agnhost = "registry.k8s.io/e2e-test-images/agnhost:2."
    found = suite_images.names(f"{listed}{agnhost}55\n{agnhost}63.0\n{agnhost}7\n")
    assert found == {"pause": "registry.k8s.io/pause:3.10.2", "agnhost": f"{agnhost}63.0"}
    with pytest.raises(errors.LabError, match="agnhost"):
        suite_images.names(listed)


def test_a_case_runs_at_the_clients_place():
    words = conformance.argv(Path("lbe2e"), BY_KEY["8"], Path("8.json"))
    assert words[2:4] == ["nsenter", "--net=/run/netns/lbctl-client"]
    assert f"-ginkgo.focus={BY_KEY['8'].focus}" in words


def test_the_suite_is_of_the_labs_kubernetes():
    lab = (conformance.binaries.KUBERNETES.folder / "go.mod").read_text()
    assert f"k8s.io/kubernetes {conformance.suite_version()}" in lab
