"""Which namespaces are served. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.model.selector import Requirement
from lbctl.settings import LbctlSettings


@dataclass(frozen=True, slots=True)
class Scope:
    """The namespaces that are served."""

    requirements: tuple[Requirement, ...] = ()
    blocked: frozenset[str] = frozenset()

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels is served.

        >>> Scope((Requirement("lb", "Exists"),)).selects("default", {"lb": ""})
        True
        """
        return namespace not in self.blocked and all(
            requirement.holds(labels) for requirement in self.requirements
        )


def scope_of(settings: LbctlSettings) -> Scope:
    """Return the scope that the settings describe: label, expressions and block list together."""
    selector = settings.namespace_selector
    wanted = [
        Requirement(entry.key, entry.operator, frozenset(entry.values))
        for entry in selector.match_expressions
    ]
    if selector.label_key:
        wanted.append(Requirement(selector.label_key, "In", frozenset({selector.label_value})))
    return Scope(tuple(wanted), frozenset(settings.blocked_namespace_list))
