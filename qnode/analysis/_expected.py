"""What a run should read, from a link's prediction: correlators by Bell state, populations as the readout finds them."""

from __future__ import annotations

from qnode.analysis._bell import BELL_SIGNS, LABELS
from qnode.analysis._predict import LinkPrediction
from qnode.labfile import Link

__all__ = ["expected_readings"]


def expected_readings(prediction: LinkPrediction, link: Link) -> dict[str, dict[str, dict[str, float]]]:
    """The prediction in the terms of a run's result.

    Args:
        prediction: of the link.
        link: the link; double click has flipped both spins once by the time of its herald.

    Returns:
        ``psi+`` and ``psi-``, each with ``correlators`` (XX, YY, ZZ: XX and YY follow from fidelity and populations) and
        ``populations`` ("00" to "11", in the frame right after the herald).
    """
    before = prediction.populations
    odd = before["01"] + before["10"]
    coherence = 2 * prediction.fidelity - odd
    flips = link.protocol == "double_click"
    populations = {label: before[_flipped(label) if flips else label] for label in LABELS}
    return {
        bell: {
            "correlators": {
                "XX": BELL_SIGNS[bell]["XX"] * coherence,
                "YY": BELL_SIGNS[bell]["YY"] * coherence,
                "ZZ": 1 - 2 * odd,
            },
            "populations": dict(populations),
        }
        for bell in ("psi+", "psi-")
    }


def _flipped(label: str) -> str:
    return label.translate(str.maketrans("01", "10"))
