"""Pure or shell, visible from the name: only shell files touch clock, loop, network or disk."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "wire", "discovery", "xds", "health", "identity", "app")
SHELL_NAMES = {
    "server", "client", "watch", "run", "latest", "files", "config",
    "cli", "admin", "dashboard", "snapshot", "probe", "demo",
}  # fmt: skip
IMPURE_MODULES = {
    "aiohttp", "asyncio", "concurrent", "grpc", "http", "io", "multiprocessing", "os", "pathlib", "random",
    "requests", "secrets", "select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "watchfiles",
}  # fmt: skip
BORDERS = {  # what is translated once, at the border: the only places that may import it
    "envoy": ("wire/tideover_wire/", "xds/tideover_xds/resources/", "health/tideover_health/codecs/"),
    "kubernetes": ("discovery/tideover_discovery/kubernetes/",),
    "typer": ("app/tideover_app/cli/",),
}
IMPURE_CALLS = {"open", "print", "input"}
IMPURE_ATTRIBUTES = {"now", "today", "utcnow"}


def is_shell(path: Path) -> bool:
    """Whether a folder or the file is named, wholly or in its first or last word, after an I/O noun."""
    parts = [*path.relative_to(ROOT).parts[2:-1], path.stem]
    return any(part.split("_")[0] in SHELL_NAMES or part.split("_")[-1] in SHELL_NAMES for part in parts)


def impurities(tree: ast.AST) -> list[str]:
    """What a pure file may not do, as `line: reason`; imports for type checking only do not count."""
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                node.body = []
            case ast.Import(names=names):
                found += [
                    f"{node.lineno}: imports {n.name}"
                    for n in names
                    if n.name.split(".")[0] in IMPURE_MODULES
                ]
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] in IMPURE_MODULES:
                found.append(f"{node.lineno}: imports {module}")
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(f"{node.lineno}: calls {name}()")
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in IMPURE_ATTRIBUTES:
                found.append(f"{node.lineno}: calls .{attr}()")
            case ast.AsyncFunctionDef():
                found.append(f"{node.lineno}: is async")
    return found


def sources() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


PURE = [p for p in sources() if not is_shell(p) and p.name != "__main__.py"]


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_without_a_shell_name_is_pure(path: Path) -> None:
    assert impurities(ast.parse(path.read_text())) == []


def test_the_check_itself_can_fail() -> None:
    text = "import time\nasync def f(): open('x'); datetime.now()"
    assert [line.split(": ")[1] for line in impurities(ast.parse(text))] == [
        "imports time",
        "is async",
        "calls open()",
        "calls .now()",
    ]


def imported(tree: ast.AST) -> set[str]:
    """Full names of modules that a file imports, those for type checking included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module)
    return names


@pytest.mark.parametrize("module", BORDERS)
def test_what_is_translated_at_a_border_is_seen_nowhere_else(module: str) -> None:
    strangers = {
        str(path.relative_to(ROOT))
        for path in sources()
        for name in imported(ast.parse(path.read_text()))
        if name == module or name.startswith(f"{module}.")
    }
    assert {path for path in strangers if not path.startswith(BORDERS[module])} == set()


def test_files_stay_small() -> None:
    too_long = {
        str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > 400
    }
    assert too_long == {}


def test_every_top_level_folder_says_what_it_is() -> None:
    folders = [
        p for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith((".", "_")) and any(p.rglob("*.*"))
    ]
    kept = [p for p in folders if p.name not in {"demo-run", "state", "dist"}]
    assert [p.name for p in kept if not (p / "README.md").exists()] == []
