"""A run from its inputs to its open weights, as the commands ask for it."""
