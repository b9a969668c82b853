"""Reading a lab file: YAML 1.2, then the models, then what entries must agree on; all faults at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from qnode.errors import MisuseError
from qnode.labfile._cross import cross_faults, world_faults
from qnode.labfile._model import Lab
from qnode.labfile._world import World

__all__ = ["LabFault", "LabFileError", "lab_hash", "line_of", "load_lab", "load_world", "resolve_address"]

Model = TypeVar("Model", bound=BaseModel)
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class LabFault:
    """One thing that is wrong with a lab file."""

    file: str
    line: int
    """Counted from 1."""
    text: str
    """What is wrong and what was expected, one line."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


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
    tree = _read(path)
    tree.pop("world", None)
    lab = _validate(Lab, tree, str(path), ())
    _raise_if(_located(tree, str(path), cross_faults(lab)))
    return lab


def load_world(path: Path | str) -> World:
    """Read and check the `world:` part of a lab file against its other parts.

    Raises:
        LabFileError: with every fault; also where the file has no `world:`.
    """
    lab = load_lab(path)
    tree = _read(path)
    if "world" not in tree:
        raise LabFileError([LabFault(str(path), 1, "no `world:` part; simulators and `qnode predict` need one")])
    world = _validate(World, tree["world"], str(path), ("world",), root=tree)
    _raise_if(_located(tree, str(path), world_faults(lab, world)))
    return world


def lab_hash(lab: Lab) -> str:
    """SHA-256 (hex) of the canonical JSON of a lab: same content, same hash; `world:` is not in it."""
    document = lab.model_dump(mode="json", by_alias=True)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def line_of(path: Path | str, place: Sequence[str | int]) -> int:
    """Line (from 1) where an entry of a lab file stands, e.g. ``("wires", 3)``; of the deepest part that is there."""
    return _line(_read(path), tuple(place))


def resolve_address(address: str, data_folder: Path) -> str:
    """An instrument's address with a leading ``data:`` replaced by the lab's data folder."""
    return str(data_folder / address.removeprefix("data:")) if address.startswith("data:") else address


def _read(path: Path | str) -> Any:
    yaml = YAML(typ="rt")
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise LabFileError(
            [LabFault(str(path), 0, f"can't be read: {error.strerror}; give the path of a lab file")]
        ) from error
    try:
        tree = yaml.load(text)
    except DuplicateKeyError as error:
        raise LabFileError([LabFault(str(path), _mark(error), _duplicate(error))]) from error
    except MarkedYAMLError as error:
        problem = " ".join(str(error.problem or error.context or error).split())
        raise LabFileError([LabFault(str(path), _mark(error), f"not YAML: {problem}")]) from error
    except YAMLError as error:
        raise LabFileError([LabFault(str(path), 1, f"not YAML: {' '.join(str(error).split())}")]) from error
    if not isinstance(tree, CommentedMap):
        raise LabFileError([LabFault(str(path), 1, "not a lab file: expected keys such as `lab:` and `nodes:`")])
    return tree


def _mark(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return int(mark.line) + 1 if mark is not None else 1


def _duplicate(error: DuplicateKeyError) -> str:
    first = str(error.problem or "").splitlines()[0] if error.problem else "duplicate key"
    return f"{first.split(' with value')[0]}; keep one of the two"


def _validate(model: type[Model], tree: Any, file: str, prefix: Path_, root: Any = None) -> Model:
    try:
        return model.model_validate(_plain(tree))
    except ValidationError as error:
        root = tree if root is None else root
        found = [(prefix + _document_path(tuple(item["loc"])), _pydantic_text(dict(item))) for item in error.errors()]
        raise LabFileError(_located(root, file, _merge_unions(found))) from error


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    return tree


def _document_path(loc: Path_) -> Path_:
    """Without the names of union members that pydantic puts into a location."""
    skip = {"Wire", "Element", "str", "tuple[str, ...]", "constrained-float", "literal['max']"}
    return tuple(part for part in loc if part not in skip)


def _merge_unions(found: list[tuple[Path_, str]]) -> list[tuple[Path_, str]]:
    """A list entry that fits neither member of a union gives one fault a member; keep the first of each place."""
    seen: dict[Path_, str] = {}
    for path, text in found:
        seen.setdefault(path, text)
    return list(seen.items())


def _pydantic_text(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in _document_path(tuple(item["loc"])))
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"unknown key `{name}`; remove it or see docs/reference/lab-file.md for the keys of this part"
    if kind == "missing":
        return f"`{name}` is missing"
    given = item.get("input")
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool) else ""
    text = str(item["msg"])
    text = text[0].lower() + text[1:]
    return f"`{name}`: {text}{shown}"


def _located(tree: Any, file: str, found: Sequence[tuple[Path_, str]]) -> list[LabFault]:
    faults = [LabFault(file, _line(tree, path), text) for path, text in found]
    return sorted(faults, key=lambda fault: fault.line)


def _line(tree: Any, path: Path_) -> int:
    """Line (from 1) of the deepest part of a path that stands in the document."""
    line = 1
    here = tree
    for part in path:
        if isinstance(here, CommentedMap) and part in here:
            line = int(here.lc.key(part)[0]) + 1
        elif isinstance(here, CommentedSeq) and isinstance(part, int) and part < len(here):
            line = int(here.lc.item(part)[0]) + 1
        else:
            break
        here = here[part]
    return line


def _raise_if(faults: list[LabFault]) -> None:
    if faults:
        raise LabFileError(faults)
