"""Every command in the README is run, word for word, against a real chain."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.demo.corpus import write_corpus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ETHER = 10**18
DAY = 86_400
ASKING = (
    "answer",
    "attest",
    "campaign activate",
    "campaign create",
    "challenge",
    "claim",
    "pledge",
    "refund",
    "submit",
    "unpledge",
    "vote-stop",
)


def commands(section: str) -> list[str]:
    """The command lines of one section's console block, without their comments."""
    match = re.search(rf"^###? {re.escape(section)}\n(.*?)(?=^##)", README, re.MULTILINE | re.DOTALL)
    assert match, section
    lines = re.findall(r"^\$ (.*)$", match[1], re.MULTILINE)
    return [re.sub(r"\s+#.*$", "", line) for line in lines]


class Terminal:
    """A shell in which somebody types what the README says."""

    def __init__(self, folder: Path, devnet: Devnet) -> None:
        self.folder = folder
        self.devnet = devnet
        self.typed: list[str] = []
        self.env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
        }
        (folder / "home").mkdir()
        (folder / "passphrase").touch(mode=0o600)
        (folder / "passphrase").write_text("correct horse battery staple\n", encoding="utf-8")
        for line in commands("A short path for each role"):
            for name, value in re.findall(r"(\w+)=(\S+)", line):
                self.env[name] = value
        self.env["LLAMAFUND_RPC"] = devnet.rpc_url
        # A person is asked for it; here is no terminal.
        self.env["LLAMAFUND_PASSPHRASE_FILE"] = "passphrase"

    def type(self, line: str) -> str:
        """Run a line; whatever it prints comes back. It must succeed."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def follow(self, section: str, beginning: str) -> str:
        """Run the section's next line that begins so, as it stands in the README."""
        for line in commands(section):
            if line.startswith(f"llamafund {beginning}") and line not in self.typed:
                return self.follow_line(line)
        raise AssertionError(f"the README's section {section} has no further line that begins with {beginning!r}")

    def follow_line(self, line: str) -> str:
        """Run a line as it stands in the README."""
        self.typed.append(line)
        # A person is asked and says yes; here is no terminal.
        asked = any(line.startswith(f"llamafund {command} ") for command in ASKING)
        return self.type(f"{line} --yes" if asked else line)

    def ask(self, line: str) -> dict[str, Any]:
        """Run a line that is not in the README, for its JSON."""
        answer: dict[str, Any] = json.loads(self.type(f"llamafund {line} --json"))
        return answer

    def wallet(self, name: str) -> str:
        """Make a wallet with money in it."""
        address = str(self.ask(f"wallet new {name} --light-kdf")["wallet"]["address"])
        self.devnet.fund(address, 100 * ETHER)
        return address

    def open_campaign(self, people: dict[str, str]) -> str:
        """Write the example's campaign file with these people's addresses and open it by the README's line."""
        text = (ROOT / "examples" / "campaign.yaml").read_text(encoding="utf-8")
        for name, address in people.items():
            text = text.replace(f"0x{name.upper()}", address)
        (self.folder / "campaign.yaml").write_text(text, encoding="utf-8")
        line = next(line for line in commands("Researcher") if line.startswith("llamafund campaign create"))
        campaign = re.search(r"0x[0-9a-fA-F]{40}", self.follow_line(line))
        assert campaign
        self.devnet.finalize()
        self.env["CAMPAIGN"] = campaign[0]
        return campaign[0]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with Devnet() as devnet:
        yield Terminal(tmp_path, devnet)


def test_every_role_s_lines_work_as_they_stand_in_the_readme(terminal: Terminal) -> None:
    people = {name: terminal.wallet(name) for name in ("rosa", "tara", "vera", "otto")}

    # A backer: in, partly out again, a stop vote, the money back.
    terminal.follow("Backer", "wallet new")
    (alice,) = (wallet for wallet in terminal.ask("wallet list")["wallets"] if wallet["name"] == "alice")
    terminal.devnet.fund(alice["address"], ETHER)
    assert alice["address"] in terminal.follow("Backer", "wallet list")
    campaign = terminal.open_campaign(people)
    assert campaign in terminal.follow("Backer", "campaign list")
    terminal.follow("Backer", "campaign show")
    terminal.follow("Backer", "pledge")
    terminal.follow("Backer", "unpledge")
    terminal.type("llamafund pledge $CAMPAIGN 0.08 --wallet alice --yes")
    activate = next(line for line in commands("Researcher") if line.startswith("llamafund campaign activate"))
    terminal.devnet.finalize()
    terminal.type(f"{activate} --yes")
    terminal.devnet.advance(DAY)
    terminal.follow("Backer", "vote-stop")
    terminal.devnet.finalize()
    terminal.follow("Backer", "refund")
    terminal.devnet.finalize()
    assert terminal.ask("campaign show $CAMPAIGN")["status"] == "Failed"

    # A researcher and an attestor, from the data to the first trained milestone's payout.
    write_corpus(terminal.folder / "data")
    recipe = (ROOT / "tests" / "e2e" / "recipes" / "tiny.yaml").read_text(encoding="utf-8")
    (terminal.folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    terminal.follow("Researcher", "dataset build")
    built = terminal.ask(commands("Researcher")[0].removeprefix("llamafund "))
    terminal.env["DATASET"] = str(built["dataset"])
    terminal.open_campaign(people)
    terminal.type("llamafund pledge $CAMPAIGN 0.1 --wallet alice --yes")
    terminal.devnet.finalize()
    terminal.follow("Researcher", "campaign activate")
    terminal.devnet.finalize()
    terminal.follow("Attestor", "attest")
    terminal.type("llamafund attest $CAMPAIGN --attestation dataset.json --wallet otto --out second.json --yes")
    terminal.type("llamafund submit $CAMPAIGN dataset.json second.json --wallet rosa --yes")
    terminal.devnet.finalize()
    terminal.follow("Backer", "challenge")
    terminal.follow("Researcher", "answer")
    terminal.devnet.advance(3 * DAY)
    terminal.follow("Researcher", "train")
    attestation = json.loads((terminal.folder / "run" / "attestation-1.json").read_text(encoding="utf-8"))
    terminal.env["CHECKPOINT"] = attestation["attestation"]["evidence"]
    terminal.follow("Attestor", "replay")
    terminal.follow("Attestor", "attest")
    terminal.follow("Researcher", "submit")
    terminal.devnet.advance(3 * DAY)
    terminal.follow("Researcher", "export")
    terminal.follow("Researcher", "claim")
    terminal.devnet.finalize()

    # An auditor.
    terminal.follow("Auditor", "verify-deployment")
    terminal.follow("Auditor", "audit")
    assert (terminal.folder / "audit.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")

    sections = ("Backer", "Researcher", "Attestor", "Auditor")
    assert {line for section in sections for line in commands(section)} == set(terminal.typed)


def test_the_first_screen_opens_with_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert "$ make demo" in first_screen
    assert "$ make test" in first_screen
