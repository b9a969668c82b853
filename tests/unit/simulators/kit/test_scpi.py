import pytest

from simulators.kit import scpi
from simulators.kit._scpi_reader import MAX_BLOCK_BYTES, UnreadableError
from simulators.kit.scpi import Call, ScpiConnection, ScpiDevice, ScpiError


class Bench:
    """A device with one of each, and a log of what it was told."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.device = ScpiDevice("MAKER,MODEL,1,2", lambda: self.log.append("reset"))
        device = self.device
        device.setting("SOURce#:VOLTage[:LEVel][:IMMediate][:AMPLitude]", self.told, self.note)
        device.setting("SOURce#:VOLTage[:LEVel][:IMMediate]:OFFSet", self.told, self.note)
        device.setting("[SOURce#:]FREQuency[:CW]", self.told, self.note_real)
        device.setting("OUTPut#[:STATe]", self.told, self.note_boolean)
        device.command("DATA", self.note_data, (2, 3))
        device.query("DATA", lambda call: scpi.block(b"\n#1x;"))
        device.command(
            "MODE", lambda call: self.log.append(call.choice(0, {"INTernal": "int", "EXTernal": "ext"})), 1
        )
        device.command("NAME", lambda call: self.log.append(call.string(0)), 1)
        device.command("GO", lambda call: self.log.append("go"))

    def told(self, call: Call) -> str:
        return f"told {call.suffix(0, 4)}"

    def note(self, call: Call) -> None:
        self.log.append((call.suffix(0, 4), call.text(0)))

    def note_real(self, call: Call) -> None:
        self.log.append(call.real(0, -1e9, 1e9))

    def note_boolean(self, call: Call) -> None:
        self.log.append(call.boolean(0))

    def note_data(self, call: Call) -> None:
        *names, last = range(len(call.arguments))
        self.log.append((*(call.text(name) for name in names), call.block(last)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def connection(bench: Bench) -> ScpiConnection:
    return ScpiConnection(bench.device)


def error_of(connection: ScpiConnection) -> int:
    return int(connection.feed(b"SYST:ERR?\n").split(b",")[0])


@pytest.mark.parametrize(
    "line",
    [
        "SOURce2:VOLTage:LEVel:IMMediate:AMPLitude 1.5",
        "SOUR2:VOLT 1.5",
        ":sour2:volt:lev 1.5",
        "Source2:Volt:Imm:Ampl  1.5 ",
        "SOUR2:VOLT 1.5\r",
    ],
)
def test_long_short_and_left_out_words(bench, connection, line):
    assert connection.feed(line.encode() + b"\n") == b""
    assert bench.log == [(2, "1.5")]
    assert error_of(connection) == 0


@pytest.mark.parametrize(
    "line", ["SOURC2:VOLT 1", "SOUR2:VOLTA 1", "SOUR2:LEV:VOLT 1", "FOO", "SOUR2", "*FOO", "GO?"]
)
def test_other_words_are_undefined(bench, connection, line):
    assert connection.feed(line.encode() + b"\n") == b""
    assert bench.log == []
    assert error_of(connection) == -113


def test_number_in_the_header(bench, connection):
    connection.feed(b"SOUR:VOLT 3;:SOUR4:VOLT 4\n")
    assert bench.log == [(1, "3"), (4, "4")]
    connection.feed(b"SOUR5:VOLT 3\n")
    assert error_of(connection) == -114
    connection.feed(b"GO1\n")
    assert error_of(connection) == -113


def test_number_of_a_word_that_is_left_out(bench, connection):
    assert connection.feed(b"FREQ?;:SOUR3:FREQ:CW?\n") == b"told 1;told 3\n"


def test_implied_path(bench, connection):
    connection.feed(b"SOUR2:VOLT:AMPL 1;OFFS 2;:GO;SOUR3:VOLT 3\n")
    assert bench.log == [(2, "1"), (2, "2"), "go", (3, "3")]
    assert error_of(connection) == 0


def test_common_commands_leave_the_path_alone(bench, connection):
    assert connection.feed(b"SOUR2:VOLT:AMPL 1;*OPC?;OFFS 2\n") == b"1\n"
    assert bench.log == [(2, "1"), (2, "2")]


def test_path_ends_with_the_message(bench, connection):
    connection.feed(b"SOUR2:VOLT:AMPL 1\nOFFS 2\n")
    assert bench.log == [(2, "1")]
    assert error_of(connection) == -113


def test_full_header_after_a_semicolon_needs_a_colon(bench, connection):
    connection.feed(b"SOUR2:VOLT 1;SOUR3:VOLT 2\n")
    assert bench.log == [(2, "1")]
    assert error_of(connection) == -113


def test_replies_of_a_message_are_joined(connection):
    assert connection.feed(b"*IDN?;*OPC?\n*TST?\n") == b"MAKER,MODEL,1,2;1\n0\n"


def test_bad_query_is_silent_in_the_middle_too(connection):
    assert connection.feed(b"*OPC?;NONSENSE?;*TST?\n") == b"1;0\n"
    assert error_of(connection) == -113


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_segments_may_be_cut_anywhere(bench, connection, size):
    stream = b'SOUR2:VOLT:AMPL 1;OFFS 2\nDATA "a;b",#15x\ny;#NAME "q""q"\n*IDN?\n'
    replies = b"".join(connection.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert bench.log == [(2, "1"), (2, "2"), ('"a;b"', b"x\ny;#"), 'q"q']
    assert replies == b"MAKER,MODEL,1,2\n"
    assert error_of(connection) == 0


def test_block_ends_the_command_without_a_line_feed(bench, connection):
    connection.feed(b'DATA "n",#13abc')
    assert bench.log == [('"n"', b"abc")]
    assert connection.feed(b"*IDN?\n") == b"MAKER,MODEL,1,2\n"


@pytest.mark.parametrize("separator", [b"", b"\n", b"\r\n", b";:", b" ; :"])
def test_what_follows_a_block(bench, connection, separator):
    connection.feed(b'DATA "n",#13abc' + separator + b"MODE INT\n")
    assert bench.log == [('"n"', b"abc"), "int"]
    assert error_of(connection) == 0


def test_separator_that_comes_late_belongs_to_the_block(bench, connection):
    connection.feed(b'SOUR2:VOLT:AMPL 1;:DATA "n",#13abc')
    connection.feed(b"\r")
    connection.feed(b"\n")
    connection.feed(b"GO\n")
    assert bench.log[1:] == [('"n"', b"abc"), "go"]
    assert error_of(connection) == 0


def test_block_of_no_length_and_of_unknown_length(bench, connection):
    connection.feed(b'DATA "n",#10\nDATA "m",#0ab;c\n')
    assert bench.log == [('"n"', b""), ('"m"', b"ab;c")]


def test_arguments_before_a_block(bench, connection):
    connection.feed(b'DATA "n" , 5 ,#12xyGO\n')
    assert bench.log == [('"n"', "5", b"xy"), "go"]


def test_string_ends_a_command_of_a_client_without_line_feed(bench, connection):
    connection.feed(b'NAME "file.awg"')
    assert connection.feed(b"*IDN?\n") == b"MAKER,MODEL,1,2\n"
    assert bench.log == ["file.awg"]


def test_string_that_is_not_closed(bench, connection):
    connection.feed(b'NAME "file\nGO\n')
    assert bench.log == ["go"]
    assert error_of(connection) == -151


def test_hash_that_starts_no_block(bench, connection):
    connection.feed(b"MODE #HFF\nNAME a#1b\nGO\n")
    assert bench.log == ["go"]
    assert error_of(connection) == -224
    assert error_of(connection) == -104


def test_reply_block_may_hold_anything(connection):
    assert connection.feed(b"DATA?;*OPC?\n") == b"#15\n#1x;;1\n"


def test_endless_input_is_cut_off(connection):
    with pytest.raises(UnreadableError):
        connection.feed(b"A" * 1_100_000)


def test_a_block_beyond_reason_is_cut_off(connection):
    with pytest.raises(UnreadableError, match=str(MAX_BLOCK_BYTES)):
        connection.feed(b'DATA "n",#9999999999x')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-.5", -0.5),
        ("2.e3", 2000.0),
        ("10 MHz", 1e7),
        ("3MV", 3e-3),
        ("1kHz", 1e3),
        ("5us", 5e-6),
        ("MAX", 1e9),
        ("minimum", -1e9),
    ],
)
def test_numbers(bench, connection, text, value):
    connection.feed(f"FREQ {text}\n".encode())
    assert bench.log == [pytest.approx(value, rel=1e-12)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FREQ abc", -104),
        ("FREQ 5 parsec", -131),
        ("FREQ 2e9", -222),
        ("FREQ", -109),
        ("FREQ 1,2", -108),
        ("FREQ? 1", -108),
        ("MODE other", -224),
        ("NAME bare", -104),
        ('DATA "n",5', -104),
        ('DATA "n",#15ab', -161),
        ("OUTP maybe", -104),
    ],
)
def test_arguments_that_do_not_fit(bench, connection, line, code):
    connection.feed(line.replace("#15ab", "#A5ab").encode() + b"\n")
    assert bench.log == []
    assert error_of(connection) == code
    assert error_of(connection) == 0


@pytest.mark.parametrize(("text", "value"), [("ON", True), ("off", False), ("1", True), ("0", False), ("0.2", False)])
def test_booleans(bench, connection, text, value):
    connection.feed(f"OUTP2 {text}\n".encode())
    assert bench.log == [value]


@pytest.mark.parametrize("text", ["INT", "internal"])
def test_choices(bench, connection, text):
    connection.feed(f"MODE {text}\n".encode())
    assert bench.log == ["int"]


def test_queue_overflows_at_its_end(connection):
    connection.feed(b"NONSENSE\n" * 40)
    assert connection.feed(b"SYST:ERR:COUN?\n") == b"32\n"
    codes = [error_of(connection) for _ in range(33)]
    assert codes == [-113] * 31 + [-350, 0]


def test_error_text_names_the_header(connection):
    connection.feed(b"NONSENSE\n")
    assert connection.feed(b"SYSTem:ERRor:NEXT?\n") == b'-113,"Undefined header;NONSENSE"\n'
    assert connection.feed(b"SYSTem:ERRor:NEXT?\n") == b'0,"No error"\n'


def test_status_registers(connection):
    assert connection.feed(b"*ESR?\n") == b"128\n"
    connection.feed(b"NONSENSE\nMODE other\n*OPC\n")
    # Operation complete 1, execution error 16, command error 32 (IEEE 488.2, 11.5.1).
    assert connection.feed(b"*ESR?;*ESR?\n") == b"49;0\n"
    assert connection.feed(b"*ESE 32;*SRE 4;*ESE?;*SRE?\n") == b"32;4\n"
    # Error queue 4, requested service 64; the event summary 32 is gone since *ESR? was read.
    assert connection.feed(b"*STB?\n") == b"68\n"
    connection.feed(b"NONSENSE\n")
    assert connection.feed(b"*STB?\n") == b"100\n"
    connection.feed(b"*CLS\n")
    assert connection.feed(b"*STB?;*ESR?\n") == b"0;0\n"
    assert error_of(connection) == 0


def test_power_on_forgets_errors(bench, connection):
    connection.feed(b"NONSENSE\n*ESR?\n")
    bench.device.power_on()
    assert error_of(connection) == 0
    assert connection.feed(b"*ESR?\n") == b"128\n"


def test_reset_wait_and_test(bench, connection):
    assert connection.feed(b"*RST;*WAI;*TST?\n") == b"0\n"
    assert bench.log == ["reset"]


def test_two_connections_share_errors_and_not_paths(bench):
    one, two = ScpiConnection(bench.device), ScpiConnection(bench.device)
    one.feed(b"SOUR2:VOLT:AMPL 1;")
    two.feed(b"OFFS 2\n")
    one.feed(b"OFFS 3\n")
    assert bench.log == [(2, "1"), (2, "3")]
    assert error_of(one) == -113
    assert error_of(two) == 0


def test_empty_units_are_nothing(connection):
    assert connection.feed(b"\n;;\n \r\n;*OPC?;\n") == b"1\n"
    assert error_of(connection) == 0


def test_error_carries_its_code_and_detail():
    assert str(ScpiError(-222, "too hot")) == "Data out of range;too hot"


def test_all_errors_in_one_reply(connection: ScpiConnection) -> None:
    connection.feed(b"NONSENSE\nFREQ 2e9\n")
    assert connection.feed(b"SYST:ERR:ALL?\n") == b'-113,"Undefined header;NONSENSE",-222,"Data out of range"\n'
    assert connection.feed(b"SYST:ERR:ALL?\n") == b'0,"No error"\n'


@pytest.mark.parametrize("unit", ["dBm", " dB", "DEG", " pct"])
def test_units_that_have_no_multiples(bench: Bench, connection: ScpiConnection, unit: str) -> None:
    connection.feed(f"FREQ -12.5{unit}\n".encode())
    assert bench.log == [-12.5]
    assert error_of(connection) == 0
