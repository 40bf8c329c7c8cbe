"""Compile proto/tideover into the package tideover_proto; `--into FOLDER` writes elsewhere (for the test)."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


def generate(into: Path) -> None:
    """Write `into`/tideover_proto/**/*_pb2*.py. RuntimeError when the compiler refuses."""
    sources = sorted((HERE / "tideover").rglob("*.proto"))
    # the virtual folder makes generated imports say `from tideover_proto...`
    names = [f"tideover_proto/{path.relative_to(HERE / 'tideover')}" for path in sources]
    arguments = [
        "protoc",
        f"--proto_path=tideover_proto={HERE / 'tideover'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={into}",
        f"--pyi_out={into}",
        f"--grpc_python_out={into}",
        *names,
    ]
    if code := protoc.main(arguments):
        raise RuntimeError(f"protoc ended with code {code}")


if __name__ == "__main__":
    generate(Path(sys.argv[2]) if sys.argv[1:2] == ["--into"] else HERE)
