"""Whether an API server answers at all: asked every few seconds on a connection that no watch uses.

A watch on a socket that is paused, or whose server is, looks like one where nothing happens.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable

from tideover_discovery.kubernetes.backoff import LONGEST_RETRY_AFTER_S
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.identity import Identity, identity_of
from tideover_discovery.kubernetes.resources import METADATA_LIST

PROBE_EVERY_S = 2.0
PROBE_TIMEOUT_S = 3.0
# Two servers that answer in turns must not have everything listed all the time
FORGET_EVERY_S = 10.0
# A list of one: goes through authentication, authorization and storage, as our lists do
_PATH, _QUERY = "/api/v1/namespaces", {"fieldSelector": "metadata.name=kube-system"}


class Probe:
    """Calls `told` with what is wrong, "" when the server answers, and since when (monotonic); and `forgot`
    with the reason when it is not the one any more that it was."""

    def __init__(self, api: Api, told: Callable[[str, float], None], forgot: Callable[[str], None]) -> None:
        self._api = api
        self._told = told
        self._forgot = forgot
        self._identity = Identity()
        self._forgot_s = -math.inf

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            began_s = time.monotonic()
            pause_s = PROBE_EVERY_S * random.uniform(0.8, 1.2)
            try:
                body = await self._api.get(_PATH, _QUERY, accept=METADATA_LIST, timeout_s=PROBE_TIMEOUT_S)
            except ApiError as error:
                # 403: it answers, and knows who we are. 429: it answers, and has no time
                answers = error.status in (403, 429)
                self._told("" if answers else error.reason, began_s)
                if error.retry_after_s is not None:
                    pause_s = max(pause_s, min(error.retry_after_s, LONGEST_RETRY_AFTER_S))
            else:
                self._heard(body, began_s)
            await asyncio.sleep(pause_s)

    def _heard(self, body: bytes, began_s: float) -> None:
        now = identity_of(body)
        if now is None:
            self._told(f"GET {_PATH}: answered no list of JSON, or one that is cut off", began_s)
            return
        why = self._identity.differs(now)
        if not why:
            self._identity = now
        elif began_s - self._forgot_s >= FORGET_EVERY_S:
            self._identity, self._forgot_s = now, began_s
            self._forgot(why)
        self._told("", began_s)
