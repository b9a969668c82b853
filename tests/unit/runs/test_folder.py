from __future__ import annotations

import contextlib
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from qnode.errors import MisuseError
from qnode.runs import DataFolderError, RunFolder, find_run, list_runs


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("lab: mine\n")
    return path


def made(data: Path, lab_file: Path, *names: str) -> None:
    for name in names:
        RunFolder(data, name).open(lab_file, {"experiment": "heralding"})


def test_a_run_from_its_opening_to_its_end(tmp_path, lab_file):
    run = RunFolder(tmp_path / "data", experiment="bell")
    assert re.fullmatch(r"\d{8}-\d{6}-bell-[0-9a-f]{4}", run.run_id)
    assert run.path == tmp_path / "data" / "runs" / run.run_id
    assert not run.path.exists(), "nothing is made before it opens"
    run.open(lab_file, {"experiment": "bell", "seed": 3})
    assert (run.path / "lab.yaml").read_text() == "lab: mine\n"
    opened = run.read("run.json")
    assert {key: opened[key] for key in ("run", "state", "experiment", "seed")} == {
        "run": run.run_id,
        "state": "running",
        "experiment": "bell",
        "seed": 3,
    }
    assert opened["versions"]["python"].startswith("3.")
    assert opened["versions"]["numpy"]
    run.close("failed", error="why")
    assert run.read("run.json") == {**opened, "state": "failed", "error": "why"}


def test_two_runs_of_one_second_have_different_names(tmp_path):
    assert len({RunFolder(tmp_path).run_id for _ in range(8)}) > 1


def test_a_document_is_replaced_whole(tmp_path, lab_file, monkeypatch):
    run = RunFolder(tmp_path, "a")
    run.open(lab_file, {})
    run.write("result.json", {"pairs": 1})

    def stop_here(draft: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop_here)
    with pytest.raises(KeyboardInterrupt):
        run.write("result.json", {"pairs": 2})
    assert run.read("result.json") == {"pairs": 1}
    monkeypatch.undo()
    run.write("result.json", {"pairs": 3})
    assert run.read("result.json") == {"pairs": 3}
    assert sorted(path.name for path in run.path.iterdir()) == ["lab.yaml", "result.json", "run.json"]


def test_runs_are_listed_oldest_first_without_what_cannot_be_read(tmp_path, lab_file):
    assert list_runs(tmp_path) == []
    made(tmp_path, lab_file, "20260102-b", "20260101-a", "20260103-c")
    (tmp_path / "runs" / "20260102-b" / "run.json").write_text('{"run": "202601')
    (tmp_path / "runs" / "20260104-d").mkdir()
    assert [run["run"] for run in list_runs(tmp_path)] == ["20260101-a", "20260103-c"]


def test_a_run_is_found_by_the_beginning_of_its_name(tmp_path, lab_file):
    with pytest.raises(MisuseError, match="no runs in") as caught:
        find_run(tmp_path, "last")
    assert caught.value.hint == "name the data folder with --data"
    made(tmp_path, lab_file, "20260101-a", "20260102-b", "20260102-bell")
    assert find_run(tmp_path, "last").run_id == "20260102-bell"
    assert find_run(tmp_path, "20260101").run_id == "20260101-a"
    assert find_run(tmp_path, "20260102-be").path == tmp_path / "runs" / "20260102-bell"
    assert find_run(tmp_path, "20260102-b").run_id == "20260102-b", "a whole name is no beginning"
    for name, count in (("20260102", 2), ("2027", 0)):
        with pytest.raises(MisuseError, match=f"{count} runs in .* begin with '{name}'") as caught:
            find_run(tmp_path, name)
        assert caught.value.hint == "`qnode runs` lists them"


@contextlib.contextmanager
def no_more() -> Iterator[None]:
    """Meanwhile this process's files can't grow: what a full disk does, for an ordinary user.

    No fixture: the log of the tests may be such a file, and is written before a fixture is left.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_in_one_line_and_the_old_document_stays(tmp_path, lab_file):
    run = RunFolder(tmp_path, "a")
    run.open(lab_file, {})
    before = run.read("run.json")
    with (
        no_more(),
        pytest.raises(DataFolderError, match=r"a/run.json could not be written: no room left - free space"),
    ):
        run.close("done")
    assert run.read("run.json") == before
    assert sorted(path.name for path in run.path.iterdir()) == ["lab.yaml", "run.json"]
    with no_more(), pytest.raises(DataFolderError, match="runs/b could not be written: no room left"):
        RunFolder(tmp_path, "b").open(lab_file, {})


def test_a_data_folder_that_is_none_is_told_in_one_line(tmp_path, lab_file):
    (tmp_path / "runs").touch()
    with pytest.raises(DataFolderError, match="runs/a could not be written: Not a directory"):
        RunFolder(tmp_path, "a").open(lab_file, {})
