"""Which commands there are: where each is defined, and its short help, so that `--help` loads none of them.

Plug-ins are not listed here; `llamafund_chain.cli.groups` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A command.

    Attributes:
        place: Module and attribute, for example `llamafund_chain.cli.pledge:pledge`.
        short_help: What the command itself says, as `--help` of its group shows it.
    """

    place: str
    short_help: str


@dataclass(frozen=True)
class Section:
    """A group of commands.

    Attributes:
        short_help: One sentence.
        commands: By name.
    """

    short_help: str
    commands: Mapping[str, Entry]


_CLI = "llamafund_chain.cli"

COMMANDS: Mapping[str, Entry | Section] = {
    "answer": Entry(f"{_CLI}.answer:answer", "Show challenged chunks and take their bonds."),
    "attest": Entry(f"{_CLI}.attest:attest", "Check a milestone's evidence and sign it."),
    "audit": Entry(f"{_CLI}.audit:audit", "Verify everything about the campaign at ADDRESS, trusting nobody."),
    "campaign": Section(
        "Open, look at and activate campaigns.",
        {
            "activate": Entry(f"{_CLI}.campaign.activate:activate", "Close funding and start a campaign."),
            "create": Entry(f"{_CLI}.campaign.create:create", "Publish a proposal and open a campaign."),
            "list": Entry(f"{_CLI}.campaign.list:list_", "List the campaigns of a chain."),
            "show": Entry(f"{_CLI}.campaign.show:show", "Show what a campaign promises and where it stands."),
        },
    ),
    "challenge": Entry(f"{_CLI}.challenge:challenge", "Challenge a chunk of what was attested."),
    "claim": Entry(f"{_CLI}.claim:claim", "Collect what was released to a payee."),
    "dataset": Section(
        "Describe training data in a manifest and publish it.",
        {
            "build": Entry(
                f"{_CLI}.dataset:build",
                "Hash the documents in DIRECTORY, publish them, and print the hash that a campaign names.",
            ),
        },
    ),
    "devnet": Entry(f"{_CLI}.devnet:devnet", "Run a development chain until Ctrl-C."),
    "fetch": Entry(f"{_CLI}.fetch:fetch", "Get published files by hash or address."),
    "manifest": Section(
        "Read, check and export the manifests that hashes on chain stand for.",
        {
            "check": Entry(
                f"{_CLI}.manifest:check",
                "Check that a manifest is what it must be: canonical, of a known schema, with all its listings.",
            ),
            "export": Entry(f"{_CLI}.manifest:export", "Write a manifest in a format that other tools read."),
            "schema": Entry(
                f"{_CLI}.manifest:schema",
                "Print the JSON Schema (draft 2020-12) of a kind of manifest, or the names of all kinds.",
            ),
            "show": Entry(f"{_CLI}.manifest:show", "Print what a manifest says, every character of it visible."),
        },
    ),
    "pledge": Entry(f"{_CLI}.pledge:pledge", "Put money into a campaign's escrow."),
    "publish": Entry(f"{_CLI}.publish:publish", "Send a directory to stores, nodes and pinning services."),
    "refund": Entry(f"{_CLI}.refund:refund", "Collect a failed campaign's refund."),
    "return-bond": Entry(f"{_CLI}.return_bond:return_bond", "Take back bonds that nobody earned."),
    "store": Section(
        "Look after a store: pins, garbage, and CAR files.",
        {
            "export": Entry(
                f"{_CLI}.store:export_",
                "Write contents of a local store into a CAR file (version 1), for `ipfs dag import` or for a disk in "
                "the post.",
            ),
            "gc": Entry(
                f"{_CLI}.store:gc",
                "Remove from a local store what nobody has pinned, and what killed programs left unfinished.",
            ),
            "import": Entry(f"{_CLI}.store:import_", "Put the files in a CAR file (version 1) into a local store."),
            "pin": Entry(f"{_CLI}.store:pin", "Keep contents for good."),
            "pins": Entry(f"{_CLI}.store:pins", "List the addresses that are pinned."),
            "unpin": Entry(f"{_CLI}.store:unpin", "No longer keep contents for good."),
        },
    ),
    "submit": Entry(f"{_CLI}.submit:submit", "Put attestors' signatures on chain."),
    "unpledge": Entry(f"{_CLI}.unpledge:unpledge", "Take a pledge back while funding."),
    "verify": Entry(f"{_CLI}.verify:verify", "Compare a directory's files with a manifest."),
    "verify-deployment": Entry(
        f"{_CLI}.verify_deployment:verify_deployment",
        "Compare a contract's code with this package, byte for byte.",
    ),
    "vote-stop": Entry(f"{_CLI}.vote_stop:vote_stop", "Vote to stop a campaign."),
    "wallet": Section(
        "Make and list encrypted key files.",
        {
            "list": Entry(f"{_CLI}.wallet:list_", "List the key files of the keystore with their addresses."),
            "new": Entry(f"{_CLI}.wallet:new", "Make a new random key and keep it, encrypted, under NAME."),
        },
    ),
    "watch": Entry(f"{_CLI}.watch:watch", "Keep answering challenges, and warn."),
}
"""Every command of this package, by name."""
