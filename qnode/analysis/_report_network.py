"""The network of a link, drawn from the lab file: both nodes, the midpoint, their instruments, and the wires by kind.

A site has two columns of boxes, the instruments that play outside, what photons touch towards the midpoint. The herald
line runs below everything, as the one wire that goes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qnode.analysis._report_svg import hint, number, path, svg, tag, text
from qnode.labfile import Lab, Link, Wire

__all__ = ["KINDS", "network"]

KINDS = ("photon", "herald", "microwave", "light", "bias", "trigger", "pps", "clock")
"""Of wires, the ones that matter most first; they are drawn last, over the others."""
BOX_WIDTH, BOX_HEIGHT = 112, 34
COLUMN_GAP, ROW = 44, 62
SITE_PAD, SITE_HEAD, SITE_GAP = 16, 34, 78
SITE_WIDTH = 2 * BOX_WIDTH + COLUMN_GAP + 2 * SITE_PAD
BULGE = 22
OUTSIDE = ("pulse_sequencer", "", "awg")
"""Roles in the outer column from above; instruments of other roles stand between, the AWG below near the herald line."""


@dataclass(frozen=True)
class _Box:
    name: str
    """``site.thing``."""
    x: float
    y: float
    words: str
    detail: str
    is_instrument: bool

    @property
    def right(self) -> float:
        return self.x + BOX_WIDTH

    @property
    def middle(self) -> float:
        return self.y + BOX_HEIGHT / 2

    @property
    def bottom(self) -> float:
        return self.y + BOX_HEIGHT


@dataclass(frozen=True)
class _Edge:
    source: _Box
    target: _Box
    kind: str
    words: str


def network(lab: Lab, link: Link) -> str:
    """Draw the sites of a link.

    Args:
        lab: the lab file.
        link: whose two nodes and midpoint are drawn, first node on the left.
    """
    first, second = link.between
    columns = [_columns(lab, site) for site in (first, link.via, second)]
    columns[2].reverse()
    rows = max(len(column) for site in columns for column in site)
    height = SITE_HEAD + rows * ROW + 70
    boxes: dict[str, _Box] = {}
    parts: list[str] = []
    for place, (site, pair) in enumerate(zip((first, link.via, second), columns, strict=True)):
        left = 8 + place * (SITE_WIDTH + SITE_GAP)
        parts.append(tag("rect", x=left, y=8, width=SITE_WIDTH, height=SITE_HEAD + rows * ROW, rx=10, class_="site"))
        kind = "midpoint" if site in lab.midpoints else "node"
        parts.append(text(left + SITE_PAD, 31, f"{kind} {site}" if kind != site else site, class_="title"))
        for number_, column in enumerate(pair):
            x = left + SITE_PAD + number_ * (BOX_WIDTH + COLUMN_GAP)
            # Short columns are spread over the height, so that wires between columns do not all run alike.
            pitch = ROW * rows / max(len(column), 1)
            for row, name in enumerate(column):
                if not name:
                    continue
                y = 8 + SITE_HEAD + pitch * (row + 0.5) - BOX_HEIGHT / 2
                boxes[name] = _box(lab, name, x, y)
    below = 8 + SITE_HEAD + rows * ROW + 8
    edges = sorted(_edges(lab, boxes), key=lambda edge: -KINDS.index(edge.kind))
    parts += _lines(edges, below)
    parts += [_drawn(box) for box in boxes.values()]
    width = 16 + 3 * SITE_WIDTH + 2 * SITE_GAP
    parts += _legend({edge.kind for edge in edges}, height - 8)
    alt = (
        f"Network: node {first} and node {second} send photons to {link.via}; {len(boxes)} boxes, "
        f"{sum(len(wire.ends) for wire in lab.wires_only())} wire ends"
    )
    return svg(width, height, alt, "".join(parts), "network")


def _columns(lab: Lab, site: str) -> list[list[str]]:
    """Boxes of a site: outer column, inner column."""
    entries = lab.sites[site].rack
    tagger = "time_controller" if site in lab.midpoints else "time_tagger"
    players = [name for name, entry in entries.items() if entry.role != tagger]

    def order(name: str) -> int:
        role = entries[name].role
        return OUTSIDE.index(role) if role in OUTSIDE else 1

    elements = [name for name in lab.elements() if name.startswith(f"{site}.")]
    taggers = [f"{site}.{name}" for name, entry in entries.items() if entry.role == tagger]
    clock = [f"{site}.clock"] if any(wire.from_.startswith(f"{site}.clock.") for wire in lab.wires_only()) else []
    outer = clock + [f"{site}.{name}" for name in sorted(players, key=order)]
    if site in lab.midpoints:
        # The first place stays free: there the first node's photons pass on their way to the beam splitter.
        return [["", *outer, *taggers], elements]
    return [outer, elements + taggers]


def _box(lab: Lab, name: str, x: float, y: float) -> _Box:
    site, _, thing = name.partition(".")
    if thing in lab.sites[site].instruments:
        model = lab.sites[site].instruments[thing].type.rpartition(".")[2]
        simulated = "simulated" if lab.sites[site].rack[thing].simulated else "real"
        return _Box(name, x, y, thing, f"{name}: {model}, {simulated}", True)
    element = lab.elements().get(name)
    detail = f"{name}: {element.kind.replace('_', ' ')}" if element else f"{name}: 10 MHz and pulse per second"
    return _Box(name, x, y, thing.replace("_", " "), detail, False)


def _edges(lab: Lab, boxes: dict[str, _Box]) -> Iterator[_Edge]:
    """One line for all wires of a kind between two boxes."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for wire in lab.wires_only():
        source, _, out = wire.from_.rpartition(".")
        for end in wire.ends:
            target, _, into = end.rpartition(".")
            if source in boxes and target in boxes:
                found.setdefault((source, target, wire.kind), []).append(_words(wire, out, into))
    for (source, target, kind), words in found.items():
        yield _Edge(boxes[source], boxes[target], kind, f"{source} to {target}, {kind}: {'; '.join(words)}")


