"""Build the servers, if they are not built yet."""

from __future__ import annotations

import sys

from support.apiserver.build import Impossible, binaries, required


def main() -> int:
    def say(text: str) -> None:
        print(f"tideover tests: {text}", file=sys.stderr, flush=True)

    try:
        binaries(say, again=True)
    except Impossible as reason:
        say(f"no API servers: {reason}")
        say("the tests that need them " + ("are required (CI=true)" if required() else "will be skipped"))
        return 1 if required() else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
