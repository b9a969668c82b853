"""The folder of a run: what ran, what came out, and all that is needed to run it again."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from qnode._version import __version__
from qnode.errors import MisuseError
from qnode.runs._errors import writing

__all__ = ["RunFolder", "find_run", "list_runs", "write_whole"]

VERSIONS_OF = (
    "qcodes",
    "numpy",
    "pyzmq",
    "msgspec",
    "pyarrow",
    "pulsestreamer",
    "pyvisa",
    "pyvisa-py",
    "pyserial",
)


class RunFolder:
    """``<data>/runs/<run>``: ``run.json``, the lab file, results.

    Args:
        data_folder: the lab's data folder.
        run_id: name of the run; None makes a new one from the date.
        experiment: what runs; part of a new name.
    """

    def __init__(self, data_folder: Path, run_id: str | None = None, experiment: str = "run") -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.run_id = run_id or f"{stamp}-{experiment}-{secrets.token_hex(2)}"
        self.path = data_folder / "runs" / self.run_id

    def open(self, lab_path: Path, what: dict[str, Any]) -> None:
        """Make the folder with the lab file and what is about to run.

        Raises:
            DataFolderError: the disk is full or does not let us.
        """
        with writing(self.path):
            self.path.mkdir(parents=True)
            shutil.copyfile(lab_path, self.path / "lab.yaml")
        started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        head = {"run": self.run_id, "state": "running", "started": started}
        self.write("run.json", {**head, **what, "versions": _versions()})

    def read(self, name: str) -> dict[str, Any]:
        """A document of this run."""
        document: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return document

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write a JSON document whole: readers see the old one or the new one.

        Raises:
            DataFolderError: the disk is full or does not let us; the old one stays.
        """
        write_whole(self.path / name, json.dumps(document, indent=2) + "\n")

    def update(self, **more: Any) -> None:
        """Add to what ``run.json`` says."""
        self.write("run.json", {**self.read("run.json"), **more})

    def close(self, state: str, **more: Any) -> None:
        """Say how the run ended.

        Raises:
            DataFolderError: the disk is full or does not let us.
        """
        self.update(state=state, **more)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole: readers see the old one or the new one.

    Raises:
        DataFolderError: the disk is full or does not let us; the old one stays.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


def list_runs(data_folder: Path) -> list[dict[str, Any]]:
    """``run.json`` of every run, oldest first; what can't be read is left out."""
    found = []
    for path in sorted((data_folder / "runs").glob("*/run.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return found


def find_run(data_folder: Path, name: str) -> RunFolder:
    """The run of that name, or the only one whose name begins so; ``last`` is the newest.

    Raises:
        MisuseError: none, or several.
    """
    names = sorted(path.parent.name for path in (data_folder / "runs").glob("*/run.json"))
    if not names:
        raise MisuseError(f"no runs in {data_folder}", hint="name the data folder with --data")
    if name == "last":
        matches = names[-1:]
    else:
        matches = [name] if name in names else [known for known in names if known.startswith(name)]
    if len(matches) != 1:
        text = f"{len(matches)} runs in {data_folder} begin with {name!r}"
        raise MisuseError(text, hint="`qnode runs` lists them")
    return RunFolder(data_folder, matches[0])


def _versions() -> dict[str, str]:
    versions = {"qnode": __version__, "python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
