"""The lab's one exception: what failed, why, and what to do about it. Pure."""


class LabError(Exception):
    """Stop a lab command: names the thing, the reason and the cure."""

    def __init__(self, thing: str, reason: str, cure: str = "") -> None:
        super().__init__(f"{thing}: {reason}" + (f"\n  cure: {cure}" if cure else ""))
        self.thing = thing
        self.reason = reason
        self.cure = cure
