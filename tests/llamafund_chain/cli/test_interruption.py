"""Ctrl-C at any time ends the program in one line that fits what was going on, with exit code 130."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.sending import Sender
from llamafund_chain.cli.main import run
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.evidence.manifests import FileEntry, Listing

ETHER = 10**18
PLEDGE = ("pledge", "0x00000000000000000000000000000000000000bb", "1", "--signer", "rpc:http://127.0.0.1:9")
PATIENCE = 120.0
NOTHING_DONE = "nothing was done yet."
NOTHING_SENT = "nothing was sent."
AS_A_MODULE = (sys.executable, "-m", "llamafund_chain")
AS_A_SCRIPT = (str(Path(sysconfig.get_path("scripts")) / "llamafund"),)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program as a shell does: leading a group of processes that a terminal would interrupt together."""
    running: list[subprocess.Popen[str]] = []

    def begin(
        *words: object, program: tuple[str, ...] = AS_A_MODULE, first: Path | None = None, terminal: int | None = None
    ):
        paths = [str(first)] if first else []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, sys.path)])}
        process = subprocess.Popen(
            [*program, *map(str, words)],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something while a process runs."""
    last = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < last, "it took too long"
        select.select([], [], [], 0.02)


def press_until_it_ends(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C, and again every half minute: Python misses a signal just before it blocks in a system call."""
    for _ in range(4):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 4)
            return
    pytest.fail("it does not end")


def interrupted(process: subprocess.Popen[str]) -> str:
    """What the program says after Ctrl-C, in one line and no more: its text after “Interrupted”."""
    press_until_it_ends(process)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stdout + stderr
    assert stderr.endswith("\n")
    line = stderr.splitlines()[-1]
    assert line.startswith("Error: Interrupted")
    assert stderr.count("Interrupted") == 1
    return line.removeprefix("Error: Interrupted").removeprefix("; ")


# --------------------------------------------------------- while modules load


def test_nothing_is_loaded_before_main_is_called() -> None:
    """Not even a standard module: Ctrl-C at that moment would show a traceback of ours."""
    program = "import sys; before = {*sys.modules}; import llamafund_chain.__main__; print(*{*sys.modules} - before)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == {"llamafund_chain", "llamafund_chain.__main__"}


