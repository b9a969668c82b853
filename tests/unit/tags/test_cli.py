import errno
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from typer.testing import CliRunner

from qnode.cli.tags import app
from qnode.errors import MisuseError
from qnode.tags import Axis, Histogram, TagBlock, TagFile, count_rates, g2, read_tags, start_multi_stop, write_tags
from qnode.tags._columns import ArrowWriter

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def ptu(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    t_ps = np.sort(rng.integers(0, 10**10, 20_000))
    path = tmp_path / "lab.ptu"
    write_tags(path, TagBlock.from_arrays(t_ps, rng.integers(1, 3, 20_000)))
    return path


def call(*words: object, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_info_says_what_is_in_a_truncated_file(ptu: Path) -> None:
    tags = read_tags(ptu)
    ptu.write_bytes(ptu.read_bytes()[:-2])
    document = json.loads(call("info", ptu, "--json")[0])["files"][0]
    assert document["format"] == "ptu"
    assert document["tags"] == 19_999
    assert document["truncated_bytes"] == 2
    assert document["first_ps"] == tags.t_ps[0]
    ones = int((tags.channel[:-1] == 1).sum())
    assert document["channels"]["1"]["tags"] == ones
    duration_s = (tags.t_ps[-2] - tags.t_ps[0]) / 1e12
    assert document["channels"]["1"]["rate_hz"] == pytest.approx(ones / duration_s)
    assert document["time_goes_back_at"] is None
    out, err = call("info", ptu)
    assert "19999 tags" in out
    assert "truncated: 2 bytes" in err


def test_info_finds_unsorted_tags_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    writer = ArrowWriter(path)
    for block in (TagBlock.from_arrays([5, 4], [1, 1]), TagBlock.from_arrays([9], [1], gaps=[(6, 2**63 - 1)])):
        writer.write(block)
    writer.close()
    document = json.loads(call("info", path, "--json")[0])["files"][0]
    assert document["time_goes_back_at"] == 1
    assert document["gaps"] == [[6, 2**63 - 1]]
    assert "gap from 6 to the end ps" in call("info", path)[1]


def test_convert_merges_shifts_and_keeps(tmp_path: Path) -> None:
    write_tags(tmp_path / "a_C1.bin", TagBlock.from_arrays([10, 30], [1, 1]))
    write_tags(tmp_path / "b_C2.bin", TagBlock.from_arrays([20, 25], [2, 2]))
    out = tmp_path / "both.parquet"
    stdout, _ = call("convert", tmp_path / "a_C1.bin", tmp_path / "b_C2.bin", "-o", out, "--delay", "2=-12", "--json")
    assert json.loads(stdout)["tags"] == 4
    both = read_tags(out)
    assert both.t_ps.tolist() == [8, 10, 13, 30]
    assert both.channel.tolist() == [2, 1, 2, 1]
    call("convert", out, "--keep", "2", "-o", tmp_path / "two_C2.txt")
    assert (tmp_path / "two_C2.txt").read_text() == "8\n13\n"


def test_convert_refuses_to_write_what_it_reads(ptu: Path) -> None:
    before = ptu.read_bytes()
    assert "is also read" in call("convert", ptu, "-o", ptu, code=2)[1]
    assert ptu.read_bytes() == before
    assert "is not CHANNEL=PS" in call("convert", ptu, "-o", ptu.with_suffix(".arrow"), "--delay", "x", code=2)[1]
    assert "can't write" in call("convert", ptu, "-o", ptu.with_suffix(".h5"), code=2)[1]


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("q.xyz", "q.xyz: no picture ends so - known: "),
        ("q", "q: no picture ends so - known: "),
        ("nowhere/q.png", "can't be written: No such file or directory"),
        ("folder.png", "can't be written: Is a directory"),
        ("tags.png", "tags.png is also read - write to another name"),
    ],
)
def test_a_picture_that_can_not_be_written_is_refused_before_a_tag_is_read(
    ptu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, text: str
) -> None:
    monkeypatch.setattr(TagFile, "__iter__", lambda _: pytest.fail("it is read"))
    (tmp_path / "folder.png").mkdir()
    tags = ptu.rename(tmp_path / "tags.png")
    before = tags.read_bytes()
    assert text in call("plot", tags, "--from", "ptu", "-o", tmp_path / out, code=2)[1]
    assert tags.read_bytes() == before


