import pytest

from lbctl.model import errors
from lbctl.settings import NameServiceSettings, Settings, SoaSettings
from lbctl_dns import configured, names, zone


def test_a_subdomain_becomes_a_zone_with_the_seeds_timers() -> None:
    settings = NameServiceSettings(
        subdomains=("lb.test", "b.test."), ns_addresses=("192.0.2.53", "2001:db8::53")
    )
    first, second = configured.zones(Settings(nameservice=settings))
    soa = first.soa
    assert (soa.refresh_s, soa.retry_s, soa.expire_s, soa.negative_ttl_s) == (
        10800,
        3600,
        86400,
        30,
    )
    assert names.to_text(soa.mname) == "ns1.lb.test."
    assert names.to_text(soa.rname) == "hostmaster.lb.test."
    assert [one.rtype for one in first.fixed] == [zone.NS, zone.A, zone.AAAA]
    assert second.origin == names.to_wire("b.test")
    assert names.to_text(second.soa.mname) == "ns1.b.test."


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (NameServiceSettings(), "nameservice.subdomains"),
        (NameServiceSettings(subdomains=("a.b",), ns_addresses=("x",)), "nameservice.nsAddresses"),
        (
            NameServiceSettings(subdomains=(".".join(["x" * 60] * 5),)),
            "nameservice.subdomains: xxx",
        ),
        (NameServiceSettings(subdomains=("a.b",), soa=SoaSettings(mname="a..b")), "soa.mname: a"),
        (NameServiceSettings(subdomains=("a.b",), soa=SoaSettings(rname="." * 3)), "soa.rname: "),
    ],
)
def test_what_makes_no_zone_names_the_field(settings: NameServiceSettings, field: str) -> None:
    with pytest.raises(errors.Misconfigured, match=field):
        configured.zones(Settings(nameservice=settings))
