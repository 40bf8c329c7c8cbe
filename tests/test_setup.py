"""`.ci/setup` says what is missing, when it is not its place to install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def python(folder: Path, when: str, answer: str) -> Path:
    """An interpreter like this one, except that `-c` programs that hold `when` do `answer`."""
    path = folder / "python3"
    path.write_text(f'#!/bin/sh\ncase "$2" in *"{when}"*) {answer};; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("requirements.lock", "pyproject.toml", ".ci/setup"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def setup(tree: Path, interpreter: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": str(interpreter)}
    command = [str(tree / ".ci/setup")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_venv_it_names_the_package_and_what_to_do(tree: Path) -> None:
    done = setup(tree, python(tree, "import ensurepip", "exit 1"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert f"apt-get install python{version}-venv" in done.stderr
    assert "administrator" in done.stderr
    assert not (tree / ".venv").exists()


def test_an_old_python_is_refused_with_its_version(tree: Path) -> None:
    done = setup(tree, python(tree, "version_info <", "exit 1"))
    assert done.returncode == 1
    assert "3.11 or later" in done.stderr


def test_no_python_at_all(tree: Path) -> None:
    done = setup(tree, tree / "no-such-python")
    assert done.returncode == 1
    assert "not found" in done.stderr


def test_nothing_is_done_when_nothing_changed(tree: Path) -> None:
    interpreter = python(tree, "nothing", "exit 1")
    script = (ROOT / ".ci/setup").read_text()
    stamp = script.index("stamp=$("), script.index("\nif [ -x .venv")
    command = f'cd "{tree}"; python="{interpreter}"; {script[slice(*stamp)]}; echo "$stamp"'
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    (tree / ".venv/bin").mkdir(parents=True)
    (tree / ".venv/bin/python").symlink_to(sys.executable)
    (tree / ".venv/setup-stamp").write_text(answer)
    done = setup(tree, interpreter)
    assert (done.returncode, done.stderr) == (0, "")
