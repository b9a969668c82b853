"""Reading a lab file: YAML 1.2, then the models, then what entries must agree on; all faults at once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from qnode.errors import MisuseError
from qnode.labfile._cross import cross_faults, world_faults
from qnode.labfile._model import Lab
from qnode.labfile._texts import Place, child_key, spoken_faults
from qnode.labfile._world import World

__all__ = [
    "LabFault",
    "LabFileError",
    "data_folder",
    "lab_hash",
    "line_of",
    "load_lab",
    "load_lab_and_world",
    "load_world",
    "resolve_address",
    "simulated_instruments",
]

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class LabFault:
    """One thing that is wrong with a lab file."""

    file: str
    line: int
    """Counted from 1; 0 where it is not about a line."""
    text: str
    """What is wrong and what was expected, one line."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class LabFileError(MisuseError):
    """A lab file that can't be used; `faults` holds all that is wrong with it."""

    code = "lab_file"

    def __init__(self, faults: Sequence[LabFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def load_lab(path: Path | str) -> Lab:
    """Read and check a lab file; its `world:` part is not looked at.

    Raises:
        LabFileError: with every fault, file and line.
    """
    return _lab(_without_world(_read(path)), str(path))


def load_world(path: Path | str) -> World:
    """Read and check the `world:` part of a lab file against its other parts.

    Raises:
        LabFileError: with every fault; also where the file has no `world:`.
    """
    _, world = load_lab_and_world(path)
    if world is None:
        raise LabFileError([LabFault(str(path), 1, "no `world:` part; simulators and `qnode predict` need one")])
    return world


def load_lab_and_world(path: Path | str) -> tuple[Lab, World | None]:
    """Read and check a whole lab file, for commands that may start simulators; no world where it has no `world:`.

    Raises:
        LabFileError: with every fault of both parts, file and line.
    """
    whole = _read(path)
    faults: list[LabFault] = []
    lab: Lab | None = None
    world: World | None = None
    try:
        lab = _lab(_without_world(whole), str(path))
    except LabFileError as error:
        faults += error.faults
    if "world" in whole:
        try:
            world = _validate(World, whole["world"], str(path), ("world",), root=whole)
        except LabFileError as error:
            faults += error.faults
    if lab is not None and world is not None:
        faults += _located(whole, str(path), world_faults(lab, world))
    _raise_if(faults)
    assert lab is not None
    return lab, world


def _without_world(tree: CommentedMap) -> CommentedMap:
    part: CommentedMap = tree.copy()
    part.pop("world", None)
    return part


def _lab(tree: Any, file: str) -> Lab:
    lab = _validate(Lab, tree, file)
    _raise_if(_located(tree, file, cross_faults(lab)))
    return lab


def lab_hash(lab: Lab) -> str:
    """SHA-256 (hex) of the canonical JSON of a lab: same content, same hash; `world:` is not in it."""
    document = lab.model_dump(mode="json", by_alias=True)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def line_of(path: Path | str, place: Sequence[str | int]) -> int:
    """Line (from 1) where an entry of a lab file stands, e.g. ``("wires", 3)``; of the deepest part that is there."""
    return _line(_read(path), tuple(place))


def data_folder(lab: Lab, option: Path | None) -> Path:
    """Absolute data folder: the option's, or the lab file's seen from here."""
    return (option or Path(lab.data.folder)).resolve()


def simulated_instruments(lab: Lab) -> list[str]:
    """``site.instrument`` of all that are simulated."""
    return [
        f"{site}.{name}" for site, part in lab.sites.items() for name, entry in part.rack.items() if entry.simulated
    ]


def resolve_address(address: str, data_folder: Path) -> str:
    """An instrument's address with a leading ``data:`` replaced by the lab's data folder."""
    return str(data_folder / address.removeprefix("data:")) if address.startswith("data:") else address


def _read(path: Path | str) -> CommentedMap:
    """The document of a file as it is now, not to be changed: who asks again for the same text gets the same tree."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise LabFileError(
            [LabFault(str(path), 0, f"can't be read: {error.strerror}; give the path of a lab file")]
        ) from error
    except UnicodeDecodeError as error:
        raise LabFileError([LabFault(str(path), 1, "not text in UTF-8; give the path of a lab file")]) from error
    return _parsed(text, str(path))


@functools.lru_cache(maxsize=1)
def _parsed(text: str, path: str) -> CommentedMap:
    # A process reads its lab file several times while it starts, and reading is nearly all of what that costs.
    yaml = YAML(typ="rt")
    try:
        tree = yaml.load(text)
    except DuplicateKeyError as error:
        raise LabFileError([LabFault(path, _mark(error), _duplicate(error))]) from error
    except MarkedYAMLError as error:
        problem = " ".join(str(error.problem or error.context or error).split())
        raise LabFileError([LabFault(path, _mark(error), f"not YAML: {problem}")]) from error
    except YAMLError as error:
        raise LabFileError([LabFault(path, 1, f"not YAML: {' '.join(str(error).split())}")]) from error
    if tree is None:
        raise LabFileError([LabFault(path, 1, "the file is empty; see config/two_nodes.yaml for a lab file")])
    if not isinstance(tree, CommentedMap):
        raise LabFileError([LabFault(path, 1, "not a lab file: expected keys such as `lab:` and `nodes:`")])
    return tree


def _mark(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return int(mark.line) + 1 if mark is not None else 1


def _duplicate(error: DuplicateKeyError) -> str:
    found = re.search(r'"(.*?)"', str(error.problem or ""))
    return f"key {f'`{found[1]}` ' if found else ''}stands twice; keep one of the two"


def _validate(model: type[Model], tree: Any, file: str, prefix: Place = (), root: Any = None) -> Model:
    try:
        return model.model_validate(_plain(tree))
    except ValidationError as error:
        root = tree if root is None else root
        raise LabFileError(_located(root, file, spoken_faults(model, error.errors(), root, prefix))) from error


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    # The reader's own numbers and texts, which remember how they were written, travel nowhere.
    for kind in (float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return int(tree) if isinstance(tree, int) and not isinstance(tree, bool) else tree


def _located(tree: Any, file: str, found: Sequence[tuple[Place, str]]) -> list[LabFault]:
    faults = [LabFault(file, _line(tree, place), text) for place, text in found]
    return sorted(faults, key=lambda fault: (fault.line, fault.text))


def _line(tree: Any, place: Place) -> int:
    """Line (from 1) of the deepest part of a place that stands in the document."""
    line = 1
    here = tree
    for part in place:
        key = child_key(here, part)
        if key is None:
            break
        # What a merge key (`<<`) brings has no line of its own.
        with contextlib.suppress(KeyError):
            position = here.lc.key(key) if isinstance(here, CommentedMap) else here.lc.item(key)
            line = int(position[0]) + 1
        here = here[key]
    return line


def _raise_if(faults: list[LabFault]) -> None:
    if faults:
        raise LabFileError(faults)
