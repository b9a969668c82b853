"""A picture of one round, decoded from the compiled programs: what the outputs will do, not what was meant.

Times are those at the connectors; the compensation of wire delays is visible. matplotlib is imported when a picture
is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drivers.roles import AwgProgram, PulseProgram
from qnode.errors import MisuseError
from sequences.decode import DecodedLine, Trace, decode
from sequences.language import ns, us
from sequences.wiring import Connector, Output, Wiring

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

LIGHT, MICROWAVE, LINE, QUIET = "#d1495b", "#2e6f95", "#5b616a", "#a3a8b0"
_COLOURS = {"light": LIGHT, "microwave": MICROWAVE}
_LANE_INCH, _PANEL_INCH, _WIDTH_INCH = 0.30, 0.95, 12.5
ZOOM_MARGIN_PS = 60 * ns


@dataclass(frozen=True)
class _Lane:
    signal: str
    output: Output


@dataclass(frozen=True)
class _Block:
    """A stretch that a triggered instrument plays, if no herald comes before."""

    text: str
    start_ps: int
    stop_ps: int
    is_branch: bool


@dataclass(frozen=True)
class _Panel:
    title: str
    line: DecodedLine
    lanes: Sequence[_Lane]
    zoom_ps: tuple[int, int] | None
    triggered: Mapping[str, Sequence[_Block]]
    """Instruments that this one starts."""

    @property
    def rows(self) -> int:
        return len(self.lanes) + len(self.triggered)


def draw(programs: Mapping[str, PulseProgram | AwgProgram], wiring: Wiring, path: Path | str) -> None:
    """Draw one round with all channels: the pulse sequencer's run, and below it the lines of each sequence table.

    Lines that play the same waveforms are drawn once; where a line is short of detail, its right half zooms in.

    Args:
        programs: instrument to program, as compiled or as read back.
        wiring: names the connectors.
        path: file to write; its ending says the format (``.png``, ``.svg``, ``.pdf``).

    Raises:
        MisuseError: nothing to draw, or no such picture format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for name in _in_order(programs) for panel in _panels(name, programs, wiring)]
    if not panels:
        raise MisuseError("there is no program to draw", hint="compile a round first")
    heights = [_LANE_INCH * panel.rows + _PANEL_INCH for panel in panels]
    figure = Figure(figsize=(_WIDTH_INCH, sum(heights)), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    rows = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, panel in zip(rows, panels, strict=True):
        row.suptitle(panel.title, x=0.008, ha="left", fontsize=9.5, fontweight="bold", color="#22262b")
        if panel.zoom_ps is None:
            _draw_panel(row.subplots(1, 1), panel, (0, panel.line.length_ps), names=True)
        else:
            whole, zoom = row.subplots(1, 2, width_ratios=(1.25, 1))
            _draw_panel(whole, panel, (0, panel.line.length_ps), names=True)
            whole.axvspan(panel.zoom_ps[0] / us, panel.zoom_ps[1] / us, color="#000000", alpha=0.05, lw=0)
            _draw_panel(zoom, panel, panel.zoom_ps, names=False)
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in canvas.get_supported_filetypes():
        raise MisuseError(f"no picture format is called {kind!r} ({path})", hint="use .png, .svg or .pdf")
    figure.savefig(path, format=kind, facecolor="white")


def _in_order(programs: Mapping[str, PulseProgram | AwgProgram]) -> list[str]:
    """Pulse sequencers first: they start the others."""
    return sorted(programs, key=lambda name: (isinstance(programs[name], AwgProgram), name))


def _panels(instrument: str, programs: Mapping[str, PulseProgram | AwgProgram], wiring: Wiring) -> list[_Panel]:
    program = programs[instrument]
    lines = decode(program)
    lanes = _lanes(instrument, lines, wiring)
    if not lanes:
        return []
    if isinstance(program, PulseProgram):
        runs = "once" if program.n_runs == 1 else f"{program.n_runs:,} times"
        triggered = _triggered(instrument, lines[0], programs, wiring)
        return [_Panel(f"{instrument} · one round, played {runs}", lines[0], lanes, None, triggered)]
    alike: dict[tuple[object, ...], list[DecodedLine]] = {}
    for line, element in zip(lines, program.elements, strict=True):
        key = (tuple(sorted(element.waveforms.items())), line.loop_count, line.wait_for_trigger)
        alike.setdefault(key, []).append(line)
    groups = alike.values()
    return [_Panel(_title(instrument, same, len(lines)), same[0], lanes, _zoom(same[0]), {}) for same in groups]


def _triggered(
    instrument: str, line: DecodedLine, programs: Mapping[str, PulseProgram | AwgProgram], wiring: Wiring
) -> dict[str, list[_Block]]:
    """What the instruments play that this one's edges start: the first lines of their tables."""
    found: dict[str, list[_Block]] = {}
    for name, signal in wiring.triggers.items():
        output = wiring.output(signal)
        edges_ps = line.edges_ps.get(output.connector)
        if output.instrument == instrument and name in programs and edges_ps is not None and edges_ps.size:
            found[name] = _blocks(decode(programs[name]), int(edges_ps[0, 0]) + output.delay_ps)
    return found


def _blocks(lines: Sequence[DecodedLine], start_ps: int) -> list[_Block]:
    """The lines from the first to the next that waits, one after the other; a branch stands behind its train."""
    blocks: list[_Block] = []
    branches = {line.jump_to for line in lines if line.jump_to is not None}
    for line in lines:
        if blocks and line.wait_for_trigger:
            break
        stop_ps = start_ps + line.length_ps * line.loop_count
        times = f"{line.loop_count:,} × " if line.loop_count > 1 else ""
        text = f"line {line.number}: {times}{line.length_ps / us:g} µs"
        blocks.append(_Block(text, start_ps, stop_ps, line.number in branches))
        start_ps = stop_ps
    return blocks


def _title(instrument: str, same: Sequence[DecodedLine], lines: int) -> str:
    line = same[0]
    parts = [f"{instrument} · line{'s' if len(same) > 1 else ''} {_numbers([one.number for one in same])} of {lines}"]
    if line.wait_for_trigger:
        parts.append("waits for the trigger")
    parts.append(f"plays {line.loop_count:,} times" if line.loop_count > 1 else "plays once")
    jumps = [one.jump_to for one in same if one.jump_to is not None]
    if jumps:
        parts.append(f"a herald jumps to line {_numbers(jumps)}")
    parts.append(f"then line {_numbers([one.go_to for one in same])}")
    return " · ".join(parts)


def _numbers(lines: Sequence[int], most: int = 6) -> str:
    return ", ".join(map(str, lines[:most])) + (", ..." if len(lines) > most else "")


def _lanes(instrument: str, lines: Sequence[DecodedLine], wiring: Wiring) -> list[_Lane]:
    """The wired outputs that do something in some line, in the order in which they first do."""
    first: dict[_Lane, tuple[int, int]] = {}
    for signal, output in wiring.outputs.items():
        moments = [
            (line.number, int(active.min())) for line in lines if (active := _active(line, output.connector)).size
        ]
        if output.instrument == instrument and moments:
            first[_Lane(signal, output)] = min(moments)
    return sorted(first, key=lambda lane: (first[lane], lane.signal))


def _active(line: DecodedLine, connector: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Moments at which a connector is not at rest: edges, or samples away from 0 V."""
    if connector in line.volts:
        trace = line.volts[connector]
        return np.asarray(trace.start_ps[trace.volts != 0], np.int64)
    edges = line.edges_ps.get(connector)
    return np.zeros(0, np.int64) if edges is None else np.asarray(edges.ravel(), np.int64)


def _zoom(line: DecodedLine) -> tuple[int, int] | None:
    """The stretch around all analog pulses, when that shows clearly more than the whole line."""
    moments = np.concatenate([_active(line, connector) for connector in line.volts])
    if not moments.size:
        return None
    start_ps = max(0, int(moments.min()) - ZOOM_MARGIN_PS)
    stop_ps = min(line.length_ps, int(moments.max()) + ZOOM_MARGIN_PS)
    return (start_ps, stop_ps) if stop_ps - start_ps < line.length_ps / 2 else None


def _draw_panel(axes: Axes, panel: _Panel, window_ps: tuple[int, int], *, names: bool) -> None:
    unit_ps, unit = (us, "µs") if window_ps[1] - window_ps[0] > 2 * us or names else (ns, "ns")
    count = panel.rows
    for place, lane in enumerate(panel.lanes):
        base = count - 1 - place
        axes.axhline(base, color="#d8dade", lw=0.6, zorder=0)
        _draw_lane(axes, panel.line, lane, base, unit_ps)
    for place, blocks in enumerate(panel.triggered.values(), len(panel.lanes)):
        _draw_blocks(axes, blocks, count - 1 - place, unit_ps)
    axes.set_xlim(window_ps[0] / unit_ps, window_ps[1] / unit_ps)
    axes.set_ylim(-0.55, count - 0.35)
    axes.set_xlabel(f"time at the outputs ({unit})", fontsize=8, color=LINE)
    axes.tick_params(axis="x", labelsize=8, colors=LINE)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#b4b8bf")
    if names:
        labels = [_label(panel.line, lane) for lane in panel.lanes] + [f"started: {name}" for name in panel.triggered]
        axes.set_yticks(range(count), reversed(labels), fontsize=8)
        for place, lane in enumerate(panel.lanes):
            if not _active(panel.line, lane.output.connector).size:
                axes.get_yticklabels()[count - 1 - place].set_color(QUIET)
    else:
        axes.set_yticks([])
        axes.text(0.01, 1.0, "zoom", transform=axes.transAxes, fontsize=8, color=LINE, va="top")


def _label(line: DecodedLine, lane: _Lane) -> str:
    text = f"{lane.signal.replace('_', ' ')}  ({lane.output.connector}"
    trace = line.volts.get(lane.output.connector)
    if trace is not None:
        peak = float(np.abs(trace.volts).max())
        text += f", peak {peak:.2f} V" if peak else ", 0 V"
    return text + ")"


def _draw_lane(axes: Axes, line: DecodedLine, lane: _Lane, base: int, unit_ps: int) -> None:
    colour = _COLOURS.get(lane.output.kind, LINE)
    if Connector.parse(lane.output.connector).analog:
        _draw_trace(axes, line, line.volts[lane.output.connector], base, unit_ps, colour)
        return
    for rise_ps, fall_ps in line.edges_ps[lane.output.connector]:
        axes.fill_between((rise_ps / unit_ps, fall_ps / unit_ps), base, base + 0.45, color=colour, alpha=0.85, lw=0.8)


def _draw_blocks(axes: Axes, blocks: Sequence[_Block], base: int, unit_ps: int) -> None:
    for block in blocks:
        start, stop = block.start_ps / unit_ps, block.stop_ps / unit_ps
        face = "#c9d8e2" if block.is_branch else "#e4edf3"
        axes.fill_between((start, stop), base, base + 0.6, color=face, lw=0.6, edgecolor=MICROWAVE)
        axes.annotate(
            f"branch, {block.text}" if block.is_branch else block.text,
            ((start + stop) / 2, base + 0.28) if not block.is_branch else (stop, base + 0.28),
            xytext=(-3 if block.is_branch else 0, 0),
            textcoords="offset points",
            ha="right" if block.is_branch else "center",
            va="center",
            fontsize=7.5,
            color=MICROWAVE,
        )


def _draw_trace(axes: Axes, line: DecodedLine, trace: Trace, base: int, unit_ps: int, colour: str) -> None:
    peak = float(np.abs(trace.volts).max())
    if not peak:
        return
    # A level that lasts is two points, not one a sample: a drawing of two nodes would weigh tens of megabytes.
    moves = np.flatnonzero(np.diff(trace.volts, prepend=np.nan))
    times = np.append(trace.start_ps[moves], line.length_ps) / unit_ps
    heights = base + 0.45 * np.append(trace.volts[moves], trace.volts[-1]) / peak
    axes.fill_between(times, base, heights, step="post", color=colour, alpha=0.25, lw=0)
    axes.plot(times, heights, drawstyle="steps-post", color=colour, lw=0.9)
