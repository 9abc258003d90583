"""The rooms of the code and which imports which, read from the sources; for docs/architecture.md."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

LAYERS: Final = {
    "infrastructure": ("offerlog", "offerlog_infrastructure"),
    "application": ("offerlog_application",),
    "domain": ("offerlog_domain",),
}
"""The packages of each layer, from the outside in."""

FRONT_DOOR: Final = "front door"
WIRING: Final = "composition"
SURROUNDINGS: Final = "surroundings"
"""The loose modules of infrastructure, which several rooms use: settings, clock, addresses, forks."""

FACADE: Final = "facade"
DOMAIN: Final = "domain"

_DRAWN_ACROSS: Final = frozenset({FACADE, "ports"})
"""The rooms of an inner layer to which arrows are drawn: what a layer offers as a whole."""

_NOT_DRAWN: Final = frozenset({"observability", SURROUNDINGS})
"""Rooms without arrows to them: every room may log, and know its surroundings."""

_PACKAGES: Final = {package: layer for layer, packages in LAYERS.items() for package in packages}

_WITHOUT_PACKAGE: Final = {
    FRONT_DOOR: "infrastructure/offerlog/__init__.py",
    WIRING: "infrastructure/offerlog_infrastructure/composition.py",
    SURROUNDINGS: "infrastructure/offerlog_infrastructure/__init__.py",
    FACADE: "application/offerlog_application/offerlog.py",
    DOMAIN: "domain/offerlog_domain/__init__.py",
}
"""The file that describes a room that is not a package in a package."""


def room_of(module: str) -> str:
    """Return the room that a module belongs to.

    Args:
        module: Its full name, or that of something in it.
    """
    package, *rest = module.split(".")
    if package == "offerlog_domain":
        return DOMAIN
    if package == "offerlog":
        return FRONT_DOOR
    if rest and (ROOT / _PACKAGES[package] / package / rest[0]).is_dir():
        return rest[0]
    if package == "offerlog_application":
        return FACADE
    return WIRING if rest[:1] == ["composition"] else SURROUNDINGS


def rooms() -> dict[str, dict[str, set[str]]]:
    """Return for each layer its rooms, and for each room the rooms that it imports."""
    found: dict[str, dict[str, set[str]]] = {}
    for layer, packages in LAYERS.items():
        found[layer] = {}
        for package in packages:
            for module, imported in _imports(ROOT / layer / package):
                edges = found[layer].setdefault(room_of(module), set())
                edges |= {room_of(one) for one in imported} - {room_of(module)}
    return found


def picture() -> list[str]:
    """Return the lines of a Mermaid flow chart: an arrow leads from who imports to what is imported.

    An arrow that follows from others is left out, so that the chart can be read.
    """
    layers = rooms()
    lines = ["flowchart TD"]
    for layer, members in layers.items():
        lines.append(f"    subgraph {layer}_layer[{layer}]")
        lines += [f'        {_id(room)}["{room}"]' for room in sorted(members)]
        lines.append("    end")
    arrows: dict[str, set[str]] = {}
    for members in layers.values():
        drawn = (_DRAWN_ACROSS | members.keys()) - _NOT_DRAWN
        for room in members:
            targets = {WIRING, FACADE} if room == FRONT_DOOR else drawn  # it names the rest
            arrows[room] = members[room] & targets
    arrows["ports"].add(DOMAIN)
    for members in layers.values():
        for room in sorted(members):
            lines += [f"    {_id(room)} --> {_id(target)}" for target in sorted(_direct(arrows, room))]
    return lines


def _direct(arrows: Mapping[str, set[str]], room: str) -> set[str]:
    """Return the targets of a room that it does not also reach by way of another of its targets.

    A way through a cycle does not count, so that a cycle is shown as it is.
    """
    ahead = {target: _reachable(arrows, target) for target in arrows[room]}
    ways = [other for other in ahead if room not in ahead[other]]
    return {
        target
        for target in arrows[room]
        if room in ahead[target] or not any(target in ahead[other] for other in ways if other != target)
    }


def _reachable(arrows: Mapping[str, set[str]], room: str) -> set[str]:
    """Return the rooms that a room reaches by one arrow or several."""
    found: set[str] = set()
    ahead = [room]
    while ahead:
        new = arrows[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found


def table() -> list[str]:
    """Return the lines of a table: each room with the first line of its docstring."""
    lines = ["| room | layer | what is in it |", "|---|---|---|"]
    for layer, members in rooms().items():
        for room in sorted(members):
            file = ROOT / _WITHOUT_PACKAGE.get(room, f"{layer}/offerlog_{layer}/{room}/__init__.py")
            summary = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]
            link = file.parent if file.name == "__init__.py" else file
            lines.append(f"| [{room}](../{link.relative_to(ROOT).as_posix()}) | {layer} | {summary} |")
    return lines


def _id(room: str) -> str:
    return "room_" + room.replace(" ", "_")


def _imports(package: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield every module of a package by its full name, with the modules of offerlog that it imports."""
    for file in sorted(package.rglob("*.py")):
        found: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                # `from package import module` names a module, or a name of the package's `__init__`.
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        yield (
            ".".join(file.relative_to(package.parent).with_suffix("").parts),
            {one for one in found if one.partition(".")[0] in _PACKAGES},
        )
