"""The command tree of a Time Controller: parse a line, keep the settings, answer.

Grammar, from the maker's samples and lab drivers: case does not matter; a word may be cut (three letters or more, as
long as one command only fits); ``;`` joins commands, a following one continues at the level of the last, ``:`` goes
back to the root (so does, leniently [K], a word that does not fit at that level); answers to several questions come
one a line; a setting is answered by nothing.  A refused command is answered by its error, which ``SYST:ERR?`` lists
too [K: the text; that a reply comes at all is ZeroMQ's].
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["CommandError", "CommandTree", "Leaf"]

_WORD = re.compile(r"(\*?[A-Za-z]+)(\d*)(\??)")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)")
_UNITS = {"": 1.0, "TB": 1.0, "PS": 1.0, "NS": 1e3, "US": 1e6, "MS": 1e9, "S": 1e12, "V": 1.0, "MV": 1e-3}
_LINK = re.compile(r"NONE|STAR|REC|(?:INPU|DELA|TSCO|GEN|OUTP|HIST|RAW)\d+")
_LONG_LINKS = {"START": "STAR", "RECORD": "REC", "RECO": "REC"}
_MAX_ERRORS = 32


class CommandError(Exception):
    """A refused command: SCPI's number and text."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f'{number},"{text}"')


@dataclass(frozen=True)
class Leaf:
    """One command.

    Attributes:
        kind: ``switch`` (ON or OFF), ``choice``, ``number``, ``count`` (whole number, or INF), ``link`` (a
            block), ``do`` (no value), ``ask`` (question only).
        default: the factory value, as it is answered.
        choices: long forms.
        unit: is appended to the answer.
    """

    kind: str
    default: str = ""
    choices: tuple[str, ...] = ()
    unit: str = ""

    def parse(self, text: str) -> str:
        """The canonical form of a value.

        Raises:
            CommandError: it does not fit.
        """
        text = text.strip()
        if not text:
            raise CommandError(-109, "Missing parameter")
        return {
            "switch": _parse_switch,
            "choice": self._parse_choice,
            "number": _parse_number,
            "count": _parse_count,
            "link": _parse_link,
        }[self.kind](text)

    def _parse_choice(self, text: str) -> str:
        word = text.upper()
        fits = [choice for choice in self.choices if choice.startswith(word)]
        if word in fits:
            return word
        if len(fits) != 1:
            raise CommandError(-224, "Illegal parameter value")
        return fits[0]


def _parse_switch(text: str) -> str:
    try:
        return {"ON": "ON", "1": "ON", "OFF": "OFF", "0": "OFF"}[text.upper()]
    except KeyError:
        raise CommandError(-224, "Illegal parameter value") from None


def _parse_number(text: str) -> str:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise CommandError(-104, "Data type error")
    unit = _UNITS.get(found[2].upper())
    if unit is None:
        raise CommandError(-131, "Invalid suffix")
    value = float(found[1]) * unit
    if not math.isfinite(value):
        raise CommandError(-222, "Data out of range")
    return str(int(value)) if value == int(value) else repr(value)


def _parse_count(text: str) -> str:
    if len(text) >= 3 and "INFINITY".startswith(text.upper()):
        return "INF"
    number = _parse_number(text)
    if not number.isdigit():
        raise CommandError(-222, "Data out of range")
    return "INF" if number == "0" else number


def _parse_link(text: str) -> str:
    word = text.upper()
    word = _LONG_LINKS.get(word, word)
    word = re.sub(r"^INPUT(?=\d)", "INPU", word)
    word = re.sub(r"^DELAY(?=\d)", "DELA", word)
    if not _LINK.fullmatch(word):
        raise CommandError(-224, "Illegal parameter value")
    return word


@dataclass
class _Node:
    path: str
    children: dict[tuple[str, str], _Node] = field(default_factory=dict)
    leaf: Leaf | None = None

    def find(self, name: str, number: str) -> _Node | None:
        """The child that a possibly cut word means."""
        exact = self.children.get((name, number))
        if exact is not None:
            return exact
        if len(name) < 3:
            return None
        fits = [node for (long, n), node in self.children.items() if n == number and long.startswith(name)]
        return fits[0] if len(fits) == 1 else None


