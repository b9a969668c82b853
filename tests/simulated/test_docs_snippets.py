"""What the pages tell people to type is typed: ``console`` blocks, and the ``python`` blocks between them.

A page is a session of its own: a folder with a copy of ``config/`` in a block of loopback addresses of its own (in
what is typed and what is printed ``127.0.1.`` stands for it), where
every line that begins with ``$`` is run, from the first to the last. The lines below it are what it must print (both
streams), with ``...`` for what differs from run to run; where there are none only the exit code counts. ``# exits 1``
behind a command says that it fails. Blocks of any other kind are for reading.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOOKED_AT_AGAIN = ("qnode status", "qnode logs")
"""Commands that only look, and are repeated until they show what the page says or the patience is over."""
PATIENCE_S = 90.0
BLOCK = "127.0.1."
"""Where the lab files that come along have their instruments."""
# `qnode new` copies the lab file that comes along; here it gets the addresses of the session.
SHIM = """#!/bin/sh
test "$1" = new || exec {python} -m qnode "$@"
{python} -m qnode "$@" && sed -i -E 's/127\\.0\\.[0-9]+\\./{block}/g' "$2"
"""


@dataclass(frozen=True)
class Step:
    """One command, or one block of Python, and what it must print."""

    words: str
    expected: str
    exit_code: int
    python: bool = False


def steps_of(page: Path) -> list[Step]:
    """What a page has its readers type; Python only where a lab is brought up before it."""
    steps: list[Step] = []
    for kind, text in re.findall(r"^```(console|python)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        if kind == "python":
            steps += [Step(text, "", 0, python=True)] if steps else []
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            fails = re.search(r"# exits (\d+)$", command)
            steps.append(Step(command, expected.strip("\n"), int(fails[1]) if fails else 0))
    return steps


def matches(expected: str, printed: str) -> bool:
    """Whether all was printed, line by line; ``...`` stands for any part of a line, alone for any number of lines."""
    pattern = ""
    for line in expected.splitlines():
        part = re.escape(line.rstrip()).replace(re.escape("..."), ".*?")
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else part + r"\n"
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


PAGES = {str(page.relative_to(ROOT)): page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}
SESSIONS = {name: page for name, page in PAGES.items() if steps_of(page)}


class Session:
    """The folder in which a page is typed."""

    def __init__(self, folder: Path, copy: Any) -> None:
        self.folder = folder
        self.block = copy.block
        self.environment = {**copy.environment(), "COLUMNS": "120", "MPLBACKEND": "Agg"}
        (folder / "config").mkdir()
        for source in (ROOT / "config").glob("*.yaml"):
            text = re.sub(r"127\.0\.\d+\.", copy.block, source.read_text("utf-8"))
            (folder / "config" / source.name).write_text(text, "utf-8")
        shim = folder / "bin" / "qnode"
        shim.parent.mkdir()
        shim.write_text(SHIM.format(python=sys.executable, block=copy.block))
        shim.chmod(0o755)
        self.environment["PATH"] = f"{shim.parent}:{Path(sys.executable).parent}:{self.environment['PATH']}"

    def run(self, step: Step) -> None:
        deadline = time.monotonic() + PATIENCE_S
        words = step.words.replace(BLOCK, self.block)
        argv = [sys.executable, "-c", words] if step.python else ["bash", "-c", words]
        while True:
            done = subprocess.run(
                argv,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            printed = done.stdout.replace(self.block, BLOCK)
            good = done.returncode == step.exit_code and (not step.expected or matches(step.expected, printed))
            if good or not step.words.startswith(LOOKED_AT_AGAIN) or time.monotonic() > deadline:
                break
        assert good, f"{step.words}\nexit code {done.returncode}\n--- said\n{done.stdout}\n--- page\n{step.expected}"

    def stop(self) -> None:
        for file in self.folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        if (self.folder / "qnode-data").exists():
            # All lab files of a session share addresses and data folder: whoever runs, runs there.
            path = next(iter([*self.folder.glob("*.yaml"), self.folder / "config" / "two_nodes.yaml"]))
            subprocess.run(
                [sys.executable, "-m", "qnode", "stop", str(path)],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                timeout=60,
                check=False,
            )


@pytest.mark.parametrize("name", SESSIONS)
def test_what_a_page_says_to_type_does_what_it_says(name: str, tmp_path: Path, lab_copy: Any) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    session = Session(folder, lab_copy(tmp_path))
    try:
        for step in steps_of(SESSIONS[name]):
            session.run(step)
    finally:
        session.stop()


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory, lab_copy: Any) -> tuple[str, dict[str, Any]]:
    """What `qnode demo` plays, without its display and its waiting: what it prints, and its document.

    The seed is the lab file's, and pairs know no speed.
    """
    copy = lab_copy(tmp_path_factory.mktemp("demo"))
    done = copy.qnode(
        "run", "heralding", str(copy.path), "--heralds", "800", "--speed", "max", "--data", str(copy.data)
    )
    assert done.returncode == 0, done.stderr
    (result,) = copy.data.glob("runs/*/result.json")
    return done.stdout, json.loads(result.read_text("utf-8"))


def test_the_readme_shows_what_the_demo_prints(demo_run: tuple[str, dict[str, Any]]) -> None:
    readme = PAGES["README.md"].read_text("utf-8")
    shown = next(block for block in re.findall(r"^```\n(.*?)^```$", readme, re.M | re.S))
    figures, where = re.split(r"^(?=run )", shown, flags=re.M)
    printed, also = re.split(r"^(?=run )", demo_run[0], flags=re.M)
    assert printed == figures
    assert [line.split()[0] for line in also.splitlines()] == [line.split()[0] for line in where.splitlines()]


def test_the_document_of_a_run_has_the_keys_of_its_page(demo_run: tuple[str, dict[str, Any]]) -> None:
    page = (DOCS / "reference" / "commands.md").read_text("utf-8")
    section = page.split("## qnode run heralding LAB")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \| ", section, re.M)
    assert {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)} == set(demo_run[1])


def test_the_pages_for_newcomers_are_typed() -> None:
    wanted = {"README.md", "docs/tutorial/first_pairs.md", "docs/how-to/operate.md", "docs/how-to/real-instrument.md"}
    assert wanted <= set(SESSIONS)
    assert sum(len(steps_of(page)) for page in SESSIONS.values()) >= 40


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a ... c", "a b c", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("a ... d", "a\nd", False),
        ("rate 33.9", "rate 34.9", False),
        ("first", "first\nsecond", False),
        ("a (b)", "a b", False),
    ],
)
def test_output_is_compared_as_a_reader_would(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
