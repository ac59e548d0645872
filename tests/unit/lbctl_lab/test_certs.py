import datetime
import ipaddress

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lbctl_lab import certs, credentials, plan

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
AUTHORITY = certs.new_authority(NOW)


def issued(identity):
    pair = certs.issue(AUTHORITY, identity, NOW)
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def test_a_certificate_is_signed_by_the_authority_and_valid_now():
    cert = issued(certs.Identity("someone"))
    cert.verify_directly_issued_by(AUTHORITY.certificate)
    assert cert.not_valid_before_utc < NOW < cert.not_valid_after_utc


def test_a_certificate_does_not_outlive_its_authority():
    cert = issued(certs.Identity("someone"))
    assert cert.not_valid_after_utc <= AUTHORITY.certificate.not_valid_after_utc


def test_groups_become_organisations_and_the_user_the_common_name():
    subject = issued(certs.Identity("system:node:node-1", ("system:nodes",))).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:node-1"
    organisations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [each.value for each in organisations] == ["system:nodes"]


def test_a_server_carries_its_names_and_addresses():
    cert = issued(certs.Identity("api", names=("kubernetes", "10.96.0.1", "fd00::1")))
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    addresses = [ipaddress.ip_address("10.96.0.1"), ipaddress.ip_address("fd00::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses


def test_a_client_may_not_serve_and_a_server_may_not_ask():
    def use(identity):
        extension = issued(identity).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        return list(extension.value)

    assert use(certs.Identity("client")) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert use(certs.Identity("server", names=("a",))) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_api_server_is_certified_for_the_address_that_kubeconfigs_name():
    names = credentials.identities(plan.nodes(2))["apiserver"].names
    assert plan.HOST_V4 in names
    assert plan.KUBERNETES_SERVICE_V4 in names


def test_each_kubelet_is_the_user_that_node_authorisation_knows():
    known = credentials.identities(plan.nodes(2))
    kubelets = [known[f"kubelet-{node.name}"] for node in plan.nodes(2)]
    assert [each.user for each in kubelets] == ["system:node:node-1", "system:node:node-2"]
    assert {each.groups for each in kubelets} == {("system:nodes",)}
