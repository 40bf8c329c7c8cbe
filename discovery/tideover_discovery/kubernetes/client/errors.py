"""What went wrong with a request, in one line that a person understands."""

from __future__ import annotations

import asyncio
import email.utils
import math
import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

_ANOTHER_NAME = {62, 64}  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}
_LONGEST_MESSAGE = 400
_LONGEST_RETRY_AFTER_S = 3600.0


class BadKubeconfig(ValueError):  # noqa: N818 (the domain's word)
    """A kubeconfig that cannot be used, or that may not be; the text says why."""


class ApiError(Exception):
    """What went wrong with one request.

    `status`: the HTTP status, 0 when there was no answer. `reason`: one line for people that names the
    server or path. `retry_after_s`: what the server asked for. `body`: the Status object, or {}.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        retry_after_s: float | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.body: dict[str, Any] = dict(body or {})

    def __str__(self) -> str:
        return self.reason


class Silent(ApiError):  # noqa: N818 (the domain's word)
    """A watch that said nothing for too long."""


class TooLong(ApiError):  # noqa: N818 (the domain's word)
    """An answer that is longer than is read."""


def unanswered(server: str, what: str, error: BaseException) -> ApiError:
    """A request that got no answer; `what` is its method and path."""
    return ApiError(0, f"{server}: {_cause(error)} ({what})")


def _cause(error: BaseException) -> str:
    """Why there was no answer. The order counts: aiohttp's errors inherit from each other."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"its name cannot be resolved: {_os_text(error.os_error)}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"its proxy cannot be reached: {_os_text(error.os_error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"its proxy refuses: {error.status} {error.message}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no TLS with it: {_first_line(error.os_error)}"
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError) or isinstance(_os(error), ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)) or isinstance(
        _os(error), (ConnectionResetError, BrokenPipeError)
    ):
        return "connection reset"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer was cut off"
    if isinstance(error, aiohttp.InvalidURL):
        return "this is no URL of a server"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"its answer is no HTTP: {_first_line(error.message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or _first_line(error)}"
    if isinstance(error, OSError):
        return _os_text(error)
    return f"{type(error).__name__}: {_first_line(error)}"


def _os(error: BaseException) -> BaseException | None:
    return getattr(error, "os_error", None)


def _certificate(error: BaseException) -> str:
    code, message = getattr(error, "verify_code", 0), getattr(error, "verify_message", "")
    if code in _ANOTHER_NAME:
        return f"its certificate is for another name: {message.rstrip('.')}"
    if code in _UNKNOWN_ISSUER:
        return f"its certificate is of an authority that this kubeconfig does not trust: {message}"
    if code == 10:
        return "its certificate has expired"
    if code == 9:
        return "its certificate is not valid yet; is a clock wrong?"
    return f"its certificate is refused: {message or _first_line(error)}"


def _os_text(error: BaseException) -> str:
    return getattr(error, "strerror", None) or _first_line(error) or type(error).__name__


def refused(what: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """An answer that is no success."""
    retry_after_s = _retry_after_s(headers.get("Retry-After", ""))
    if 300 <= status < 400:
        elsewhere = headers.get("Location", "")[:200]
        return ApiError(status, f"{what}: {status}, sent on to {elsewhere!r}, which is not followed")
    said = status_of(body)
    if said:
        text = f"{said.get('reason') or ''}: {said.get('message') or ''}".strip(": ")
    elif is_html(headers.get("Content-Type", ""), body):
        text = "answered HTML, not the Kubernetes API"
    else:
        text = _first_line(body[:_LONGEST_MESSAGE].decode("utf-8", "replace"))
    if status == 401:
        text = f"{text or 'Unauthorized'}; has the token or certificate expired?"
    return ApiError(status, f"{what}: {status} {text[:_LONGEST_MESSAGE]}".rstrip(), retry_after_s, said)


def status_of(body: bytes) -> dict[str, Any]:
    """The Status object that an API server answers with, {} when it is none."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def is_html(content_type: str, body: bytes) -> bool:
    """Whether it is a web page: a portal, a proxy or a login in front of the server."""
    return "html" in content_type.lower() or body[:64].lstrip()[:1] == b"<"


def _retry_after_s(text: str) -> float | None:
    """Seconds or a date, as HTTP allows; None for nonsense."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)


def _first_line(text: object) -> str:
    return str(text).strip().split("\n", 1)[0][:_LONGEST_MESSAGE]
