"""The lab's wires as the world has them: from an output to every input that it reaches, with the true delays.

Fan-outs are wires with several ends and are followed through. Nothing else of a lab file says who is connected to
whom: an output without a wire reaches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qnode.labfile import Lab

__all__ = ["End", "Wiring", "channel_number", "crosses"]


@dataclass(frozen=True, slots=True)
class End:
    """An input that a wire reaches."""

    thing: str
    """``site.instrument`` or ``site.element``."""
    connector: str
    delay_ps: int
    """From the output to this input."""


class Wiring:
    """All wires of a lab.

    Args:
        lab: the lab file.
        true_delays_ns: `world.wire_delays_ns`, per input, in place of the wire's delay.
    """

    def __init__(self, lab: Lab, true_delays_ns: Mapping[str, float]) -> None:
        self._ends: dict[str, tuple[End, ...]] = {}
        self._sources: dict[str, tuple[str, int]] = {}
        direct: dict[str, list[tuple[str, int]]] = {}
        for wire in lab.wires_only():
            for end in wire.ends:
                delay_ns = true_delays_ns.get(end, wire.delay_ns)
                direct.setdefault(wire.from_, []).append((end, round(delay_ns * 1e3)))
        fan_outs = {name for name, element in lab.elements().items() if element.kind == "fan_out"}
        for output in direct:
            self._ends[output] = tuple(self._follow(output, 0, direct, fan_outs, ()))
            if output.rpartition(".")[0] in fan_outs:
                continue
            for reached in self._ends[output]:
                self._sources[f"{reached.thing}.{reached.connector}"] = (output, reached.delay_ps)

    def ends(self, output: str) -> tuple[End, ...]:
        """Every input that an output (``site.thing.connector``) reaches."""
        return self._ends.get(output, ())

    def delay_ps(self, output: str, end: str) -> int | None:
        """Delay from an output to one input, or None where no wire leads there."""
        return next((e.delay_ps for e in self.ends(output) if f"{e.thing}.{e.connector}" == end), None)

    def source(self, end: str) -> tuple[str, int] | None:
        """The output that reaches an input, past fan-outs, with the delay; None: nothing does."""
        return self._sources.get(end)

    def _follow(
        self,
        output: str,
        delay_ps: int,
        direct: Mapping[str, list[tuple[str, int]]],
        fan_outs: set[str],
        passed: tuple[str, ...],
    ) -> list[End]:
        found: list[End] = []
        for end, wire_ps in direct.get(output, ()):
            thing, _, connector = end.rpartition(".")
            if thing not in fan_outs:
                found.append(End(thing, connector, delay_ps + wire_ps))
            elif thing not in passed:
                for number in range(1, 5):
                    branch = f"{thing}.out{number}"
                    found += self._follow(branch, delay_ps + wire_ps, direct, fan_outs, (*passed, thing))
        return found


def crosses(level_v: float, threshold_v: float) -> bool:
    """Whether a pulse from 0 V to ``level_v`` passes a threshold on its way."""
    return 0 < threshold_v < level_v


def channel_number(connector: str) -> int | None:
    """The number of a connector like ``ch2``; None for one of another name, which nothing comes out of."""
    number = connector.removeprefix("ch")
    return int(number) if number.isdecimal() else None
