"""Geometry of the picture of people: accounts in rows, and an arc for each tie. Only numbers, as in `drawings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_chain.audit import PeopleGraph, PersonNode, PersonTie

_WIDTH = 340.0
_LEFT = 176.0
"""Where the arcs begin."""
_ROW = 44.0
_MOST_ROWS = 24
_MOST_ARCS = 32


@dataclass(frozen=True)
class Row:
    """An account with its label, in pixels. Attributes: tied: whether ties bind it into a group."""

    account: PersonNode
    y: float
    tied: bool


@dataclass(frozen=True)
class Arc:
    """A tie. Attributes: number: as in the list below the picture."""

    tie: PersonTie
    number: int
    path: str
    text_x: float
    text_y: float


@dataclass(frozen=True)
class PeopleDrawing:
    """The picture. Attributes: hidden: how many accounts it leaves out."""

    width: float
    height: float
    left: float
    rows: tuple[Row, ...]
    arcs: tuple[Arc, ...]
    hidden: int


def draw_people(graph: PeopleGraph | None) -> PeopleDrawing | None:
    """Rows of accounts, those of a group together, with an arc between two for each tie; `None` without ties."""
    if graph is None or not graph.ties:
        return None
    tied = {account for tie in graph.ties for account in (tie.one, tie.other)}
    wanted = [one for one in graph.accounts if one.address in tied]
    # Groups first, each in one piece.
    wanted.sort(key=lambda one: (one.group is None, one.group or 0))
    rows = tuple(
        Row(account, 26.0 + _ROW * place, account.group is not None)
        for place, account in enumerate(wanted[:_MOST_ROWS])
    )
    height_of = {row.account.address: row.y for row in rows}
    arcs: list[Arc] = []
    seen: dict[tuple[str, str], int] = {}
    for tie in graph.ties[:_MOST_ARCS]:
        if tie.one not in height_of or tie.other not in height_of:
            continue
        pair = (min(tie.one, tie.other), max(tie.one, tie.other))
        # Several ties between the same two lie beside each other.
        beside = seen.setdefault(pair, 0)
        seen[pair] += 1
        start, end = height_of[tie.one], height_of[tie.other]
        reach = min(24.0 + 14.0 * abs(end - start) / _ROW + 18.0 * beside, (_WIDTH - _LEFT - 24.0) / 0.75)
        far = _LEFT + reach
        path = f"M{_LEFT:.1f},{start:.1f} C{far:.1f},{start:.1f} {far:.1f},{end:.1f} {_LEFT:.1f},{end:.1f}"
        arcs.append(Arc(tie, len(arcs) + 1, path, _LEFT + 0.75 * reach + 4.0, (start + end) / 2 + 4.0))
    return PeopleDrawing(_WIDTH, 16.0 + _ROW * len(rows), _LEFT, rows, tuple(arcs), len(wanted) - len(rows))
