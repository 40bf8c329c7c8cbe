"""TLS material for servers, from files that are read again when they are rotated.

A new file that is broken (half written, a key of another certificate) keeps the old material in use
and is a `problem` until it is good. A client CA makes client certificates mandatory.
"""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

Stamp = tuple[tuple[int, int, int] | None, ...]


class BadMaterialError(Exception):
    """TLS files that cannot be used, and why."""


class Paths(NamedTuple):
    """Where the files are."""

    cert: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True, slots=True)
class Material:
    """The bytes of one generation of files, checked to belong together."""

    cert: bytes
    key: bytes
    client_ca: bytes | None


class TlsFiles:
    """The newest good material of some files. Thread safe: gRPC asks from threads of its own."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files. BadMaterialError when they cannot be used: nothing older is there to use."""
        self.problem = ""  # why the newest files are not in use; "" when they are
        self.rotations = 0
        self._paths = Paths(cert, key, client_ca)
        self._lock = threading.Lock()
        self._stamp = _stamp(self._paths)
        self._material = read(self._paths)
        self._contexts: list[ssl.SSLContext] = []

    @property
    def material(self) -> Material:
        """What is in use."""
        return self._material

    def refresh(self) -> bool:
        """Look at the files; True when other material is in use than before. Cheap when nothing changed."""
        with self._lock:
            stamp = _stamp(self._paths)
            if stamp == self._stamp:
                return False
            try:
                material = read(self._paths)
                for context in self._contexts:
                    context.load_cert_chain(self._paths.cert, self._paths.key)
            except (BadMaterialError, OSError) as error:
                # the stamp stays as it was: files are looked at again until they are good
                self.problem = str(error)
                return False
            self._stamp, self.problem = stamp, ""
            changed = material != self._material
            self._material = material
            self.rotations += changed
            return changed

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials for a gRPC server; each handshake uses the newest good material."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._material),
            self._fetch,
            require_client_authentication=self._material.client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """For an HTTP server, without client certificates; follows rotations that `refresh` sees."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._paths.cert, self._paths.key)
        self._contexts.append(context)
        return context

    def _fetch(self) -> Any:
        """Called by gRPC before each handshake."""
        self.refresh()
        return _configuration(self._material)


def read(paths: Paths) -> Material:
    """Certificate chain, key and perhaps client CA. BadMaterialError says what is wrong with which file."""
    cert, key = _bytes(paths.cert), _bytes(paths.key)
    chain = _certificates(paths.cert, cert)
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadMaterialError(f"{paths.key}: no usable private key (PEM, without password)") from error
    if _public(private.public_key()) != _public(chain[0].public_key()):
        raise BadMaterialError(f"{paths.key}: is not the key of {paths.cert}")
    client_ca = None
    if paths.client_ca is not None:
        client_ca = _bytes(paths.client_ca)
        _certificates(paths.client_ca, client_ca)
    return Material(cert, key, client_ca)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadMaterialError(f"{path}: cannot be read: {error.strerror}") from error


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadMaterialError(f"{path}: no PEM certificate") from error


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _configuration(material: Material) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.cert)], root_certificates=material.client_ca
    )


def _stamp(paths: Paths) -> Stamp:
    """Changes when a file is written, replaced, or (Kubernetes) its symlink points elsewhere."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in filter(None, paths):
        try:
            stat = os.stat(path)
            stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)
