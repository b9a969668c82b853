"""Spools that became archives, and ones that were left behind."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from qnode.errors import MisuseError
from qnode.tags import UNTIL_PS, Recorder, TagBlock, archive_spool, read_tags

TAGS = TagBlock.from_arrays(np.arange(5000) * 7, np.full(5000, 2))


def spool(folder: Path) -> Path:
    """Closed, 5000 tags up to 34 993 ps, due to end at 50 000 ps."""
    path = folder / "tags-1.arrow"
    recorder = Recorder(path, meta={"run": "42", UNTIL_PS: "50000"})
    recorder.put(TAGS)
    recorder.close()
    return path


def test_a_closed_spool_becomes_an_archive_with_its_metadata(tmp_path: Path) -> None:
    path = spool(tmp_path)
    archive = archive_spool(path)
    assert (archive.path, archive.tags, archive.gap) == (tmp_path / "tags-1.parquet", 5000, None)
    assert [file.name for file in tmp_path.iterdir()] == ["tags-1.parquet"]
    found = read_tags(archive.path)
    np.testing.assert_array_equal(found.t_ps, TAGS.t_ps)
    assert not len(found.gaps)
    assert pyarrow.parquet.read_schema(archive.path).metadata[b"run"] == b"42"


@pytest.mark.parametrize("cut_bytes", [8, 9, 40])
def test_a_cut_spool_is_archived_to_its_last_whole_batch_and_the_rest_is_a_gap(
    tmp_path: Path, cut_bytes: int
) -> None:
    path = spool(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut_bytes])
    archive = archive_spool(path)
    found = read_tags(archive.path)
    if cut_bytes == 8:  # the end mark alone
        assert archive.gap == (34_994, 50_000)
        np.testing.assert_array_equal(found.t_ps, TAGS.t_ps)
    else:  # the only batch with tags is torn
        assert archive.gap == (0, 50_000)
        assert not len(found)
    assert found.gaps.tolist() == [list(archive.gap)]
    assert not path.exists()


def test_a_spool_whose_archive_is_whole_is_only_removed(tmp_path: Path) -> None:
    path = spool(tmp_path)
    left = path.read_bytes()
    archive_spool(path)
    before = (tmp_path / "tags-1.parquet").read_bytes()
    path.write_bytes(left)
    assert archive_spool(path).tags == 5000
    assert not path.exists()
    assert (tmp_path / "tags-1.parquet").read_bytes() == before


def test_no_room_or_a_stop_leaves_the_spool_as_it_is(tmp_path: Path) -> None:
    path = spool(tmp_path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="MiB are kept for journals and results"):
        archive_spool(path, reserve_bytes=1 << 60)
    with pytest.raises(OSError, match="stopped"):
        archive_spool(path, go_on=lambda: False)
    assert [file.name for file in tmp_path.iterdir()] == ["tags-1.arrow"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"no arrow stream at all"])
def test_what_is_no_spool_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tags-1.arrow"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=r"tags-1.arrow is no spool of tags"):
        archive_spool(path)
    assert path.read_bytes() == content
