"""Measurements, each with a reference from the same run: `python -m bench NAME [--json]`."""
