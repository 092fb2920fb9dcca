"""Where the contracts were deployed: one `<chain id>.json` per chain, written by `scripts/deploy.py`."""
