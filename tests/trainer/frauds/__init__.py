"""Frauds by those who train, each planted by a few lines, each with the check that catches it.

`CATALOGUE` is the list; docs/verification.md has a line for each of them.
"""

from frauds.catalogue import CATALOGUE, Fraud, Planted
from frauds.dishonest_runs import DishonestRuns, train_dishonestly

__all__ = ["CATALOGUE", "DishonestRuns", "Fraud", "Planted", "train_dishonestly"]
