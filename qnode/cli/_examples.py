"""The lab files that come with qnode: beside the source tree, or in the installed package."""

from __future__ import annotations

import shutil
from pathlib import Path

import qnode
from qnode.cli._exit import say
from qnode.errors import MisuseError

__all__ = ["example_lab", "new"]


def example_lab(name: str) -> Path:
    """Path of an example, by its name without ``.yaml``.

    Raises:
        MisuseError: there is none of that name.
    """
    folder = _folder()
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.yaml"))) or f"none in {folder}"
        raise MisuseError(f"there is no example {name}", hint=f"there are {known}")
    return path


def new(path: Path, example: str) -> None:
    """Copy an example to where a person can change it; nothing is ever written over."""
    source = example_lab(example)
    if path.exists():
        raise MisuseError(f"{path} is there already", hint="choose another name")
    if not path.parent.is_dir():
        raise MisuseError(f"{path}: there is no folder {path.parent}", hint="make it first")
    try:
        shutil.copyfile(source, path)
    except OSError as error:
        raise MisuseError(f"{path} can't be written: {error.strerror}") from error
    say(f"{path}: a copy of the example {example}; `qnode check {path}` looks at it, `qnode demo {path}` plays it")


def _folder() -> Path:
    package = Path(qnode.__file__).parent
    installed = package / "_config"
    return installed if installed.is_dir() else package.parent / "config"
