"""What the project is called, wherever a person reads it. CONTRIBUTING.md says how to change it."""

PROJECT = "LlamaFund"
