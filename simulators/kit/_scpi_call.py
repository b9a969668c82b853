"""What a command's handler gets: the numbers in its header, and its arguments read as the type it wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

__all__ = ["ERROR_TEXTS", "Call", "ScpiError", "long_and_short", "quoted"]

T = TypeVar("T")

ERROR_TEXTS: Mapping[int, str] = {
    0: "No error",
    -100: "Command error",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -131: "Invalid suffix",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -200: "Execution error",
    -220: "Parameter error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -250: "Mass storage error",
    -256: "File name not found",
    -257: "File name error",
    -350: "Queue overflow",
    -400: "Query error",
    -410: "Query INTERRUPTED",
}
"""SCPI 1999.0, volume 2, chapter 21."""

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)")
_SCALES = {"G": 1e9, "MA": 1e6, "K": 1e3, "": 1.0, "M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12}
_UNITS = ("HZ", "V", "S", "OHM")
_UNSCALED_UNITS = ("DBM", "DB", "DEG", "PCT")


class ScpiError(Exception):
    """A command that is not carried out; goes to the error queue.

    Args:
        code: an SCPI error number.
        detail: added to the standard text after a semicolon, as devices do.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        text = ERROR_TEXTS[code]
        super().__init__(f"{text};{detail}" if detail else text)
        self.code = code


class Call:
    """One command or query that was understood.

    Args:
        suffixes: the numbers in the header, in order; 1 where none was written.
        arguments: as they were sent: str, or bytes for a block.
    """

    def __init__(self, suffixes: tuple[int, ...], arguments: tuple[str | bytes, ...]) -> None:
        self._suffixes = suffixes
        self.arguments = arguments

    def suffix(self, index: int, last: int) -> int:
        """The number ``index`` of the header, which goes from 1 to ``last``."""
        number = self._suffixes[index]
        if not 1 <= number <= last:
            raise ScpiError(-114)
        return number

    def text(self, index: int) -> str:
        """The argument as it was written."""
        argument = self.arguments[index]
        if isinstance(argument, bytes) or not argument:
            raise ScpiError(-104)
        return argument

    def string(self, index: int) -> str:
        """A quoted string."""
        text = self.text(index)
        if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
            raise ScpiError(-104)
        return text[1:-1].replace(text[0] * 2, text[0])

    def block(self, index: int) -> bytes:
        """A block of bytes."""
        argument = self.arguments[index]
        if not isinstance(argument, bytes):
            raise ScpiError(-161 if argument.startswith("#") else -104)
        return argument

    def real(self, index: int, low: float, high: float) -> float:
        """A number within ``low`` and ``high``; with a unit, or MINimum or MAXimum, if written so."""
        text = self.text(index)
        if text.upper() in ("MIN", "MINIMUM"):
            return low
        if text.upper() in ("MAX", "MAXIMUM"):
            return high
        value = _number(text)
        if not low <= value <= high:
            raise ScpiError(-222)
        return value

    def integer(self, index: int, low: int, high: int) -> int:
        """A number within ``low`` and ``high``, rounded to the nearest integer."""
        return round(self.real(index, low, high))

    def boolean(self, index: int) -> bool:
        """ON, OFF, or a number, of which all but 0 are on."""
        text = self.text(index).upper()
        if text in ("ON", "OFF"):
            return text == "ON"
        return round(_number(text)) != 0

    def choice(self, index: int, choices: Mapping[str, T]) -> T:
        """What belongs to the word; keys are like ``INTernal``, of which the short and the long form count."""
        text = self.text(index).upper()
        for word, value in choices.items():
            if text in long_and_short(word):
                return value
        raise ScpiError(-224)


def _number(text: str) -> float:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ScpiError(-104)
    value, unit = float(found[1]), found[2].upper()
    if not unit or unit in _UNSCALED_UNITS:
        return value
    for name in _UNITS:
        if unit.endswith(name):
            scale = unit.removesuffix(name)
            # MHz is mega by an old exception of SCPI, while mV and ms are milli.
            scale = "MA" if scale == "M" and name in ("HZ", "OHM") else scale
            if scale in _SCALES:
                return value * _SCALES[scale]
    raise ScpiError(-131)


def long_and_short(word: str) -> tuple[str, str]:
    """``INTernal`` to ``INTERNAL`` and ``INT``."""
    return word.upper(), "".join(letter for letter in word if not letter.islower())


def quoted(text: str) -> str:
    """``text`` as a string in a reply."""
    escaped = text.replace('"', '""')
    return f'"{escaped}"'