class CommandTree:
    """Settings by canonical path, such as ``INPU1:COUN:INTE``, and what happens on commands.

    Args:
        commands: long path to command, such as ``INPUt#4:COUNter:INTEgration``; ``#4`` makes blocks 1 to 4. Capital
            letters are the canonical form.
        actions: canonical path, without numbers, to what a ``do`` or ``ask`` command calls; it gets the block's
            number (0 where there is none) and the argument, and returns the answer or None.
        on_change: called with the path after a setting has changed.
        defaults: factory values by canonical path, over those of the commands.
    """

    def __init__(
        self,
        commands: Mapping[str, Leaf],
        actions: Mapping[str, Callable[[int, str], str | None]],
        on_change: Callable[[str], None],
        defaults: Mapping[str, str],
    ) -> None:
        self._actions = actions
        self._on_change = on_change
        self._root = _Node("")
        self._errors: deque[str] = deque(maxlen=_MAX_ERRORS)
        self._defaults: dict[str, str] = {}
        for path, leaf in commands.items():
            self._add(path, leaf)
        self._defaults |= defaults
        self.values = dict(self._defaults)

    def _add(self, path: str, leaf: Leaf) -> None:
        first, _, rest = path.partition(":")
        name, _, count = first.partition("#")
        numbers = [str(n) for n in range(1, int(count) + 1)] if count else [""]
        for number in numbers:
            node = self._root
            for word, n in [(name, number), *((w, "") for w in rest.split(":") if w)]:
                short = "".join(c for c in word if c.isupper() or c == "*") + n
                child_path = f"{node.path}:{short}" if node.path else short
                node = node.children.setdefault((word.upper(), n), _Node(child_path))
            node.leaf = leaf
            if leaf.kind not in ("do", "ask"):
                self._defaults[node.path] = leaf.default

    def reset(self) -> None:
        """Factory settings; no errors."""
        self.values = dict(self._defaults)
        self._errors.clear()

    def clear_errors(self) -> None:
        """As ``*CLS``."""
        self._errors.clear()

    def next_error(self) -> str:
        """As ``SYST:ERR?``."""
        return self._errors.popleft() if self._errors else '0,"No error"'

    def execute(self, line: str) -> str:
        """Obey a line of commands and return the whole answer, empty for settings."""
        answers: list[str] = []
        level = self._root
        for part in line.split(";"):
            command = part.strip()
            if not command:
                continue
            try:
                answer, level = self._execute_one(command, level)
            except CommandError as fault:
                self._errors.append(str(fault))
                answers.append(str(fault))
                level = self._root
            else:
                if answer is not None:
                    answers.append(answer)
        return "\n".join(answers)

    def _execute_one(self, command: str, level: _Node) -> tuple[str | None, _Node]:
        header, _, argument = command.partition(" ")
        start = self._root if header.startswith((":", "*")) else level
        trail, question = _walk(start, header)
        if trail is None and start is not self._root:
            trail, question = _walk(self._root, header)
        if trail is None or trail[-1].leaf is None:
            raise CommandError(-113, "Undefined header")
        node, leaf = trail[-1], trail[-1].leaf
        parent = trail[-2] if not header.startswith("*") else level
        generic = re.sub(r"\d+", "", node.path)
        if leaf.kind == "ask" and question:
            return self._actions[generic + "?"](_number_of(node.path), ""), parent
        if leaf.kind == "do" and not question:
            return self._actions[generic](_number_of(node.path), argument.strip()), parent
        if question and generic + "?" in self._actions:
            return self._actions[generic + "?"](_number_of(node.path), ""), parent
        if leaf.kind in ("do", "ask"):
            raise CommandError(-113, "Undefined header")
        if question:
            return self.values[node.path] + leaf.unit, parent
        self.values[node.path] = leaf.parse(argument)
        self._on_change(node.path)
        return None, parent


def _walk(start: _Node, header: str) -> tuple[list[_Node] | None, bool]:
    """The nodes along a header, ``start`` first, and whether it asks."""
    trail = [start]
    question = False
    for word in header.strip(":").split(":"):
        found = _WORD.fullmatch(word)
        child = trail[-1].find(found[1].upper(), found[2]) if found and not question else None
        if child is None:
            return None, False
        assert found is not None
        question = bool(found[3])
        trail.append(child)
    return trail, question


def _number_of(path: str) -> int:
    found = re.search(r"\d+", path)
    return int(found[0]) if found else 0
