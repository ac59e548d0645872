"""Who waits for acknowledgements, and which of them one that comes may move. No I/O.

Looking at all who wait whenever an agent has come further would cost the square of a burst.
"""

from lbctl.translate.serving_nodes import AgentState


class Awaited:
    """Keys that wait, and the versions of decision and EndpointSlices that each waits for."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[int, int]] = {}

    def wait(self, key: str, decision: int, slices: int) -> None:
        """Note that a key waits until agents have programmed these versions."""
        self._versions[key] = (decision, slices)

    def leave(self, key: str) -> None:
        """Note that a key waits no more."""
        self._versions.pop(key, None)

    def moved_by(self, before: AgentState | None, now: AgentState | None) -> list[str]:
        """Return who has to be looked at again, sorted: an agent has come from here to there."""
        if before is None or now is None or before.role != now.role:
            return sorted(self._versions)
        failed = {key for key, _ in before.exceptions.items() ^ now.exceptions.items()}
        return sorted(
            key
            for key, (decision, slices) in self._versions.items()
            if (before.decisions >= decision) != (now.decisions >= decision)
            or (before.slices >= slices) != (now.slices >= slices)
            or _exception_key(key) in failed
        )


def keys_of_failures(before: AgentState | None, now: AgentState | None) -> list[str]:
    """Return whose members fail, or work, by an agent's word and did not before; sorted."""
    told = [
        frozenset(agent.failing) if agent is not None else frozenset() for agent in (before, now)
    ]
    return sorted({member.key.replace(".", "/", 1) for member in told[0] ^ told[1]})


def _exception_key(key: str) -> str:
    """Return what agents call a Service: the name of its L4VirtualService."""
    return key.replace("/", ".", 1)
