"""Solve: two small solver families over a design, which is a JSON file."""

import heapq
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from examples.datastore.problems import unprocessable

# What a solver may cost: some 2 million table cells or 100 000 edges, a second or so of one core.
MAX_EDGES = 100_000
MAX_ITEMS = 1000
MAX_CELLS = 2_000_000

Name = Annotated[str, Field(min_length=1, max_length=200)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Design(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class Edge(_Design):
    """A connection between two nodes."""

    from_: Name = Field(alias="from")
    to: Name
    cost: Cost


class Network(_Design):
    """A design of the family ``shortest-path``."""

    edges: list[Edge] = Field(max_length=MAX_EDGES)
    start: Name
    goal: Name
    direction: Literal["one-way", "both-ways"] = "both-ways"


class Item(_Design):
    """Something that may be packed."""

    name: Name
    weight: int = Field(ge=0)
    value: int = Field(ge=0)


class Load(_Design):
    """A design of the family ``knapsack``."""

    capacity: int = Field(ge=0)
    items: list[Item] = Field(max_length=MAX_ITEMS)


def solve_design(family: str, design: Any) -> dict[str, object]:  # noqa: ANN401 - any JSON value
    """Solve a design by a family's solver."""
    solver = SOLVERS.get(family)
    if solver is None:
        raise unprocessable(f"`/family` is none of {', '.join(SOLVERS)}")
    try:
        return solver(design)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = "/" + "/".join(str(part) for part in first["loc"])
        raise unprocessable(f"the design is not one of family `{family}`: {where}: {first['msg']}") from None


def solve_shortest_path(design: Any) -> dict[str, object]:  # noqa: ANN401 - any JSON value
    """Find the cheapest way from start to goal (Dijkstra); ties go to the way found first in order of names."""
    network = Network.model_validate(design)
    neighbours = _neighbours_of(network)
    best: dict[str, float] = {network.start: 0.0}
    came_from: dict[str, str] = {}
    queue = [(0.0, network.start)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node == network.goal:
            return {"feasible": True, "cost": cost, "path": _trace(came_from, network)}
        if cost > best[node]:
            continue
        for other, step in neighbours.get(node, ()):
            if other not in best or cost + step < best[other]:
                best[other] = cost + step
                came_from[other] = node
                heapq.heappush(queue, (cost + step, other))
    return {"feasible": False}


def solve_knapsack(design: Any) -> dict[str, object]:  # noqa: ANN401 - any JSON value
    """Choose items of the greatest value whose weights fit the capacity, each at most once."""
    load = Load.model_validate(design)
    if (load.capacity + 1) * len(load.items) > MAX_CELLS:
        raise unprocessable(f"capacity times items is more than {MAX_CELLS}")
    best = [0] * (load.capacity + 1)
    taken: list[bytearray] = []
    for item in load.items:
        row = bytearray(load.capacity + 1)
        for room in range(load.capacity, item.weight - 1, -1):
            value = best[room - item.weight] + item.value
            if value > best[room]:
                best[room] = value
                row[room] = 1
        taken.append(row)
    chosen = _unpack(load, taken)
    weight = sum(item.weight for item in chosen)
    return {"feasible": True, "value": best[-1], "weight": weight, "chosen": [item.name for item in chosen]}


SOLVERS: dict[str, Callable[[Any], dict[str, object]]] = {
    "shortest-path": solve_shortest_path,
    "knapsack": solve_knapsack,
}


def _neighbours_of(network: Network) -> dict[str, list[tuple[str, float]]]:
    neighbours: dict[str, list[tuple[str, float]]] = {}
    for edge in network.edges:
        neighbours.setdefault(edge.from_, []).append((edge.to, edge.cost))
        if network.direction == "both-ways":
            neighbours.setdefault(edge.to, []).append((edge.from_, edge.cost))
    return neighbours


def _trace(came_from: dict[str, str], network: Network) -> list[str]:
    path = [network.goal]
    while path[-1] != network.start:
        path.append(came_from[path[-1]])
    return path[::-1]


def _unpack(load: Load, taken: list[bytearray]) -> list[Item]:
    room = load.capacity
    chosen = []
    for item, row in zip(reversed(load.items), reversed(taken), strict=True):
        if row[room]:
            chosen.append(item)
            room -= item.weight
    return chosen[::-1]
