"""One round as a drawing of all channels, decoded from the compiled programs of all sites: what the outputs will do.

Three stretches of the same lanes: the whole round, its first attempt, and the branch that a herald starts. Times are at
the outputs, from the pulse per second's edge that starts the plan, so that the wires' delays are in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.roles import AwgProgram, PulseProgram
from qnode.analysis._report_svg import hint, number, path, svg, tag, text
from qnode.labfile import Lab
from sequences import Output, Wiring
from sequences.decode import DecodedLine, Trace, decode

__all__ = ["draw_round"]

Program = PulseProgram | AwgProgram
LABEL, WIDTH, RIGHT = 178, 900, 14
LANE, HEAD, FOOT = 20, 30, 34
SITE_GAP = 8
ZOOM_MARGIN_PS = 60_000
HIGH, HALF = 13.0, 7.5
US = 1_000_000
STYLE = (
    ".round text{font:12px system-ui,sans-serif;fill:var(--ink,#22262b)}.round .title{font-weight:600}"
    ".round .quiet{fill:var(--quiet,#a3a8b0)}.round .grid{stroke:var(--line,#d8dade);fill:none}"
    ".round .axis{stroke:var(--muted,#5b616a);fill:none}"
    ".lane{fill-opacity:.35}.lane.line{fill:var(--muted,#5b616a);fill-opacity:1}"
    ".lane.light{stroke:var(--minus,#d1495b);fill:var(--minus,#d1495b)}"
    ".lane.microwave{stroke:var(--plus,#2e6f95);fill:var(--plus,#2e6f95)}"
    ".train{fill:var(--plus,#2e6f95);fill-opacity:.15}.branch{fill:var(--plus,#2e6f95);fill-opacity:.55}"
)
"""Colours follow a page that defines them; on its own the drawing has a light page's."""
MOST_EDGES = 400
"""More than these on one lane are drawn as one stretch: nobody sees them apart."""


@dataclass(frozen=True)
class _Lane:
    site: str
    signal: str
    output: Output
    pieces: tuple[tuple[int, DecodedLine], ...]
    """What plays on it in this stretch, and when each begins."""


@dataclass(frozen=True)
class _Train:
    """What an AWG plays in a round if no herald comes before."""

    attempt: DecodedLine
    branch: DecodedLine | None
    start_ps: int

    @property
    def stop_ps(self) -> int:
        return self.start_ps + self.attempt.loop_count * self.attempt.length_ps


def draw_round(
    lab: Lab,
    programs: Mapping[str, Mapping[str, Program]],
    wiring: Mapping[str, Wiring],
    attempt_period_ps: int,
    basis: str,
) -> str:
    """An SVG of one round.

    Args:
        lab: the lab file; the delay of each pulse per second is read off its wires.
        programs: site to its programs by instrument, of one run each.
        wiring: site to its outputs.
        attempt_period_ps: from attempt to attempt.
        basis: letter that the first branch of each table reads out in; that branch is drawn.
    """
    trains = {site: _train(lab, site, programs[site], wiring[site]) for site in programs}
    pulses = {
        site: (_pps_ps(lab, site, name), decode(program)[0])
        for site in programs
        for name, program in programs[site].items()
        if isinstance(program, PulseProgram)
    }
    length_ps = max(at + line.length_ps for at, line in pulses.values())
    played = [train for train in trains.values() if train is not None]
    first_ps = min((train.start_ps for train in played), default=0)
    last_ps = max((train.stop_ps for train in played), default=length_ps)
    branch_ps = max((train.branch.length_ps for train in played if train.branch), default=0)
    whole = list(_lanes(programs, wiring, {s: [(at, line)] for s, (at, line) in pulses.items()}, PulseProgram))
    attempt = list(
        _lanes(programs, wiring, {s: [(t.start_ps, t.attempt)] for s, t in trains.items() if t}, AwgProgram)
    )
    gates = [lane for lane in whole if trains[lane.site] is None]
    branches = {s: [(t.stop_ps, t.branch)] for s, t in trains.items() if t and t.branch}
    branch = list(_lanes(programs, wiring, branches, AwgProgram))
    after_ps = (last_ps, last_ps + branch_ps)
    panels = [
        _Panel("One round, if no herald comes", (0, length_ps), whole, trains),
        _Panel("One attempt", (first_ps, first_ps + attempt_period_ps), attempt + gates, {}),
    ]
    if zoom := _zoom([lane for lane in attempt if lane.output.kind in ("microwave", "light")]):
        panels.append(_Panel("The pulses of one attempt", zoom, attempt + gates, {}))
    if branch:
        title = f"The branch that a herald starts (here after the last attempt, read out in {basis})"
        panels.append(_Panel(title, after_ps, branch, {}))
    top, parts = 0.0, []
    for panel in panels:
        parts.append(tag("g", panel.drawn(), transform=f"translate(0 {number(top)})"))
        top += panel.height
    names = ", ".join(f"{lane.site} {lane.signal.replace('_', ' ')}" for lane in whole + attempt)
    alt = f"One round, drawn from the compiled programs; lanes: {names}"
    return svg(WIDTH, top, alt, tag("style", STYLE) + "".join(parts), "round")


