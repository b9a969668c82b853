"""The snippets of the how-to run as they stand, in a folder with a PTU file."""

import re
from pathlib import Path

import numpy as np
import pytest

from qnode.tags import TagBlock, read_tags, write_tags

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "tags.md"


def test_the_how_to_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    born = rng.integers(0, 10**10, 5000)
    t_ps = np.concatenate((born, born + 12_345, rng.integers(0, 10**10, 5000)))
    channel = np.concatenate((np.full(5000, 1), np.full(5000, 2), rng.integers(1, 3, 5000)))
    order = np.argsort(t_ps)
    tags = TagBlock.from_arrays(t_ps[order], channel[order])
    monkeypatch.chdir(tmp_path)
    write_tags("lab.ptu", tags)
    write_tags("lab.parquet", tags)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 4
    names: dict[str, object] = {}
    results = []
    for snippet in snippets:
        exec(snippet, names)
        results.append(names.get("result"))
    # the pairs, 12.345 ns apart, stand out in the bin that holds them
    for result in (results[0], results[2]):
        peak = int(np.argmax(result.counts))  # type: ignore[attr-defined]
        assert result.axis.edges_ps[peak] <= 12_345 < result.axis.edges_ps[peak + 1]  # type: ignore[attr-defined]
    for picture in ("g2.png", "correlation.png"):
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert read_tags("run.arrow").t_ps.tolist() == [1_000, 2_500]
