"""What is wrong with the spec of an object, in one line that names the field. Pure."""

import pydantic


def first_fault(error: pydantic.ValidationError) -> str:
    """Return the first thing that is wrong, as `spec.<field>: <what>`."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(("spec", *(str(part) for part in first["loc"])))
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
