"""Whatever L4Policies say: one answer for a Service, the same for everybody, and never an error."""

import ipaddress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import builders
import policy_builders as built
from lbctl.model.policy import DeclaredPolicy, Demand
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import Policy
from lbctl.plan import policies, policy_status
from lbctl.plan.objects import WriteStatus
from lbctl.translate.policies import read_rules, translate_policy

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
CIDRS = st.sampled_from(
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32"]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "enabled": st.booleans(),
    "algorithm": st.sampled_from(["maglev", "round-robin", "least-connections", "source-hash"]),
    "persistence": st.sampled_from(
        [{"type": "None"}, {"type": "ClientIP"}, {"type": "ClientIP", "timeoutSeconds": 9}]
    ),
    "sourceRanges": st.lists(CIDRS, max_size=3),
    "limits": st.fixed_dictionaries({}, optional={"connections": st.integers(1, 9)}),
    "drainTimeoutSeconds": st.integers(0, 9),
    "memberWeights": st.lists(
        st.fixed_dictionaries(
            {"weight": st.integers(0, 100), "node": st.text(min_size=1, max_size=3)},
            optional={"addresses": CIDRS},
        ),
        max_size=3,
    ),
    "monitor": st.sampled_from([{"type": "tcp"}, {"type": "http", "port": 81, "path": "/ok"}]),
}
TARGETS = st.lists(st.sampled_from(["kuard", "web", "api"]), min_size=1, max_size=3, unique=True)
GOOD = st.fixed_dictionaries({}, optional=FIELDS)
WRONG = st.fixed_dictionaries({}, optional={name: JUNK for name in (*FIELDS, "targetRefs")})
CREATED = st.sampled_from(["2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z", ""])


@st.composite
def objects(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to four policies of one namespace, some of them wrong, some with a last good spec."""
    found = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4)):
        targets, fields = draw(TARGETS), draw(GOOD | WRONG)
        accepted = draw(st.none() | GOOD.map(lambda spec: built.spec_of("kuard", **spec)))
        obj = built.policy(name, *targets, created=draw(CREATED), accepted=accepted)
        found.append({**obj, "spec": obj["spec"] | fields})
    return found


def declared(found: list[dict[str, Any]]) -> list[DeclaredPolicy]:
    return [translate_policy(obj) for obj in found]


@given(found=objects(), ranges=st.lists(CIDRS, max_size=2), data=st.data())
def test_there_is_one_answer_in_whatever_order_policies_come(
    found: list[dict[str, Any]], ranges: list[str], data: st.DataObject
) -> None:
    service = builders.facts(builders.service(loadBalancerSourceRanges=ranges))
    answer = policies.resolve(service, declared(found))
    shuffled = data.draw(st.permutations(found))
    assert policies.resolve(service, declared(shuffled)) == answer
    assert isinstance(answer, Policy | Refused)
    beside = [policy for policy in declared(found) if service.name in policy.targets]
    if not beside:
        assert answer == service.policy
    # Closed exactly where the one that counts never was right.
    closed = bool(beside) and min(beside, key=lambda policy: policy.age).counting is None
    assert isinstance(answer, Refused) is closed


@given(
    notes=st.dictionaries(
        st.sampled_from(["algorithm", "drain-timeout", "health-monitor"]), st.text(max_size=9)
    )
)
def test_annotations_are_followed_or_refused(notes: dict[str, str]) -> None:
    read_rules({f"lbctl.io/{key}": text for key, text in notes.items()})


ADDRESSES = st.sampled_from(
    [ipaddress.ip_address(text) for text in ("10.1.2.3", "10.9.9.9", "192.0.2.7", "2001:db8::7")]
)


def lets_in(ranges: tuple[str, ...], address: Any) -> bool:
    return not ranges or any(address in ipaddress.ip_network(text) for text in ranges)


@given(
    one=st.lists(CIDRS, max_size=3).map(tuple),
    other=st.lists(CIDRS, max_size=3).map(tuple),
    address=ADDRESSES,
)
def test_who_is_let_in_is_let_in_by_both(
    one: tuple[str, ...], other: tuple[str, ...], address: Any
) -> None:
    both = lets_in(one, address) and lets_in(other, address)
    assert lets_in(policies.narrowed(one, other), address) is both


@given(found=objects(), wrong=WRONG)
def test_a_bad_edit_of_what_counts_changes_nothing_and_statuses_come_to_rest(
    found: list[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    service = builders.facts(builders.service())
    settled = settle(found)
    assert settle(settled) == settled
    before = policies.resolve(service, declared(settled))
    assert before == policies.resolve(service, declared(found))
    spoilt = [{**obj, "spec": obj["spec"] | wrong | {"sourceRanges": ["x"]}} for obj in settled]
    if all(isinstance(policy.counting, Demand) for policy in declared(settled)):
        assert policies.resolve(service, declared(spoilt)) == before
        assert policies.resolve(service, declared(settle(spoilt))) == before


def settle(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects with the statuses that the leader writes."""
    steps = policy_status.plan_policies(found, lambda key: True, (), builders.NOW)
    wrote = {
        step.body["metadata"]["name"]: step.body for step in steps if isinstance(step, WriteStatus)
    }
    return [wrote.get(obj["metadata"]["name"], obj) for obj in found]


@given(found=objects())
def test_of_the_policies_for_a_service_one_counts_and_the_others_know_it(
    found: list[dict[str, Any]],
) -> None:
    right = [obj for obj in found if isinstance(translate_policy(obj).demand, Demand)]
    told = {
        obj["metadata"]["name"]: obj["status"]["conditions"][0]["reason"] for obj in settle(right)
    }
    first = policies.governors(declared(right))
    for policy in declared(right):
        counts = all(first[f"default/{name}"] == policy for name in policy.targets)
        assert told[policy.name] == ("Accepted" if counts else "Conflicted")
