"""What entries of a lab file must agree on. Each check gives (path in the document, one line of text)."""

from __future__ import annotations

from collections.abc import Iterator

from qnode.labfile._model import HERALD_LOGIC, Element, Lab, Link, Role, Wire
from qnode.labfile._world import World

__all__ = ["cross_faults", "element_inputs", "unfed_inputs", "world_faults"]

Fault = tuple[tuple[str | int, ...], str]

FIXED_CONNECTORS = {
    "pulse_sequencer": {"trigger", "ref"},
    "awg": {"trigger", "event", "ref"},
    "time_tagger": {"ref"},
    "time_controller": {"ref"},
    "laser": set(),
    "microwave_source": {"ref"},
    "detector_driver": set(),
}
"""Inputs that every instrument of a role has beside the channels of its rack entry."""

ELEMENT_CONNECTORS: dict[str, tuple[set[str], set[str]]] = {
    "emitter": (
        {
            "microwave_i",
            "microwave_q",
            "microwave_switch",
            "optical_pulse",
            "excitation_gate",
            "spin_pump",
            "readout_light",
            "charge_light",
            "repump_light",
            "resonant_laser",
            "spin_pump_laser",
            "repump_laser",
            "microwave_carrier",
        },
        {"zero_phonon_line", "sideband"},
    ),
    "beam_splitter": ({"in1", "in2"}, {"out1", "out2"}),
    "detector": ({"in", "bias"}, {"out"}),
    "gated_or": ({"in1", "in2", "gate"}, {"out"}),
    "two_window_latch": ({"in1", "in2", "gate"}, {"out"}),
    "fan_out": ({"in"}, {"out1", "out2", "out3", "out4"}),
}
"""Inputs and outputs of the elements."""

FED_BY: dict[tuple[str, str], Role] = {
    ("emitter", "resonant_laser"): "laser",
    ("emitter", "spin_pump_laser"): "laser",
    ("emitter", "repump_laser"): "laser",
    ("emitter", "microwave_carrier"): "microwave_source",
    ("detector", "bias"): "detector_driver",
}
"""Inputs of elements, by kind and connector, that one role alone can feed."""

CLOCK_OUTPUTS = {"pps", "ref_10mhz"}
FIBRE_INDEX = 1.468
"""Group index of silica fibre (SMF-28, 1550 nm)."""
KM_PER_NS = 299_792.458e-9
"""Speed of light in vacuum."""
TIMED_KINDS = {"trigger", "herald", "photon"}
"""Wires on which each edge and each photon has its moment: no simulated one reaches a real instrument, or leaves one."""
INPUT_CHANNELS = {"time_tagger", "time_controller"}


def element_inputs(kind: str) -> frozenset[str]:
    """The inputs of a kind of element."""
    return frozenset(ELEMENT_CONNECTORS[kind][0])


def unfed_inputs(lab: Lab, site: str) -> Iterator[tuple[str, Role]]:
    """Inputs of a site's elements that no wire reaches though only a laser, a carrier or a bias can make them work.

    Each with the role of the instrument that it needs.
    """
    for name, element in lab.elements().items():
        for (kind, connector), role in FED_BY.items():
            end = f"{name}.{connector}"
            if name.startswith(f"{site}.") and element.kind == kind and lab.into(end) is None:
                yield end, role


def cross_faults(lab: Lab) -> list[Fault]:
    """All that does not fit together in a lab, in no particular order."""
    return [
        *_racks(lab),
        *_addresses(lab),
        *_elements(lab),
        *_wires(lab),
        *_hybrids(lab),
        *_links(lab),
        *_clocks(lab),
        *_calibration(lab),
    ]


def world_faults(lab: Lab, world: World) -> list[Fault]:
    """All that does not fit between a world and its lab."""
    faults: list[Fault] = []
    for kind, here, there in (
        ("nodes", world.nodes, lab.nodes),
        ("midpoints", world.midpoints, lab.midpoints),
    ):
        for name in here.keys() - there.keys():
            faults.append((("world", kind, name), f"`world.{kind}.{name}`: no {kind[:-1]} of that name in the lab"))
        for name in there.keys() - here.keys():
            faults.append((("world", kind), f"`world.{kind}` says nothing of {name}"))
    for name in world.clocks.keys() - lab.sites.keys():
        faults.append((("world", "clocks", name), f"`world.clocks.{name}`: no site of that name"))
    ends = {end for wire in lab.wires_only() for end in wire.ends}
    for end in world.wire_delays_ns.keys() - ends:
        faults.append((("world", "wire_delays_ns", end), f"`world.wire_delays_ns.{end}`: no wire reaches that input"))
    return [*faults, *_flights(lab, world)]


