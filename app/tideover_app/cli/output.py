"""How an answer is shown: one document, the same in every format. Tables are made from it too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console, RenderableType

Document = dict[str, Any]
Table = Callable[[Document], "RenderableType"]


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print the answer.")]


def document(message: Message) -> Document:
    """A message in proto3 JSON, every field printed, in the order of its declaration."""
    from google.protobuf.json_format import MessageToDict

    plain = MessageToDict(message, always_print_fields_with_no_presence=True)
    return _ordered(plain, message.DESCRIPTOR)


def show(answer: Mapping[str, Any], output: Format, table: Table) -> None:
    """Print one answer."""
    match output:
        case Format.JSON:
            typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        case Format.YAML:
            typer.echo(yaml_text(answer), nl=False)
        case Format.TABLE:
            console().print(table(printable(dict(answer))), crop=False)


def printable(value: Any) -> Any:
    """The same, fit for a terminal: clients and files may say anything, and it may not move the cursor."""
    match value:
        case str() if not value.isprintable():
            return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
        case dict():
            return {printable(key): printable(inner) for key, inner in value.items()}
        case list():
            return [printable(inner) for inner in value]
    return value


def yaml_text(answer: Mapping[str, Any]) -> str:
    """One YAML document."""
    import yaml

    text: str = yaml.dump(
        dict(answer), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


def console() -> Console:
    """Where tables are printed: as wide as the terminal, and never folded when piped."""
    from rich.console import Console

    made = Console(highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made = Console(highlight=False, emoji=False, markup=False, width=1000)
    return made


def _ordered(plain: Document, descriptor: Any) -> Document:
    """The same document with its keys in the order of the fields."""
    ordered: Document = {}
    for field in descriptor.fields:
        if field.json_name in plain:
            ordered[field.json_name] = _ordered_value(plain[field.json_name], field.message_type)
    return ordered


def _ordered_value(value: Any, kind: Any) -> Any:
    # maps and well-known types (a time is a string) are as they should be
    if kind is None or kind.GetOptions().map_entry or kind.full_name.startswith("google.protobuf."):
        return value
    if isinstance(value, Sequence):
        return [_ordered(item, kind) for item in value]
    return _ordered(value, kind)
