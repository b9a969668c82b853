"""A sequence table as SCPI text, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drivers.roles import AwgElement

__all__ = ["batches", "element_commands", "element_from_answers", "element_questions"]

BATCH_BYTES = 4000
"""Length of one message; input buffers of SCPI instruments are larger, and TCP segments are not much."""


def batches(commands: Iterable[str], longest: int = BATCH_BYTES) -> Iterator[str]:
    """Join commands by ``;`` into messages of about ``longest`` bytes; each command starts with ``:``."""
    message: list[str] = []
    size = 0
    for command in commands:
        if message and size + len(command) > longest:
            yield ";".join(message)
            message, size = [], 0
        message.append(command)
        size += len(command) + 1
    if message:
        yield ";".join(message)


def element_commands(line: int, element: AwgElement, prefix: str) -> Iterator[str]:
    """What makes line ``line`` of a fresh table (`SEQ:LENG` from 0) play ``element``.

    Only what differs from a fresh line is sent: no waveform, loop 1, no waiting, no go-to, no jump.

    Args:
        line: from 1.
        element: what to play.
        prefix: of the names of our waveforms on the instrument.
    """
    head = f":SEQ:ELEM{line}"
    for channel, name in sorted(element.waveforms.items()):
        yield f'{head}:WAV{channel} "{prefix}{name}"'
    if element.loop_count != 1:
        yield f"{head}:LOOP:COUN {element.loop_count}"
    if element.wait_for_trigger:
        yield f"{head}:TWA 1"
    if element.go_to is not None:
        yield f"{head}:GOTO:IND {element.go_to}"
        yield f"{head}:GOTO:STAT 1"
    if element.jump_to is not None:
        yield f"{head}:JTAR:IND {element.jump_to}"
        yield f"{head}:JTAR:TYPE IND"


def element_questions(line: int, channels: Sequence[int]) -> list[str]:
    """The questions whose answers, in this order, `element_from_answers` takes."""
    head = f":SEQ:ELEM{line}"
    return [f"{head}:WAV{channel}?" for channel in channels] + [
        f"{head}:{what}?"
        for what in ("LOOP:INF", "LOOP:COUN", "TWA", "GOTO:STAT", "GOTO:IND", "JTAR:TYPE", "JTAR:IND")
    ]


def element_from_answers(line: int, channels: Sequence[int], answers: Sequence[str], prefix: str) -> AwgElement:
    """The element that `element_questions` found.

    Raises:
        ValueError: the line holds what no element of ours says: a foreign waveform, an endless loop, jump to NEXT.
    """
    waveforms: dict[int, str] = {}
    for channel, answer in zip(channels, answers, strict=False):
        if name := answer.strip().strip('"'):
            if not name.startswith(prefix):
                raise ValueError(f"line {line} plays {name!r} on channel {channel}")
            waveforms[channel] = name.removeprefix(prefix)
    infinite, loop, wait, go_to_state, go_to, jump_type, jump = (
        answer.strip() for answer in answers[len(channels) :]
    )
    if _is_on(infinite):
        raise ValueError(f"line {line} loops without end")
    kind = jump_type.upper()
    if not kind.startswith(("OFF", "IND")):
        raise ValueError(f"line {line} has a jump target of type {jump_type}")
    return AwgElement(
        waveforms=waveforms,
        loop_count=int(float(loop)),
        wait_for_trigger=_is_on(wait),
        go_to=int(float(go_to)) if _is_on(go_to_state) else None,
        jump_to=int(float(jump)) if kind.startswith("IND") else None,
    )


def _is_on(answer: str) -> bool:
    return answer.upper() in ("1", "ON")
