"""The reference pages of commands and errors: every command with its options, every code with what to do."""

import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
import typer

import drivers
import qnode
import sequences
import simulators
from qnode.cli import _check, _predict
from qnode.cli.main import app
from qnode.errors import MisuseError, QnodeError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGE = (REFERENCE / "commands.md").read_text(encoding="utf-8")
SECTIONS = {section.splitlines()[0].strip(): section for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}


def commands(group: typer.core.TyperGroup, path: str) -> dict[str, typer.core.TyperCommand]:
    found = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{path} {name}")
        elif not command.hidden:
            found[f"{path} {name}"] = command
    return found


COMMANDS = commands(typer.main.get_command(app), "qnode")


def test_every_command_has_its_section():
    titles = {re.sub(r"( [A-Z.]+)+$", "", title.replace("FILE...", "FILE")) for title in SECTIONS}
    assert titles == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_section_lists_the_options_of_its_command(name):
    section = next(text for title, text in SECTIONS.items() if re.match(rf"{name}( [A-Z]|$)", title))
    listed = re.search(r"^Options: (.*?)\.$", section, re.MULTILINE)
    documented = set(re.findall(r"`(-[^`]+)`", listed[1])) if listed else set()
    parameters = [one for one in COMMANDS[name].params if one.param_type_name == "option" and not one.hidden]
    options = {word for one in parameters for word in (*one.opts, *one.secondary_opts)}
    assert documented == options - {"--help"}


def keys_of(section: str) -> set[str]:
    """Keys in the first column of a section's table."""
    first = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return {key for cell in first for key in re.findall(r"`([^`]+)`", cell)}


def test_documents_have_the_keys_of_the_page(tmp_path, capsys):
    lab = ROOT / "config" / "two_nodes.yaml"
    _check.check(lab, False, None, tmp_path, True)
    assert keys_of(SECTIONS["qnode check LAB"]) == {*json.loads(capsys.readouterr().out), "online", "drawing"}
    _predict.predict(lab, 0, None, tmp_path, True)
    document = json.loads(capsys.readouterr().out)["links"]["alice-bob"]
    assert keys_of(SECTIONS["qnode predict LAB"]) == set(document)


# --- errors ---


def error_classes() -> set[type[QnodeError]]:
    """All error classes that stand in a module of ours; the bus makes more of them when it runs."""
    found = set()
    for package in (qnode, drivers, sequences, simulators):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                module = importlib.import_module(info.name)
                found |= {
                    one for one in vars(module).values() if isinstance(one, type) and issubclass(one, QnodeError)
                }
    return found


def test_every_error_code_is_on_the_page_with_its_exit_code_and_what_to_do():
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| [`")]
    names = [re.fullmatch(r"\[`(\w+)`\]\(errors/(\w+)\.md\)", row[0]) for row in rows]
    assert all(name is not None and name[1] == name[2] for name in names)
    page = {name[1]: int(row[1]) for name, row in zip(names, rows, strict=True)}
    assert all(len(row) == 4 and all(row) for row in rows)
    assert len(page) == len(rows)
    classes = error_classes()
    # What travels over the bus and was no error of ours has a code of its own.
    codes = {one.code: 2 if issubclass(one, MisuseError) else 1 for one in classes}
    assert page == {**codes, "internal": 1}
    assert len({one.code for one in classes}) == len(classes), "two classes share a code"


def test_every_error_code_has_a_page_with_an_example_causes_a_remedy_and_a_way_to_see_it():
    codes = {one.code: 2 if issubclass(one, MisuseError) else 1 for one in error_classes()} | {"internal": 1}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (REFERENCE / "errors").glob("*.md")}
    assert set(pages) == set(codes)
    for code, text in pages.items():
        title, said, *rest = text.split("\n\n")
        assert title == f"# `{code}`"
        assert said.endswith(f"Exit code {codes[code]}."), code
        assert rest[0].startswith("```\n"), code
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings == ["Causes", "What to do", "See it on a simulated lab"], code