def _words(wire: Wire, out: str, into: str) -> str:
    return f"{out} to {into}, {wire.delay_ns:g} ns"


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


def _lines(edges: list[_Edge], below: float) -> list[str]:
    """Paths of the edges; several at one side of a box are spread along it."""
    parts = []
    ports: dict[tuple[str, str], int] = {}
    for edge in edges:
        a, b = edge.source, edge.target
        if edge.kind == "herald":
            way = _under(a, b, below)
        elif a.x == b.x:
            way = _along(a, b, ports)
        else:
            way = _across(a, b, ports)
        parts.append(tag("path", hint(edge.words), d=way.d, class_=f"wire {edge.kind}"))
        if edge.kind in ("photon", "herald"):
            parts.append(tag("path", d=way.head(), class_=f"head {edge.kind}"))
    return parts


def _port(ports: dict[tuple[str, str], int], box: _Box, side: str, step: float = 6.0) -> float:
    """Offset of the next line at a side of a box from the side's middle: 0, step, -step, 2 step ..."""
    used = ports[box.name, side] = ports.get((box.name, side), -1) + 1
    return step * ((used + 1) // 2) * (1 if used % 2 else -1)


def _along(a: _Box, b: _Box, ports: dict[tuple[str, str], int]) -> _Way:
    """Inside a column: straight to the neighbour, around the boxes between to others."""
    down = b.y > a.y
    if abs(b.y - a.y) < 1.9 * ROW:
        x = a.x + BOX_WIDTH / 2 + _port(ports, a, "down" if down else "up", 16.0)
        start, end = (a.bottom, b.y) if down else (a.y, b.bottom)
        return _Way(f"M{number(x)} {number(start)}V{number(end)}", (x, end), (0, 1 if down else -1))
    out, into = a.middle + _port(ports, a, "left"), b.middle + _port(ports, b, "left")
    reach = a.x - BULGE
    return _Way(_curve(a.x, out, reach, into, b.x), (b.x, into), (1, 0))


def _across(a: _Box, b: _Box, ports: dict[tuple[str, str], int]) -> _Way:
    """From one column to another."""
    to_right = b.x > a.x
    start, end = (a.right, b.x) if to_right else (a.x, b.right)
    out = a.middle + _port(ports, a, "right" if to_right else "left")
    into = b.middle + _port(ports, b, "left" if to_right else "right")
    return _Way(_curve(start, out, (start + end) / 2, into, end), (end, into), (1 if to_right else -1, 0))


def _curve(x: float, y: float, reach: float, end_y: float, end_x: float) -> str:
    """Level at both ends, by way of an x between or beside them."""
    return (
        f"M{number(x)} {number(y)}C{number(reach)} {number(y)} {number(reach)} {number(end_y)} "
        f"{number(end_x)} {number(end_y)}"
    )


def _under(a: _Box, b: _Box, below: float) -> _Way:
    """The herald line: down, along below all sites, and up into the box from beside; one trunk for all ends."""
    at = below + 6
    x = a.x + BOX_WIDTH / 2
    to_right = b.x > a.x
    beside, edge = (b.x - 14, b.x) if to_right else (b.right + 14, b.right)
    into = b.middle + 8
    d = f"M{number(x)} {number(a.bottom)}V{number(at)}H{number(beside)}V{number(into)}H{number(edge)}"
    return _Way(d, (edge, into), (1 if to_right else -1, 0))


def _drawn(box: _Box) -> str:
    shape = tag(
        "rect",
        hint(box.detail),
        x=box.x,
        y=box.y,
        width=BOX_WIDTH,
        height=BOX_HEIGHT,
        rx=5 if box.is_instrument else 17,
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
