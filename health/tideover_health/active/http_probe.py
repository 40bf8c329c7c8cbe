"""One HTTP check: a GET as kubelet sends it, over TLS where the port speaks that, and the first line alone.

Whatever follows is not read: a body may have gigabytes. Certificates are not verified, as by kubelet: the
question is whether it answers, and nothing of value is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from urllib.parse import quote

from .checks import Target
from .outcome import Outcome, broken, status

LONGEST_LINE_BYTES = 1024
_IN_PATHS = "/?&=%:@!$'()*+,;~-._"  # everything else is encoded: no policy writes headers


async def http(target: Target) -> Outcome:
    """Ask once. The caller limits the time."""
    try:
        reader, writer = await asyncio.open_connection(
            target.address, target.port, limit=LONGEST_LINE_BYTES, ssl=_tls() if target.tls else None
        )
    except ssl.SSLError as error:
        return Outcome(False, f"no TLS: {error.reason or 'handshake failed'}")
    except OSError as error:
        return broken(error)
    try:
        writer.write(_request(target))
        return status(await reader.readline())
    except ValueError:
        return Outcome(False, "no HTTP answer: a first line without end")
    except ssl.SSLError as error:
        return Outcome(False, f"TLS: {error.reason or 'broken'}")
    except OSError as error:
        return broken(error)
    finally:
        # closing in order would wait for what it still sends
        writer.transport.abort()


def _request(target: Target) -> bytes:
    path = quote(target.check.path, safe=_IN_PATHS)
    lines = (
        f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1",
        f"Host: {target.host}",
        "User-Agent: tideover-check",
        "Accept: */*",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode("ascii")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
