"""From settings to what zones are made from besides decisions. Pure."""

import json

from lbctl.settings import Settings


def basis(settings: Settings) -> str:
    """Return, as text, what all records depend on; part of each zone's digest."""
    asked = settings.nameservice
    return json.dumps(
        [
            settings.lbctl.cluster_name,
            asked.owner_records,
            asked.ns_addresses,
            asked.soa.model_dump(),
            settings.zones[:1],  # its name servers are those of the zones of addresses, too
        ]
    )
