"""Whatever words and files a command is given, it ends with a documented exit code and one clear line.

Hypothesis draws the words: some of the right form, some of strangers' making. No node answers.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from every_command import RUN_UNTIL_STOPPED, every_command, needed_words, only_groups
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamafund_chain.chain import nodes
from llamafund_chain.chain.node import Node
from llamafund_chain.cli import main
from llamafund_chain.errors import ExitCode

EXAMPLES = int(os.environ.get("LLAMAFUND_TEST_EXAMPLES", "10"))
"""For each command. Finding something new takes more, for example 1 000."""

COMMANDS = {
    path.partition(" ")[2]: command
    for path, command in every_command()
    if not only_groups(command) and path.partition(" ")[2] not in RUN_UNTIL_STOPPED
}

FILES: dict[str, bytes] = {
    "empty": b"",
    "zero": b"\0" * 100,
    "not-text": b"\xff\xfe\x80",
    "half.json": b'{"schema": "llamafund/dataset/1", "files": [',
    "list.json": b"[1, 2, 3]",
    "number.json": b"1e999",
    "digits.json": b"9" * 5_000,
    "deep.json": b"[" * 100_000,
    "deep-object.json": b'{"a":' * 50_000,
    "half-character.json": b'{"schema": "\\ud800", "version": "\\udc00"}',
    "unknown.json": b'{"schema": "llamafund/unknown/1"}',
    "wrong-types.json": json.dumps(
        {
            "schema": {"a": []},
            "version": [3],
            "crypto": {"kdf": 5, "cipher": None},
            "files": {"x": 1},
            "attestation": [],
            "signatures": 7,
            "report": "yes",
        }
    ).encode(),
    "key.json": json.dumps(
        {"version": 3, "crypto": {"cipher": "none", "kdf": "scrypt", "kdfparams": {"n": -1}}}
    ).encode(),
    "attestation.json": b'{"schema": "llamafund/attestation/1", "chain": "eip155:1", "campaign": "0x0"}',
    "report.json": b'{"schema": "llamafund/cli/1", "command": "audit", "report": {"verdict": []}}',
    "deep.yaml": b"- " * 5_000 + b"x",
    "references.yaml": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "tag.yaml": b"!!python/object/apply:os.system [true]\n",
    "campaign.yaml": b"title: 5\nterms: []\nproposal: {1: 2}\n",
    "recipe.yaml": b"schema: llamafund/recipe/1\nmodel: 7\ntraining: {steps: -1}\n",
    "update.md": b"# \x1b[31m\xe2\x80\xae\n",
    "store.car": b"\x3a\xa2\x65roots\x80" + b"\xff" * 40,
    "line-breaks": b"\r\n\r\n",
}

ADDRESS = "0x" + "11" * 20
WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "--json",
        "-v",
        "0",
        "-1",
        "1",
        "1e99",
        "0x",
        "all",
        "none",
        "9" * 400,
        "NaN",
        "\u0663",
        "3d",
    ),
    *(ADDRESS, ADDRESS.upper(), "0x" + "Aa" * 20, "ab" * 32, "0x" + "ab" * 65, "\ud800", "\udcff", "a\u202eb"),
    *(
        "http://",
        "http://[",
        "http://127.0.0.1:99999",
        "http://[::1",
        "ftp://x",
        "http://\u2100.example",
        "https://a b",
    ),
    *("kubo:http://127.0.0.1:1", "gateway:http://127.0.0.1:1", "kubo:", "gateway:x", "pinning:", "mirror:http://["),
    *("keystore:", "env:", "env:NOTHING", "rpc:http://127.0.0.1:1", f"safe:{ADDRESS}", "print", "safe:x", "sepolia"),
    *("bafkqaaa", "Qm" + "1" * 44, "b" * 59, "z" * 60, "a" * 300, "x/y", "nul\0byte", "a\nb", "\u0130", "e\u0301"),
    *FILES,
    *("directory", "dangling", "drawn", "nowhere/at/all"),
    ".",
)


def harmless(text: str) -> str:
    """Never a path out of the current directory."""
    return text.replace("..", ".").lstrip("/~")


ANY_WORD = st.one_of(st.sampled_from(WORDS), st.text(max_size=40).map(harmless))


def fitting(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Words of the form that a parameter has, mostly."""
    kind = parameter.type
    fits: st.SearchStrategy[str]
    if isinstance(kind, click.Choice):
        fits = st.sampled_from([str(choice) for choice in kind.choices])
    elif kind.name == "address":
        fits = st.just(ADDRESS)
    elif kind.name == "hash":
        fits = st.just("ab" * 32)
    elif kind.name == "number":
        fits = st.integers(-5, 2**70).map(str)
    elif kind.name in ("file", "path", "directory"):
        fits = st.sampled_from([*FILES, "directory", "dangling", "drawn"])
    else:
        fits = ANY_WORD
    return st.one_of(fits, fits, ANY_WORD)


