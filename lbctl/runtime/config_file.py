"""Load the settings file; every fault names the file, the field and the reason."""

from pathlib import Path

import pydantic
import yaml

from lbctl.model.errors import Misconfigured
from lbctl.settings import Settings


def load(path: Path | None) -> Settings:
    """Return the settings of a YAML file, the defaults when None. Raises Misconfigured."""
    if path is None:
        return Settings()
    try:
        text = path.read_text()
    except OSError as error:
        raise Misconfigured(f"settings {path}: {error.strerror}") from error
    return parse(text, str(path))


def parse(text: str, place: str) -> Settings:
    """Return the settings of a YAML text; faults name its `place`. Raises Misconfigured."""
    try:
        tree = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Misconfigured(f"settings {place}: not YAML: {error}") from error
    try:
        return Settings.model_validate(tree)
    except pydantic.ValidationError as error:
        faults = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())
        raise Misconfigured(f"settings {place}: {faults}") from error


def _fault(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in place) or 'file'}: {message}"
