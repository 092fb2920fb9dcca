"""Campaigns that try to break the contracts' promises: `python -m assurance [NAME…] [--short]`."""
