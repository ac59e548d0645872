"""The lab's certificates: one authority, one key pair per identity. Pure but for keys and clock.

Elliptic keys (P-256): made in microseconds, and the API server's clients talk much to it.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = datetime.timedelta(days=365)
BACKDATED = datetime.timedelta(hours=1)
"""Certificates count from an hour ago, so that a clock that steps back does not refuse them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate is for: user, groups and the names a server is reached by."""

    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """DNS names and addresses; an identity without any is a client's."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The lab's certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pair(self) -> Pair:
        """Return the authority's own certificate and key."""
        return Pair(_pem(self.certificate), key_pem(self.key))


def new_authority(now: datetime.datetime) -> Authority:
    """Make an authority that signs from now on; `now` is aware of its zone."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lbctl-lab")])
    draft = _draft(name, name, key.public_key(), now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return Authority(draft.sign(key, hashes.SHA256()), key)


def issue(authority: Authority, identity: Identity, now: datetime.datetime) -> Pair:
    """Sign a certificate for an identity: groups become organisations, as Kubernetes reads them."""
    key = new_key()
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    names.append(x509.NameAttribute(NameOID.COMMON_NAME, identity.user))
    use = ExtendedKeyUsageOID.SERVER_AUTH if identity.names else ExtendedKeyUsageOID.CLIENT_AUTH
    subject = x509.Name(names)
    draft = _draft(subject, authority.certificate.subject, key.public_key(), now).add_extension(
        x509.ExtendedKeyUsage([use]), critical=False
    )
    if identity.names:
        alternatives = x509.SubjectAlternativeName(_general_names(identity.names))
        draft = draft.add_extension(alternatives, critical=False)
    return Pair(_pem(draft.sign(authority.key, hashes.SHA256())), key_pem(key))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public half of a key as PEM."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
