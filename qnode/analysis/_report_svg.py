"""Charts as SVG text: one pair of axes, and marks on it.

Written by hand and not by a plotting library, so that a chart weighs some kilobytes, follows the page's colours (light
and dark, by CSS variables), and costs nothing to import. Sizes are in CSS pixels; a chart is made for a phone's width
and may be stretched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Chart", "Scale", "hint", "number", "path", "svg", "tag", "text"]

WIDTH, HEIGHT = 400, 270
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 26, 40
CAP = 3.5


@dataclass(frozen=True)
class Scale:
    """One axis."""

    low: float
    high: float
    label: str = ""
    log: bool = False
    names: tuple[str, ...] = ()
    """Categories at 0, 1, 2 ... in place of numbers."""

    def share(self, value: float) -> float:
        """Where a value lies between both ends, 0 to 1; values beyond an end stay at it."""
        if self.log:
            value, low, high = (math.log10(max(v, 1e-300)) for v in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Values to write at the axis, and their text."""
        if self.names:
            return [(float(place), name) for place, name in enumerate(self.names)]
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [(10.0**power, _power(power)) for power in range(first, last + 1)]
        step = _step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step)))
        return [(place * step, f"{place * step + 0.0:,.{digits}f}") for place in range(first, last + 1)]


def _step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _power(power: int) -> str:
    return (
        f"{10**power:,}"
        if 0 <= power <= 4
        else "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    )


def number(value: float) -> str:
    """A coordinate with the digits that a screen can show."""
    return f"{value:.1f}".removesuffix(".0")


def tag(name: str, inner: str = "", **attributes: object) -> str:
    """An element; ``class_`` is ``class``, other underscores are hyphens, numbers are shortened."""
    words = []
    for key, value in attributes.items():
        shown = number(value) if isinstance(value, float) else str(value)
        words.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{name}{''.join(words)}>{inner}</{name}>" if inner else f"<{name}{''.join(words)}/>"


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """Words at a place; ``text_anchor`` and ``class_`` as in SVG."""
    return tag("text", escape(words), x=float(x), y=float(y), **attributes)


def hint(words: str) -> str:
    """What a mark says when it is pointed at; the inner part of its element."""
    return tag("title", escape(words))


def path(points: Iterable[tuple[float, float]]) -> str:
    """The ``d`` of straight lines through some points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def svg(width: float, height: float, alt: str, inner: str, class_: str = "") -> str:
    """A whole picture with the words for those who can't see it."""
    return tag(
        "svg",
        hint(alt) + inner,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(float(width))} {number(float(height))}",
        role="img",
        aria_label=alt,
        class_=class_ or "chart",
    )


class Chart:
    """Axes of a fixed size with marks on it, drawn in the order in which they are added.

    Args:
        title: over the chart.
        alt: what it shows, in a sentence with its numbers.
        x: horizontal axis.
        y: vertical axis.
        height: of the picture, pixels.
    """

    def __init__(self, title: str, alt: str, x: Scale, y: Scale, height: int = HEIGHT) -> None:
        self._title, self._alt, self.x, self.y, self._height = title, alt, x, y, height
        self._marks: list[str] = []
        self._keys: list[tuple[str, str]] = []

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point in pixels."""
        across = LEFT + (WIDTH - LEFT - RIGHT) * self.x.share(x)
        up = (self._height - TOP - BOTTOM) * self.y.share(y)
        return across, self._height - BOTTOM - up

    def key(self, class_: str, words: str) -> None:
        """An entry of the legend."""
        self._keys.append((class_, words))

    def span(self, first: float, last: float) -> None:
        """Shade a range of x over the whole height."""
        (left, top), (right, bottom) = self.place(first, self.y.high), self.place(last, self.y.low)
        self._rect(left, top, right, bottom, "span")

    def bar(self, x: float, width: float, y: float, class_: str) -> None:
        """A bar from zero (or the lower end) to y, centred at x."""
        foot = self.y.low if self.y.log else min(max(0.0, self.y.low), self.y.high)
        (left, top), (right, bottom) = (
            self.place(x - width / 2, max(y, foot)),
            self.place(x + width / 2, min(y, foot)),
        )
        self._rect(left, top, right, bottom, class_)

    def error(self, x: float, y: float, error: float, class_: str = "err") -> None:
        """An error bar of one sigma to either side, and its point."""
        across, low = self.place(x, y - error)
        high, middle = self.place(x, y + error)[1], self.place(x, y)[1]
        caps = "".join(f"M{number(across - CAP)} {number(at)}h{number(2 * CAP)}" for at in (low, high))
        self._marks.append(tag("path", d=f"M{number(across)} {number(low)}V{number(high)}{caps}", class_=class_))
        self._marks.append(tag("circle", cx=across, cy=middle, r=2.4, class_=f"dot {class_}"))

    def level(self, first: float, last: float, y: float, class_: str) -> None:
        """A horizontal line from one x to another."""
        self._marks.append(tag("path", d=path([self.place(first, y), self.place(last, y)]), class_=class_))

    def steps(self, edges: Sequence[float], values: Sequence[float], class_: str) -> None:
        """A histogram's outline."""
        points: list[tuple[float, float]] = []
        for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
            points += [self.place(left, value), self.place(right, value)]
        self._marks.append(tag("path", d=path(points), class_=class_))

    def svg(self) -> str:
        """The picture."""
        bottom, right = self._height - BOTTOM, WIDTH - RIGHT
        parts = [text(LEFT, 15, self._title, class_="title")]
        for value, words in self.y.ticks():
            _, at = self.place(self.x.low, value)
            parts.append(tag("path", d=f"M{LEFT} {number(at)}H{right}", class_="zero" if value == 0 else "grid"))
            parts.append(text(LEFT - 6, at + 4, words, text_anchor="end"))
        parts += self._marks
        parts.append(tag("path", d=f"M{LEFT} {bottom}H{right}", class_="axis"))
        for value, words in self.x.ticks():
            across, _ = self.place(value, self.y.low)
            parts.append(text(across, bottom + 16, words, text_anchor="middle"))
        parts.append(text((LEFT + right) / 2, self._height - 6, self.x.label, text_anchor="middle", class_="label"))
        middle = (TOP + bottom) / 2
        turn = f"rotate(-90 11 {number(middle)})"
        parts.append(text(11, middle, self.y.label, text_anchor="middle", class_="label", transform=turn))
        parts += self._legend(right)
        return svg(WIDTH, self._height, self._alt, "".join(parts))

    def _legend(self, right: float) -> list[str]:
        parts: list[str] = []
        for class_, words in reversed(self._keys):
            right -= 6.9 * len(words) + 26
            parts.append(tag("path", d=f"M{number(right)} 11h12", class_=f"{class_} key"))
            parts.append(text(right + 16, 15, words))
        return parts

    def _rect(self, left: float, top: float, right: float, bottom: float, class_: str) -> None:
        width, height = max(right - left, 0.0), max(bottom - top, 0.0)
        self._marks.append(tag("rect", x=left, y=top, width=width, height=height, class_=class_))
