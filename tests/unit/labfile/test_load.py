"""Reading: not YAML, not a lab file, all faults at once, the part that the stack never sees, the hash."""

import math
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qnode.labfile import (
    Lab,
    LabFileError,
    lab_hash,
    line_of,
    load_lab,
    load_lab_and_world,
    load_world,
    resolve_address,
)

EXAMPLE = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


def fault_texts(path, load=load_lab):
    with pytest.raises(LabFileError) as caught:
        load(path)
    return [str(fault) for fault in caught.value.faults]


def dump(path, tree):
    yaml = YAML()
    yaml.width = 1000
    with path.open("w") as file:
        yaml.dump(tree, file)
    return path


@pytest.fixture
def tree():
    return YAML().load(EXAMPLE.read_text())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ":1: the file is empty; see config/two_nodes.yaml for a lab file"),
        (b"# nothing yet\n", ":1: the file is empty; see config/two_nodes.yaml for a lab file"),
        (b"- a\n- b\n", ":1: not a lab file: expected keys such as `lab:` and `nodes:`"),
        (b"a sentence\n", ":1: not a lab file: expected keys such as `lab:` and `nodes:`"),
        (b"\xff\xfe\x00", ":1: not text in UTF-8; give the path of a lab file"),
        (b"schema: 1\nlab: [1, 2\nnodes: }", ":3: not YAML: expected ',' or ']', but got ':'"),
        (b"lab:\n\t- x", ":2: not YAML: found character '\\t' that cannot start any token"),
        (b"schema: 1\nlab: a\nnodes: {}\nlab: b\n", ":4: key `lab` stands twice; keep one of the two"),
        (b"schema: 1\nlab: a\nnodes:\n  a: 1\n  b: 2\n  a: 3\n", ":6: key `a` stands twice; keep one of the two"),
    ],
)
def test_what_is_no_lab_file(tmp_path, content, fault):
    path = tmp_path / "lab.yaml"
    path.write_bytes(content)
    assert fault_texts(path) == [f"{path}{fault}"]


def test_a_file_that_is_not_there_has_no_line(tmp_path):
    path = tmp_path / "nowhere.yaml"
    reason = "can't be read: No such file or directory; give the path of a lab file"
    assert fault_texts(path) == [f"{path}: {reason}"]


def test_all_faults_come_at_once_in_the_order_of_lines(tmp_path, changed):
    lab = changed(
        ("bright_state: {alice: 0.30", "bright_state: {alice: 1.3"),
        ("to: bob.qubit.optical_pulse, kind: light", "to: bob.qubit.optical_pulse, kind: sound"),
        ("seed: 5", "seed: -1"),
    )
    lines = [lab.line("alice: 1.3"), lab.line("sound"), lab.line("seed: -1")]
    assert [line for line, _ in lab.faults()] == lines
    assert lines == sorted(lines)


def test_what_does_not_fit_together_is_found_beside_a_fault_of_the_world(changed):
    lab = changed(("between: [alice, bob]", "between: [alice, eve]"), ("seed: 5", "seed: -1"))
    assert {line for line, _ in lab.faults()} == {
        lab.line("between:"), lab.line("bright_state:"), lab.line("seed: -1")
    }  # fmt: skip


def test_the_world_is_not_looked_at_by_load_lab(changed):
    lab = changed(("seed: 5", "seed: -1"))
    assert load_lab(lab.path) == load_lab(EXAMPLE)


def test_a_file_without_a_world_is_a_lab_but_no_world(tmp_path, tree):
    del tree["world"]
    path = dump(tmp_path / "lab.yaml", tree)
    lab, world = load_lab_and_world(path)
    assert world is None
    assert lab == load_lab(EXAMPLE)
    assert fault_texts(path, load_world) == [
        f"{path}:1: no `world:` part; simulators and `qnode predict` need one"
    ]  # fmt: skip


def test_the_world_comes_with_the_lab_in_one_reading():
    lab, world = load_lab_and_world(EXAMPLE)
    assert (lab, world) == (load_lab(EXAMPLE), load_world(EXAMPLE))