@pytest.fixture
def slow_import(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Puts a package in front of another that never ends loading; its folder, and a file that appears meanwhile."""

    def put(name: str, around: str = "{}") -> tuple[Path, Path]:
        folder, mark = tmp_path / "slow", tmp_path / "loading"
        package = folder.joinpath(*name.split("."))
        package.mkdir(parents=True)
        wait = f"open({str(mark)!r}, 'w').close()\nimport select\nselect.select([], [], [], {PATIENCE})\n"
        (package / "__init__.py").write_text(around.format(wait))
        return folder, mark

    return put


@pytest.mark.parametrize("program", [AS_A_MODULE, AS_A_SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize(
    ("package", "words", "left"),
    [
        ("click", ("--help",), NOTHING_DONE),
        ("pydantic", ("manifest", "schema"), NOTHING_DONE),
        ("pydantic", PLEDGE, NOTHING_DONE),
        ("requests", PLEDGE, NOTHING_SENT),
        ("requests", ("campaign", "list"), "."),
        ("eth_account", ("wallet", "new", "alice"), "."),
    ],
)
def test_while_modules_load(
    start: Start, slow_import, tmp_path: Path, program: tuple[str, ...], package: str, words: tuple[str, ...], left: str
) -> None:
    (tmp_path / "passphrase").touch(mode=0o600)
    (tmp_path / "passphrase").write_text("correct horse\n")
    folder, mark = slow_import(package)
    more = ("--passphrase-file", tmp_path / "passphrase") if "new" in words else ()
    process = start(*words, *more, program=program, first=folder)
    until(mark.exists, process)
    assert interrupted(process) == left


@pytest.mark.parametrize(("package", "left"), [("click", NOTHING_DONE), ("requests", NOTHING_SENT)])
def test_inside_of_exec(start: Start, slow_import, package: str, left: str) -> None:
    """CPython remembers such an interruption, though it was caught, and would end itself by the signal."""
    folder, mark = slow_import(package, "exec({!r})")
    process = start(*PLEDGE, first=folder)
    until(mark.exists, process)
    assert interrupted(process) == left


@pytest.mark.parametrize(
    "around",
    [
        "class Late:\n    def __del__(self):\n        exec({!r})\nLate()\nwhile True: pass",
        "class Named:\n    def __set_name__(self, *_):\n        exec({!r})\nclass Owner:\n    one = Named()",
    ],
    ids=["finalizer", "set_name"],
)
@pytest.mark.parametrize("package", ["click", "pydantic"])
def test_where_python_loses_an_interruption(start: Start, slow_import, package: str, around: str) -> None:
    """Python goes on after one inside of a finalizer, and makes another error of one around `__set_name__`."""
    folder, mark = slow_import(package, around)
    process = start(*PLEDGE, first=folder)
    until(mark.exists, process)
    assert interrupted(process) == NOTHING_DONE


def test_a_program_that_ignores_ctrl_c_from_its_start_goes_on(start: Start, tmp_path: Path) -> None:
    """A shell starts one in the background so."""
    (tmp_path / "click.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('goes on')\nraise SystemExit(7)\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start("--help", first=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.communicate(timeout=PATIENCE) == ("goes on\n", "")
    assert process.returncode == 7


# ------------------------------------------------------ before and after sending


def test_while_the_node_does_not_answer(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = start("campaign", "list", "--rpc", f"http://127.0.0.1:{server.getsockname()[1]}")
        server.settimeout(PATIENCE)
        asked, _ = server.accept()
        with asked:
            assert asked.recv(1)
            assert interrupted(process) == "."


def signing(keystore: Path, name: str) -> tuple[object, ...]:
    return ("--wallet", name, "--keystore", keystore, "--passphrase-file", keystore / "passphrase")


def shown(screen: int, process: subprocess.Popen[str], stop: bytes | None = None) -> bytes:
    """What a terminal shows from here on until it has shown something, or until the program has ended."""
    seen, last = b"", time.monotonic() + PATIENCE
    while stop is None or stop not in seen:
        assert time.monotonic() < last, seen
        ready, _, _ = select.select([screen], [], [], 0.05)
        if ready:
            seen += os.read(screen, 4096)
        elif process.poll() is not None:
            break
    return seen


@pytest.mark.parametrize("key", ["Ctrl-C", "Ctrl-D"])
def test_at_the_question(start: Start, stage, keystore: Path, untouched, key: str) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 3 * ETHER)
    screen, terminal = pty.openpty()
    where = ("--rpc", stage.devnet.rpc_url, *signing(keystore, "backer0"))
    with untouched():
        process = start("unpledge", client.address, "all", *where, terminal=terminal)
        assert b"[y/N]: " in shown(screen, process, b"[y/N]: ")
        # Python misses a signal that comes just before it blocks in a read, and nobody presses keys that fast.
        select.select([], [], [], 0.5)
        if key == "Ctrl-C":
            press_until_it_ends(process)
        else:
            os.write(screen, b"\x04")
        assert process.wait(PATIENCE) == 130
    question, *lines = shown(screen, process).decode().splitlines()
    assert not question.strip("^D\b ")
    assert lines == ["Error: Interrupted; nothing was sent."]
    os.close(terminal)
    os.close(screen)


def test_once_a_transaction_is_sent_it_is_named_and_stays_sent(start: Start, stage, keystore: Path) -> None:
    client, connection = stage.open(), stage.devnet.connection
    connection.request("evm_setAutomine", False)
    try:
        where = ("--rpc", stage.devnet.rpc_url, *signing(keystore, "backer0"))
        process = start("pledge", client.address, "2", "--yes", *where)
        until(lambda: int(connection.request("txpool_status")["pending"], 16), process)
        said = interrupted(process)
        waiting = connection.request("txpool_content")["pending"]
        (sent,) = [one["hash"] for queue in waiting.values() for one in queue.values()]
        assert said == f"transaction {sent} was sent and stays sent. Look before you repeat the command."
        connection.request("anvil_mine", "0x1")
    finally:
        connection.request("evm_setAutomine", True)
    assert client.pledge_of(stage.backers[0].address) == 2 * ETHER


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ((Connection, "fees"), r"nothing was sent\."),
        ((Sender, "_await"), r"transaction 0x[0-9a-f]{64} was sent and stays sent\. Look before"),
        ((CampaignClient, "pledge_of"), r"transaction 0x[0-9a-f]{64} is included in a block\. Look before"),
    ],
    ids=["before", "meanwhile", "afterwards"],
)
def test_what_is_said_depends_on_how_far_a_transaction_has_come(
    llamafund, stage, monkeypatch: pytest.MonkeyPatch, moment: tuple[type, str], words: str
) -> None:
    client = stage.open()
    with monkeypatch.context() as patch:
        patch.setattr(*moment, interrupt)
        ran = llamafund("pledge", client.address, "2", "--rpc", stage.devnet.rpc_url, "--yes", wallet="backer0")
    ran.refused(130)
    assert re.search(words, ran.stderr), ran.stderr


def test_a_transaction_that_the_node_refused_is_not_told_as_sent(llamafund, stage, node) -> None:
    from llamafund_chain.chain.node_errors import RpcError

    def refuse(method: str, _: object, forward: Callable[[], object]) -> object:
        if method == "eth_sendRawTransaction":
            raise RpcError(method, -32000, "transaction type not supported", None)
        return forward()

    client = CampaignClient(connect(stage.devnet.rpc_url), stage.open().address)
    node(refuse)
    with pytest.raises(RpcError):
        client.pledge(stage.backers[0], ETHER)
    assert client.sender.outbox.sent == {}


def test_many_transactions_are_counted_and_few_are_named() -> None:
    from llamafund_chain.cli.shared import sent_through

    outbox = SimpleNamespace(sent={})
    say = sent_through(SimpleNamespace(outbox=outbox), "the watch has ended")
    assert say() == "the watch has ended"
    outbox.sent = {"aa": True, "bb": False, "cc": False}
    assert say().startswith(
        "transaction 0xaa is included in a block, and transactions 0xbb, 0xcc were sent and stay sent"
    )
    outbox.sent = {f"{number:02x}": True for number in range(40)}
    assert say().startswith("40 transactions are included in blocks")


# ---------------------------------------------------------- hashing, publishing


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A directory with a file that takes minutes to hash, and nothing on the disk."""
    folder = tmp_path / "tree"
    folder.mkdir()
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(1 << 38)
    return folder


def reading(process: subprocess.Popen[str], path: Path) -> Callable[[], bool]:
    """Whether a process has a file open, for `until`."""
    files = Path(f"/proc/{process.pid}/fd")
    if not files.is_dir():
        pytest.skip("which files a program has open is only known where there is /proc")

    def look() -> bool:
        try:
            return any(link.readlink() == path for link in files.iterdir())
        except OSError:
            return False

    return look


def test_while_a_directory_is_hashed_to_be_published(start: Start, endless: Path, tmp_path: Path) -> None:
    process = start("publish", endless, "--to", tmp_path / "store", "--no-cache")
    until(reading(process, endless / "huge.bin"), process)
    assert interrupted(process) == "nothing was published yet."
    assert not (tmp_path / "store").exists()


def test_while_a_directory_is_compared(start: Start, endless: Path, tmp_path: Path) -> None:
    entry = FileEntry(path="huge.bin", size=1 << 38, sha256="ab" * 32, cid=hash_bytes(b"").cid)
    (tmp_path / "manifest.json").write_bytes(Listing(files=(entry,)).to_bytes())
    process = start("verify", endless, "--manifest", tmp_path / "manifest.json", "--jobs", "2")
    until(reading(process, endless / "huge.bin"), process)
    assert interrupted(process) == "not every file was compared."


@pytest.mark.parametrize(
    ("words", "place", "left"),
    [
        (
            ("publish", "TREE", "--to", "STORE"),
            "cli.publish.publishing.publish",
            "what locations have received stays there",
        ),
        (
            ("fetch", "HASH", "--from", "STORE", "--out", "OUT"),
            "cli.fetch.fetch_all",
            "complete files are",
        ),
        (("audit", "CAMPAIGN", "--rpc", "RPC"), "cli.audit.run_audit", "the audit reached no verdict"),
        (("campaign", "show", "CAMPAIGN", "--rpc", "RPC"), "cli.shared.CampaignClient.verify_code", None),
        (("store", "gc", "--store", "STORE"), "cli.store._local", None),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_each_long_command_says_what_stays(
    llamafund,
    stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    place: str,
    left: str | None,
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("data")
    names = {
        "TREE": tmp_path / "tree",
        "STORE": stage.run.store.location,
        "HASH": stage.run.dataset.sha256,
        "OUT": tmp_path / "out",
        "CAMPAIGN": stage.open().address,
        "RPC": stage.devnet.rpc_url,
    }
    monkeypatch.setattr(f"llamafund_chain.{place}", interrupt)
    ran = llamafund(*(names.get(word, word) for word in words))
    ran.refused(130, f"Interrupted; {left}" if left else "Interrupted.")


def test_a_second_ctrl_c_adds_nothing(start: Start, slow_import) -> None:
    folder, mark = slow_import("requests")
    process = start("campaign", "list", first=folder)
    until(mark.exists, process)
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    # Once the line is told, another one ends the program at once.
    assert process.returncode in (130, -signal.SIGINT)
    assert stderr == "Error: Interrupted.\n"


def test_interrupted_in_process_leaves_no_word_of_the_command_before(stage, capsys, monkeypatch) -> None:
    """What one command has set is not told of the next."""
    client = stage.open()
    assert run(["campaign", "show", client.address, "--rpc", stage.devnet.rpc_url]) == 0
    monkeypatch.setattr("llamafund_chain.cli.wallet.open_keystore", interrupt)
    assert run(["wallet", "list"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Error: Interrupted."
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
