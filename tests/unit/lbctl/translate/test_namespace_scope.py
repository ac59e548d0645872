"""Which namespaces are served."""

import pytest

from lbctl.model.selector import Requirement
from lbctl.translate.namespaces import Scope

LABELS = {"team": "net", "lb": ""}


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        (Requirement("team", "In", frozenset({"net", "web"})), True),
        (Requirement("team", "In", frozenset({"web"})), False),
        (Requirement("absent", "In", frozenset({"x"})), False),
        (Requirement("team", "NotIn", frozenset({"net"})), False),
        (Requirement("absent", "NotIn", frozenset({"net"})), True),
        (Requirement("lb", "Exists"), True),
        (Requirement("absent", "Exists"), False),
        (Requirement("lb", "DoesNotExist"), False),
        (Requirement("absent", "DoesNotExist"), True),
    ],
)
def test_a_requirement_holds_as_in_kubernetes(requirement: Requirement, holds: bool) -> None:
    assert requirement.holds(LABELS) is holds


def test_every_requirement_must_hold() -> None:
    both = (Requirement("lb", "Exists"), Requirement("team", "In", frozenset({"web"})))
    assert not Scope(both).selects("default", LABELS)
    assert Scope(both[:1]).selects("default", LABELS)


def test_a_blocked_namespace_is_never_served() -> None:
    scope = Scope(blocked=frozenset({"kube-system"}))
    assert not scope.selects("kube-system", LABELS)
    assert scope.selects("default", {})
