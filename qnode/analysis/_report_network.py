"""The network of a link, drawn from the lab file: both nodes, the midpoint, their instruments, and the wires by kind.

A site has two columns of boxes, the instruments that play outside, what photons touch towards the midpoint. Wires
between the columns run in the gap, those inside a column beside it, away from the gap. The herald line runs below
everything, as the one wire that goes back. Lines at one side of a box lie in the order of where they go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from qnode.analysis._report_svg import hint, number, path, svg, tag, text
from qnode.labfile import Lab, Link, Wire

__all__ = ["KINDS", "network"]

KINDS = ("photon", "herald", "microwave", "light", "bias", "trigger", "pps", "clock")
"""Of wires, the ones that matter most first; they are drawn last, over the others."""
BOX_WIDTH, BOX_HEIGHT = 112, 34
COLUMN_GAP, ROW_GAP = 68, 24
SITE_PAD, SITE_HEAD, SITE_GAP = 31, 36, 44
SITE_WIDTH = 2 * BOX_WIDTH + COLUMN_GAP + 2 * SITE_PAD
PORT = 8.0
"""Between lines at one side of a box; a box is as high as its lines need."""
BULGE, MOST_BULGE = 14.0, 28.0
"""How far the wires inside a column stand out: to the second box, and at the most."""
TOP, BELOW = 8.0, 62.0
OUTSIDE = ("laser", "microwave_source", "detector_driver", "", "pulse_sequencer", "awg")
"""Roles in the outer column from above: what feeds without a clock of its own, then what plays; the AWG is next to its
trigger and to the herald line."""


@dataclass(frozen=True)
class _Place:
    """Where a box stands, before anything has a size."""

    column: int
    """0 to 5 from left to right."""
    row: int


@dataclass(frozen=True)
class _Box:
    name: str
    """``site.thing``."""
    x: float
    y: float
    height: float
    is_lowest: bool
    """Nothing stands below it in its column."""
    words: str
    detail: str
    is_instrument: bool

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class _Edge:
    source: str
    target: str
    kind: str
    words: str


End = tuple[_Edge, bool]
"""An edge, and whether it is its target's end."""


def network(lab: Lab, link: Link) -> str:
    """Draw the sites of a link.

    Args:
        lab: the lab file.
        link: whose two nodes and midpoint are drawn, first node on the left.
    """
    first, second = link.between
    sites = (first, link.via, second)
    columns = [*_columns(lab, first), *_columns(lab, link.via), *reversed(_columns(lab, second))]
    places = {name: _Place(at, row) for at, names in enumerate(columns) for row, name in enumerate(names) if name}
    edges = sorted(_edges(lab, places), key=lambda edge: -KINDS.index(edge.kind))
    heights = _heights(places, edges)
    inner = max(sum(heights.get(n, BOX_HEIGHT) + ROW_GAP for n in names) for names in columns)
    boxes = {box.name: box for at, names in enumerate(columns) for box in _stacked(lab, at, names, heights, inner)}
    parts: list[str] = []
    for at, site in enumerate(sites):
        left = _site_left(at)
        shape = tag("rect", x=left, y=TOP, width=SITE_WIDTH, height=SITE_HEAD + inner, rx=10, class_="site")
        kind = "midpoint" if site in lab.midpoints else "node"
        parts += [shape, text(left + 16, TOP + 23, f"{kind} {site}" if kind != site else site, class_="title")]
    below = TOP + SITE_HEAD + inner
    parts += _lines(edges, places, boxes, below + 14)
    parts += [_drawn(box) for box in boxes.values()]
    parts += _legend({edge.kind for edge in edges}, below + 48)
    alt = (
        f"Network: node {first} and node {second} send photons to {link.via}; {len(boxes)} boxes, "
        f"{sum(len(wire.ends) for wire in lab.wires_only())} wire ends"
    )
    return svg(_site_left(2) + SITE_WIDTH + 8, below + BELOW, alt, "".join(parts), "network")


def _site_left(at: int) -> float:
    return 8.0 + at * (SITE_WIDTH + SITE_GAP)


def _columns(lab: Lab, site: str) -> list[list[str]]:
    """Boxes of a site: outer column, inner column."""
    entries = lab.sites[site].rack
    tagger = "time_controller" if site in lab.midpoints else "time_tagger"
    players = [name for name, entry in entries.items() if entry.role != tagger]

    def order(name: str) -> int:
        role = entries[name].role
        return OUTSIDE.index(role if role in OUTSIDE else "")

    elements = [name for name in lab.elements() if name.startswith(f"{site}.")]
    taggers = [f"{site}.{name}" for name, entry in entries.items() if entry.role == tagger]
    clock = [f"{site}.clock"] if any(wire.from_.startswith(f"{site}.clock.") for wire in lab.wires_only()) else []
    outer = clock + [f"{site}.{name}" for name in sorted(players, key=order)]
    if site in lab.midpoints:
        # The first place stays free: there the first node's photons pass on their way to the beam splitter.
        return [["", *outer, *taggers], elements]
    return [outer, elements + taggers]


