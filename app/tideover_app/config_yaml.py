"""YAML with the line of every key, so that an error can point at it; a key given twice is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong in a configuration file. `line` counts from 1; 0: the file as a whole."""

    file: Path
    line: int
    key: Key
    message: str

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)

    @property
    def at(self) -> str:
        """The key as one would write it: `clusters[0].name`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.key).lstrip(".")

    @property
    def said(self) -> str:
        """Key and message."""
        return f"{self.at}: {self.message}" if self.key else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"


class ConfigError(Exception):
    """A configuration that cannot be used; its text has one line per flaw."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__("\n".join(str(flaw) for flaw in flaws))
        self.flaws = tuple(flaws)


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, where it says it, and what is wrong in its form."""

    path: Path
    value: Any
    lines: Mapping[Key, int]
    flaws: tuple[Flaw, ...] = ()

    def line(self, *key: str | int) -> int:
        """The line of that key, else of the nearest one around it."""
        while key not in self.lines and key:
            key = key[:-1]
        return self.lines.get(key, 1)

    def flaw(self, message: str, *key: str | int) -> Flaw:
        """A flaw at that key."""
        return Flaw(self.path, self.line(*key), key, message)


def read(path: Path) -> Written:
    """Parse a file; an empty one is an empty mapping. ConfigError when it cannot be read or parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Flaw(path, 0, (), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Flaw(path, 0, (), "is no UTF-8 text")]) from error
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        walk = _Walk(path, loader)
        value = walk.value(node, ()) if node is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"is no YAML: {getattr(error, 'problem', None) or error}"
        # what is missing at the end is missing in the last line, not in one after it
        line = min(mark.line + 1, max(1, len(text.splitlines()))) if mark else 0
        raise ConfigError([Flaw(path, line, (), message)]) from error
    except RecursionError as error:
        raise ConfigError([Flaw(path, 0, (), "is nested too deeply")]) from error
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise ConfigError([Flaw(path, 1, (), "should be a mapping of keys, see `tideover config schema`")])
    return Written(path, value, walk.lines, tuple(walk.flaws))


class _Walk:
    """Builds the value of a node tree and remembers lines; keeps the first of two equal keys."""

    def __init__(self, path: Path, loader: Any) -> None:
        self._path = path
        self._loader = loader
        self._open: set[int] = set()
        self.lines: dict[Key, int] = {}
        self.flaws: list[Flaw] = []

    def value(self, node: yaml.Node, key: Key) -> Any:
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._loader.construct_object(node)
        if id(node) in self._open:
            raise yaml.MarkedYAMLError(problem="an alias contains itself", problem_mark=node.start_mark)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, key)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, key: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "?"
            line = name_node.start_mark.line + 1
            if name in result:
                message = f"key given twice, first in line {self.lines[(*key, name)]}"
                self.flaws.append(Flaw(self._path, line, (*key, name), message))
                continue
            self.lines[(*key, name)] = line
            result[name] = self.value(value_node, (*key, name))
        return result
