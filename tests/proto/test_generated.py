"""What is committed in tideover_proto is what `make proto` would make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def generated(folder: Path) -> dict[str, str]:
    """Sources and stubs by name; not the compiled files that importing leaves beside them."""
    files = [path for suffix in ("py", "pyi") for path in sorted(folder.rglob(f"*_pb2*.{suffix}"))]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_committed_code_is_what_would_be_generated(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "proto" / "generate.py"), "--into", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    committed = generated(ROOT / "proto" / "tideover_proto")
    assert committed == generated(tmp_path / "tideover_proto"), "run `make proto`"


def test_no_field_is_a_64_bit_number() -> None:
    """Proto3 JSON writes those as strings; the JSON shape promises numbers."""
    from google.protobuf.descriptor import FieldDescriptor

    from tideover_proto.admin.v1 import admin_pb2

    wide = {
        FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64,
    }  # fmt: skip
    found = [
        f"{message.name}.{field.name}"
        for message in admin_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.type in wide
    ]
    assert found == []