def _pps_ps(lab: Lab, site: str, pulser: str) -> int:
    wire = lab.into(f"{site}.{pulser}.trigger")
    return wire.delay_ps if wire else 0


def _train(lab: Lab, site: str, programs: Mapping[str, Program], wiring: Wiring) -> _Train | None:
    """The attempts that a site's pulser starts, None where no AWG plays."""
    for name, program in programs.items():
        if isinstance(program, AwgProgram) and name in wiring.triggers:
            output = wiring.output(wiring.trigger_of(name))
            edges = decode(programs[output.instrument])[0].edges_ps[output.connector]
            lines = decode(program)
            start = int(edges[0, 0]) if edges.size else 0
            branch = next((line for line in lines if line.number == lines[0].jump_to), None)
            start += _pps_ps(lab, site, output.instrument) + output.delay_ps
            return _Train(lines[0], branch, start)
    return None


def _lanes(
    programs: Mapping[str, Mapping[str, Program]],
    wiring: Mapping[str, Wiring],
    pieces: Mapping[str, Sequence[tuple[int, DecodedLine]]],
    kind: type,
) -> Iterator[_Lane]:
    """The wired outputs of all players of a kind that do something."""
    for site, played in pieces.items():
        for signal, output in wiring[site].outputs.items():
            if isinstance(programs[site].get(output.instrument), kind):
                yield _Lane(site, signal, output, tuple(played))


def _zoom(lanes: Sequence[_Lane]) -> tuple[int, int] | None:
    """The stretch around all analog pulses."""
    moments = []
    for lane in lanes:
        for start_ps, line in lane.pieces:
            trace = line.volts.get(lane.output.connector)
            if trace is not None and trace.volts.any():
                active = trace.start_ps[trace.volts != 0]
                moments += [start_ps + int(active.min()), start_ps + int(active.max())]
    return (min(moments) - ZOOM_MARGIN_PS, max(moments) + ZOOM_MARGIN_PS) if moments else None


