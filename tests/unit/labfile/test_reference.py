"""The reference pages of the lab file say what the models say: keys, defaults, ranges, connectors."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from qnode import labfile
from qnode.labfile import Lab, World
from qnode.labfile._cross import CLOCK_OUTPUTS, ELEMENT_CONNECTORS, FIXED_CONNECTORS

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def tables(page: str) -> dict[str, list[list[str]]]:
    """Heading to the rows of the tables below it, without their head."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        rows = [
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in section.splitlines()
            if line.startswith("| `")
        ]
        found[section.splitlines()[0].strip()] = rows
    return found


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def schemas() -> dict[str, dict]:
    found = {}
    for root in (Lab, World):
        schema = root.model_json_schema(by_alias=True)
        found |= schema.pop("$defs", {}) | {root.__name__: schema}
    return found


def bounds(schema: dict) -> str:
    """A range in the words of the page."""
    if "anyOf" in schema:
        return "; or ".join(text for one in schema["anyOf"] if (text := bounds(one)))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if isinstance(schema.get("additionalProperties"), dict):
        return bounds(schema["additionalProperties"])
    words = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("exclusiveMaximum", "below"))
    return " ".join(f"{word} {schema[key]:g}" for key, word in words if key in schema and schema[key] < 2**62)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_page_has_every_key_of_a_part_with_default_and_range(name):
    rows = tables("lab-file.md")[name]
    schema = schemas()[name]
    assert [row[0].strip("`") for row in rows] == list(schema["properties"])
    model: type[BaseModel] = getattr(labfile, name)
    fields = {field.alias or key: field for key, field in model.model_fields.items()}
    for cell, meaning, _, default, range_ in rows:
        key = cell.strip("`")
        assert meaning.endswith("."), key
        assert range_.rstrip(" |") == bounds(schema["properties"][key]), key
        if fields[key].is_required():
            assert default == "needed", key
            continue
        value = fields[key].get_default(call_default_factory=True)
        if value is None:
            assert default == "none", key
        elif isinstance(value, BaseModel):
            assert default in ("empty", "its defaults"), key
        elif value in ((), {}, ""):
            assert default == "empty", key
        else:
            assert default == f"`{str(value).lower()}`", key


@pytest.mark.parametrize(
    "key",
    [
        f"{name}.{key}"
        for name, schema in schemas().items()
        for key in schema["properties"]
        if re.search(r"(?<!per)_(ns|ps|us|ms|s|hz|km|nm|deg|v)$", key)
    ],
)
def test_the_unit_in_a_name_is_the_unit_on_the_page(key):
    name, _, key = key.partition(".")
    row = next(row for row in tables("lab-file.md")[name] if row[0] == f"`{key}`")
    words = {"hz": "Hz", "deg": "degree", "v": "V"}
    ending = key.rpartition("_")[2]
    assert row[2] == words.get(ending, ending)


def test_the_page_has_no_part_that_is_not_there():
    assert set(tables("lab-file.md")) == {*schemas(), "What must fit together"}


def test_connectors_of_each_role_element_and_clock():
    page = tables("connectors.md")
    roles = {row[0].strip("`"): names(row[1]) for row in page["Instruments"]}
    assert roles == FIXED_CONNECTORS
    elements = {row[0].strip("`"): (names(row[1]), names(row[2])) for row in page["Elements"]}
    assert elements == ELEMENT_CONNECTORS
    clock = (REFERENCE / "connectors.md").read_text().split("## Clock")[1].split("## ")[0]
    assert names(clock) >= CLOCK_OUTPUTS
