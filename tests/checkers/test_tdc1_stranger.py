"""A stranger's TDC1 client, from the maker's public scripts and documentation page, on pyserial.

It knows: CR LF ends a command, `;` too; answers are lines; in time-stamp mode u32 words follow without framing,
and bit 31 falling tells that 2**27 ticks of 2 ns went by.
"""

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

from qnode.errors import InstrumentError
from simulators.instruments.sfifteen.tdc1 import TDC1
from simulators.kit.testing import BackgroundLoop, ManualTime, running, wait_for

T0 = 1_800_000_000_000_000_000_000  # a TAI second, in ps
MS = 1_000_000_000
NONE = (np.zeros(0, np.int64), np.zeros(0, np.uint8))


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime(T0)


@pytest.fixture
def box(tmp_path: Path, clock: ManualTime) -> TDC1:
    return TDC1("alice.tagger", str(tmp_path / "tty" / "alice-tagger"), clock)


@pytest.fixture
def loop(box: TDC1) -> Iterator[BackgroundLoop]:
    with running(box) as background:
        yield background


@pytest.fixture
def port(box: TDC1, loop: BackgroundLoop) -> Iterator[serial.Serial]:
    with serial.Serial(box.address, timeout=5) as opened:
        yield opened


def ask(port: serial.Serial, command: str) -> str:
    port.write(f"{command}\r\n".encode())
    line = port.readline()
    assert line.endswith(b"\r\n")
    return line.decode().strip()


def read_words(port: serial.Serial, count: int) -> np.ndarray:
    raw = port.read(4 * count)
    assert len(raw) == 4 * count
    return np.frombuffer(raw, "<u4")


