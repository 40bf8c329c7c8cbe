"""What the pages point to is there, and every decision is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith((".", "demo-run")) for part in page.relative_to(ROOT).parts)
]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_listed_in_its_folder() -> None:
    for folder in (ROOT / "docs", ROOT / "docs/decisions"):
        listed = (folder / "README.md").read_text()
        assert [p.name for p in folder.glob("*.md") if p.name != "README.md" and p.name not in listed] == []