def _heights(places: dict[str, _Place], edges: list[_Edge]) -> dict[str, float]:
    """Of each box: room for all lines at its fuller side."""
    lines = Counter(end for edge in edges for end in _sides(edge, places).values())
    return {
        name: max(BOX_HEIGHT, PORT * max(lines[name, side] for side in ("left", "right")) + 16) for name in places
    }


def _stacked(lab: Lab, at: int, names: list[str], heights: dict[str, float], inner: float) -> Iterator[_Box]:
    """The boxes of a column, spread over the height of the sites; "" is a free place."""
    site, side = divmod(at, 2)
    x = _site_left(site) + SITE_PAD + side * (BOX_WIDTH + COLUMN_GAP)
    tall = [heights.get(name, BOX_HEIGHT) for name in names]
    gap = (inner - sum(tall)) / max(len(names), 1)
    y = TOP + SITE_HEAD + gap / 2
    for row, (name, height) in enumerate(zip(names, tall, strict=True)):
        if name:
            yield _box(lab, name, x, y, height, row == len(names) - 1)
        y += height + gap


def _box(lab: Lab, name: str, x: float, y: float, height: float, is_lowest: bool) -> _Box:
    site, _, thing = name.partition(".")
    if is_instrument := thing in lab.sites[site].instruments:
        model = lab.sites[site].instruments[thing].type.rpartition(".")[2]
        simulated = "simulated" if lab.sites[site].rack[thing].simulated else "real"
        words, detail = thing, f"{name}: {model}, {simulated}"
    else:
        element = lab.elements().get(name)
        detail = f"{name}: {element.kind.replace('_', ' ')}" if element else f"{name}: 10 MHz and pulse per second"
        words = thing.replace("_", " ")
    return _Box(name, x, y, height, is_lowest, words, detail, is_instrument)


def _edges(lab: Lab, places: dict[str, _Place]) -> Iterator[_Edge]:
    """One line for all wires of a kind between two boxes."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for wire in lab.wires_only():
        source, _, out = wire.from_.rpartition(".")
        for end in wire.ends:
            target, _, into = end.rpartition(".")
            if source in places and target in places:
                found.setdefault((source, target, wire.kind), []).append(_words(wire, out, into))
    for (source, target, kind), words in found.items():
        yield _Edge(source, target, kind, f"{source} to {target}, {kind}: {'; '.join(words)}")


def _words(wire: Wire, out: str, into: str) -> str:
    return f"{out} to {into}, {wire.delay_ns:g} ns"


def _sides(edge: _Edge, places: dict[str, _Place]) -> dict[bool, tuple[str, str]]:
    """Where an edge touches the sides of its boxes: whether it is the target's end to (box, side).

    Lines between neighbours of a column, and the herald line, touch boxes above and below only.
    """
    a, b = places[edge.source], places[edge.target]
    if edge.kind == "herald" or (a.column == b.column and abs(a.row - b.row) == 1):
        return {}
    if a.column == b.column:
        away = "left" if a.column % 2 == 0 else "right"
        return {False: (edge.source, away), True: (edge.target, away)}
    out, into = ("right", "left") if a.column < b.column else ("left", "right")
    return {False: (edge.source, out), True: (edge.target, into)}


@dataclass(frozen=True)
class _Way:
    """The path of a wire, and how it arrives."""

    d: str
    end: tuple[float, float]
    step: tuple[int, int]
    """Unit vector of its last stretch."""

    def head(self) -> str:
        """The head of an arrow at its end."""
        (x, y), (dx, dy) = self.end, self.step
        back_x, back_y = x - 8 * dx, y - 8 * dy
        return path([(x, y), (back_x - 3.5 * dy, back_y - 3.5 * dx), (back_x + 3.5 * dy, back_y + 3.5 * dx)]) + "z"


def _lines(edges: list[_Edge], places: dict[str, _Place], boxes: dict[str, _Box], trunk: float) -> list[str]:
    """Paths of the edges."""
    ports = _ports(edges, places, boxes)
    beside: Counter[frozenset[str]] = Counter()
    parts = []
    for edge in edges:
        a, b = boxes[edge.source], boxes[edge.target]
        if edge.kind == "herald":
            way = _under(a, b, trunk)
        elif (edge, False) not in ports:
            pair = frozenset((edge.source, edge.target))
            way = _straight(a, b, beside[pair])
            beside[pair] += 1
        else:
            out, into = ports[edge, False], ports[edge, True]
            way = _beside(a, b, out, into, places) if a.x == b.x else _across(a, b, out, into)
        parts.append(tag("path", hint(edge.words), d=way.d, class_=f"wire {edge.kind}"))
        if edge.kind in ("photon", "herald"):
            parts.append(tag("path", d=way.head(), class_=f"head {edge.kind}"))
    return parts


def _ports(edges: list[_Edge], places: dict[str, _Place], boxes: dict[str, _Box]) -> dict[End, float]:
    """Height of both ends of each edge: in the order of the other ends, so that lines do not cross at a box."""
    at_side: dict[tuple[str, str], list[tuple[int, float, int, End]]] = {}
    for number_, edge in enumerate(edges):
        for is_target, side in _sides(edge, places).items():
            here, there = boxes[side[0]], boxes[edge.source if is_target else edge.target]
            # Beside a column lines are nested: the one to the farthest box is the outermost.
            nested = here.x == there.x
            group = (1 if there.y > here.y else -1) if nested else 0
            order = -there.middle if nested else there.middle
            at_side.setdefault(side, []).append((group, order, number_, (edge, is_target)))
    ports: dict[End, float] = {}
    for (name, _), ends in at_side.items():
        for place, (*_, end) in enumerate(sorted(ends, key=lambda one: one[:3])):
            ports[end] = boxes[name].middle + PORT * (place - (len(ends) - 1) / 2)
    return ports


def _straight(a: _Box, b: _Box, before: int) -> _Way:
    """To the next box of a column; ``before``: so many such lines are there already."""
    x = a.x + BOX_WIDTH / 2 + 16.0 * ((before + 1) // 2) * (1 if before % 2 else -1)
    down = b.y > a.y
    start, end = (a.bottom, b.y) if down else (a.y, b.bottom)
    return _Way(f"M{number(x)} {number(start)}V{number(end)}", (x, end), (0, 1 if down else -1))


def _beside(a: _Box, b: _Box, out: float, into: float, places: dict[str, _Place]) -> _Way:
    """Inside a column, around the boxes between, on the side away from the site's other column."""
    rows = abs(places[a.name].row - places[b.name].row)
    # A curve reaches three quarters of the way to its handles.
    reach = min(BULGE + 5.0 * (rows - 2), MOST_BULGE) / 0.75
    x, away = (a.x, -1) if places[a.name].column % 2 == 0 else (a.x + BOX_WIDTH, 1)
    return _Way(_curve(x, out, x + away * reach, into, x), (x, into), (-away, 0))


