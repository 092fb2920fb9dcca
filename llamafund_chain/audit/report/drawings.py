"""Geometry of the report's pictures. Only numbers: the template writes the markup and escapes every label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_chain.audit import Curve, Flow, Reference

_BAR = 14.0
_GAP = 10.0
_ROW = 30.0
_SIDE = 250.0
_MARGIN = 24.0
_WIDTH = 920.0
_FLOW_HEIGHT = 190.0


@dataclass(frozen=True)
class Stream:
    """One ribbon of the money picture with its bar and label, in pixels."""

    kind: str
    label: str
    amount: str
    path: str
    bar_x: float
    bar_y: float
    bar_height: float
    text_x: float
    text_y: float
    anchor: str


@dataclass(frozen=True)
class MoneyDrawing:
    width: float
    height: float
    streams: tuple[Stream, ...]
    escrow_x: float
    escrow_y: float
    escrow_height: float


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Level:
    """A horizontal reference line."""

    y: float
    text_y: float
    label: str


@dataclass(frozen=True)
class Chart:
    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    line: str
    dots: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    levels: tuple[Level, ...]
    first: str
    last: str


def draw_money(flows: Sequence[Flow]) -> MoneyDrawing | None:
    """Ribbons from backers into the escrow and out of it; `None` if no money moved."""
    entering = [flow for flow in flows if flow.direction == "in" and Decimal(flow.amount) > 0]
    leaving = [flow for flow in flows if flow.direction != "in" and Decimal(flow.amount) > 0]
    total = sum((Decimal(flow.amount) for flow in entering), Decimal(0))
    if not total:
        return None
    escrow_x = (_WIDTH - _BAR) / 2
    escrow_height = _FLOW_HEIGHT
    height = max(_extent(_thicknesses(entering, total)), _extent(_thicknesses(leaving, total)), escrow_height)
    height += 2 * _MARGIN
    escrow_y = (height - escrow_height) / 2
    left = _column(entering, total, height, escrow_y, _SIDE, escrow_x, inward=True)
    right = _column(leaving, total, height, escrow_y, _WIDTH - _SIDE - _BAR, escrow_x + _BAR, inward=False)
    return MoneyDrawing(
        width=_WIDTH,
        height=height,
        streams=(*left, *right),
        escrow_x=escrow_x,
        escrow_y=escrow_y,
        escrow_height=escrow_height,
    )


def _thicknesses(flows: Sequence[Flow], total: Decimal) -> list[float]:
    """Heights of the bars; the smallest amount still leaves a visible line."""
    return [max(1.5, float(Decimal(flow.amount) / total) * _FLOW_HEIGHT) for flow in flows]


def _extent(heights: Sequence[float]) -> float:
    """Height of a column of bars, each with room for its label."""
    return sum(max(height, _ROW) + _GAP for height in heights) - _GAP if heights else 0.0


def _column(
    flows: Sequence[Flow],
    total: Decimal,
    height: float,
    escrow_y: float,
    bar_x: float,
    escrow_edge: float,
    *,
    inward: bool,
) -> list[Stream]:
    heights = _thicknesses(flows, total)
    scale = min(1.0, _FLOW_HEIGHT / sum(heights)) if heights else 1.0
    at_escrow = escrow_y
    slots = [max(thickness, _ROW) + _GAP for thickness in heights]
    y = (height - _extent(heights)) / 2
    streams = []
    for flow, thickness, slot in zip(flows, heights, slots, strict=True):
        bar_y = y + (slot - _GAP - thickness) / 2
        near = bar_x + _BAR if inward else bar_x
        middle = (near + escrow_edge) / 2
        inner = thickness * scale
        path = (
            f"M{near:.1f},{bar_y:.1f} C{middle:.1f},{bar_y:.1f} {middle:.1f},{at_escrow:.1f} "
            f"{escrow_edge:.1f},{at_escrow:.1f} L{escrow_edge:.1f},{at_escrow + inner:.1f} "
            f"C{middle:.1f},{at_escrow + inner:.1f} {middle:.1f},{bar_y + thickness:.1f} "
            f"{near:.1f},{bar_y + thickness:.1f} Z"
        )
        streams.append(
            Stream(
                kind=flow.kind,
                label=flow.label,
                amount=flow.amount,
                path=path,
                bar_x=bar_x,
                bar_y=bar_y,
                bar_height=thickness,
                text_x=bar_x - 10 if inward else bar_x + _BAR + 10,
                text_y=bar_y + thickness / 2,
                anchor="end" if inward else "start",
            )
        )
        at_escrow += inner
        y += slot
    return streams


def draw_curves(
    curves: Sequence[Curve], references: Sequence[Reference], *, width: float = _WIDTH
) -> tuple[Chart, ...]:
    """One chart per curve. `references` are drawn into the first, which shows the promised metric.

    Args:
        curves: What to draw.
        references: Levels to compare with.
        width: Pixels.
    """
    return tuple(
        _chart(curve, references if index == 0 else (), width) for index, curve in enumerate(curves) if curve.points
    )


def _chart(curve: Curve, references: Sequence[Reference], width: float) -> Chart:
    height, left, right, top, bottom = 306.0, 64.0, width - 20.0, 16.0, 262.0
    points = sorted(curve.points)
    values = [value for _, value in points] + [reference.value for reference in references]
    low, high = min(values), max(values)
    margin = max((high - low) * 0.08, 1.0)
    floor, ceiling = low - margin, high + margin
    last_step = max(points[-1][0], 1)

    def x(step: float) -> float:
        return left + (right - left) * step / last_step

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - floor) / (ceiling - floor)

    spots = tuple((round(x(step), 1), round(y(value), 1)) for step, value in points)
    return Chart(
        name=curve.name,
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        line=" ".join(f"{spot_x},{spot_y}" for spot_x, spot_y in spots),
        dots=spots,
        x_ticks=tuple(Tick(round(x(step), 1), f"{step:g}") for step in _nice_ticks(0, last_step)),
        y_ticks=tuple(Tick(round(y(value), 1), f"{value / 1e6:g}") for value in _nice_ticks(floor, ceiling)),
        levels=_levels([(y(reference.value), reference.name) for reference in references], top),
        first=f"{points[0][1] / 1e6:.4f}",
        last=f"{points[-1][1] / 1e6:.4f}",
    )


def _levels(lines: list[tuple[float, str]], top: float) -> tuple[Level, ...]:
    """Reference lines whose labels overlap no label and no line: below their line if there is no room above it."""
    levels = []
    free = top + 4
    for line_y, label in sorted(lines):
        text_y = line_y - 5 if line_y - 5 >= free else max(line_y + 14, free)
        levels.append(Level(round(line_y, 1), round(text_y, 1), label))
        free = text_y + 15
    return tuple(levels)


def _nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two bounds."""
    span = high - low
    rough = span / 5
    magnitude = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 1.0
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    first = int(low // step) + 1 if low % step else int(low // step)
    ticks = []
    while first * step <= high:
        ticks.append(first * step)
        first += 1
    return ticks
