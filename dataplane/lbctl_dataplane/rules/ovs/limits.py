"""How many new connections a second a place takes on a switch: a meter of its own. Pure.

Only the first packet of a connection passes it, as what is known never meets the flow of new ones.
Who is beyond is dropped: a switch can't make a reset. Source: OpenFlow 1.5 §5.8.
"""

from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import limits
from lbctl_dataplane.rules.place_numbers import Numbers


def meter(frontend: Frontend) -> str:
    """Return the meter of a place in the words of `ovs-ofctl`; empty where it takes any number.

    As many connections may come at once as in a second.
    """
    rate = frontend.limits.connections_per_s
    if not 0 < rate <= limits.FASTEST:
        return ""
    return f"pktps,burst,band=type=drop,rate={rate},burst_size={rate}"


def numbers() -> Numbers:
    """Return what gives places the numbers of their meters."""
    return Numbers(constants.METER_FIRST, constants.METER_SPACE)
