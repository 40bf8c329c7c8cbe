"""The wheel builds, installs alone into an empty environment, and its command works from anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"core", "wire", "discovery", "xds", "health", "identity", "app", "proto"}


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed; without anything that could lead back to this tree."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    hatchling = Path(sys.executable).with_name("hatchling")
    run(hatchling, "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel and what it depends on, as locked."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    locked = re.findall(r"^[\w.\-\[\]]+==[^ \\]+[^\\\n]*", (ROOT / "requirements.lock").read_text(), re.M)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(line.strip() for line in locked) + "\n")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--constraint", constraints, wheel, cwd=folder)
    return programs


def test_it_holds_all_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {f"tideover_{p}" for p in PACKAGES}
    for package in PACKAGES:
        assert f"tideover_{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "/test" in name or name.endswith((".proto", ".yaml"))]


def test_its_help_works_from_another_folder(environment: Path, tmp_path: Path) -> None:
    text = run(environment / "tideover", "--help", cwd=tmp_path)
    for command in ("run", "demo", "check", "bootstrap", "status", "explain", "simulate"):
        assert command in text


def test_it_brings_all_that_its_commands_need(environment: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples", tmp_path / "examples")
    run(environment / "tideover", "check", "-c", "tideover.yaml", cwd=folder)
    bootstrap = run(environment / "tideover", "bootstrap", "envoy", "--cluster", "paris", cwd=folder)
    assert '"dynamic_resources"' in bootstrap
    script = "import importlib, pkgutil, sys\n" + "\n".join(
        f"import tideover_{p}\nfor m in pkgutil.walk_packages(tideover_{p}.__path__, 'tideover_{p}.'):\n"
        "    m.name.endswith('__main__') or importlib.import_module(m.name)"
        for p in sorted(PACKAGES)
    )
    run(environment / "python", "-c", script, cwd=folder)
