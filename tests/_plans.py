"""A plan for tests that look at a few of its fields."""

from __future__ import annotations

from typing import Any

from qnode.heralds import Plan


def a_plan(**changes: Any) -> Plan:
    """Twelve rounds of 10 us with four attempts of 1 us, at second 1000; ``changes`` say what matters to the test."""
    values: dict[str, Any] = {
        "plan_id": "00000000000000aa",
        "run_id": "run-1",
        "kind": "heralding",
        "link": "alice-bob",
        "protocol": "single_click",
        "t0_tai_s": 1_000,
        "rounds": 12,
        "first_round": 0,
        "attempts": 4,
        "round_period_ps": 10_000_000,
        "attempt_period_ps": 1_000_000,
        "bases": {},
        "echo": True,
        "sequences": {},
        "lab_sha256": "",
        "credit_rounds": 16,
        "boot_id": "",
    }
    return Plan(**{**values, **changes})
