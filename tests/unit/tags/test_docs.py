"""The how-to runs as it stands, from top to bottom, snippets and commands, in a folder with a lab's files."""

import re
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qnode.cli.tags import app
from qnode.tags import FILE_FORMATS, TagBlock, TruncatedFileWarning, open_tags, read_tags, write_tags
from qnode.tags._columns import ArrowWriter

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "tags.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh|text)\n(.*?)```", PAGE, re.DOTALL)


def run(line: str) -> str:
    words = shlex.split(line)
    assert words[:2] == ["qnode", "tags"]
    done = CliRunner().invoke(app, words[2:])
    assert done.exit_code == 0, f"{line}: {done.output}"
    return done.stderr


def lab_files() -> None:
    """What the page takes for granted: pairs 12.345 ns apart on 1 and 2, a pulse on 3, files of one channel."""
    rng = np.random.default_rng(8)
    born = rng.integers(0, 10**10, 5000)
    t_ps = np.concatenate((born, born + 12_345, rng.integers(0, 10**10, 5000), [10**12, 2 * 10**12]))
    channel = np.concatenate((np.full(5000, 1), np.full(5000, 2), rng.integers(1, 3, 5000), [3, 3]))
    order = np.argsort(t_ps)
    write_tags("lab.ptu", TagBlock.from_arrays(t_ps[order], channel[order]))
    for name in ("timestamps_C1.bin", "timestamps_C2.bin", "old.bin"):
        number = int(name[-5]) if name[-5].isdigit() else 4
        write_tags(name, TagBlock.from_arrays(np.sort(rng.integers(0, 10**9, 100)), np.full(100, number)))
    Path("referenced_C1.bin").write_bytes(struct.pack("<4Q", 1, 500, 2, 700))


def test_the_how_to_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lab_files()
    names: dict[str, object] = {}
    results = []
    for kind, text in BLOCKS:
        if kind == "python":
            exec(text, names)
            results.append(names.get("result"))
        elif kind == "sh":
            for line in text.splitlines():
                run(line)
    assert len(results) == 4
    # the pairs, 12.345 ns apart, stand out in the bin that holds them
    for result in (results[0], results[2]):
        peak = int(np.argmax(result.counts))  # type: ignore[attr-defined]
        assert result.axis.edges_ps[peak] <= 12_345 < result.axis.edges_ps[peak + 1]  # type: ignore[attr-defined]
    for picture in ("g2.png", "correlation.png", "rates.png"):
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("lifetime.svg").read_text(encoding="utf-8")
    assert read_tags("run.arrow").t_ps.tolist() == [1_000, 2_500]
    assert read_tags("referenced.arrow").t_ps.tolist() == [1_000_500, 2_000_700]
    assert len(read_tags("old.tags", "qcrypto_a1")) == 100
    assert read_tags("by_pps.parquet").t_ps[-2:].tolist() == [0, 10**12]


def test_every_format_has_its_row() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|[^|]+\|[^|]+\|[^|]+\|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(FILE_FORMATS)


@pytest.mark.filterwarnings("ignore::qnode.tags.TruncatedFileWarning")
def test_info_says_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lab_files()
    said = ""
    write_tags("gaps.parquet", TagBlock.from_arrays([1, 2], [1, 1], gaps=[(20_000_000, 24_000_000)], overflow=True))
    write_tags("open.parquet", TagBlock.from_arrays([1, 2], [1, 1], gaps=[(20_000_000, 2**63 - 1)]))
    with Path("spool.arrow").open("wb") as sink:
        ArrowWriter(sink).write(TagBlock.from_arrays([5, 4], [1, 1]))
    Path("cut_C1.bin").write_bytes(Path("timestamps_C1.bin").read_bytes()[:-6])
    Path("cut.ptu").write_bytes(Path("lab.ptu").read_bytes()[:-4])
    for name in ("gaps.parquet", "open.parquet", "spool.arrow", "cut_C1.bin", "cut.ptu"):
        said += run(f"qnode tags info {name}")
    shown = next(text for kind, text in BLOCKS if kind == "text").splitlines()
    assert sorted(shown) == sorted(line for line in said.splitlines() if line)


def test_reading_a_truncated_file_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lab_files()
    Path("cut_C1.bin").write_bytes(Path("timestamps_C1.bin").read_bytes()[:-6])
    with pytest.warns(TruncatedFileWarning, match="2 bytes after the last whole record"):
        assert len(read_tags("cut_C1.bin")) == 99
    file = open_tags("cut_C1.bin")
    assert sum(map(len, file)) == 99
    assert (file.truncation, file.truncated_bytes) == ("2 bytes after the last whole record were left out", 2)