def test_a_plot_that_fails_leaves_the_picture_of_before_and_no_empty_one(ptu: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.png", tmp_path / "new.png"
    old.write_bytes(PNG)
    for out in (old, new):
        assert "channel 3 has no tags" in call("plot", ptu, "--g2", 1, 3, "-o", out, code=2)[1]
    assert old.read_bytes() == PNG
    assert not new.exists()


def test_a_disk_that_fills_up_under_a_picture_leaves_the_one_of_before_and_no_part_of_a_new_one(
    ptu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_picture(canvas: object, path: Path, **_: object) -> None:
        path.write_bytes(PNG)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FigureCanvasAgg, "print_figure", half_a_picture)
    old = tmp_path / "old.png"
    old.write_bytes(b"old")
    for out in (old, tmp_path / "new.png"):
        assert f"{out.name} can't be written: No space left" in call("plot", ptu, "-o", out, code=2)[1].replace(
            "\n", " "
        )
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({old.name, ptu.name})


def test_plots_are_pictures_of_the_numbers(ptu: Path, tmp_path: Path) -> None:
    tags = read_tags(ptu)
    out = tmp_path / "plot.png"
    expected = {
        ("--g2", 1, 2): g2(tags.t_ps, tags.channel, 1, 2, Axis.symmetric(50_000_000, 500)).counts.sum(),
        ("--lifetime", 1, 2): start_multi_stop(tags.t_ps, tags.channel, 1, 2, Axis(0, 100_000, 500)).counts.sum(),
        (): count_rates(tags.t_ps, tags.channel, 10**11).counts.sum(),
    }
    for words, total in expected.items():
        stdout, _ = call("plot", ptu, *words, "--reach-ps", 50_000_000, "-o", out, "--json")
        assert json.loads(stdout)["counts"] == total
        assert out.read_bytes().startswith(PNG)
    assert "two plots" in call("plot", ptu, "--g2", 1, 2, "--lifetime", 1, 2, "-o", out, code=2)[1]
    assert "no whole number" in call("plot", ptu, "--lifetime", 1, 2, "--reach-ps", 10, "-o", out, code=2)[1]


def test_g2_of_an_archive_by_a_scheduler(ptu: Path, tmp_path: Path) -> None:
    archive, out = tmp_path / "lab.parquet", tmp_path / "plot.png"
    call("convert", ptu, "-o", archive)
    words = ("--g2", 1, 2, "--reach-ps", 50_000_000, "-o", out, "--json")
    here = json.loads(call("plot", archive, *words)[0])["counts"]
    out.unlink()
    assert json.loads(call("plot", archive, *words, "--scheduler", "threads")[0])["counts"] == here > 1000
    lifetime = ("--lifetime", 1, 2, "--reach-ps", 50_000_000, "-o", out, "--json")
    counts = json.loads(call("plot", archive, *lifetime)[0])["counts"]
    assert json.loads(call("plot", archive, *lifetime, "--scheduler", "threads")[0])["counts"] == counts > 1000
    assert out.read_bytes().startswith(PNG)
    assert (
        "--scheduler is for --g2 and --lifetime of" in call("plot", ptu, *words, "--scheduler", "threads", code=2)[1]
    )


def test_an_absent_channel_is_a_usage_error(ptu: Path, tmp_path: Path) -> None:
    archive, out = tmp_path / "lab.parquet", tmp_path / "plot.png"
    call("convert", ptu, "-o", archive)
    for words in (
        (ptu, "--g2", 1, 3),
        (ptu, "--lifetime", 3, 1),
        (ptu, "--lifetime", 1, 3),
        (archive, "--g2", 3, 1, "--scheduler", "threads"),
        (archive, "--lifetime", 1, 3, "--scheduler", "threads"),
    ):
        assert "channel 3 has no tags - channels with tags: 1, 2" in call("plot", *words, "-o", out, code=2)[1]
    assert not out.exists()


def test_info_says_that_a_spool_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    with path.open("wb") as sink:
        ArrowWriter(sink).write(TagBlock.from_arrays([5], [1]))
    document = json.loads(call("info", path, "--json")[0])["files"][0]
    assert document["tags"] == 1
    assert "no end mark" in document["truncated"]
    assert "truncated: the stream has no end mark" in call("info", path)[1]


def test_what_is_made_of_a_truncated_file_says_so(ptu: Path, tmp_path: Path) -> None:
    last_ps = int(read_tags(ptu).t_ps[-2])
    ptu.write_bytes(ptu.read_bytes()[:-2])
    whole, out = tmp_path / "whole_C3.bin", tmp_path / "run.parquet"
    write_tags(whole, TagBlock.from_arrays([7, 2 * 10**10], [3, 3]))
    for files in ((ptu,), (ptu, whole)):
        assert "truncated, 2 bytes" in call("convert", *files, "-o", out)[1]
        assert read_tags(out).gaps.tolist() == [[last_ps + 1, 2**63 - 1]]
    text = tmp_path / "one_C1.txt"
    assert "no place for it" in call("convert", ptu, "--keep", 1, "-o", text, code=2)[1]
    call("convert", ptu, "--keep", 1, "-o", text, "--lossy")
    assert len(read_tags(text)) > 9000


def test_files_that_cannot_be_written_or_read_end_in_one_line(ptu: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nodir"
    for words, text in (
        (("plot", ptu, "-o", nowhere / "q.png"), "can't be written: No such file or directory"),
        (("plot", ptu, "-o", tmp_path / "q.xyz"), "no picture ends so - known: "),
        (("convert", ptu, "-o", nowhere / "q.parquet"), "can't be written: there is no folder"),
        (("convert", ptu, "-o", "/dev/full/q.txt", "--keep", 1), "can't be written: there is no folder /dev/full"),
    ):
        error = call(*words, code=2)[1]
        assert text in error.replace("\n", " ")
        assert "Traceback" not in error


def test_a_file_without_permission_is_named(ptu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(MisuseError, match=r"lab.ptu can't be read: Permission denied$"):
        read_tags(ptu)


def test_a_long_path_stands_whole_on_its_line(tmp_path: Path) -> None:
    folder = tmp_path / ("a_long_name_" * 15) / "[bold]"
    folder.mkdir(parents=True)
    write_tags(folder / "run.parquet", TagBlock.from_arrays([1, 2], [1, 1]))
    assert str(folder / "run.parquet") in call("info", folder / "run.parquet")[0].splitlines()


@pytest.mark.parametrize(
    ("name", "content"), [("x_C1.bin", b"\xff" * 8), ("x.qutag", b"\0" * 40 + b"\xff" * 10)], ids=["idq", "qutag"]
)
def test_errors_of_the_content_name_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = CliRunner().invoke(app, ["info", str(path)])
    assert done.exit_code != 0
    assert f"{path}: " in done.stderr
    assert done.stderr.count(str(path)) == 1


def test_curves_do_not_fall_to_zero_at_their_ends() -> None:
    axes = Histogram(Axis(0, 10, 3), np.array([5, 6, 7])).plot()
    (curve,) = axes.patches
    assert curve.get_path().vertices[:, 1].min() == 5


def test_convert_counts_what_a_format_cannot_hold(tmp_path: Path) -> None:
    source, out = tmp_path / "run.parquet", tmp_path / "run.tdc1"
    # two tags of channel 1 in one unit of 2 ns, one inside a gap
    write_tags(source, TagBlock.from_arrays([10_000, 10_500, 30_000, 50_000], [1, 1, 2, 2], gaps=[(29_000, 31_000)]))
    assert "a gap from 29000 to 31000 ps" in call("convert", source, "-o", out, code=2)[1]
    assert not out.exists()
    stdout, stderr = call("convert", source, "-o", out, "--lossy", "--json")
    assert json.loads(stdout) == {"file": str(out), "tags": 2, "left_out": 2, "gaps": 1, "bytes": 8}
    assert "1 gaps; left out 2 tags" in stderr
    two = tmp_path / "two_C1.bin"
    assert "choose one: qnode tags convert --keep CHANNEL" in call("convert", source, "-o", two, "--lossy", code=2)[1]


def test_convert_to_lab_time(tmp_path: Path) -> None:
    source, out = tmp_path / "run.parquet", tmp_path / "lab.parquet"
    second = 10**12
    write_tags(source, TagBlock.from_arrays([second, second + 500, 2 * second + 1000], [4, 1, 4]))
    call("convert", source, "-o", out, "--offset-ps", -5, "--skew", 1e-6)
    assert read_tags(out).t_ps.tolist() == [second + 999_995, second + 1_000_495, 2 * second + 2_000_995]
    call("convert", source, "-o", out, "--pps", 4)
    assert read_tags(out).t_ps.tolist() == [0, 500, second]  # 1 ppb fast: 500.0000005 ps
    assert "--pps takes no --offset-ps" in call("convert", source, "-o", out, "--pps", 4, "--offset-ps", 1, code=2)[1]
    assert "two are needed for a rate" in call("convert", source, "-o", out, "--pps", 1, code=2)[1]


def test_convert_reads_references(tmp_path: Path) -> None:
    source, out = tmp_path / "timestamps_C2.bin", tmp_path / "run.arrow"
    source.write_bytes(np.array([1, 5, 2, 7], "<u8").tobytes())
    call("convert", source, "-o", out, "--from", "idq_u64_ref", "--ref-period-ps", 1000)
    assert read_tags(out).t_ps.tolist() == [1005, 2007]
    assert "--ref-period-ps" in call("info", source, "--from", "idq_u64_ref", code=2)[1]


def test_rates_of_a_file_with_gaps_and_of_an_empty_one(tmp_path: Path) -> None:
    path, out = tmp_path / "run.parquet", tmp_path / "rates.png"
    write_tags(path, TagBlock.from_arrays([10, 250, 460], [1, 1, 2], gaps=[(90, 310)]))
    assert json.loads(call("plot", path, "--every-ps", 100, "-o", out, "--json")[0])["counts"] == 2
    assert out.read_bytes().startswith(PNG)
    out.unlink()
    write_tags(path, TagBlock.from_arrays([], []))
    assert "no count rates to draw: no tags" in call("plot", path, "-o", out, code=2)[1]
    assert (
        "channel 1 has no tags - channels with tags: none" in call("plot", path, "--g2", 1, 2, "-o", out, code=2)[1]
    )
