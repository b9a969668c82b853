"""What a person should know of a run before its numbers: losses, silent detectors, far too few heralds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

__all__ = ["run_notes"]

MOST_MASKED = 0.05
"""Share of slots that a healthy lab may mask."""
FEWEST_FOR_BOTH = 100
"""Heralds from which on each Bell state must have come: with one in twenty it is missing 6 times in 1000."""
FEWEST_EXPECTED = 10.0
"""Heralds expected from which on a rate is judged; fewer may stay away by chance."""
LEAST_RATE = 0.1


def run_notes(
    slots: Mapping[str, int],
    masked: Mapping[str, int],
    expired: Sequence[str],
    bells: Mapping[str, int],
    seconds: float,
    predicted_rate_hz: float | None,
) -> list[str]:
    """A line for each thing that is wrong with a run, though it may have come to its end; none for a healthy one.

    Args:
        slots: class to slots of one party, and their sum as ``slots``.
        masked: reason to masked slots.
        expired: reason of each herald that was taken back.
        bells: every Bell state of the protocol to its settled heralds.
        seconds: lab time of the settled rounds.
        predicted_rate_hz: what the physics promises; None where nobody knows.
    """
    return [
        *_masked(slots, masked),
        *_expired(expired),
        *_missing(bells),
        *_slow(sum(bells.values()), seconds, predicted_rate_hz),
    ]


def _masked(slots: Mapping[str, int], masked: Mapping[str, int]) -> Iterator[str]:
    total = slots.get("slots", 0)
    if slots.get("masked", 0) > MOST_MASKED * total:
        shares = ", ".join(f"{_words(why)} {count / total:.1%}" for why, count in _most_first(masked))
        yield f"{slots['masked'] / total:.1%} of all slots were masked: {shares or 'no reason given'}"


def _expired(expired: Sequence[str]) -> Iterator[str]:
    if expired:
        counts = {why: expired.count(why) for why in dict.fromkeys(expired)}
        listed = ", ".join(f"{_words(why)} {count:,}" for why, count in _most_first(counts))
        yield f"{len(expired):,} {'herald was' if len(expired) == 1 else 'heralds were'} taken back: {listed}"


def _missing(bells: Mapping[str, int]) -> Iterator[str]:
    total = sum(bells.values())
    if total >= FEWEST_FOR_BOTH:
        for bell in (bell for bell, heralds in bells.items() if not heralds):
            yield f"none of {total:,} heralds was {bell}: look at both detectors, their bias and their wires"


def _slow(heralds: int, seconds: float, predicted_rate_hz: float | None) -> Iterator[str]:
    expected = (predicted_rate_hz or 0.0) * seconds
    if expected >= FEWEST_EXPECTED and heralds < LEAST_RATE * expected:
        yield (
            f"{heralds:,} heralds in {seconds:.1f} s of lab time, where {expected:,.0f} were predicted: "
            "look at lasers, fibres and detectors, and at what was masked"
        )


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])


def _words(reason: str) -> str:
    return reason.replace("_", " ")