def _across(a: _Box, b: _Box, out: float, into: float) -> _Way:
    """From one column to another."""
    to_right = b.x > a.x
    start, end = (a.x + BOX_WIDTH, b.x) if to_right else (a.x, b.x + BOX_WIDTH)
    return _Way(_curve(start, out, (start + end) / 2, into, end), (end, into), (1 if to_right else -1, 0))


def _curve(x: float, y: float, reach: float, end_y: float, end_x: float) -> str:
    """Level at both ends, by way of an x between or beside them."""
    return (
        f"M{number(x)} {number(y)}C{number(reach)} {number(y)} {number(reach)} {number(end_y)} "
        f"{number(end_x)} {number(end_y)}"
    )


def _under(a: _Box, b: _Box, trunk: float) -> _Way:
    """The herald line: down, along below all sites, and up into the box; one trunk for all ends."""
    start = f"M{number(a.x + BOX_WIDTH / 2)} {number(a.bottom)}V{number(trunk)}"
    if b.is_lowest:
        x = b.x + BOX_WIDTH / 2
        return _Way(f"{start}H{number(x)}V{number(b.bottom)}", (x, b.bottom), (0, -1))
    to_right = b.x > a.x
    beside, edge = (b.x - 14, b.x) if to_right else (b.x + BOX_WIDTH + 14, b.x + BOX_WIDTH)
    way = f"{start}H{number(beside)}V{number(b.bottom - 6)}H{number(edge)}"
    return _Way(way, (edge, b.bottom - 6), (1 if to_right else -1, 0))


def _drawn(box: _Box) -> str:
    shape = tag(
        "rect",
        hint(box.detail),
        x=box.x,
        y=box.y,
        width=BOX_WIDTH,
        height=box.height,
        rx=5 if box.is_instrument else BOX_HEIGHT / 2,
        class_="instrument" if box.is_instrument else "element",
    )
    return shape + text(box.x + BOX_WIDTH / 2, box.middle + 4, box.words, text_anchor="middle")


def _legend(kinds: set[str], y: float) -> list[str]:
    parts, x = [], 12.0
    for kind in (kind for kind in KINDS if kind in kinds):
        parts.append(tag("path", d=f"M{number(x)} {number(y - 4)}h20", class_=f"wire {kind}"))
        parts.append(text(x + 26, y, kind))
        x += 7 * len(kind) + 52
    return parts
