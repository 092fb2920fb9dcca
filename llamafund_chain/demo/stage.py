"""What every act of the demo uses: a chain, a folder, a narrator, and the commands that the reader sees."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.chain.journal import STATE_VARIABLE
from llamafund_chain.cli.main import run
from llamafund_chain.demo.facts import ActFact, DemoFacts, Expectation
from llamafund_chain.demo.folder import Folder
from llamafund_chain.demo.narrator import Narrator
from llamafund_chain.demo.processes import run_python
from llamafund_chain.errors import ExitCode, LlamafundError

if TYPE_CHECKING:
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.chain.connection import Connection
    from llamafund_chain.chain.devnet import Devnet

FINAL_SECONDS = 12
"""How long the story waits for finality; the demo's chain needs a few blocks."""


_ASKING = frozenset(
    {"answer", "attest", "challenge", "claim", "dispute", "pledge", "refund", "submit", "unpledge", "vote-stop"}
)
_WITH_STORE = frozenset({"attest", "audit", "dataset", "dispute", "export", "replay", "train"})


class StoryError(LlamafundError):
    """The demo did not go as it should."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command.

    Attributes:
        exit_code: As documented in `ExitCode`.
        result: Its JSON result; empty if it printed none.
        message: What it wrote to standard error, on one line.
    """

    exit_code: int
    result: dict[str, Any]
    message: str


