"""How long a run will still take."""

from __future__ import annotations

__all__ = ["wall_seconds_left"]

CALIBRATED_HERALDS = 10
"""What the calibration says of the herald probability counts as much as so many heralds."""


def wall_seconds_left(
    *,
    heralds: int,
    heralds_wanted: int,
    rounds: int,
    plan_rounds_left: int,
    playing_s: float,
    calibrated_p: float | None,
    round_period_s: float,
) -> float | None:
    """Wall time until enough heralds are settled and the plan under way is over; None when nothing is known.

    Args:
        heralds: settled so far.
        heralds_wanted: at least so many.
        rounds: settled so far.
        plan_rounds_left: rounds of the plan under way that are not settled.
        playing_s: wall time since the run's first round began, with the pauses between plans.
        calibrated_p: heralds per round as the lab file says; None where it does not.
        round_period_s: a round's lab time, which is wall time until the pace is known.
    """
    rounds_left = float(plan_rounds_left)
    as_if = 0 if calibrated_p is None else CALIBRATED_HERALDS
    if heralds + as_if:
        rounds_as_if = rounds + (as_if / calibrated_p if calibrated_p else 0.0)
        rounds_left = max(rounds_left, (heralds_wanted - heralds) * rounds_as_if / (heralds + as_if))
    elif not plan_rounds_left:
        return None
    round_s = playing_s / rounds if rounds else round_period_s
    return rounds_left * round_s
