"""What a caller is told of one row's score."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal, NamedTuple

from dagfm.metrics import Float64

Status = Literal["known", "partly unknown", "unknown", "missing", "hashed"]


class Edge(NamedTuple):
    """A pair of nodes and what the products add to the logit whose last two factors they are."""

    source: str
    target: str
    """The same as ``source``: what the node adds alone (order 1) is there too."""
    value: float


class Path(NamedTuple):
    """One product of states and what it adds to the logit."""

    nodes: tuple[str, ...]
    """As many as its order, in node order; a node may come several times."""
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row says of a field, and whether training had seen that."""

    value: Any
    """The cell as given, None where empty, long ones cut; of a cross the list of its members' cells."""
    status: Status
    """known, unknown, or missing (*unknown* and *missing* are rows of the embedding); a sequence of which some items
    are known is partly unknown; hashed is what has no vocabulary that could tell."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One row's score as a sum, exactly.

    ``bias`` plus the sum of any of ``by_order``, ``by_node``, ``by_field`` and ``by_edge`` is ``logit``, and so is
    ``empty_logit`` plus the sum of ``from_empty``.
    """

    probability: float
    """As ``predict`` serves it: sigmoid(``served_logit``)."""
    served_logit: float
    """After calibration: scale * logit + shift."""
    logit: float
    """Before calibration, in float64; ``Scorer.logits`` gives it rounded."""
    bias: float
    by_order: list[float]
    """What single fields add (first-order weights too), then products of two, of three, up to depth + 1."""
    by_node: dict[str, float]
    """What products add that end in a node, by the node's field."""
    by_field: dict[str, float]
    """What every field adds: every product of field vectors gives an equal share to each of its factors. The states
    that paths multiply are themselves sums over fields (``connect``), so one path may be many such products."""
    empty_logit: float
    """Of a row with nothing in any column, before calibration."""
    from_empty: dict[str, float]
    """What every field adds to that: 0 for one that is missing."""
    if_missing: dict[str, float]
    """The probability that ``predict`` gives the row without the value of a column, by column."""
    paths: list[Path]
    """The strongest by absolute value, the strongest first."""
    values: dict[str, Reading]
    """What the row says of every field."""
    edges: Float64
    """(F(F+1)/2,) the values of ``by_edge``."""

    def __str__(self) -> str:
        """The probability, and what every field adds to an empty row's logit, the strongest first."""
        width = max(map(len, self.from_empty))
        lines = [
            f"probability {self.probability:.4f}, logit {self.logit:+.4f} = {self.empty_logit:+.4f} of an empty row"
        ]
        for name in sorted(self.from_empty, key=lambda name: -abs(self.from_empty[name])):
            value, status = self.values[name].value, self.values[name].status
            told = status if value is None else str(value)[:60] + f" ({status})" * (status not in ("known", "hashed"))
            lines.append(f"  {self.from_empty[name]:+.4f}  {name:<{width}}  {told}")
        return "\n".join(lines)

    @property
    def by_edge(self) -> list[Edge]:
        """What products add that end in an edge, of every pair of nodes in node order; made when asked for."""
        pairs = combinations_with_replacement(self.by_node, 2)
        return [Edge(*pair, value) for pair, value in zip(pairs, self.edges.tolist(), strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it: an edge is ``[from, to, value]``, a path ``[[node, ...], value]``."""
        return {
            "probability": self.probability,
            "served_logit": self.served_logit,
            "logit": self.logit,
            "bias": self.bias,
            "by_order": self.by_order,
            "by_node": self.by_node,
            "by_field": self.by_field,
            "empty_logit": self.empty_logit,
            "from_empty": self.from_empty,
            "if_missing": self.if_missing,
            "by_edge": [list(edge) for edge in self.by_edge],
            "paths": [[list(path.nodes), path.value] for path in self.paths],
            "values": {name: {"value": one.value, "status": one.status} for name, one in self.values.items()},
        }