def _flights(lab: Lab, world: World) -> Iterator[Fault]:
    """No photon is faster than light in its fibre."""
    for name, element in lab.elements().items():
        node = world.nodes.get(name.partition(".")[0])
        if element.kind != "emitter" or node is None:
            continue
        light_ns = node.fibre.length_km * FIBRE_INDEX / KM_PER_NS
        for wire in lab.out_of(f"{name}.zero_phonon_line"):
            for end in wire.ends:
                delay_ns = world.wire_delays_ns.get(end, wire.delay_ns)
                if delay_ns < light_ns:
                    yield (
                        ("world", "nodes", name.partition(".")[0], "fibre"),
                        f"wire from {wire.from_} to {end}: {delay_ns:g} ns is less than the {light_ns:.6g} ns that "
                        f"light needs for {node.fibre.length_km:g} km of fibre; correct `delay_ns` or `length_km`",
                    )


def _parts(lab: Lab) -> Iterator[tuple[str, str]]:
    for name in lab.nodes:
        yield "nodes", name
    for name in lab.midpoints:
        yield "midpoints", name


def _racks(lab: Lab) -> Iterator[Fault]:
    for part, name in _parts(lab):
        site = lab.sites[name]
        for instrument in site.instruments.keys() - site.rack.keys():
            yield (
                (part, name, "instruments", instrument),
                f"instrument {name}.{instrument} has no entry under `{part}.{name}.rack`",
            )
        for instrument in site.rack.keys() - site.instruments.keys():
            yield (
                (part, name, "rack", instrument),
                f"rack entry {name}.{instrument}: no instrument of that name under `{part}.{name}.instruments`",
            )
        if site.instruments.keys() != site.rack.keys():
            continue
        needed = (
            ("pulse_sequencer", "awg", "time_tagger") if part == "nodes" else ("pulse_sequencer", "time_controller")
        )
        roles = [entry.role for entry in site.rack.values()]
        for role in needed:
            if role not in roles:
                yield ((part, name, "rack"), f"{name} has no instrument with the role {role}")


def _addresses(lab: Lab) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for part, name in _parts(lab):
        for instrument, block in lab.sites[name].instruments.items():
            if block.address is None:
                continue
            owner = seen.setdefault(block.address, f"{name}.{instrument}")
            if owner != f"{name}.{instrument}":
                yield (
                    (part, name, "instruments", instrument, "address"),
                    f"{name}.{instrument} and {owner} have the same address {block.address}",
                )
    daemons: dict[tuple[str, int], str] = {}
    for part, name in _parts(lab):
        bus = lab.sites[name].bus
        for key in ("command_port", "stream_port", "tap_port"):
            port = getattr(bus, key)
            owner = daemons.setdefault((bus.address, port), f"{name}.{key}")
            if owner == f"{name}.{key}":
                continue
            other = owner.partition(".")[0]
            if other == name:
                yield ((part, name, "bus"), f"{name}: {key} and {owner.partition('.')[2]} are both {port}")
                continue
            yield ((part, name, "bus"), f"{name} and {other} both listen on {bus.address}:{port}")
            break


def _elements(lab: Lab) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, entry in enumerate(lab.wires):
        if not isinstance(entry, Element):
            continue
        site, thing = entry.element.split(".")
        if site not in lab.sites:
            yield (("wires", index), f"element {entry.element}: no site {site}")
        elif thing in lab.sites[site].instruments or thing == "clock":
            yield (
                ("wires", index),
                f"element {entry.element} has the name of an instrument or of the site's clock",
            )
        if entry.element in seen:
            yield (("wires", index), f"element {entry.element} stands twice")
        seen.add(entry.element)


def _connectors(lab: Lab, thing: str) -> tuple[set[str], set[str]] | None:
    """(inputs, outputs) of ``site.thing``, or None where there is no such thing."""
    elements = lab.elements()
    if thing in elements:
        return ELEMENT_CONNECTORS[elements[thing].kind]
    site, _, name = thing.partition(".")
    if site not in lab.sites:
        return None
    if name == "clock":
        return (set(), CLOCK_OUTPUTS) if site in lab.clocks else None
    entry = lab.sites[site].rack.get(name)
    if entry is None:
        return None
    channels = set(entry.channels)
    fixed = FIXED_CONNECTORS[entry.role]
    return (channels | fixed, set()) if entry.role in INPUT_CHANNELS else (fixed, channels)


