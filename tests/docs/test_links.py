"""Links inside the repository lead somewhere: in README and docs, and from the code to a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OTHERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mlflow/README.md", "examples/README.md")
PAGES = [ROOT / name for name in OTHERS] + sorted(DOCS.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/])docs/[\w./-]+\.(?:md|py|json|png|svg|service)\b")
CODE = ("soarm", "stages", "benchmarks", "examples", "docs", "tests")


def without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site name them."""
    titles = re.findall(r"^#+ (.*)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", title).strip().lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(re.sub(r"`[^`\n]*`", "", without_blocks(page))) if not re.match(r"https?:", link)]


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_links_of_a_page_lead_to_a_file_and_a_heading(page: Path) -> None:
    dead = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            dead.append(link)
        elif DOCS in page.parents and DOCS not in target.parents:
            dead.append(f"{link} leaves docs/, which is all that the site has")

    assert dead == []


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        for name in NAMED.findall(path.read_text())
    }
    for name in ("params.yaml", "dvc.yaml", "study/dvc.yaml", "tests/documented.yaml", "docs/soarm-drive.service"):
        named |= {(name, page) for page in NAMED.findall((ROOT / name).read_text())}

    assert len(named) > 10
    assert sorted(entry for entry in named if not (ROOT / entry[1]).exists()) == []


def test_every_page_says_what_it_is_and_is_reached_from_the_site_s_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r"([\w-]+\.md)\b", menu)

    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))
    assert [path.name for path in DOCS.glob("*.md") if not re.match(r"# \S.*\n\n\S", path.read_text())] == []


def test_the_diagram_of_the_chain_shows_its_stages() -> None:
    drawn = re.findall(r'class="name"[^>]*>([a-z_]+)<', (DOCS / "images" / "chain.svg").read_text())

    assert drawn == list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
