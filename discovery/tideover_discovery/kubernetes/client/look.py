"""One look at an API server, for `tideover check`: does it answer, as what, and may we read what we need."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tideover_discovery.kubernetes.access_review import PATH, Answer, Need, answer, question
from tideover_discovery.kubernetes.decoding import UNREADABLE

from .api import Api
from .errors import ApiError

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. `trouble`: why the server could not be asked, "" when it could."""

    server: str = ""
    version: str = ""
    answers: tuple[Answer, ...] = ()
    trouble: str = ""
    status: int = 0  # of the trouble; 0: no answer


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


async def look(api: Api, needs: Sequence[Need]) -> Look:
    """Ask for its version and for each need. Never raises ApiError."""
    version = ""
    try:
        try:
            said = await api.get("/version", timeout_s=TIMEOUT_S)
            version = msgspec.json.decode(said, type=_Version).git_version
        except UNREADABLE:
            return Look(api.server, trouble="GET /version: answered something other than JSON", status=200)
        except ApiError as error:
            if error.status != 403:  # some servers tell their version to nobody
                raise
        answers = await asyncio.gather(*(_asked(api, need) for need in needs))
    except ApiError as error:
        return Look(api.server, version, trouble=error.reason, status=error.status)
    return Look(api.server, version, tuple(answers))


async def _asked(api: Api, need: Need) -> Answer:
    return answer(need, await api.send("POST", PATH, question(need), timeout_s=TIMEOUT_S))