def times_and_patterns(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As in readevents4a.c: a roll-over is bit 31 going from 1 to 0, dummies included; then they are left out."""
    high = words >> 31
    epoch = np.cumsum(np.concatenate([[0], (high[:-1] == 1) & (high[1:] == 0)]))
    ticks = (words >> 5).astype(np.int64) + epoch * 2**27
    real = (words & 0x10) == 0
    return ticks[real] * 2_000, (words & 0xF)[real]


def start_stream(port: serial.Serial, duration_ms: int = 0) -> None:
    """As the maker's script does; the answer to a question behind it tells that it has begun."""
    port.write(f"INPKT;TTL;time {duration_ms};timestamp;counts?;\r\n".encode())
    assert ask(port, "mode?") == "3"


def test_who_it_is(port: serial.Serial) -> None:
    assert "TDC1" in ask(port, "*IDN?")
    assert "TDC1" in ask(port, "*idn?")


def test_settings_come_back(port: serial.Serial) -> None:
    port.write(b"time 250;")
    assert ask(port, "time?") == "250"
    for mode, number in {"singles": "0", "pairs": "1", "timestamp": "3"}.items():
        assert ask(port, f"{mode};mode?") == number
    assert ask(port, "NIM;level?").split() == ["-0.5", "V"]
    assert ask(port, "TTL;level?").split() == ["1.2", "V"]
    assert ask(port, "NEG -0.75;level?").split() == ["-0.75", "V"]
    assert ask(port, "POS 0.4;level?").split() == ["0.4", "V"]
    for reference in "012":
        assert ask(port, f"REFCLK {reference};REFCLK?") == reference
    assert ask(port, "*RST;time?;") == "1000"


def test_help_and_bad_commands_answer_in_words(port: serial.Serial) -> None:
    port.write(b"help\r\nmode?\r\n")
    text = b""
    while not text.endswith(b"\r\n0\r\n"):
        line = port.readline()
        assert line
        text += line
    assert b"counts?" in text
    assert "out of range" in ask(port, "time 65536")
    assert "out of range" in ask(port, "POS 3.4")
    assert "0, 1 or 2" in ask(port, "REFCLK 3")
    assert "bad parameter" in ask(port, "time soon")
    assert "unknown command" in ask(port, "frobnicate")
    assert ask(port, "time?") == "1000"


def test_levels_and_reference_are_what_the_world_sees(box: TDC1, port: serial.Serial) -> None:
    assert box.playback.powered
    ask(port, "TTL;REFCLK 1;mode?")
    assert dict(box.playback.threshold_v) == {1: 1.2, 2: 1.2, 3: 1.2, 4: 1.2}
    assert all(box.playback.enabled[i] for i in (1, 2, 3, 4))
    assert box.playback.external_reference
    before = box.playback.revision
    ask(port, "NIM;REFCLK 2;mode?")
    assert box.playback.threshold_v[3] == -0.5
    assert not box.playback.external_reference
    assert box.playback.revision > before


def test_singles_answer_after_the_integration_time(box: TDC1, clock: ManualTime, port: serial.Serial) -> None:
    port.write(b"singles;time 100;counts?;mode?\r\n")
    assert port.readline() == b"0\r\n"
    t_ps = np.array([5 * MS, 6 * MS, 60 * MS, 99 * MS, 100 * MS], np.int64)
    box.deliver(T0, t_ps, np.array([1, 2, 1, 4, 1], np.uint8), T0 + 120 * MS)
    port.timeout = 0.05
    assert port.readline() == b""  # lab time has not moved
    port.timeout = 5
    clock.advance(120 * MS)
    assert port.readline().split() == [b"2", b"1", b"0", b"1"]


def test_pairs_count_coincidences(box: TDC1, clock: ManualTime, port: serial.Serial) -> None:
    port.write(b"pairs;time 10;counts?;mode?\r\n")
    assert port.readline() == b"1\r\n"
    t_ps = np.array([1_000, 1_500, 50_000, 50_100, 90_000, 90_200], np.int64)
    box.deliver(T0, t_ps, np.array([1, 3, 2, 4, 1, 2], np.uint8), T0 + 20 * MS)
    clock.advance(20 * MS)
    # singles of 1..4, then 1-3, 1-4, 2-3, 2-4
    assert [int(n) for n in port.readline().split()] == [2, 2, 1, 1, 1, 0, 0, 1]


def test_an_aborted_count_never_answers(box: TDC1, clock: ManualTime, port: serial.Serial) -> None:
    port.write(b"singles;time 10;counts?;abort;time?\r\n")
    assert port.readline() == b"10\r\n"
    clock.advance(20 * MS)
    box.deliver(T0, *NONE, T0 + 20 * MS)
    assert ask(port, "mode?") == "0"


def test_ten_seconds_of_stream_over_37_roll_overs(box: TDC1, clock: ManualTime, port: serial.Serial) -> None:
    start_stream(port)
    rng = np.random.default_rng(7)
    # A silent stretch longer than a roll-over lies between the two halves.
    t_ps = np.sort(
        np.concatenate([rng.integers(0, 3_000 * MS, 20_000), rng.integers(7_000 * MS, 9_990 * MS, 20_000)])
    )
    channel = rng.integers(1, 5, t_ps.size).astype(np.uint8)
    got = b""
    for part in range(100):
        begin, end = part * 100 * MS, (part + 1) * 100 * MS
        inside = (t_ps >= begin) & (t_ps < end)
        box.deliver(T0, t_ps[inside], channel[inside], T0 + end)
        clock.advance(100 * MS)
        got += port.read(min(port.in_waiting, int(rng.integers(1, 5_000))))  # cut anywhere
    # 74 half roll-overs fit into 10 s; each shows itself by a dummy (edges fall into none of those ticks).
    distinct = np.unique(t_ps // 2_000).size
    missing = 4 * (distinct + 74) - len(got)
    got += port.read(missing)
    words = np.frombuffer(got, "<u4")
    assert words.size == distinct + 74
    times, patterns = times_and_patterns(words)
    seen = [(int(t), n + 1) for t, p in zip(times, patterns, strict=True) for n in range(4) if p >> n & 1]
    sent = sorted({(int(t) // 2_000 * 2_000, int(c)) for t, c in zip(t_ps, channel, strict=True)})
    assert seen == sent


def test_a_timed_stream_ends_by_itself(box: TDC1, port: serial.Serial) -> None:
    start_stream(port, duration_ms=5)
    t_ps = np.array([1 * MS, 4 * MS, 6 * MS], np.int64)
    box.deliver(T0, t_ps, np.array([1, 2, 3], np.uint8), T0 + 10 * MS)
    times, patterns = times_and_patterns(read_words(port, 2))
    assert times.tolist() == [1 * MS, 4 * MS]
    assert patterns.tolist() == [1, 2]
    assert ask(port, "time?") == "5"


def test_abort_ends_the_stream(box: TDC1, port: serial.Serial) -> None:
    start_stream(port)
    box.deliver(T0, np.array([2_000], np.int64), np.array([1], np.uint8), T0 + MS)
    assert read_words(port, 1).tolist() == [0b100001]
    port.write(b"abort\r\n")
    assert ask(port, "mode?") == "3"
    box.deliver(T0, np.array([2 * MS], np.int64), np.array([1], np.uint8), T0 + 3 * MS)
    assert ask(port, "time?") == "0"


def test_a_reader_that_sleeps_loses_words_and_is_told(box: TDC1) -> None:
    box.queue_bytes = 1 << 20
    tick = np.arange(250_000, dtype=np.int64)
    with running(box), serial.Serial(box.address, timeout=5) as port:
        start_stream(port)
        for part in range(3):  # 3 MB; 1 MiB and what the terminal holds is kept
            begin = part * 250_000
            box.deliver(T0, (tick + begin) * 2_000, np.ones(tick.size, np.uint8), T0 + (begin + 250_000) * 2_000)
        wait_for(lambda: box.overflow_words > 250_000, "lost words")
        kept = 750_000 - box.overflow_words
        assert kept * 4 >= 1 << 20
        words = read_words(port, kept)
        # What is lost is lost in whole words: the kept ones are in step, and in order.
        assert words.tolist() == ((np.arange(kept, dtype=np.uint32) << 5) | 1).tolist()
        assert int(ask(port, "status?").split()[0], 16) & 0x10


def test_a_million_words_a_second_get_through(box: TDC1, port: serial.Serial) -> None:
    start_stream(port)
    tick = np.arange(200_000, dtype=np.int64)
    one = np.ones(tick.size, np.uint8)
    received = 0
    began = time.process_time()

    def produce() -> None:
        for part in range(10):
            begin = part * 200_000
            box.deliver(T0, (tick + begin) * 2_000, one, T0 + (begin + 200_000) * 2_000)

    producer = threading.Thread(target=produce)
    producer.start()
    while received < 8_000_000:
        received += len(port.read(min(8_000_000 - received, 1 << 16)))
    producer.join(60)
    # Two million words; processor time of both ends together: a busy machine makes it no slower.
    assert time.process_time() - began < 10
    assert box.overflow_words == 0


def test_unplugged_while_streaming_the_client_sees_a_hang_up(
    box: TDC1, loop: BackgroundLoop, port: serial.Serial
) -> None:
    start_stream(port)
    loop.call(box.unplug())
    assert not box.playback.powered
    assert not os.path.lexists(box.address)
    with pytest.raises((serial.SerialException, OSError)):
        port.read(4)
    box.deliver(T0, np.array([0], np.int64), np.array([1], np.uint8), T0 + MS)  # into the void
    loop.call(box.plug())
    with serial.Serial(box.address, timeout=5) as again:
        assert ask(again, "mode?") == "0"


def test_a_port_may_be_closed_and_opened_again(box: TDC1, loop: BackgroundLoop) -> None:
    for _ in range(3):
        with serial.Serial(box.address, timeout=5) as port:
            assert ask(port, "time?") == "1000"


def test_a_stale_link_is_replaced(box: TDC1) -> None:
    path = Path(box.address)
    path.parent.mkdir()
    path.symlink_to("/dev/pts/999999")
    with running(box):
        assert stat.S_ISCHR(path.stat().st_mode)
    assert not os.path.lexists(path)


def test_a_path_that_is_taken_is_named(box: TDC1) -> None:
    path = Path(box.address)
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(InstrumentError, match=r"alice\.tagger: .*alice-tagger is taken .* - "), running(box):
        pass
    assert path.read_text() == "precious"
