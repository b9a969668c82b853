"""Plots; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_g2", "draw_histogram", "draw_rates", "require_picture"]


def _axes(axes: Axes | None) -> Axes:
    if axes is not None:
        return axes
    # A figure of its own, not pyplot's: works without a screen and leaves no open figures behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def require_picture(path: str | Path) -> None:
    """Refuse a name that no picture can be written to, before hours of counting are spent on it.

    Raises:
        MisuseError: an ending that no picture has, or the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    endings = sorted(FigureCanvasAgg.get_supported_filetypes())
    if path.suffix[1:].lower() not in endings:
        raise MisuseError(f"{path}: no picture ends so", hint="known: " + ", ".join(endings))
    new = not path.exists()
    with _writing(path):
        path.open("ab").close()  # a picture that is there stays until it is drawn anew
        if new:
            path.unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell of a file that can't be written.

    Raises:
        MisuseError: it can't.
    """
    try:
        yield
    except OSError as error:
        raise MisuseError(f"{path} can't be written: {error.strerror or error}") from None


def _save(axes: Axes, path: str | Path | None) -> Axes:
    """Save the picture where there is a path; under its name only when it is whole.

    Raises:
        MisuseError: an ending that no picture has, or the file can't be written.
    """
    if path is not None:
        require_picture(path)
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        with _writing(target):
            try:
                axes.figure.canvas.print_figure(partial, format=target.suffix[1:].lower())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    return axes


def _steps(edges_ps: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], str]:
    """Edges in a unit that reads well, and its name."""
    largest = float(np.abs(edges_ps).max())
    for factor, name in ((1e9, "ms"), (1e6, "us"), (1e3, "ns")):
        if largest >= 2 * factor:
            return edges_ps / factor, name
    return edges_ps.astype(np.float64), "ps"


def draw_histogram(
    edges_ps: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    label: str,
    path: str | Path | None,
    axes: Axes | None,
) -> Axes:
    """Counts by delay."""
    axes = _axes(axes)
    edges, unit = _steps(edges_ps)
    axes.stairs(counts, edges, baseline=None)  # no fall to 0 at the ends, where nothing was counted
    axes.set(xlabel=f"{label} ({unit})", ylabel="counts a bin")
    return _save(axes, path)


def draw_g2(
    edges_ps: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    errors: npt.NDArray[np.float64],
    path: str | Path | None,
    axes: Axes | None,
) -> Axes:
    """g2 with a band of one standard deviation; bins in which nothing can be expected stay empty.

    Raises:
        MisuseError: there are no values at all.
    """
    axes = _axes(axes)
    edges, unit = _steps(edges_ps)
    if not np.isfinite(values).any():
        raise MisuseError("there is no g2 to draw: one of the channels has no tags, or there is no live time")
    axes.stairs(values + errors, edges, baseline=values - errors, fill=True, alpha=0.3)
    axes.stairs(values, edges, baseline=None)
    axes.axhline(1, linestyle=":", linewidth=0.8, color="grey")
    axes.set(xlabel=f"delay ({unit})", ylabel="$g^{(2)}$", ylim=(0, None))
    return _save(axes, path)


def draw_rates(
    edges_ps: npt.NDArray[np.int64],
    rates_hz: npt.NDArray[np.float64],
    channels: list[int],
    path: str | Path | None,
    axes: Axes | None,
) -> Axes:
    """Count rate of each channel by time."""
    axes = _axes(axes)
    for index, channel in enumerate(channels):
        axes.stairs(rates_hz[:, index], edges_ps / 1e12, baseline=None, label=f"channel {channel}")
    axes.set(xlabel="time (s)", ylabel="rate (1/s)")
    axes.legend()
    return _save(axes, path)