@dataclass(frozen=True)
class _Panel:
    title: str
    window_ps: tuple[int, int]
    lanes: Sequence[_Lane]
    trains: Mapping[str, _Train | None]

    @property
    def rows(self) -> list[tuple[str, _Lane | _Train]]:
        """Lanes and trains in the order of sites."""
        rows: list[tuple[str, _Lane | _Train]] = []
        for site in dict.fromkeys(lane.site for lane in self.lanes):
            rows += [(site, lane) for lane in self.lanes if lane.site == site]
            train = self.trains.get(site)
            if train is not None:
                rows.append((site, train))
        return rows

    @property
    def height(self) -> float:
        return HEAD + LANE * len(self.rows) + SITE_GAP * len({site for site, _ in self.rows}) + FOOT

    def x(self, time_ps: float) -> float:
        first, last = self.window_ps
        share = (time_ps - first) / max(last - first, 1)
        return LABEL + (WIDTH - LABEL - RIGHT) * min(max(share, 0.0), 1.0)

    def drawn(self) -> str:
        parts = [text(8, 19, self.title, class_="title")]
        y, before = float(HEAD), ""
        for site, row in self.rows:
            if site != before:
                y += SITE_GAP
                before = site
            y += LANE
            parts.append(tag("path", d=f"M{LABEL} {number(y)}H{WIDTH - RIGHT}", class_="grid"))
            if isinstance(row, _Train):
                parts.append(text(LABEL - 8, y - 3, f"{site} attempts, branch", text_anchor="end"))
                parts += self._train(row, y)
            else:
                label = f"{site} {row.signal.replace('_', ' ')}"
                shapes = self._shapes(row, y)
                parts.append(text(LABEL - 8, y - 3, label, text_anchor="end", class_="" if shapes else "quiet"))
                if shapes:
                    parts.append(self._lane(row, shapes))
        parts += self._axis(y)
        return "".join(parts)

    def _axis(self, y: float) -> list[str]:
        first, last = self.window_ps
        unit_ps, unit = (US, "µs") if last - first > 2 * US else (1_000, "ns")
        step = next(s * 10**p for p in range(-2, 8) for s in (1, 2, 5) if s * 10**p * unit_ps * 9 >= last - first)
        parts = [tag("path", d=f"M{LABEL} {number(y + 6)}H{WIDTH - RIGHT}", class_="axis")]
        for count in range(int((last - first) / (step * unit_ps)) + 1):
            at = self.x(first + count * step * unit_ps)
            parts.append(tag("path", d=f"M{number(at)} {number(y + 6)}v4", class_="axis"))
            words = f"{count * step:g}" + (f" {unit}" if not count else "")
            parts.append(text(at, y + 22, words, text_anchor="middle"))
        return parts

    def _train(self, train: _Train, y: float) -> list[str]:
        begin, end = self.x(train.start_ps), self.x(train.stop_ps)
        words = f"{train.attempt.loop_count:,} × {train.attempt.length_ps / US:g} µs"
        parts = [tag("rect", x=begin, y=y - HIGH, width=end - begin, height=HIGH, class_="train")]
        parts.append(text((begin + end) / 2, y - 3, words, text_anchor="middle"))
        if train.branch is not None:
            stop = self.x(train.stop_ps + train.branch.length_ps)
            said = hint(f"branch, {train.branch.length_ps / US:g} µs")
            parts.append(tag("rect", said, x=end, y=y - HIGH, width=stop - end, height=HIGH, class_="branch"))
        return parts

    def _shapes(self, lane: _Lane, y: float) -> str:
        shapes = []
        for start_ps, line in lane.pieces:
            trace = line.volts.get(lane.output.connector)
            if trace is not None:
                shapes.append(self._trace(trace, start_ps, line.length_ps, y))
            else:
                shapes.append(self._pulses(line.edges_ps[lane.output.connector] + start_ps, y))
        return "".join(shapes)

    def _lane(self, lane: _Lane, shapes: str) -> str:
        said = hint(f"{lane.site}.{lane.output.instrument} {lane.output.connector}: {lane.signal.replace('_', ' ')}")
        kind = lane.output.kind if lane.output.kind in ("light", "microwave") else "line"
        return tag("path", said, d=shapes, class_=f"lane {kind}")

    def _pulses(self, edges_ps: np.ndarray[tuple[int, ...], np.dtype[np.int64]], y: float) -> str:
        first, last = self.window_ps
        seen = edges_ps[(edges_ps[:, 1] > first) & (edges_ps[:, 0] < last)]
        if len(seen) > MOST_EDGES:
            seen = np.array([[seen[0, 0], seen[-1, 1]]])
        return "".join(
            f"M{number(self.x(rise))} {number(y)}v{-HIGH:g}H{number(max(self.x(fall), self.x(rise) + 1))}v{HIGH:g}z"
            for rise, fall in seen.tolist()
        )

    def _trace(self, trace: Trace, start_ps: int, length_ps: int, y: float) -> str:
        """An analog output, scaled to its peak; around the middle of its lane where it goes below 0 V."""
        peak = float(np.abs(trace.volts).max())
        if not peak:
            return ""
        middle, reach = (y, HIGH) if trace.volts.min() >= 0 else (y - HALF, HALF * 0.85)
        moves = np.flatnonzero(np.diff(trace.volts, prepend=np.nan))
        begins = np.append(trace.start_ps[moves], length_ps) + start_ps
        first, last = self.window_ps
        points: list[tuple[float, float]] = [(self.x(begins[0]), middle)]
        for begin, end, volts in zip(begins[:-1], begins[1:], trace.volts[moves], strict=True):
            if end > first and begin < last:
                height = middle - reach * float(volts) / peak
                points += [(self.x(begin), height), (self.x(end), height)]
        points.append((points[-1][0], middle))
        return path(_thinned(points))


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without what a screen can't show: points that lie on the one before."""
    kept = [points[0]]
    for point in points[1:]:
        if abs(point[0] - kept[-1][0]) > 0.05 or abs(point[1] - kept[-1][1]) > 0.05:
            kept.append(point)
    return kept
