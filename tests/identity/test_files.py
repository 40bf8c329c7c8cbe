"""TLS material from files: rotation as a real client sees it, and broken files."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from support.certificates import Authority, Pair, replace
from tideover_identity.files import BadMaterialError, TlsFiles


class Folder:
    """A CA, and a server's material in files."""

    def __init__(self, path: Path) -> None:
        self.ca = Authority()
        self.cert, self.key, self.client_ca = path / "tls.crt", path / "tls.key", path / "ca.crt"
        self.ca.issue("first").write(self.cert, self.key)
        self.client_ca.write_bytes(self.ca.pem)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@asynccontextmanager
async def serving(files: TlsFiles) -> AsyncIterator[int]:
    """A gRPC server that answers every unary call with nothing; its port."""

    class Echo(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            async def answer(request: bytes, context: object) -> bytes:
                return request

            return grpc.unary_unary_rpc_method_handler(answer)  # type: ignore[arg-type]

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_secure_port("127.0.0.1:0", files.server_credentials())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def call(port: int, folder: Folder, client: Pair | None = None) -> bytes:
    """One call on a connection of its own."""
    credentials = grpc.ssl_channel_credentials(
        folder.ca.pem, client.key if client else None, client.cert if client else None
    )
    options = [("grpc.ssl_target_name_override", "tideover.test"), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        return bytes(await channel.unary_unary("/test/Echo")(b"hello", timeout=10))


def served_name(port: int) -> str:
    """The common name of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


async def served(port: int) -> str:
    return await asyncio.to_thread(served_name, port)


async def test_a_rotated_certificate_is_shown_to_the_next_connection(folder: Folder) -> None:
    files = TlsFiles(folder.cert, folder.key)
    async with serving(files) as port:
        assert await call(port, folder) == b"hello"
        assert await served(port) == "first"
        folder.ca.issue("second").write(folder.cert, folder.key)
        assert await served(port) == "second"
        assert await call(port, folder) == b"hello"
    assert files.rotations == 1


async def test_a_broken_new_file_keeps_the_old_certificate_until_it_is_good(folder: Folder) -> None:
    files = TlsFiles(folder.cert, folder.key)
    second = folder.ca.issue("second")
    async with serving(files) as port:
        replace(folder.cert, b"half a certif")
        assert await served(port) == "first"
        assert await call(port, folder) == b"hello"
        assert str(folder.cert) in files.problem
        replace(folder.cert, second.cert)  # its key is not there yet
        assert await served(port) == "first"
        assert "is not the key of" in files.problem
        replace(folder.key, second.key)
        assert await served(port) == "second"
    assert files.problem == ""


async def test_a_deleted_file_keeps_the_old_certificate(folder: Folder) -> None:
    files = TlsFiles(folder.cert, folder.key)
    async with serving(files) as port:
        folder.key.unlink()
        assert await served(port) == "first"
        assert "cannot be read" in files.problem


async def test_a_client_ca_makes_client_certificates_mandatory(folder: Folder) -> None:
    async with serving(TlsFiles(folder.cert, folder.key, folder.client_ca)) as port:
        assert await call(port, folder, folder.ca.issue("client")) == b"hello"
        for stranger in (None, Authority("another CA").issue("client")):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(port, folder, stranger)
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_rotated_client_ca_counts_for_the_next_connection(folder: Folder) -> None:
    other = Authority("another CA")
    async with serving(TlsFiles(folder.cert, folder.key, folder.client_ca)) as port:
        replace(folder.client_ca, other.pem)
        assert await call(port, folder, other.issue("client")) == b"hello"
        with pytest.raises(grpc.aio.AioRpcError):
            await call(port, folder, folder.ca.issue("client"))


def test_a_symlinked_folder_that_is_swapped_as_kubernetes_does_is_a_rotation(tmp_path: Path) -> None:
    ca = Authority()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ca.issue(name).write(tmp_path / name / "tls.crt", tmp_path / name / "tls.key")
    data = tmp_path / "..data"
    data.symlink_to("one")
    files = TlsFiles(data / "tls.crt", data / "tls.key")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(data)
    assert files.refresh()
    assert files.material.cert == (tmp_path / "two" / "tls.crt").read_bytes()


def test_the_http_context_follows_a_rotation(folder: Folder) -> None:
    files = TlsFiles(folder.cert, folder.key)
    context = files.ssl_context()
    folder.ca.issue("second").write(folder.cert, folder.key)
    assert files.refresh()
    assert not files.refresh()
    assert shown_in_memory(context, folder) == "second"


def shown_in_memory(context: ssl.SSLContext, folder: Folder) -> str:
    """A handshake without a network; the common name that the client sees."""
    trusting = ssl.create_default_context(cadata=folder.ca.pem.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname="tideover.test")
    server = context.wrap_bio(to_server, to_client, server_side=True)
    sides, left = [client, server], 20
    while sides and left:
        left -= 1
        side = sides.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            sides.append(side)
    der = client.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cert", None, "cannot be read"),
        ("cert", b"nonsense", "no PEM certificate"),
        ("key", b"nonsense", "no usable private key"),
        ("client_ca", b"", "no PEM certificate"),
    ],
)
def test_material_that_cannot_be_used_is_refused_at_the_start(
    folder: Folder, file: str, content: bytes | None, message: str
) -> None:
    path: Path = getattr(folder, file)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadMaterialError, match=message) as error:
        TlsFiles(folder.cert, folder.key, folder.client_ca)
    assert str(path) in str(error.value)


def test_the_key_of_another_certificate_is_refused(folder: Folder) -> None:
    replace(folder.key, folder.ca.issue("other").key)
    with pytest.raises(BadMaterialError, match="is not the key of"):
        TlsFiles(folder.cert, folder.key)
