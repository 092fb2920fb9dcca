"""Poor man's configurator: files are run, and --name=value sets a global."""

# ruff: noqa: F821 - it runs inside train.py, whose names it uses
import sys

for argument in sys.argv[1:]:
    if "=" not in argument:
        exec(Path(argument).read_text())
    else:
        name, value = argument.removeprefix("--").split("=")
        assert name in config_keys
        try:
            globals()[name] = literal_eval(value)
        except (SyntaxError, ValueError):
            globals()[name] = value
