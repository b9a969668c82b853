"""The entangled pairs of a run, and what follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from qnode.analysis import Estimate, Readout
from qnode.client._html import table_html
from qnode.client._pair import Pair
from qnode.client._tally import BellEstimate, PairTally, mean_fidelity
from qnode.labfile import Link

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Pairs", "PlayedPlan"]


@dataclass(frozen=True)
class PlayedPlan:
    """A plan of a run: with it, times and rounds of a pair are told from those of other plans."""

    plan_id: str
    t0_tai_s: int
    """Origin T0 of the plan's click times: a whole TAI second."""
    first_round: int
    """Number, in the run, of the plan's round 0."""
    rounds: int
    """As proposed; a plan that ended early settled fewer."""


class Pairs(Sequence[Pair]):
    """Settled pairs in the order of their rounds, with the readouts and the accounting of their run.

    A sequence: ``len(pairs)``, ``pairs[0]``, ``for pair in pairs``; a slice is a tuple of pairs.

    Args:
        run_id: name of the run.
        link: where.
        pairs: those that are there already.
    """

    def __init__(self, run_id: str, link: Link, pairs: Iterable[Pair] = ()) -> None:
        self.run_id = run_id
        self.link = link.name
        self.nodes: tuple[str, str] = link.between
        """The order of bases, outcomes and readouts in each pair."""
        self.round_period_ps = link.round_period_ps
        self.rounds = 0
        """Settled rounds; so many round periods of lab time were played for these pairs."""
        self.readout: dict[str, dict[str, int]] = {}
        """Node to the counts of its readout calibration: ``bright_ok``, ``bright_shots``, ``dark_ok``, ``dark_shots``."""
        self.plans: list[PlayedPlan] = []
        """The plans that were played for pairs, in order."""
        self.accounting: dict[str, dict[str, Any]] = {}
        """Party to ``rounds``, ``slots`` (class to number) and ``reasons``, as that party counted; or ``error``."""
        self.expired: list[Any] = []
        """Heralds taken back: [round, attempt, reason], rounds of their plan."""
        self.ended = "interrupted"
        """``done``, or why the run ended early."""
        self.notes: list[str] = []
        """What is wrong with the run though it may be done, a line each; see `qnode.analysis.run_notes`."""
        self._pairs: list[Pair] = []
        self._tally = PairTally()
        self.extend(pairs)

    def extend(self, pairs: Iterable[Pair]) -> None:
        """Add pairs; costs the same however many there are."""
        fresh = list(pairs)
        self._pairs.extend(fresh)
        self._tally.add(fresh)

    # --- a sequence ---

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, index: int | slice) -> Pair | tuple[Pair, ...]:
        return tuple(self._pairs[index]) if isinstance(index, slice) else self._pairs[index]

    def __repr__(self) -> str:
        fidelity = self.fidelity
        parts = [
            f"{len(self)} pairs on {self.link} in {self.seconds:.1f} s of lab time",
            f"{self.rate_hz:.1f} ± {self.rate_hz_err:.1f} Hz",
            *([] if fidelity is None else [f"F {fidelity}"]),
            self.ended,
        ]
        return f"<Pairs {self.run_id}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        rows = [
            ("pairs", f"{len(self)}"),
            ("rate", f"{self.rate_hz:.2f} ± {self.rate_hz_err:.2f} Hz of lab time ({self.seconds:.1f} s)"),
        ]
        for bell, estimate in self.bells().items():
            correlators = ", ".join(f"{name} {value}" for name, value in estimate.correlators.items())
            rows.append((bell, f"{estimate.heralds} pairs; {correlators}"))
        rows.append(("fidelity", "not all of XX, YY, ZZ were read" if self.fidelity is None else str(self.fidelity)))
        rows.append(("ended", self.ended))
        rows += [("note", note) for note in self.notes]
        return table_html(f"{self.link}, run {self.run_id}", rows)

    def plot(self) -> Figure:
        """Correlators of each Bell state beside those of a perfect one, and pairs over lab time.

        Returns:
            A matplotlib figure of its own: shown by a notebook, and ``figure.savefig("pairs.png")`` in a script.
        """
        from qnode.client._plot import draw_pairs

        seconds = [pair.round * self.round_period_ps / 1e12 for pair in self]
        return draw_pairs(f"{self.link}: {self.rate_hz:.1f} ± {self.rate_hz_err:.1f} Hz", self.bells(), seconds)

    # --- numbers ---

    @property
    def seconds(self) -> float:
        """Lab time of the rounds, s."""
        return self.rounds * self.round_period_ps / 1e12

    @property
    def rate_hz(self) -> float:
        """Settled pairs a second of lab time."""
        return len(self) / self.seconds if self.rounds else 0.0

    @property
    def rate_hz_err(self) -> float:
        """One standard error of `rate_hz`, from the Poisson error of the number of pairs."""
        return len(self) ** 0.5 / self.seconds if self.rounds else 0.0

    def readouts(self) -> tuple[Readout, Readout] | None:
        """The readout model of each node, as this run measured it; None before both were."""
        if any(node not in self.readout for node in self.nodes):
            return None
        first, second = (Readout.measured(node, **self.readout[node]) for node in self.nodes)
        return first, second

    def bells(self) -> dict[str, BellEstimate]:
        """Heralds, correlators and fidelity of each Bell state that came, corrected for readout; by its name."""
        readouts = self.readouts()
        return {} if readouts is None else self._tally.bells(*readouts)

    @property
    def correlators(self) -> dict[str, dict[str, Estimate]]:
        """Bell state to its XX, YY, ZZ, as far as they were read; corrected for readout."""
        return {bell: estimate.correlators for bell, estimate in self.bells().items()}

    @property
    def fidelity(self) -> Estimate | None:
        """Fidelity with the heralded Bell state over all pairs: ``.value`` and ``.error`` (one standard error).

        None until XX, YY and ZZ of each Bell state that came were read.
        """
        return mean_fidelity(self.bells())

    def sha256(self) -> str:
        """Hash over all pairs: equal for equal physics, whatever the plans were called and when they began."""
        digest = hashlib.sha256()
        for p in self:
            row = [p.round, p.attempt, p.pattern, p.bell, *p.bases, *p.outcomes]
            digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
        return digest.hexdigest()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """One array a column, n pairs long.

        Returns:
            ``round``, ``click_ps`` int64; ``attempt`` int32; ``pattern`` uint8; ``bell``, ``plan_id`` text; ``bases``
            text, ``outcomes`` int8, ``bright`` bool of shape (n, 2), in the order of `nodes`.
        """
        import numpy as np

        shape = (len(self), 2)
        return {
            "round": np.array([p.round for p in self], np.int64),
            "attempt": np.array([p.attempt for p in self], np.int32),
            "pattern": np.array([p.pattern for p in self], np.uint8),
            "bell": np.array([p.bell for p in self], "U4"),
            "click_ps": np.array([p.click_ps for p in self], np.int64),
            "bases": np.array([p.bases for p in self], "U1").reshape(shape),
            "outcomes": np.array([p.outcomes for p in self], np.int8).reshape(shape),
            "bright": np.array([p.bright for p in self], np.bool_).reshape(shape),
            "plan_id": np.array([p.plan_id for p in self], "U16"),
        }

    def to_qcodes(self, database: str | Path) -> int:
        """Add the pairs as a dataset to a QCoDeS database; the user's default one is not touched.

        Columns are those of `to_arrays`, with ``basis_alice``, ``outcome_bob`` and so on by node, over ``round``; the
        metadata have link, run, fidelity, rate and hash.

        Args:
            database: SQLite file, made if there is none.

        Returns:
            The dataset's id: ``qcodes.dataset.load_by_id(id, conn=qcodes.dataset.connect(database))``.
        """
        from qnode.client._dataset import write_dataset

        arrays = self.to_arrays()
        columns = {name: array for name, array in arrays.items() if array.ndim == 1}
        for name, label in (("bases", "basis"), ("outcomes", "outcome"), ("bright", "bright")):
            for number, node in enumerate(self.nodes):
                column = arrays[name][:, number]
                columns[f"{label}_{node}"] = column.astype("i1") if column.dtype == bool else column
        fidelity = self.fidelity
        metadata = {
            "link": self.link,
            "run": self.run_id,
            "rounds": self.rounds,
            "rate_hz": self.rate_hz,
            "rate_hz_err": self.rate_hz_err,
            "heralds_sha256": self.sha256(),
            **({} if fidelity is None else {"fidelity": fidelity.value, "fidelity_err": fidelity.error}),
        }
        return write_dataset(Path(database), self.link, self.run_id, columns, metadata)
