"""What an API server of the tests proves itself with, and what it lets in."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.certificates import Authority


class Credentials:
    """Certificate, token file and the key that signs service account tokens, as files in a folder."""

    def __init__(self, folder: Path, admin_token: str) -> None:
        self.authority = Authority(f"CA of {folder.name}")
        self.ca, self.certificate, self.key = folder / "ca.crt", folder / "tls.crt", folder / "tls.key"
        self.ca.write_bytes(self.authority.pem)
        self.authority.issue("kube-apiserver", ip="127.0.0.1").write(self.certificate, self.key)
        self.tokens = folder / "tokens.csv"
        self.tokens.write_text(f'{admin_token},admin,admin,"system:masters"\n')
        self.account_key, self.account_public_key = folder / "sa.key", folder / "sa.pub"
        signer = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.NoEncryption()
        pem, sec1 = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        self.account_key.write_bytes(signer.private_bytes(pem, sec1, plain))
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        self.account_public_key.write_bytes(signer.public_key().public_bytes(pem, public))


def kubeconfig(name: str, server: str, ca_pem: str, token: str) -> str:
    """One context, called like the cluster (JSON is YAML)."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem.encode()).decode()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        },
        indent=1,
    )