def test_a_file_is_read_as_it_is_now_whatever_was_read_of_it_before(changed):
    path = changed(("lab: two_nodes", "lab: first")).path
    assert load_lab(path).lab == "first"
    lab, world = load_lab_and_world(path)
    assert (lab.lab, world is None) == ("first", False)
    assert load_lab(path) == lab
    path.write_text(path.read_text().replace("lab: first", "lab: second"))
    assert load_lab(path).lab == "second"


def test_exponents_without_a_sign_are_numbers(changed):
    # YAML 1.1 reads 4e-4 as text.
    lab = changed(("collection_efficiency: 4.0e-4", "collection_efficiency: 4e-4"))
    assert load_world(lab.path).nodes["alice"].emitter.collection_efficiency == pytest.approx(0.0004)


def test_a_merge_key_does_not_confuse_lines(changed):
    lab = changed(
        ("lab: two_nodes", "lab: two_nodes\ndata: &d {folder: here}"),
        ("bus: {address: 127.0.1.20}", "bus: {<<: *d, address: 127.0.1.20}"),
    )
    assert lab.faults() == [(lab.line("<<: *d"), "unknown key `nodes.bob.bus.folder`; known are address, "
                             "command_port, stream_port, tap_port")]  # fmt: skip


def test_line_of_the_deepest_part_that_is_there(changed):
    lab = changed()
    assert line_of(lab.path, ("links", 0, "round", "attempts")) == lab.line("attempts: 250")
    assert line_of(lab.path, ("links", 0, "nothing")) == lab.line("name: alice-bob, between")
    assert line_of(lab.path, ("nothing",)) == 1


def test_data_addresses_stand_below_the_data_folder(tmp_path):
    assert resolve_address("data:tty/alice", tmp_path) == str(tmp_path / "tty" / "alice")
    assert resolve_address("127.0.0.1", tmp_path) == "127.0.0.1"


# --- the hash ---


def reversed_keys(node):
    """The same document with every mapping written the other way round."""
    if isinstance(node, dict):
        return {key: reversed_keys(node[key]) for key in reversed(list(node))}
    if isinstance(node, list):
        return [reversed_keys(item) for item in node]
    return node


def leaves(node, place=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*place, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*place, index))
    else:
        yield place, node


def test_hash_does_not_depend_on_the_order_of_keys_or_on_how_it_is_written(tmp_path, tree):
    plain = YAML(typ="safe").load(EXAMPLE.read_text())
    path = dump(tmp_path / "lab.yaml", reversed_keys(plain))
    assert path.read_text().index("world:") < path.read_text().index("nodes:")
    assert lab_hash(load_lab(path)) == lab_hash(load_lab(EXAMPLE))


def test_hash_does_not_depend_on_a_default_being_written_down(changed):
    lab = changed(("bus: {address: 127.0.1.20}", "bus: {address: 127.0.1.20, command_port: 5700}"))
    assert lab_hash(load_lab(lab.path)) == lab_hash(load_lab(EXAMPLE))


def test_hash_does_not_depend_on_the_world(changed):
    lab = changed(("seed: 5", "seed: 2"), ("indistinguishability: 0.9", "indistinguishability: 0.5"))
    assert lab_hash(load_lab(lab.path)) == lab_hash(load_lab(EXAMPLE))


def test_hash_changes_with_every_number_of_the_lab():
    document = YAML(typ="safe").load(EXAMPLE.read_text())
    del document["world"]
    numbers = [
        place
        for place, value in leaves(document)
        if isinstance(value, int | float) and not isinstance(value, bool) and place != ("schema",)
    ]
    hashes = {lab_hash(Lab.model_validate(document))}
    for *place, last in numbers:
        here = document
        for part in place:
            here = here[part]
        before = here[last]
        here[last] = before + 1 if isinstance(before, int) or before >= 1 else math.nextafter(before, 1)
        hashes.add(lab_hash(Lab.model_validate(document)))
        here[last] = before
    assert len(numbers) > 60
    assert len(hashes) == len(numbers) + 1


def test_numbers_of_a_station_block_are_plain_ones() -> None:
    """As they come from the file they know how they were written, and no encoder takes them."""
    (value,) = {
        options["initial_value"]
        for path, options in load_lab(EXAMPLE).nodes["alice"].instruments["repump"].parameters.items()
        if path == "power"
    }
    assert type(value) is float
