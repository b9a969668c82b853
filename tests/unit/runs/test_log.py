from __future__ import annotations

import json
import logging
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qnode.runs import DataFolderError, log_event, merged_log, open_log


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """The root logger as it was."""
    root, ours = logging.getLogger(), logging.getLogger("qnode")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    ours.setLevel(our_level)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_one_json_line_with_its_values(tmp_path):
    path = open_log("alice", tmp_path)
    assert path == tmp_path / "log" / "alice.jsonl"
    log_event("plan over", plan="00aa", rounds=7, folder=tmp_path)
    (entry,) = lines(path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("wall"))
    assert entry == {
        "site": "alice",
        "level": "info",
        "event": "plan over",
        "plan": "00aa",
        "rounds": 7,
        "folder": str(tmp_path),
    }


def test_warnings_of_others_are_kept_and_their_chatter_is_not(tmp_path):
    path = open_log("alice", tmp_path)
    other = logging.getLogger("pyvisa")
    other.info("chatter")
    try:
        raise ValueError("bad\nluck")
    except ValueError:
        other.exception("lost %s", "it")
    (entry,) = lines(path)
    assert (entry["level"], entry["event"], entry["error"]) == ("error", "lost it", "ValueError: bad\nluck")
    assert "Traceback" in entry["traceback"]


def test_logs_of_all_sites_are_merged_by_time(tmp_path):
    (tmp_path / "log").mkdir()
    for site, seconds in (("alice", (1, 4)), ("bob", (2, 3, 5))):
        with (tmp_path / "log" / f"{site}.jsonl").open("w") as file:
            for second in seconds:
                file.write(json.dumps({"wall": f"2026-01-01T00:00:0{second}.000Z", "site": site}) + "\n")
    assert [(entry["wall"][18], entry["site"]) for entry in merged_log(tmp_path)] == [
        ("1", "alice"),
        ("2", "bob"),
        ("3", "bob"),
        ("4", "alice"),
        ("5", "bob"),
    ]


def test_no_log_is_an_empty_one(tmp_path):
    assert list(merged_log(tmp_path)) == []


@pytest.mark.parametrize("torn", [b'{"wall": "2026-01', b'{"wall": "\xff\xfe'])
def test_a_torn_line_is_left_out_and_swallows_no_line_of_the_next_process(tmp_path, torn):
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "alice.jsonl"
    path.write_bytes(b'{"wall": "2026", "event": "first"}\n' + torn)
    assert [entry["event"] for entry in merged_log(tmp_path)] == ["first"]
    open_log("alice", tmp_path)
    log_event("second")
    assert [entry["event"] for entry in merged_log(tmp_path)] == ["first", "second"]


def test_a_full_disk_costs_lines_never_the_process_and_is_told_when_there_is_room_again(tmp_path, capfd):
    path = open_log("alice", tmp_path)
    log_event("first")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for a part of a line.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        log_event("second")
        log_event("third")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log_event("fourth")
    assert [entry["event"] for entry in merged_log(tmp_path)] == [
        "first",
        "2 lines of the log were lost: the disk did not take them",
        "fourth",
    ]
    assert capfd.readouterr() == ("", "")


def test_a_log_that_can_not_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "log").touch()
    with pytest.raises(DataFolderError, match=r"log/alice.jsonl could not be written: File exists"):
        open_log("alice", tmp_path)
