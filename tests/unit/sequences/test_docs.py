from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "sequences.md"


def test_the_page_on_sequences_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    assert sorted(names["programs"]) == ["awg", "pulser"]  # type: ignore[call-overload]
