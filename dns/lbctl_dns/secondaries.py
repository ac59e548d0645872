"""From settings, or options of the command line, to the plan for secondaries: reads key files."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lbctl.model import errors
from lbctl.settings import Settings
from lbctl.settings_transfer import TransferKeySettings, TransferRuleSettings
from lbctl_dns import access, mounted, names, notify, primary, tsig


async def follow(settings: Callable[[], Settings], take: Callable[[primary.Plan], None]) -> None:
    """Call `take` with the plan again and again; never returns."""
    await mounted.follow(lambda: plan(settings()), take, "secondaries")


def plan(settings: Settings) -> primary.Plan:
    """Return what the settings say. Raises Misconfigured naming the field."""
    asked = settings.nameservice.transfer
    try:
        keys = [_key(one) for one in asked.keys]
        rules = [rule for one in asked.allow for rule in _rules(one)]
        targets = [notify.target(f"{one.key}@{one.address}") for one in asked.notify]
        return _checked(keys, rules, targets)
    except ValueError as error:
        raise errors.Misconfigured(f"nameservice.transfer: {error}") from error


def _key(one: TransferKeySettings) -> tsig.Key:
    try:
        secret = Path(one.secret_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"key {one.name}: {one.secret_file}: {error}") from error
    return access.key(one.name, one.algorithm, secret)


def _rules(one: TransferRuleSettings) -> Iterator[access.Rule]:
    for network in one.networks:
        yield access.rule(f"{one.key}@{network}" if one.key else network)
    if not one.networks:
        yield access.Rule(names.to_wire(one.key))


def from_options(
    keys: Iterable[str], allowed: Iterable[str], notified: Iterable[str]
) -> primary.Plan:
    """Return what the command line says. Raises ValueError, never saying a secret."""
    return _checked(
        [_key_from_option(text) for text in keys],
        [access.rule(text) for text in allowed],
        [notify.target(text) for text in notified],
    )


def _key_from_option(text: str) -> tsig.Key:
    name, _, rest = text.partition(":")
    algorithm, colon, secret = rest.partition(":")
    if not colon:
        raise ValueError("a key is NAME:ALGORITHM:SECRET")  # without the text: it may be a secret
    if secret.startswith("@"):
        try:
            secret = Path(secret[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"key {name}: {error}") from error
    return access.key(name, algorithm, secret)


def _checked(
    keys: list[tsig.Key], rules: list[access.Rule], targets: list[notify.Target]
) -> primary.Plan:
    known = access.checked(keys, rules)
    for one in targets:
        if one.key and one.key not in known.keys:
            raise ValueError(f"{names.to_text(one.key)} is no key that is known")
    return primary.Plan(known, tuple(targets))
