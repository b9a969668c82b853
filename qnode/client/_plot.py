"""A picture of the pairs of a run; matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qnode.analysis import BELL_SIGNS
from qnode.client._tally import BellEstimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_pairs"]

COLOURS = {"psi+": "#2e6f95", "psi-": "#d1495b"}


def draw_pairs(title: str, bells: Mapping[str, BellEstimate], seconds: Sequence[float]) -> Figure:
    """Correlators with error bars beside those of the perfect states, and how the pairs came.

    Args:
        title: over both panels.
        bells: Bell state to what was measured of it.
        seconds: lab time of each pair, ascending.

    Returns:
        A figure of its own, not pyplot's: works without a screen and leaves no open figures behind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """Shows itself in a notebook, whether or not pyplot was set up there."""

        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png")
            return picture.getvalue()

    figure = NotebookFigure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    _correlators(left, bells)
    right.step([0.0, *seconds], range(len(seconds) + 1), where="post", color="#5b616a")
    right.set(xlabel="lab time (s)", ylabel="pairs")
    return figure


def _correlators(axes: Axes, bells: Mapping[str, BellEstimate]) -> None:
    names = ("XX", "YY", "ZZ")
    for number, (bell, estimate) in enumerate(bells.items()):
        offset = 0.2 * (number - (len(bells) - 1) / 2)
        read = [
            (place + offset, estimate.correlators[n]) for place, n in enumerate(names) if n in estimate.correlators
        ]
        fidelity = "" if estimate.fidelity is None else f", F {estimate.fidelity}"
        colour = COLOURS.get(bell, "#5b616a")
        axes.errorbar(
            [x for x, _ in read],
            [c.value for _, c in read],
            [c.error for _, c in read],
            fmt="o",
            capsize=3,
            color=colour,
            label=f"{bell}: {estimate.heralds} pairs{fidelity}",
        )
        axes.scatter(
            [place + offset for place in range(3)],
            [BELL_SIGNS[bell][n] for n in names],
            marker="_",
            s=150,
            color=colour,
        )
    axes.axhline(0, color="#a3a8b0", linewidth=0.8)
    axes.set(xlim=(-0.5, 2.5), ylim=(-1.25, 1.75), ylabel="correlator (dash: perfect state)")
    axes.set_xticks(range(3), names)
    if bells:
        axes.legend(fontsize="small", loc="upper right")
