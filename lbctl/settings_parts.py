"""What sections of the settings are made of. Pure: base class, kinds of values, label selectors."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """One section: frozen, unknown keys are errors, keys in camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
DomainName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}\.?$")
]


class LabelExpression(Section):
    """One Kubernetes label selector requirement."""

    key: str = Field(min_length=1)
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared."""
    values: tuple[str, ...] = ()
    """Values for `In` and `NotIn`; empty for the others."""


class LabelSelector(Section):
    """A Kubernetes label selector: every part must hold; an empty one selects everything."""

    match_labels: dict[str, str] = Field(default={})
    """Labels and the values they must have."""
    match_expressions: tuple[LabelExpression, ...] = ()
    """Further demands."""
