import pytest

from simulators.instruments.tektronix._disk import Disk
from simulators.kit.scpi import ScpiError


def test_paths_are_those_of_windows():
    disk = Disk()
    disk.change_folder("c:/users")
    assert disk.current == r"C:\Users"
    disk.write(r"oem\A.bin", b"12")
    assert disk.read(r"C:\USERS\OEM\a.BIN") == b"12"
    disk.write(r"\top.bin", b"3")
    assert disk.read(r"..\..\..\top.bin") == b"3"


def test_catalogue_counts_and_lists():
    disk = Disk()
    disk.write("b.awg", b"12345")
    disk.write("a.awg", b"")
    disk.make_folder("Z")
    used, free, *entries = disk.catalogue(".").split(",", 2)
    assert int(used) == 5
    assert int(free) > 0
    assert entries == ['"Z,DIR,0","a.awg,,0","b.awg,,5"']


def test_file_is_replaced():
    disk = Disk()
    disk.write("a", b"1")
    disk.write("A", b"22")
    assert disk.read("a") == b"22"
    assert disk.catalogue(".").count(",,") == 1


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda disk: disk.read("none"), -256),
        (lambda disk: disk.delete("none"), -256),
        (lambda disk: disk.delete("C:\\Users"), -256),
        (lambda disk: disk.change_folder("none"), -256),
        (lambda disk: disk.catalogue("none"), -256),
        (lambda disk: disk.make_folder(r"none\deeper"), -257),
        (lambda disk: disk.write(r"none\a", b""), -257),
        (lambda disk: disk.write("C:\\Users", b""), -257),
        (lambda disk: disk.write("", b""), -257),
    ],
)
def test_what_is_not_there(action, code):
    with pytest.raises(ScpiError) as caught:
        action(Disk())
    assert caught.value.code == code


def test_empty_folder_is_deleted():
    disk = Disk()
    disk.make_folder("x")
    disk.delete("X")
    with pytest.raises(ScpiError):
        disk.change_folder("x")
