"""Where the contracts were deployed: one `<chain id>.json` a chain, written by `scripts/deploy.py`."""
