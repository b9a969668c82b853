"""Links of the documentation lead to what is there, and the walks name modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Targets of all links and pictures of a page, code left out."""
    return LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#{1,6}\s+(.*?)\s*$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        good = there.is_relative_to(ROOT) and there.exists()
        if good and anchor and there.suffix == ".md":
            good = anchor in anchors(there)
        if not good:
            broken.append(target)
    assert broken == []


def test_each_step_of_the_walks_names_a_module():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [walk.splitlines()[0].split(":")[0] for walk in walks] == ["Walk 1", "Walk 2"]
    for walk in walks:
        steps = re.split(r"^\d+\. ", walk, flags=re.MULTILINE)[1:]
        assert len(steps) >= 6
        linked = [step for step in steps if LINK.search(step)]
        # A step of hardware alone (the herald line's edge) has no module.
        assert len(linked) >= len(steps) - 1


def test_there_are_pages():
    assert ROOT / "docs" / "architecture.md" in PAGES
    assert len([target for page in PAGES for target in links(page)]) > 20
