"""Deterministic training of Llama-architecture models, with evidence that others can replay."""