def _wires(lab: Lab) -> Iterator[Fault]:
    reached: set[str] = set()
    absent: dict[str, list[tuple[int, str]]] = {}
    for index, wire in enumerate(lab.wires):
        if not isinstance(wire, Wire):
            continue
        for end, what, key in ((wire.from_, "output", "from"), *((end, "input", "to") for end in wire.ends)):
            missing = _missing(lab, end)
            if missing is not None:
                absent.setdefault(missing, []).append((index, f"wire {key} {end}"))
            else:
                yield from _connector(lab, index, end, what, key)
        for end in wire.ends:
            if end in reached:
                yield (("wires", index, "to"), f"input {end} is reached by two wires; take one of them out")
            reached.add(end)
            yield from _feeder(lab, index, wire.from_, end)
    for thing, places in absent.items():
        if _said_elsewhere(lab, thing):
            continue
        index, first = places[0]
        others = len({place for place, _ in places}) - 1
        more = f" (and {others} more {'wire' if others == 1 else 'wires'})" if others else ""
        yield (("wires", index), f"{first}{more}: there is no {thing} in this lab")


def _missing(lab: Lab, end: str) -> str | None:
    """What of a wire's end is not in the lab: the site, or the thing there; None where both are."""
    thing, _, _ = end.rpartition(".")
    if thing.count(".") != 1:
        return thing or end
    site = thing.partition(".")[0]
    if site not in lab.sites:
        return f"site {site}"
    return None if _connectors(lab, thing) else thing


def _said_elsewhere(lab: Lab, thing: str) -> bool:
    """An instrument without its rack entry, or a clock without its entry, is a fault already."""
    site, _, name = thing.partition(".")
    if site not in lab.sites:
        return False
    return name in lab.sites[site].instruments or (name == "clock" and site not in lab.clocks)


def _connector(lab: Lab, index: int, end: str, what: str, key: str) -> Iterator[Fault]:
    thing, _, connector = end.rpartition(".")
    inputs, outputs = _connectors(lab, thing) or (set(), set())
    names = inputs if what == "input" else outputs
    if connector not in names:
        listed = ", ".join(sorted(names)) or "none"
        yield (("wires", index, key), f"wire {key} {end}: {thing} has no {what} {connector}; it has {listed}")


def _feeder(lab: Lab, index: int, source: str, end: str) -> Iterator[Fault]:
    """Lasers, microwave sources and detector drivers feed inputs of their own alone, and nothing else does."""
    thing, _, connector = end.rpartition(".")
    element = lab.elements().get(thing)
    needed = None if element is None else FED_BY.get((element.kind, connector))
    site, _, name = source.rpartition(".")[0].partition(".")
    entry = lab.sites[site].rack.get(name) if site in lab.sites else None
    role = None if entry is None else entry.role
    if needed == role or (needed is None and role not in FED_BY.values()) or _missing(lab, source) is not None:
        return
    if needed is not None:
        yield (("wires", index, "from"), f"wire from {source} to {end}: that input takes the output of a {needed}")
        return
    listed = ", ".join(f"{c} of {k}s" for (k, c), feeder in FED_BY.items() if feeder == role)
    yield (("wires", index, "to"), f"wire from {source} to {end}: the output of a {role} goes to {listed} alone")


def _hybrids(lab: Lab) -> Iterator[Fault]:
    """What timed wires join, directly or through elements, is all real or all simulated."""
    entries = {
        f"{name}.{instrument}": ((part, name, "rack", instrument, "simulated"), entry.simulated)
        for part, name in _parts(lab)
        for instrument, entry in lab.sites[name].rack.items()
    }
    for group in _joined(lab):
        simulated = [thing for thing in entries if thing in group and entries[thing][1]]
        real = [thing for thing in entries if thing in group and not entries[thing][1]]
        if not (real and simulated):
            continue
        few, many = (simulated, real) if len(simulated) < len(real) else (real, simulated)
        this, that = ("simulated", "real") if few is simulated else ("real", "simulated")
        verb, them = ("is", "it") if len(few) == 1 else ("are", "them")
        yield (
            entries[few[0]][0],
            f"{' and '.join(few)} {verb} {this}, but what trigger, photon and herald wires join {them} with is {that} "
            f"({', '.join(many)}); make all of these real, or all simulated",
        )


