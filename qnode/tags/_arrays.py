"""Checks at the door: integer picoseconds, one channel number a tag, sorted times; errors name the index."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError

__all__ = [
    "MAX_PS",
    "Int32",
    "Int64",
    "UInt8",
    "as_channel",
    "as_int",
    "as_int64",
    "as_times",
    "refuse_far",
    "same_length",
    "too_far",
    "unsorted_at",
]

CHUNK = 1 << 15
MAX_PS = 1 << 61
"""Times lie in [-2**61, 2**61) ps, 26.7 days around the origin: their differences, and sums with a delay or a detection
window, stay below 2**63."""

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]


def as_int(name: str, value: object) -> int:
    """A whole number as Python's int.

    Raises:
        MisuseError: a float, or no number at all.
    """
    try:
        return index(value)  # type: ignore[arg-type]  # whatever a caller gives
    except TypeError:
        raise MisuseError(
            f"{name} is {value!r}, no integer", hint="times are whole picoseconds, channels whole numbers"
        ) from None


def as_int64(name: str, values: npt.ArrayLike) -> Int64:
    """A one-dimensional, contiguous int64 array; no copy when it is one already.

    Raises:
        MisuseError: other shape, a float or text array, or an unsigned value of 2**63 and more.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise MisuseError(f"{name} has shape {array.shape}", hint="give a one-dimensional array")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise MisuseError(
            f"{name} is {array.dtype}, not an integer array",
            hint="times are integer picoseconds; float seconds lose 1 ps after 2.5 hours",
        )
    if array.dtype == np.uint64 and bool((array > np.uint64(2**63 - 1)).any()):
        at = int(np.argmax(array > np.uint64(2**63 - 1)))
        raise MisuseError(f"{name}[{at}] = {array[at]} does not fit in int64", index=at)
    return np.ascontiguousarray(array, dtype=np.int64)


def as_channel(values: npt.ArrayLike) -> UInt8:
    """A one-dimensional, contiguous uint8 array of channels 1..255 (as printed on the instrument).

    Raises:
        MisuseError: other shape or kind, or a channel outside 1..255.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise MisuseError(f"channel has shape {array.shape}", hint="give a one-dimensional array")
    if array.size == 0:
        return np.empty(0, np.uint8)
    if array.dtype.kind not in "iu":
        raise MisuseError(f"channel is {array.dtype}, not an integer array")
    # a uint8 can be wrong by 0 only: one pass over a byte a tag
    if int(array.min()) < 1 or (array.dtype != np.uint8 and int(array.max()) > 255):
        at = int(np.argmax((array < 1) | (array > 255)))
        raise MisuseError(
            f"channel[{at}] = {array[at]} is out of range",
            hint="channels are 1..255, as printed on the instrument",
            index=at,
        )
    return np.ascontiguousarray(array, dtype=np.uint8)


def same_length(**arrays: npt.NDArray[Any]) -> None:
    """Refuse arrays that don't belong together.

    Raises:
        MisuseError: the lengths differ.
    """
    lengths = {name: array.size for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise MisuseError("lengths differ: " + ", ".join(f"{name} {size}" for name, size in lengths.items()))


def too_far(what: str, t_ps: int) -> MisuseError:
    """The error for a time outside +-2**61 ps (to be raised by the caller)."""
    return MisuseError(
        f"{what} = {t_ps} ps is outside +-2**61 ps (26.7 days)",
        hint="shift the times to an origin near them; is this the right format and unit?",
    )


def refuse_far(name: str, t_ps: Int64) -> None:
    """Refuse sorted times outside +-2**61 ps; looks at both ends only, so that it costs nothing a tag.

    Raises:
        MisuseError: they reach farther; names the index.
    """
    if t_ps.size:
        for index in (0, t_ps.size - 1):
            if not -MAX_PS <= int(t_ps[index]) < MAX_PS:
                raise too_far(f"{name}[{index}]", int(t_ps[index]))


def unsorted_at(name: str, array: Int64, at: int, *, strict: bool = False) -> MisuseError:
    """The error for times that go back at index ``at`` (to be raised by the caller)."""
    order = "strictly increasing" if strict else "sorted"
    return MisuseError(
        f"{name} is not {order}: {name}[{at}] = {array[at]} after {array[at - 1]}",
        hint="sort or merge the streams first (qnode.tags.merge)",
        index=at,
    )


def as_times(name: str, values: npt.ArrayLike, *, strict: bool = False) -> Int64:
    """`as_int64`, sorted, and within +-2**61 ps: equal neighbours are allowed unless ``strict``.

    Raises:
        MisuseError: as `as_int64`, the times go back, or reach too far; the text names the index.
    """
    array = as_int64(name, values)
    for begin in range(0, array.size - 1, CHUNK):  # in pieces that stay in the cache: twice as fast
        earlier, later = array[begin : begin + CHUNK], array[begin + 1 : begin + 1 + CHUNK]
        back = later <= earlier[: later.size] if strict else later < earlier[: later.size]
        if back.any():
            raise unsorted_at(name, array, begin + int(np.argmax(back)) + 1, strict=strict)
    refuse_far(name, array)
    return array
