"""No key, passphrase or token is printed, logged, handed to a child or left in a core file."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import click
import pytest
from eth_account import Account

from llamafund_chain.cli.secrecy import tokens_in, without_paths, without_tokens

MARKER = "5ec2e75ec2e75ec2e7"
KEY = (MARKER * 4)[:64]
TOKEN = "tok3nzmarkerzz99zz42"
SOMEBODY = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def program(*arguments: object, env: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "llamafund_chain", *map(str, arguments)]
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        check=False,
        **options,
    )


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that answers every connection with the same bytes; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


GARBAGE = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a status": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "a broken length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
    "a cut answer": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=list(GARBAGE))
def test_a_nodes_token_is_never_printed_whatever_goes_wrong(llamafund, answer: bytes) -> None:
    with answering(answer) as port:
        for rpc in (
            f"http://127.0.0.1:{port}/v3/{TOKEN}",
            f"http://user:{TOKEN}@127.0.0.1:{port}/",
            f"http://127.0.0.1:{port}/?key={TOKEN}",
            f"https://127.0.0.1:{port}/v3/{TOKEN}",
        ):
            ran = llamafund("-v", "campaign", "list", "--rpc", rpc)
            assert ran.code == 4, ran.stderr
            assert "Traceback" in ran.stderr
            assert TOKEN not in ran.stdout + ran.stderr
            assert f"127.0.0.1:{port}" in ran.stderr


@pytest.mark.parametrize(
    "rpc", [f"http://[::1/{TOKEN}", f"http://x:99999/{TOKEN}", f"ftp://x/{TOKEN}", f"http://nowhere.invalid/{TOKEN}"]
)
def test_a_token_in_an_address_that_is_none_is_never_printed(llamafund, rpc: str) -> None:
    for option in (("campaign", "list", "--rpc", rpc), ("pledge", SOMEBODY, "1", "--signer", f"rpc:{rpc}", "--yes")):
        ran = llamafund("-v", *option)
        assert ran.code in (2, 4)
        assert TOKEN not in ran.stdout + ran.stderr


def test_a_signers_token_is_never_printed(llamafund, stage, no_node) -> None:
    stage.open()
    words = ("pledge", stage.client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")
    ran = llamafund("-v", *words, "--signer", f"rpc:{no_node}/{TOKEN}")
    assert ran.code == 4
    assert "Traceback" in ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr


def test_the_host_of_an_address_stays_and_ends_it() -> None:
    told = "url: https://u:p@host.example:8545/v3/abc?d=e (Max retries exceeded with url: /v3/abc?d=e) at http://h"
    assert without_paths(told) == "url: https://host.example:8545/… (Max retries exceeded with url: …) at http://h"


def test_tokens_are_passwords_queries_and_long_parts_of_paths() -> None:
    words = [
        "--rpc",
        "https://u:pw@host/v3/aaaaaaaaaaaaaaaa?key=k",
        "rpc:http://h/bbbbbbbbbbbbbbbbbb/short",
        "http://[",
    ]
    assert set(tokens_in(words)) == {"u:pw", "u", "pw", "key=k", "a" * 16, "b" * 18}
    assert without_tokens("at aaaaaaaaaaaaaaaa/short", tokens_in(words)) == "at …/short"


# ------------------------------------------------------------------ keys, passphrases


@pytest.fixture
def wallet(tmp_path: Path) -> list[object]:
    """Options that unlock a wallet whose key and passphrase have the marker in them."""
    passphrase = secret(tmp_path / "passphrase", f"{MARKER}\n")
    key = secret(tmp_path / "key", KEY)
    options: list[object] = ["--keystore", tmp_path / "keys", "--passphrase-file", passphrase]
    ran = program("-v", "wallet", "import", "alice", key, "--light-kdf", *options)
    assert ran.returncode == 0, ran.stderr
    assert Account.from_key(KEY).address in ran.stdout
    assert MARKER not in ran.stdout + ran.stderr
    return options


def test_no_failure_prints_a_key_or_passphrase(wallet, stage, tmp_path: Path) -> None:
    stage.open()
    wrong = secret(tmp_path / "wrong", f"{MARKER}{MARKER}\n")
    pledge = ("-v", "pledge", stage.client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")
    runs = [
        program(*pledge, "--wallet", "alice", *wallet),
        program(*pledge, "--wallet", "alice", *wallet[:2], "--passphrase-file", wrong),
        program(*pledge, "--signer", "env:K", env={"K": KEY}),
        program(*pledge, "--signer", "env:K", env={"K": f"{KEY}0"}),
        program(*pledge, "--signer", f"env:{KEY}"),
        program(*pledge, "--signer", KEY),
        program(*pledge, "--wallet", KEY),
        program("-v", "wallet", "import", "bob", secret(tmp_path / "words", f"{MARKER} " * 12), *wallet),
        program("-v", "wallet", "import", "bob", secret(tmp_path / "bad", f"{KEY}0"), *wallet),
        program("-v", "wallet", "change-passphrase", "alice", "--new-passphrase-file", tmp_path / "none", *wallet),
    ]
    for ran in runs:
        assert ran.returncode != 0
        assert "Traceback" in ran.stderr
        assert MARKER not in ran.stdout + ran.stderr


def test_what_was_sent_and_journaled_has_no_key_in_it(wallet, stage, tmp_path: Path) -> None:
    """Everything in the user's folders afterwards, but for the files that are meant to have the secret."""
    stage.open()
    stage.devnet.fund(Account.from_key(KEY).address, 10**20)
    home = {
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "home"),
    }
    ran = program(
        "-v", "pledge", stage.client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes", "--wallet", "alice", *wallet,
        env=home, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert MARKER not in ran.stdout + ran.stderr
    meant = {"passphrase", "key"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in meant:
            assert MARKER.encode() not in path.read_bytes(), path


UNLOCK = """
import ctypes, json, resource, sys
from pathlib import Path
from llamafund_chain.cli.signer import Signer
before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
Signer(*json.loads(sys.argv[1])[:2], None, *(p and Path(p) for p in json.loads(sys.argv[1])[2:])).unlock()
print(json.dumps([before, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whether memory may be dumped")
@pytest.mark.parametrize("kind", ["keystore", "env"])
def test_a_process_that_has_a_key_leaves_no_core_file(wallet, kind: str) -> None:
    chosen = ["keystore", "alice", str(wallet[1]), str(wallet[3])] if kind == "keystore" else ["env", "K", None, None]
    ran = subprocess.run(
        [
            "sh",
            "-c",
            'ulimit -c unlimited 2>/dev/null; exec "$@"',
            "sh",
            sys.executable,
            "-c",
            UNLOCK,
            json.dumps(chosen),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "K": KEY},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [1, 0, 0]


# -------------------------------------------------------------------------- children


def children_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only /proc shows what a child was given")
def test_anvil_gets_no_secret_of_the_environment_or_the_command_line() -> None:
    secrets = {"LLAMAFUND_KUBO_TOKEN": MARKER, "MY_KEY": KEY, "LLAMAFUND_RPC": f"http://127.0.0.1:1/{TOKEN}"}
    started = subprocess.Popen(
        [sys.executable, "-m", "llamafund_chain", "devnet", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **secrets},
        stdin=subprocess.DEVNULL,
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        (anvil,) = children_of(started.pid)
        given = Path(f"/proc/{anvil}/environ").read_bytes() + Path(f"/proc/{anvil}/cmdline").read_bytes()
    finally:
        started.send_signal(signal.SIGINT)
        rest = started.communicate(timeout=30)[0]
    assert b"anvil" in given
    assert b"PATH=" in given
    for word in (MARKER, TOKEN, "LLAMAFUND", "MY_KEY"):
        assert word.encode() not in given
        assert word not in line + rest


def test_no_option_takes_a_secret_itself() -> None:
    """The list of processes shows options to everybody: a secret comes from a file, a prompt or a variable."""
    from llamafund_chain.cli.main import cli

    def options_of(command: click.Command, context: click.Context) -> Iterator[click.Option]:
        options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
        yield from (option for option in options if not option.is_flag)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                if inner is not None:
                    yield from options_of(inner, click.Context(inner, parent=context, info_name=name))

    secrets = re.compile(r"key|passphrase|password|mnemonic|seed-phrase|token|secret")
    found = {name for option in options_of(cli, click.Context(cli)) for name in option.opts if secrets.search(name)}
    assert found == {"--keystore", "--passphrase-file", "--old-passphrase-file", "--new-passphrase-file"}


def test_a_passphrase_that_others_can_read_is_refused_before_a_node_is_asked(wallet, no_node) -> None:
    Path(str(wallet[3])).chmod(0o644)
    ran = program("pledge", SOMEBODY, "1", "--rpc", no_node, "--yes", "--wallet", "alice", *wallet)
    assert ran.returncode == 2
    assert f"Run: chmod 600 {wallet[3]}" in ran.stderr
