"""Repeating segments of a recorded run and judging the difference."""