@st.composite
def words_for(draw: Any, command: click.Command) -> list[str]:
    """A line of words for a command, most of them where they belong."""
    line: list[str] = []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            if not (parameter.required or draw(st.integers(0, 3)) == 0):
                continue
            name = draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts]))
            line += [name] if parameter.is_flag or parameter.count else [name, draw(fitting(parameter))]
        elif parameter.required or draw(st.booleans()):
            times = draw(st.integers(0, 2)) if parameter.nargs < 0 else 1
            line += [draw(fitting(parameter)) for _ in range(times)]
    if draw(st.integers(0, 5)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(ANY_WORD))
    return line


@pytest.fixture(scope="module")
def dead_node() -> Iterator[str]:
    """The address of a port at which every connection is refused."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path, dead_node: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with files of strangers."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLAMAFUND_RPC", dead_node)
    return tmp_path


def write_files(folder: Path) -> None:
    """The files, again if a command has replaced or removed some."""
    for name, data in FILES.items():
        path = folder / name
        if path.is_dir() or not path.exists():
            continue
        path.write_bytes(data)


def ends_well(argv: list[str]) -> None:
    """It ends with a documented exit code, and says in one line what went wrong."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = main.run(argv)
    said = stdout.getvalue() + stderr.getvalue()
    assert code in set(ExitCode), argv
    assert "Traceback" not in said or "-v" in argv or "--verbose" in argv, argv
    assert "This is a bug" not in said, (argv, said)
    errors = [line for line in stderr.getvalue().splitlines() if line.startswith("Error: ")]
    assert len(errors) == (code != ExitCode.OK), (argv, said)
    assert all(character.isprintable() for line in errors for character in line), errors


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_words_and_no_files_make_a_command_crash(name: str, folder: Path) -> None:
    for file, data in FILES.items():
        (folder / file).write_bytes(data)
        (folder / file).chmod(0o600)

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(words_for(COMMANDS[name]), st.binary(max_size=200))
    def run(line: list[str], data: bytes) -> None:
        write_files(folder)
        (folder / "drawn").write_bytes(data)
        ends_well([*name.split(), *line])

    run()


def test_no_words_make_the_program_crash(folder: Path) -> None:
    @settings(max_examples=200)
    @given(st.lists(st.one_of(ANY_WORD, st.sampled_from([*COMMANDS, "config", "campaign"])), max_size=4))
    def run(line: list[str]) -> None:
        if not RUN_UNTIL_STOPPED & set(line):
            ends_well(line)

    run()


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * 1_000 + "\0"])
def test_a_word_that_no_shell_can_pass_on_is_refused(llamafund, word: str) -> None:
    for argv in (("fetch", word), ("init", word), ("audit", ADDRESS, "--html", word), (word,)):
        llamafund(*argv).refused(2, "cannot be used", "zero byte")


def test_a_name_of_bytes_that_are_not_text_is_one(llamafund, folder: Path) -> None:
    (folder / "\udcff").write_text("{}")
    llamafund("manifest", "show", "\udcff").refused(3)


NODE_COMMANDS = sorted(
    name
    for name, command in COMMANDS.items()
    if any("--rpc" in parameter.opts for parameter in command.params) and name not in {"train", "export", "watch"}
)
"""`watch` goes on whatever a node says; the other two need a campaign that holds before they ask more."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**300),
    st.sampled_from(
        ["", "0x", "0x0", "0x1", "1", "0x" + "f" * 64, "0x" + "00" * 32, "0x" + "f" * 65, ADDRESS, "latest"]
    ),
    st.binary(max_size=200).map(lambda data: f"0x{data.hex()}"),
    st.text(max_size=10),
)
NAMES = st.sampled_from(
    ["number", "hash", "timestamp", "logsBloom", "baseFeePerGas", "address", "topics", "data", "blockNumber", "code"]
)
ANSWERS = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner)))
BLOCK = st.fixed_dictionaries(
    {
        "number": st.one_of(st.just("0x10"), SCALARS),
        "hash": st.one_of(st.just("0x" + "ab" * 32), SCALARS),
        "timestamp": st.one_of(st.just("0x6a000000"), SCALARS),
        "baseFeePerGas": st.one_of(st.just("0x1"), SCALARS),
    }
)


@pytest.mark.parametrize("name", NODE_COMMANDS)
def test_no_answers_of_a_node_make_a_command_crash(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, data in FILES.items():
        (folder / file).write_bytes(data)
    command = COMMANDS[name]
    line = [word for parameter in command.params for word in needed_words(parameter)]
    if any("--signer" in parameter.opts for parameter in command.params):
        line += ["--signer", "print", "--from", ADDRESS]
    monkeypatch.setattr(nodes, "sleep", lambda _: None)

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def run(data: Any) -> None:
        def ask(_: Node, questions: Any) -> list[Any]:
            return [answer(question.method) for question in questions]

        def answer(method: str) -> Any:
            if method == "eth_chainId" and data.draw(st.integers(0, 9)):
                return "0x7a69"
            if method == "eth_getBlockByNumber" and data.draw(st.integers(0, 4)):
                return data.draw(BLOCK)
            return data.draw(ANSWERS)

        with monkeypatch.context() as patch:
            patch.setattr(Node, "ask", ask)
            ends_well([*name.split(), *line])

    run()
