"""What the docs say is held against the project: commands, figures, versions, links of the index.

What they say to type is typed in ``tests/simulated/test_docs_snippets.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from qnode import __version__, clock, heralds
from qnode.analysis import predict
from qnode.bus._wire import WIRE_VERSION as BUS_WIRE_VERSION
from qnode.cli.main import app
from qnode.labfile import load_lab, load_world

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LAB = ROOT / "config" / "two_nodes.yaml"
TUTORIAL = DOCS / "tutorial" / "first_pairs.md"
PAGES = [ROOT / "README.md", TUTORIAL, DOCS / "how-to" / "real-instrument.md", DOCS / "how-to" / "own-host.md"]
PAGES += [DOCS / "how-to" / "operate.md"]

DEMO = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/qnode demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands_of(page: Path) -> Iterator[list[str]]:
    """Every ``qnode ...`` that a page tells people to type: whole lines of blocks, and spans in backticks."""
    text = re.sub(r"<!--.*?-->", "", text_of(page), flags=re.DOTALL)
    lines = re.findall(r"^(?:\$ | {4}.*/)?(qnode [a-z].*)$", text, re.MULTILINE)
    spans = re.findall(r"(?<!`)`(qnode [a-z][^`]*)`(?!`)", text)
    for command in lines + spans:
        yield re.sub(r"\s+#.*|[\[\]]|\|.*", "", command).split()[1:]


def test_the_first_screen_of_the_readme_has_both_commands() -> None:
    first_screen = text_of(ROOT / "README.md").splitlines()[:25]
    assert f"    {DEMO}" in first_screen
    assert f"    {TESTS}" in first_screen
    assert any(line.startswith("![") for line in first_screen)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    commands = list(commands_of(page))
    assert len(commands) >= 5
    for words in commands:
        command: click.Command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words[0] in command.commands, words
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, words


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = text_of(LAB)
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "mylab.yaml"
    path.write_text(text, encoding="utf-8")
    return path


DARKER = ("bright_state: {alice: 0.30, bob: 0.30}", "bright_state: {alice: 0.10, bob: 0.10}")


def test_predictions_in_the_tutorial_are_those_of_predict(tmp_path: Path) -> None:
    said = re.findall(r"fidelity\s+(0\.\d+),\s+([\d.]+)\s+heralds\s+a\s+second", text_of(TUTORIAL))
    calculated = []
    for path in (LAB, edited(tmp_path, DARKER)):
        link = predict(load_lab(path), load_world(path))["alice-bob"]
        calculated.append((f"{link.fidelity:.3f}", f"{link.rate_hz:.1f}"))
    assert said == calculated


def test_the_changelog_has_this_version_and_its_wires() -> None:
    text = text_of(ROOT / "CHANGELOG.md")
    assert f"## {__version__}" in text
    table = dict(re.findall(r"^\| ([^|(]+?) (?:\(.*\) )?\| (\d+) \|$", text, re.MULTILINE))
    assert table == {
        "lab file": str(load_lab(LAB).schema_),
        "bus wire": str(BUS_WIRE_VERSION),
        "herald messages": str(heralds.HERALD_WIRE_VERSION),
        "world clock wire": str(clock.WIRE_VERSION),
    }


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", text_of(DOCS / "README.md"))}
    # The pages of the error codes hang on their own index.
    others = {DOCS / "README.md", DOCS / "index.md", *(DOCS / "reference" / "errors").glob("*.md")}
    assert set(DOCS.rglob("*.md")) - others <= linked
