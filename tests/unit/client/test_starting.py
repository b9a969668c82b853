"""Bringing a lab up and down by the commands that people type; here a script answers in their place."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from qnode.client import Lab, _lab, _starting
from qnode.client._starting import start_lab, stop_lab
from qnode.errors import MisuseError, NetworkError

LAB = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


class Qnode:
    """A script in place of Python: notes its words, then does as it was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.noted = folder / "words"
        self.script = folder / "python"
        monkeypatch.setattr(_starting.sys, "executable", str(self.script))

    def answers(self, body: str) -> None:
        head = f"#!{sys.base_prefix}/bin/python3\nimport json, pathlib, sys, time\n"
        note = f"with open({str(self.noted)!r}, 'a') as noted: noted.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        self.script.write_text(head + note + body + "\n")
        self.script.chmod(0o755)

    @property
    def words(self) -> list[list[str]]:
        return [json.loads(line) for line in self.noted.read_text().splitlines()]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qnode:
    return Qnode(tmp_path, monkeypatch)


def test_a_lab_is_started_detached_with_its_options(command):
    command.answers("print(json.dumps({'already': False}))")
    assert start_lab(Path("lab.yaml"), Path("/data"), 5, "max") is True
    assert start_lab(Path("lab.yaml"), Path("/data"), None, None) is True
    common = ["-m", "qnode", "up", "lab.yaml", "--detach", "--data", "/data", "--json"]
    assert command.words == [[*common, "--seed", "5", "--speed", "max"], common]


def test_a_lab_that_was_up_is_not_ours(command):
    command.answers("print(json.dumps({'already': True}))")
    assert start_lab(Path("lab.yaml"), Path("/data"), None, None) is False


@pytest.mark.parametrize(("code", "kind"), [(1, NetworkError), (2, MisuseError)])
def test_what_the_command_says_is_the_error(command, code, kind):
    command.answers(f"sys.stderr.write('qnode: port 5601 is busy - stop the other lab\\n'); sys.exit({code})")
    with pytest.raises(kind) as caught:
        start_lab(Path("lab.yaml"), Path("/data"), None, None)
    assert str(caught.value) == "port 5601 is busy - stop the other lab"


def test_a_command_that_hangs_is_interrupted(command, monkeypatch, tmp_path):
    command.answers(
        "try:\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(tmp_path / 'ended')!r}).touch()\n    sys.exit(130)"
    )
    monkeypatch.setattr(_starting, "DOWN_S", 5.0)
    with pytest.raises(NetworkError, match=r"`qnode stop lab\.yaml` is not done after 5 s"):
        stop_lab(Path("lab.yaml"), Path("/data"))
    assert (tmp_path / "ended").exists()


class FakeFront:
    """A connection that opens and closes."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was started and stopped, in order, with a connection in between that needs no daemon."""
    events: list[Any] = []
    monkeypatch.setattr(_lab, "start_lab", lambda *words: events.append(("start", *words[1:])) or True)
    monkeypatch.setattr(_lab, "stop_lab", lambda path, folder: events.append(("stop", folder)))
    return events


def test_a_lab_that_was_started_here_is_stopped_by_close(started, monkeypatch, tmp_path):
    def connect(cls: type[Lab], path: Path, data: Path) -> Lab:
        made = object.__new__(cls)
        made._front, made.path, made.data, made._ours = FakeFront(), path, data, False  # type: ignore[assignment]
        return made

    monkeypatch.setattr(Lab, "connect", classmethod(connect))
    with Lab.start(LAB, tmp_path, seed=5, speed="max"):
        assert started == [("start", tmp_path, 5, "max")]
    assert started[1:] == [("stop", tmp_path)]


def test_a_lab_that_can_not_be_connected_to_is_stopped_at_once(started, tmp_path):
    with pytest.raises(NetworkError, match="is not up"):
        Lab.start(LAB, tmp_path)
    assert started == [("start", tmp_path, None, None), ("stop", tmp_path)]