def _joined(lab: Lab) -> list[set[str]]:
    """Instruments and elements in groups: two are in one where timed wires lead from one to the other."""
    groups: list[set[str]] = []
    for wire in lab.wires_only():
        if wire.kind in TIMED_KINDS:
            ends = {end.rpartition(".")[0] for end in (wire.from_, *wire.ends)}
            touched = [group for group in groups if group & ends]
            groups = [group for group in groups if not group & ends]
            groups.append(ends.union(*touched))
    return groups


def _links(lab: Lab) -> Iterator[Fault]:
    names: set[str] = set()
    for index, link in enumerate(lab.links):
        where = ("links", index)
        if link.name in names:
            yield ((*where, "name"), f"link {link.name} stands twice")
        names.add(link.name)
        for node in link.between:
            if node not in lab.nodes:
                yield ((*where, "between"), f"link {link.name}: there is no node {node}")
        if link.between[0] == link.between[1]:
            yield ((*where, "between"), f"link {link.name} joins {link.between[0]} with itself")
        if link.via not in lab.midpoints:
            yield ((*where, "via"), f"link {link.name}: there is no midpoint {link.via}")
        if set(link.bright_state) != set(link.between):
            yield (
                (*where, "bright_state"),
                f"link {link.name}: bright_state must name {' and '.join(link.between)}",
            )
        yield from _window(link, where)
        yield from _logic(lab, link, where)


def _window(link: Link, where: tuple[str | int, ...]) -> Iterator[Fault]:
    if link.detection_window_ps >= link.attempt_period_ps:
        yield (
            (*where, "detection_window_ns"),
            f"link {link.name}: detection window {link.detection_window_ns:g} ns is longer than the attempt "
            f"of {link.attempt_period_us:g} us",
        )
    for name, value_ps in (
        ("attempt_period_us", link.attempt_period_us * 1e6),
        ("detection_window_ns", link.detection_window_ns * 1e3),
    ):
        if abs(value_ps - round(value_ps / 1000) * 1000) > 1e-3:
            yield ((*where, name), f"link {link.name}: {name} must be a whole number of nanoseconds")


def _logic(lab: Lab, link: Link, where: tuple[str | int, ...]) -> Iterator[Fault]:
    """The midpoint's herald logic is the one that the protocol needs; none at all is another matter."""
    here = {name: e.kind for name, e in lab.elements().items() if name.startswith(f"{link.via}.")}
    needed = HERALD_LOGIC[link.protocol]
    others = [name for name, kind in here.items() if kind in HERALD_LOGIC.values()]
    if others and needed not in here.values():
        yield (
            (*where, "protocol"),
            f"link {link.name}: {link.protocol} needs a {needed} at {link.via}, and {others[0]} is a "
            f"{here[others[0]]}; correct its `kind` or the link's `protocol`",
        )


def _clocks(lab: Lab) -> Iterator[Fault]:
    for name in lab.clocks.keys() - lab.sites.keys():
        yield (("clocks", name), f"clock of {name}: there is no site of that name")
    for part, name in _parts(lab):
        if name not in lab.clocks:
            yield ((part, name), f"{name} has no entry under `clocks:`")


def _calibration(lab: Lab) -> Iterator[Fault]:
    for name in lab.calibration.nodes.keys() - lab.nodes.keys():
        yield (("calibration", "nodes", name), f"calibration of {name}: there is no node of that name")
    links = {link.name for link in lab.links}
    for name in lab.calibration.links.keys() - links:
        yield (("calibration", "links", name), f"calibration of {name}: there is no link of that name")
    for name, calibration in lab.calibration.links.items():
        if calibration.psi_plus_on.value not in ("det1", "det2"):
            yield (
                ("calibration", "links", name, "psi_plus_on"),
                f"calibration of {name}: psi_plus_on is det1 or det2, not {calibration.psi_plus_on.value}",
            )
    for index, link in enumerate(lab.links):
        for node in link.between:
            if node in lab.nodes and node not in lab.calibration.nodes:
                yield (
                    ("links", index, "between"),
                    f"link {link.name}: {node} has no entry under `calibration.nodes`",
                )
        if link.name not in lab.calibration.links:
            yield (("links", index, "name"), f"link {link.name} has no entry under `calibration.links`")
