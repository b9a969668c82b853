"""What pydantic finds, in the words of a colleague: where in the file, what stands there, what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from qnode.labfile._model import ADDRESS_PATTERN, LAB_TIME_PATTERN

__all__ = ["Place", "child_key", "spoken_faults"]

Place = tuple[str | int, ...]

EXPECTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "tuple_type": "a list",
    "date_type": "a date such as 2026-11-20",
    "date_parsing": "a date such as 2026-11-20",
    "date_from_datetime_parsing": "a date such as 2026-11-20",
    "date_from_datetime_inexact": "a date such as 2026-11-20",
}
"""Kind of fault to what belongs there."""

BOUNDS = {
    "greater_than": ("gt", "is not above"),
    "greater_than_equal": ("ge", "is below"),
    "less_than": ("lt", "is not below"),
    "less_than_equal": ("le", "is above"),
}
PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "a name of small letters, digits and _ that begins with a letter",
    r"^[a-z][a-z0-9_-]*$": "a name of small letters, digits, _ and - that begins with a letter",
    r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$": "site.name, such as alice.qubit",
    r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$": "module.Class, such as drivers.sfifteen.tdc1.TDC1",
    ADDRESS_PATTERN: "tcp://address:port",
    LAB_TIME_PATTERN: "host or tcp://address:port",
}


@dataclass(frozen=True)
class _Finding:
    """One of pydantic's findings; a value that fits no member of a union has one a member."""

    place: Place
    complaint: str
    """A whole text, or empty where `expected` and `given` make it."""
    expected: str
    given: str


def spoken_faults(
    model: type[BaseModel], errors: Iterable[ErrorDetails], root: Any, prefix: Place = ()
) -> list[tuple[Place, str]]:
    """Faults as (place in the document, one line of text), each place once.

    Args:
        model: what the document should be.
        errors: what pydantic found.
        root: the whole document.
        prefix: place of the model's part in the document.
    """
    grouped: dict[Place, list[_Finding]] = {}
    for error in errors:
        finding = _finding(model, error, root, prefix)
        grouped.setdefault(finding.place, []).append(finding)
    # An entry that fits one member of a union but for something inside it is reported there only.
    places = [place for place in grouped if not any(other[: len(place)] == place != other for other in grouped)]
    return [(place, _sentence(root, place, grouped[place])) for place in places]


def child_key(here: Any, part: str | int) -> Any:
    """The key or index under which a document holds a part of a place; None where it does not."""
    if isinstance(here, Mapping):
        return next((key for key in here if str(key) == str(part)), None)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return part
    return None


def _finding(model: type[BaseModel], error: ErrorDetails, root: Any, prefix: Place) -> _Finding:
    kind, given = error["type"], error.get("input")
    context = error.get("ctx", {})
    place = _place(error, root, prefix)
    shown = _shown(given)
    if kind == "extra_forbidden":
        return _Finding(place, _unknown(model, place[len(prefix) :], _spoken(root, place)[1]), "", "")
    if kind == "missing":
        text = "one more entry is expected" if isinstance(place[-1], int) else "is missing"
        return _Finding(place, text, "", "")
    if kind in BOUNDS:
        bound, words = BOUNDS[kind]
        return _Finding(place, f"{shown} {words} {context[bound]:g}", "", "")
    if kind in ("too_long", "too_short"):
        limit = context.get("max_length", context.get("min_length"))
        more = "at most" if kind == "too_long" else "at least"
        entries = "entry" if limit == 1 else "entries"
        return _Finding(place, f"expected {more} {limit} {entries}, not {context.get('actual_length')}", "", "")
    if kind == "literal_error":
        return _Finding(place, "", str(context["expected"]).replace("'", ""), shown)
    if kind == "string_pattern_mismatch":
        return _Finding(place, "", PATTERNS.get(context["pattern"], f"text like {context['pattern']}"), shown)
    if kind in EXPECTED:
        return _Finding(place, "", EXPECTED[kind], shown)
    message = str(error["msg"])
    return _Finding(place, f"{message[0].lower()}{message[1:]}, not {shown}", "", "")


def _place(error: ErrorDetails, root: Any, prefix: Place) -> Place:
    """Pydantic's location without its names of union members; what is missing stays as the last part."""
    here, place = root, prefix
    for part in prefix:
        here = here[part]
    for part in error["loc"]:
        key = child_key(here, part)
        if key is None:
            continue
        place = (*place, key if isinstance(key, int) and isinstance(here, list) else str(key))
        here = here[key]
    return (*place, error["loc"][-1]) if error["type"] == "missing" else place


def _shown(given: Any) -> str:
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        return "keys with values"
    if isinstance(given, list | tuple):
        return "a list"
    return str(given)


def _sentence(root: Any, place: Place, findings: list[_Finding]) -> str:
    who, name = _spoken(root, place)
    complaints = [finding.complaint for finding in findings if finding.complaint]
    text = complaints[0] if complaints else ""
    if not text:
        expected = " or ".join(dict.fromkeys(finding.expected for finding in findings))
        text = f"expected {expected}, not {findings[0].given}"
    if text.startswith("unknown key") or not name:
        return f"{who}{text}"
    return f"{who}`{name}` {text}" if text == "is missing" else f"{who}`{name}`: {text}"


def _spoken(root: Any, place: Place) -> tuple[str, str]:
    """(whose, which): entries of a list go by the name that they have in the file."""
    here: Any = root
    parts = []
    for part in place:
        key = child_key(here, part)
        here = None if key is None else here[key]
        named = isinstance(part, int) and isinstance(here, Mapping) and "name" in here
        parts.append(str(here["name"] if named else part))
    if place[0] == "wires" and len(place) > 1:
        entry = root["wires"][place[1]]
        return f"{_wire_name(entry, place[1])}: ", ".".join(parts[2:])
    return "", ".".join(parts)


def _wire_name(entry: Any, number: str | int) -> str:
    if isinstance(entry, Mapping):
        for key, words in (("element", "element"), ("from", "wire from")):
            if key in entry:
                return f"{words} {entry[key]}"
        if "to" in entry:
            return f"wire to {_shown(entry['to'])}"
    return f"entry {int(number) + 1} of wires"


def _unknown(model: type[BaseModel], place: Place, name: str) -> str:
    """An unknown key, with the key that was probably meant or those that may stand there."""
    known = sorted(_keys_at(model, place[:-1]))
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"unknown key `{name}`; " + (f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}")


def _keys_at(model: type[BaseModel], place: Place) -> set[str]:
    """The keys that may stand at a place of a model."""
    here: list[Any] = [model]
    for part in place:
        here = [inner for one in here for inner in _inside(one, part)]
    return {field.alias or name for one in here if _is_model(one) for name, field in one.model_fields.items()}


def _inside(annotation: Any, part: str | int) -> list[Any]:
    if _is_model(annotation):
        return [
            member
            for name, field in annotation.model_fields.items()
            if (field.alias or name) == part
            for member in _members(field.annotation)
        ]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return _members(arguments[1])
    if origin is tuple:
        return _members(arguments[0])
    return []


def _members(annotation: Any) -> list[Any]:
    """A type, or the types of a union, without their annotations."""
    if hasattr(annotation, "__metadata__"):
        return _members(get_args(annotation)[0])
    origin = get_origin(annotation)
    if origin is None or origin in (dict, tuple):
        return [annotation]
    return [inner for one in get_args(annotation) for inner in _members(one)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
