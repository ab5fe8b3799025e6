"""docs/ as a site: it builds without a warning, and asks nothing of a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CI does: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)

    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def pages(site: Path) -> list[Path]:
    return sorted(site.glob("*.html"))


def test_the_site_has_a_page_for_every_page_of_docs(site: Path) -> None:
    names = {path.stem for path in (ROOT / "docs").glob("*.md")}

    assert {path.stem for path in pages(site)} == names | {"404"}
    assert [path.name for path in site.rglob("*") if path.suffix in {".py", ".md"}] == []


def found(pattern: str, files: Iterable[Path]) -> dict[str, str]:
    """Return the first match in each file that has one."""
    matches = {path.name: re.search(pattern, path.read_text(), re.DOTALL) for path in files}
    return {name: match[0] for name, match in matches.items() if match}


def test_the_site_loads_nothing_from_a_network(site: Path) -> None:
    loaded = r"""<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']+"""

    assert found(loaded, pages(site)) == {}
    assert found(r"url\(.?https?:[^)]*", site.rglob("*.css")) == {}
    assert found(r'class="mermaid"', pages(site)) == {}, "the theme fetches mermaid from a network; draw an SVG"


def test_lists_and_tables_are_lists_and_tables_on_the_site_too(site: Path) -> None:
    assert found(r"<p>(?:(?!</p>).)*?\n(?:[-*] |\d+\. |\| |    ?\w)[^\n]*", pages(site)) == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1280])
@pytest.mark.parametrize("name", ["index", "getting-started", "results", "residual-guide", "architecture"])
def test_chromium_finds_nothing_wrong_with_a_page(site: Path, inspect_page, name: str, width_px: int, scheme: str) -> None:
    faults = inspect_page(site / f"{name}.html", width_px, scheme)
    menu = re.compile(r"(cut off: |[\d.]+: )?<\w+\.md-(sidebar|nav)")  # at 390 px it is closed, beside the window

    assert [one for one in faults.overflowing + faults.low_contrast if not menu.match(one)] == []
    assert [one for one in faults.without_alt if one.startswith("<img")] == []
    assert faults.failed == faults.errors == []
