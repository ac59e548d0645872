"""The settings that say who may have which names. Pure."""

from typing import Annotated

from pydantic import Field

from lbctl.settings_parts import LabelSelector, Section

Suffix = Annotated[
    str,
    Field(
        pattern=r"^((\{namespace\}|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\.)*[a-z0-9-]{1,63}\.?$",
        max_length=253,
    ),
]


class SuffixSettings(Section):
    """Which namespaces may have host names at and below one domain; none said: all of them."""

    suffix: Suffix
    """The domain; `{namespace}` in it stands for the namespace that asks."""
    namespaces: tuple[str, ...] = ()
    """Namespaces by name."""
    namespace_selectors: tuple[LabelSelector, ...] = ()
    """Namespaces by label; one that is named or selected may."""
