"""What a measurement is: a value with its unit, a reference of the same run, a bound, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """What a value is compared with, measured in the same run."""

    name: str
    value: float


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: What was measured.
        value: The measurement, in `unit`.
        unit: For example `gas` or `s`.
        reference: Measured in the same run and the same unit; `None` where there is none.
        bound: Largest value that holds; `None` where there is none.
    """

    name: str
    value: float
    unit: str
    reference: Reference | None = None
    bound: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference.value if self.reference else None

    @property
    def holds(self) -> bool | None:
        """Whether the value is within its bound; `None` where there is none."""
        return None if self.bound is None else self.value <= self.bound

    def to_json(self) -> dict[str, Any]:
        """The row with its derived fields."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


Benchmark = Callable[[], Iterable[Row]]
