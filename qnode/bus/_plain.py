"""What Python code holds, as values that can travel."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Set
from typing import Any

from qnode.errors import MisuseError

__all__ = ["plain"]

_MOST_INT = 2**64
_LEAST_INT = -(2**63)


def plain(value: Any) -> Any:
    """A value as None, bool, int, float, text, bytes, lists and dicts with text as keys.

    numpy's numbers and arrays become numbers and (nested) lists, members of an `enum.Enum` their value, tuples and
    sets lists.

    Raises:
        MisuseError: it is none of these.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    # Before the rest: some of numpy's numbers are floats, too, but msgpack does not take them as such.
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return plain(value.tolist())
    if value is None or isinstance(value, bool):
        return value
    # Kinds of float and text of other libraries (those of a YAML file) become the plain ones.
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, int) and _LEAST_INT <= value < _MOST_INT:
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(item) for item in value]
    raise MisuseError(
        f"{value!r} of type {type(value).__name__} can't travel", hint="give numbers, text, bytes, lists or dicts"
    )
