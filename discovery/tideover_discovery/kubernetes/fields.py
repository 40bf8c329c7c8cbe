"""Reading a policy's fields one by one, so that a field nobody read can be named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tideover_discovery.durations import MAX_S, seconds

from .objects import Refusal


class Fields:
    """A mapping whose fields are taken; `close` reports those that were not."""

    def __init__(self, path: str, values: dict[str, Any], reports: list[str]) -> None:
        self.path = path
        self._values = values
        self._reports = reports
        self._taken: set[str] = set()

    def refusal(self, name: str, message: str) -> Refusal:
        """An error that names the field."""
        return Refusal(f"{self.path}.{name} {message}")

    def unsupported(self, name: str, message: str = "is not supported") -> None:
        """Record a field that is not acted on, without refusing the object."""
        self._taken.add(name.partition(".")[0])
        self._reports.append(f"{self.path}.{name} {message}")

    def close(self) -> None:
        """Report every field that nobody took."""
        for name, value in self._values.items():
            if name not in self._taken and value is not None:
                self.unsupported(name)

    def names(self) -> Sequence[str]:
        """All fields there are."""
        return [str(name) for name in self._values]

    def take(self, name: str) -> Any:
        """The raw value, None when absent."""
        self._taken.add(name)
        return self._values.get(name)

    def _typed(self, name: str, kind: type, called: str) -> Any:
        value = self.take(name)
        if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
            return value
        raise self.refusal(name, f"is {value!r}, not {called}")

    def text(self, name: str) -> str | None:
        """A text field."""
        found: str | None = self._typed(name, str, "text")
        return found

    def flag(self, name: str) -> bool | None:
        """A boolean field."""
        found: bool | None = self._typed(name, bool, "true or false")
        return found

    def integer(self, name: str, least: int = 0, most: int = 2**32 - 1) -> int | None:
        """A whole number within bounds."""
        found: int | None = self._typed(name, int, "a whole number")
        if found is not None and not least <= found <= most:
            raise self.refusal(name, f"is {found}, not between {least} and {most}")
        return found

    def duration(self, name: str, least_s: float = 0.0, most_s: float = MAX_S) -> float | None:
        """A duration in seconds, within bounds."""
        value = self.take(name)
        if value is None:
            return None
        try:
            found = seconds(value)
        except ValueError as error:
            raise self.refusal(name, str(error)) from None
        if not least_s <= found <= most_s:
            raise self.refusal(name, f"is {value}, not between {least_s:g}s and {most_s:g}s")
        return found

    def object(self, name: str) -> Fields | None:
        """A mapping."""
        found = self._typed(name, dict, "a mapping")
        return None if found is None else Fields(f"{self.path}.{name}", found, self._reports)

    def objects(self, name: str) -> Sequence[Fields]:
        """A list of mappings."""
        found = self._typed(name, list, "a list") or []
        for number, part in enumerate(found):
            if not isinstance(part, dict):
                raise self.refusal(f"{name}[{number}]", "is no mapping")
        return [Fields(f"{self.path}.{name}[{n}]", part, self._reports) for n, part in enumerate(found)]

    def texts(self, name: str) -> Sequence[str]:
        """A list of texts."""
        found: list[str] = self._typed(name, list, "a list") or []
        if not all(isinstance(part, str) for part in found):
            raise self.refusal(name, "is not a list of texts")
        return found

    def labels(self, name: str) -> dict[str, str]:
        """A mapping of text to text."""
        found: dict[str, str] = self._typed(name, dict, "a mapping") or {}
        for key, value in found.items():
            if not isinstance(value, str):
                raise self.refusal(f"{name}.{key}", f"is {value!r}, not text; put it in quotes")
        return found
