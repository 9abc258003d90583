"""The rooms of the code and which imports which, read from the sources; for the picture in docs/architecture.md."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

LAYERS: Final = {
    "infrastructure": ("offerlog", "offerlog_infrastructure"),
    "application": ("offerlog_application",),
    "domain": ("offerlog_domain",),
}
"""The packages of each layer, from the outside in."""

WIRING: Final = "composition"
"""The room of the modules that lie directly in the infrastructure package."""

FACADE: Final = "facade"
"""The room of the modules that lie directly in the application package."""


def room_of(module: str) -> str:
    """Return the room that a module belongs to; the domain and the front door are one room each."""
    package, *rest = module.split(".")
    match package:
        case "offerlog_domain":
            return "domain"
        case "offerlog":
            return "front door"
        case "offerlog_application":
            return rest[0] if len(rest) > 1 else FACADE
        case _:
            return rest[0] if len(rest) > 1 else WIRING


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


def shortest(edges: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the edges of a graph that no longer way makes superfluous, in order."""
    for source in sorted(edges):
        for target in sorted(edges[source]):
            others = edges[source] - {target}
            if not any(target in _reachable(edges, other, without=source) for other in others):
                yield source, target


def picture() -> str:
    """Return the rooms as a Mermaid flow chart: an arrow leads from who imports to what is imported."""
    layers = rooms()
    edges = {room: targets for layer in layers.values() for room, targets in layer.items()}
    lines = ["flowchart TD"]
    for layer, members in layers.items():
        lines.append(f"    subgraph {layer}_layer[{layer}]")
        lines += [f'        {_id(room)}["{room}"]' for room in sorted(members)]
        lines.append("    end")
    lines += [f"    {_id(source)} --> {_id(target)}" for source, target in shortest(edges)]
    return "\n".join(lines)


def _id(room: str) -> str:
    return "room_" + room.replace(" ", "_")


def _reachable(edges: dict[str, set[str]], start: str, *, without: str) -> set[str]:
    seen: set[str] = set()
    stack = [start]
    while stack:
        room = stack.pop()
        for target in edges.get(room, set()) - seen - {without}:
            seen.add(target)
            stack.append(target)
    return seen


def _imports(package: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield every module of a package by its full name, with the modules of offerlog that it imports."""
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        found: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        name = module.removesuffix(".__init__")
        yield (module if module.endswith("__init__") else name), {one for one in found if _is_ours(one)}


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in {package for layer in LAYERS.values() for package in layer}