@dataclass
class Stage:
    """The demo's chain, folder and voice, and everything recorded so far.

    Attributes:
        names: What the reader sees instead of long values, such as `$CAMPAIGN` for an address.
        addresses: Address of each wallet, by name.
    """

    folder: Folder
    narrator: Narrator
    devnet: Devnet
    connection: Connection
    facts: DemoFacts
    names: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    _act: int = 0

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """One act of the story. The order gives its number."""
        self._act += 1
        self.narrator.chapter(f"Act {self._act}: {title}")
        begun = time.monotonic()
        try:
            yield
        finally:
            seconds = round(time.monotonic() - begun, 1)
            self.facts.acts.append(ActFact(number=self._act, title=title, seconds=seconds))

    def name(self, variable: str, value: str) -> None:
        """Show `value` as `$variable` in commands from now on, and tell the reader."""
        self.names[value] = f"${variable}"
        self.narrator.code(f"{variable}={value}")

    def expect(self, claim: str, held: bool, found: str = "", *, silent: bool = False) -> None:
        """Record one thing that the story relies on.

        Args:
            claim: What should hold, as a sentence.
            held: Whether it does.
            found: The values that decide it.
            silent: Do not show it if it holds.

        Raises:
            StoryError: It does not hold.
        """
        self.facts.expectations.append(Expectation(act=self._act, claim=claim, held=held, found=found))
        shown = f"{claim}: {found}" if found else claim
        if not held:
            self.narrator.broken(shown)
            raise StoryError(
                f"The story broke in act {self._act}: {claim}",
                f"Found: {found}" if found else "",
                f"Look into {self.folder.root}, which has everything up to here",
            )
        if not silent:
            self.narrator.held(shown)

    def expect_equal(self, claim: str, actual: object, wanted: object, *, silent: bool = False) -> None:
        """Record whether two values are equal. Shows the value, or both if they differ."""
        equal = actual == wanted
        found = str(actual) if equal else f"{actual} instead of {wanted}"
        self.expect(claim, equal, found, silent=silent)

    def run(
        self,
        *arguments: str | Path,
        wallet: str | None = None,
        expect: ExitCode = ExitCode.OK,
        show: bool = True,
        own_process: bool = False,
        draws_progress: bool = False,
        waiting: str = "",
    ) -> Outcome:
        """Run `llamafund` with the story's chain, store and keys.

        Args:
            arguments: The command and its options; common options are added.
            wallet: Whose key signs.
            expect: The exit code it must have; any other breaks the story.
            show: Show the command to the reader.
            own_process: Run it in a separate process, so that everything it loads and starts ends with it.
            draws_progress: It shows its own progress if a person is watching.
            waiting: What to say while it runs.

        Raises:
            StoryError: It had another exit code than expected.
            KeyboardInterrupt: It was interrupted.
        """
        words = [str(argument) for argument in arguments]
        if show:
            self.narrator.command(self._as_typed(words, wallet))
        argv = [*words, *self._common(words, wallet)]
        environment = {STATE_VARIABLE: str(self.folder.state)}
        with self.narrator.waiting(waiting) if waiting else contextlib.nullcontext():
            if own_process:
                finished = run_python(
                    ["-m", "llamafund_chain", *argv],
                    show_stderr=draws_progress and self.narrator.on_terminal,
                    environment=environment,
                )
                code, stdout, stderr = finished.exit_code, finished.stdout, finished.stderr
            else:
                code, stdout, stderr = _run_here(argv, environment)
        self._log(argv, code, stdout, stderr)
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code != expect:
            raise StoryError(
                f"`llamafund {words[0]}` ended with exit code {code} instead of {int(expect)}",
                stderr.strip() or stdout.strip()[-600:] or "It printed nothing",
                f"Read its whole output in {self.folder.logs}",
            )
        return Outcome(code, _last_json(stdout), " ".join(stderr.split()))

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain. Everything before is final afterwards."""
        self.devnet.advance(seconds)

    def settle(self) -> None:
        """Wait until all transactions are final."""
        self.advance(FINAL_SECONDS)

    def balance(self, address: str) -> int:
        """Balance in wei."""
        return self.connection.balance(address)

    def shown(self, path: Path) -> str:
        """A path as somebody in this directory would type it."""
        here = Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    def client(self, campaign: str) -> CampaignClient:
        """A campaign on the demo's chain."""
        from llamafund_chain.campaign.client import CampaignClient

        return CampaignClient(self.connection, campaign)

    def keep(self, path: Path, data: bytes) -> None:
        """Write a file for the reader."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _common(self, words: list[str], wallet: str | None) -> list[str]:
        options: list[str] = []
        command = words[0]
        if command not in ("wallet", "dataset", "replay"):
            options += ["--rpc", self.devnet.rpc_url]
        if command in _WITH_STORE or words[:2] in (["campaign", "create"], ["campaign", "show"]):
            options += ["--store", str(self.folder.store)]
        if command in _ASKING or words[:2] in (["campaign", "create"], ["campaign", "activate"]):
            options.append("--yes")
        if wallet is not None or command == "wallet":
            options += ["--keystore", str(self.folder.keystore)]
        if wallet is not None or words[:2] == ["wallet", "new"]:
            options += ["--passphrase-file", str(self.folder.passphrase)]
        if wallet is not None:
            options += ["--wallet", wallet]
        return [*options, "--json"]

    def _as_typed(self, words: list[str], wallet: str | None) -> str:
        """The command as the reader would type it: with short names, without options that the environment sets."""
        shown = []
        for word in words:
            known = self.names.get(word)
            if known is None and word.startswith("/"):
                known = shlex.quote(self.shown(Path(word)))
            shown.append(known or shlex.quote(word))
        if wallet is not None:
            shown += ["--wallet", wallet]
        return "llamafund " + " ".join(shown)

    def _log(self, argv: list[str], code: int, stdout: str, stderr: str) -> None:
        number = len(list(self.folder.logs.iterdir())) + 1
        slug = re.sub(r"[^a-z0-9]+", "-", " ".join(argv[:2]).lower()).strip("-")[:40]
        text = f"llamafund {shlex.join(argv)}\nexit code {code}\n\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n"
        self.keep(self.folder.logs / f"{number:03d}-{slug}.txt", text.encode())


def _run_here(argv: list[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command in this process. Returns exit code, standard output and standard error."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = run(argv)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return code, stdout.getvalue(), stderr.getvalue()


def _last_json(stdout: str) -> dict[str, Any]:
    start = stdout.find("{")
    if start < 0:
        return {}
    try:
        value = json.loads(stdout[start:])
    except ValueError as error:
        raise StoryError("A command's --json output is not JSON", str(error)) from error
    return value if isinstance(value, dict) else {}
