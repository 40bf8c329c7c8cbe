"""The names in a client's certificate, which TLS has verified. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID


class Names(NamedTuple):
    """`problem`: why they cannot be read. URI names by their type: a DNS name that looks like one is none.

    `ends_at_s` is Unix time: a connection may last longer than the certificate with which it was made.
    """

    uris: tuple[str, ...] = ()
    common_name: str = ""
    problem: str = ""
    ends_at_s: float = 0.0


@lru_cache(maxsize=4096)  # Envoys come back every few minutes with the same one
def names(pem: bytes) -> Names:
    """Of the certificate that a client has shown."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            uris = tuple(extension.value.get_values_for_type(x509.UniformResourceIdentifier))
        except x509.ExtensionNotFound:
            uris = ()
        ends_at_s = certificate.not_valid_after_utc.timestamp()
        return Names(uris, str(common[0].value) if len(common) == 1 else "", "", ends_at_s)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return Names(problem=f"its certificate cannot be read: {type(error).__name__}")
