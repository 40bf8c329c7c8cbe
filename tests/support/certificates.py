"""Certificates made at run time: a CA, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_MAY_SIGN = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    cert: bytes
    key: bytes
    common_name: str

    def write(self, cert: Path, key: Path) -> None:
        replace(cert, self.cert)
        replace(key, self.key)


def replace(path: Path, content: bytes) -> None:
    """Write a file the way a rotation does: whole, then renamed into place."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.rename(path)


class Authority:
    def __init__(self, name: str = "test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = self._sign(
            self._name, self._key, [x509.BasicConstraints(ca=True, path_length=0), _MAY_SIGN]
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, common_name: str, *, dns: str = "tideover.test", ip: str = "") -> Pair:
        addresses = [x509.IPAddress(ipaddress.ip_address(ip))] if ip else []
        return self._issue(common_name, [x509.DNSName(dns), *addresses])

    def workload(self, *spiffe_ids: str, common_name: str = "", for_s: float = 3600) -> Pair:
        """What a mesh gives a workload: no name but its SPIFFE ID (`spiffe_id`); more than one is wrong."""
        return self._issue(common_name, [x509.UniformResourceIdentifier(one) for one in spiffe_ids], for_s)

    def _issue(self, common_name: str, names: list[x509.GeneralName], for_s: float = 3600) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(common_name), key, [x509.SubjectAlternativeName(names)], for_s)
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            common_name,
        )

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[x509.ExtensionType],
        for_s: float = 3600,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(seconds=for_s))
        )
        # Python 3.13 refuses certificates without these two
        identifiers = [
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
        ]
        for extension in [*extensions, *identifiers]:
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def spiffe_id(account: str, namespace: str = "bookinfo", trust_domain: str = "cluster.local") -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"
