"""The program as a whole: help, errors, exit codes, plug-ins."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from every_command import RUN_UNTIL_STOPPED, every_command, needed_words, only_groups

from llamafund_chain.cli import groups, main
from llamafund_chain.cli.numbers import NumericCommand
from llamafund_chain.cli.plug_ins import GROUP, PlugIn, plug_ins
from llamafund_chain.cli.table import COMMANDS, Entry, Section
from llamafund_chain.errors import LlamafundError

WITHOUT_JSON = {"llamafund", "config", "proposal", "tx", "wallet", "dataset", "campaign", "manifest", "review", "store"}


def every_entry() -> list[Entry]:
    listed = [found.commands.values() if isinstance(found, Section) else (found,) for found in COMMANDS.values()]
    return [entry for entries in listed for entry in entries]


def test_every_command_has_help_with_an_example_and_a_json_form(llamafund) -> None:
    commands = every_command()
    paths = {path for path, _ in commands}
    for path in ("campaign create", "campaign show", "campaign list", "campaign activate", "pledge", "unpledge"):
        assert f"llamafund {path}" in paths
    for path in ("refund", "vote-stop", "dataset build", "attest", "submit", "claim", "audit", "wallet new", "devnet"):
        assert f"llamafund {path}" in paths
    for path, command in commands:
        words = path.split()[1:]
        ran = llamafund(*words, "--help")
        assert ran.code == 0, path
        assert command.help, path
        assert command.get_short_help_str(), path
        if only_groups(command) or command.help.startswith("Not available"):
            continue
        assert "Example:" in ran.stdout, path
        assert f"llamafund {' '.join(words)}" in ran.stdout.partition("Example:")[2], path
        assert "--json" in ran.stdout, path


def test_json_is_a_flag_of_every_command() -> None:
    for path, command in every_command():
        if only_groups(command) or str(command.help).startswith("Not available"):
            continue
        (option,) = (one for one in command.params if "--json" in one.opts)
        assert isinstance(option, click.Option), path
        assert option.is_flag, path


def test_whatever_takes_an_amount_or_a_length_of_time_also_takes_a_negative_one() -> None:
    found = set()
    for path, command in every_command():
        words = {str(one.metavar) for one in command.params if isinstance(one, click.Argument)}
        if words & {"AMOUNT", "AMOUNT|all", "DURATION", "NUMBER", "SECONDS"}:
            assert isinstance(command, NumericCommand), path
            found.add(path)
    assert len(found) == 4


def test_every_option_says_what_it_does() -> None:
    for path, command in every_command():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.name}"


def test_every_environment_variable_is_called_after_its_option() -> None:
    for path, command in every_command():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.envvar:
                assert parameter.envvar == f"LLAMAFUND_{str(parameter.name).upper()}", path


ONE_STORE = {
    *("campaign create", "campaign update", "dataset build", "dispute", "export", "review write", "train"),
    *(f"store {name}" for name in ("check", "export", "gc", "import", "list", "pin", "pins", "unpin")),
}
"""Commands that write to a store or look after it; all others only read, and from any number."""


def test_a_store_option_is_repeatable_where_a_command_only_reads_and_refused_twice_elsewhere(llamafund) -> None:
    stores = {path.removeprefix("llamafund "): command for path, command in every_command() if has_store(command)}
    assert set(stores) > ONE_STORE
    assert len(set(stores) - ONE_STORE) >= 11
    for path, command in stores.items():
        shown = " ".join(llamafund(*path.split(), "--help").stdout.split())
        assert ("; only one." in shown) == (path in ONE_STORE), path
        assert ("repeatable, tried in turn" in shown) == (path not in ONE_STORE), path
        if path in RUN_UNTIL_STOPPED:
            continue
        needed = [word for parameter in command.params for word in needed_words(parameter)]
        ran = llamafund(*path.split(), *needed, "--store", "one", "--store", "two")
        assert ("--store was given 2 times" in ran.stderr) == (path in ONE_STORE), ran.stderr
        if path in ONE_STORE:
            ran.refused(2, "works on one store")


def has_store(command: click.Command) -> bool:
    return any("--store" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("pledge",),
        ("pledge", "not-an-address", "1"),
        ("pledge", "0x70997970C51812dc3A010C7d01b50e0d17dc79c8", "1"),
        ("campaign", "show", "0x1234"),
        ("campaign", "create"),
        ("attest", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        ("pledge", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "1", "--finality", "probably"),
        ("audit", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "--surprise"),
    ],
)
def test_words_that_make_no_command_are_a_usage_error_in_one_line(llamafund, arguments: tuple[str, ...]) -> None:
    llamafund(*arguments).refused(2)


@pytest.mark.parametrize("words", [(), ("-v",), *((group,) for group in sorted(WITHOUT_JSON - {"llamafund"}))])
def test_a_bare_group_prints_its_help_as_a_result(llamafund, words: tuple[str, ...]) -> None:
    ran = llamafund(*words)
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == llamafund(*words, "--help").stdout
    assert ran.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("pldge",), "Did you mean 'pledge'"),
        (("campaing", "show"), "Did you mean 'campaign'"),  # codespell:ignore
        (("campaign", "shwo"), "Did you mean 'show'"),  # codespell:ignore
        (("activate",), "Did you mean 'campaign activate'"),
        (("trian", "recipe.yaml"), "Did you mean 'train'"),  # codespell:ignore
        (("camp",), "No such command 'camp'. Did you mean 'campaign'? See"),
        (("--verbsoe",), "No such option '--verbsoe'. Did you mean '--verbose'? See"),  # codespell:ignore
        (("pledge", "--walet", "alice"), "Did you mean '--wallet'? See"),  # codespell:ignore
        (("pledge", "--to", "nobody"), "No such option '--to'. See"),
    ],
)
def test_a_typing_error_is_answered_with_what_may_be_meant(llamafund, typed: tuple[str, ...], meant: str) -> None:
    llamafund(*typed).refused(2, "No such", meant)


def test_a_word_that_resembles_nothing_is_answered_without_a_guess(llamafund) -> None:
    ran = llamafund("xyzzy")
    ran.refused(2, "No such command 'xyzzy'", "llamafund --help")
    assert "Did you mean" not in ran.stderr


def raising(error: BaseException):
    def command() -> None:
        raise error

    return click.Command("boom", callback=command)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LlamafundError("It went wrong", "Of course", "Do better"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (PermissionError(13, "Permission denied", "/some/file"), 1),
        (ZeroDivisionError("division by zero"), 1),
        (RecursionError("too deep"), 1),
    ],
)
def test_every_error_is_one_line_and_a_code(llamafund, monkeypatch, error: BaseException, code: int) -> None:
    monkeypatch.setattr(main.cli, "get_command", lambda *_: raising(error))
    llamafund("boom").refused(code)


def test_where_an_error_arose_is_shown_only_when_asked_for(llamafund, monkeypatch) -> None:
    monkeypatch.setattr(main.cli, "get_command", lambda *_: raising(ZeroDivisionError("division by zero")))
    assert "Traceback" not in llamafund("boom").stderr
    assert "Traceback" in llamafund("-v", "boom").stderr
    assert "Traceback" in llamafund("--verbose", "boom").stderr


def test_a_message_cannot_steer_the_terminal(llamafund, monkeypatch) -> None:
    monkeypatch.setattr(main.cli, "get_command", lambda *_: raising(LlamafundError("a\x1b[2Jb\nc\u202ed")))
    ran = llamafund("boom")
    ran.refused(1)
    assert "\x1b" not in ran.stderr
    assert "\u202e" not in ran.stderr


def test_a_plug_in_that_cannot_be_loaded_says_why_and_hides_nothing_else(llamafund, monkeypatch) -> None:
    broken = PlugIn("broken", "llamafund_no_such_package.commands:broken")
    monkeypatch.setattr(groups, "plug_ins", lambda: {"broken": broken})
    assert "broken" in llamafund("--help").stdout
    llamafund("broken", "--some", "thing").refused(1, "llamafund_no_such_package", "pip install")
    assert llamafund("wallet", "list").code == 0


HEAVY = {"pydantic", "web3", "torch", "transformers", "jinja2", "requests", "eth_account", "eth_utils", "rich"}


def loaded_by(*arguments: str) -> set[str]:
    """Every module that a process has loaded after running a command, which succeeds."""
    program = (
        "import sys; from llamafund_chain.cli.main import run\n"
        f"code = run({list(arguments)!r})\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, *modules = done.stderr.split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "words", [(), *((name,) for name, found in COMMANDS.items() if isinstance(found, Section))], ids=" ".join
)
def test_the_help_of_a_group_loads_no_command(words: tuple[str, ...]) -> None:
    modules = loaded_by(*words, "--help")
    places = {entry.place.partition(":")[0] for entry in every_entry()}
    plug_ins = {entry.module for entry in groups.plug_ins().values()}
    assert len(places) > 20
    assert len(plug_ins) > 4
    assert modules & (places | plug_ins | HEAVY) == set()


def test_light_commands_load_no_heavy_library() -> None:
    assert loaded_by("wallet", "list", "--keystore", "/nowhere") & HEAVY == set()


def test_what_help_says_of_a_command_is_what_the_command_says() -> None:
    for path, command in every_command():
        if not isinstance(command, groups.LazyGroup):
            continue
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            assert command.summary(context, name) == child.get_short_help_str(10_000) != "", f"{path} {name}"


def test_a_plug_in_whose_package_tells_no_short_help_is_asked_itself(llamafund, monkeypatch) -> None:
    entry = PlugIn("other", "llamafund_chain.cli.wallet:new")
    monkeypatch.setattr(groups, "plug_ins", lambda: {"other": entry})
    assert "other" in llamafund("--help").stdout
    assert llamafund("--help").stdout.count("Create a random key") == 1


def test_plug_ins_are_those_that_python_itself_finds() -> None:
    found = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    assert {name: entry.value for name, entry in plug_ins().items()} == found
    assert {"demo", "train", "audit"} & set(found) == {"demo", "train"}
    assert plug_ins()["demo"].load().name == "demo"


def test_a_package_whose_list_of_plug_ins_is_broken_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = plug_ins()
    for name, text in {
        "good": b"# note\n[console_scripts]\nx = y:z\n\n[ llamafund.commands ]\n; no\nmine=a.b:c.d [extra]\n",
        "bad": b"\xff[llamafund.commands]\nx = y:z\n",
        "odd": b"[llamafund.commands\nnothing\n",
    }.items():
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info" / "entry_points.txt").write_bytes(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert plug_ins() == {**usual, "mine": PlugIn("mine", "a.b:c.d [extra]")}
    assert plug_ins()["mine"].module == "a.b"


def test_a_reader_that_goes_away_is_no_crash() -> None:
    program = "import sys; from llamafund_chain.cli.main import run; sys.exit(run(['--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        done = subprocess.run([sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 120)


def test_commands_that_need_no_result_document_are_only_groups() -> None:
    groups = {
        path.rpartition(" ")[2]
        for path, command in every_command()
        if isinstance(command, click.Group) and not any("--json" in option.opts for option in command.params)
    }
    assert groups == WITHOUT_JSON
