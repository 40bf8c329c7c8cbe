"""When the configuration is read again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from support.wait import until
from tideover_app.run_reload import ConfigWatch


async def test_a_file_that_is_being_written_is_read_once_it_keeps_still(tmp_path: Path) -> None:
    path = tmp_path / "tideover.yaml"
    path.write_text("name: before\n")
    read: list[str] = []
    watch = ConfigWatch(path, lambda reason: read.append(path.read_text()))
    watching = asyncio.ensure_future(watch.run())
    try:
        while not read:  # until the watch hears
            path.write_text(path.read_text() + "# a line\n")
            await asyncio.sleep(0.3)
        read.clear()
        path.write_text("")
        for part in ("clusters:\n", "- name: paris\n", "- name: dublin\n", "- name: oslo\n"):
            await asyncio.sleep(0.07)  # a slow writer is the point
            with path.open("a") as out:
                out.write(part)
        await until(lambda: read)
        assert read == [path.read_text()]
        assert "oslo" in read[0]
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_name_beside_it_that_is_no_text_does_not_end_the_watch(tmp_path: Path) -> None:
    path = tmp_path / "tideover.yaml"
    path.write_text("name: a\n")
    read: list[str] = []
    watch = ConfigWatch(path, lambda reason: read.append(path.read_text()))
    task = asyncio.create_task(watch.run())
    try:
        for number in range(3):
            (tmp_path / os.fsdecode(b"\xff")).touch()
            path.write_text(said := f"name: b{number}\n")
            await until(lambda text=said: task.done() or read[-1:] == [text])
            assert not task.done()
            (tmp_path / os.fsdecode(b"\xff")).unlink()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
