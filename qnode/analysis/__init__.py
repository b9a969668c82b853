"""Closed forms and estimators: numbers and arrays in, numbers with errors out.

`predict_link` says what the physics gives; `correlator`, `populations` and `bell_fidelity` say what was measured;
`report_html` sets both side by side.
"""

from qnode.analysis._arrivals import Arrivals, Detection, arrivals
from qnode.analysis._bell import BELL_SIGNS, LABELS, chsh_fixed, chsh_maximum, correlation_matrix
from qnode.analysis._chsh import (
    CHSH_LETTERS,
    CHSH_SETTINGS,
    CHSH_SIGNS,
    LOCAL_WIN_PROBABILITY,
    Fidelities,
    GameCounts,
    chsh_p_value,
    chsh_played,
    chsh_value,
    count_games,
    raw_correlators,
)
from qnode.analysis._estimate import Estimate, combine, proportion, wilson_interval
from qnode.analysis._expected import expected_readings
from qnode.analysis._links import (
    HeraldedPair,
    dark_probability,
    double_click,
    fibre_transmission,
    overlap_in_window,
    share_in_window,
    single_click,
)
from qnode.analysis._notes import run_notes
from qnode.analysis._predict import (
    BellTestPrediction,
    LinkPrediction,
    herald_rate_hz,
    node_efficiency,
    predict,
    predict_bell_test,
    predict_link,
)
from qnode.analysis._readout import (
    OutcomeCounts,
    Readout,
    bell_fidelity,
    chsh_fixed_estimate,
    correlator,
    populations,
)
from qnode.analysis._report import RunRecord, report_html
from qnode.analysis._report_round import draw_round

__all__ = [
    "BELL_SIGNS",
    "CHSH_LETTERS",
    "CHSH_SETTINGS",
    "CHSH_SIGNS",
    "LABELS",
    "LOCAL_WIN_PROBABILITY",
    "Arrivals",
    "BellTestPrediction",
    "Detection",
    "Estimate",
    "Fidelities",
    "GameCounts",
    "HeraldedPair",
    "LinkPrediction",
    "OutcomeCounts",
    "Readout",
    "RunRecord",
    "arrivals",
    "bell_fidelity",
    "chsh_fixed",
    "chsh_fixed_estimate",
    "chsh_maximum",
    "chsh_p_value",
    "chsh_played",
    "chsh_value",
    "combine",
    "correlation_matrix",
    "correlator",
    "count_games",
    "dark_probability",
    "double_click",
    "draw_round",
    "expected_readings",
    "fibre_transmission",
    "herald_rate_hz",
    "node_efficiency",
    "overlap_in_window",
    "populations",
    "predict",
    "predict_bell_test",
    "predict_link",
    "proportion",
    "raw_correlators",
    "report_html",
    "run_notes",
    "share_in_window",
    "single_click",
    "wilson_interval",
]
