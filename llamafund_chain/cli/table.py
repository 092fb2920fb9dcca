"""The table of commands: where each is defined, and its short help, so that `--help` loads none of them.

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
        short_help: The command's own short help, which `--help` of its group shows.
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
    "answer": Entry(f"{_CLI}.answer:answer", "Answer challenges and earn their bonds."),
    "attest": Entry(f"{_CLI}.attest:attest", "Check a milestone's evidence and sign it."),
    "audit": Entry(f"{_CLI}.audit:audit", "Verify everything about the campaign at ADDRESS, trusting nobody."),
    "campaign": Section(
        "Open, inspect and activate campaigns.",
        {
            "activate": Entry(f"{_CLI}.campaign.activate:activate", "Close funding and start a campaign."),
            "create": Entry(f"{_CLI}.campaign.create:create", "Publish a proposal and open a campaign."),
            "extend": Entry(f"{_CLI}.campaign.extend:extend", "Push deadlines back within the slack."),
            "list": Entry(f"{_CLI}.campaign.list:list_", "List the campaigns of a chain."),
            "show": Entry(f"{_CLI}.campaign.show:show", "Show what a campaign promises and where it stands."),
            "update": Entry(f"{_CLI}.campaign.update:update", "Publish an update for the backers."),
        },
    ),
    "challenge": Entry(f"{_CLI}.challenge:challenge", "Challenge a chunk of attested content."),
    "claim": Entry(f"{_CLI}.claim:claim", "Collect a payee's released money."),
    "contest": Entry(f"{_CLI}.contest:contest", "Contest the last attestation, as the campaign's arbiter."),
    "dataset": Section(
        "Describe training data in a manifest and publish it.",
        {
            "build": Entry(
                f"{_CLI}.dataset:build",
                "Hash and publish the documents in DIRECTORY, and print the hash that campaigns name.",
            ),
        },
    ),
    "devnet": Entry(f"{_CLI}.devnet:devnet", "Run a local test chain until Ctrl-C."),
    "dispute": Entry(f"{_CLI}.dispute:dispute", "Bring the last attestation before the arbiter's court."),
    "fetch": Entry(f"{_CLI}.fetch:fetch", "Fetch published files by hash or address."),
    "manifest": Section(
        "Show, check and export the manifests that hashes on chain stand for.",
        {
            "check": Entry(
                f"{_CLI}.manifest:check",
                "Check that a manifest is valid: canonical, of a known schema, with all its listings.",
            ),
            "export": Entry(f"{_CLI}.manifest:export", "Convert a manifest to a format that other tools read."),
            "schema": Entry(
                f"{_CLI}.manifest:schema",
                "Print the JSON Schema (draft 2020-12) of one kind of manifest, or the names of all kinds.",
            ),
            "show": Entry(f"{_CLI}.manifest:show", "Print a manifest, with every character made visible."),
        },
    ),
    "pledge": Entry(f"{_CLI}.pledge:pledge", "Put money into a campaign's escrow."),
    "publish": Entry(f"{_CLI}.publish:publish", "Send a directory to stores, nodes and pinning services."),
    "refund": Entry(f"{_CLI}.refund:refund", "Collect the refund of a failed campaign."),
    "return-bond": Entry(f"{_CLI}.return_bond:return_bond", "Reclaim bonds of unanswered challenges."),
    "rule": Entry(f"{_CLI}.rule:rule", "Uphold or refuse the last attestation, as the campaign's arbiter."),
    "store": Section(
        "Manage a store: pins, garbage collection and CAR files.",
        {
            "export": Entry(
                f"{_CLI}.store:export_",
                "Export contents of a local store to a CAR file (version 1), for `ipfs dag import` or to send on a "
                "disk.",
            ),
            "gc": Entry(
                f"{_CLI}.store:gc",
                "Remove unpinned contents, and unfinished files of killed programs, from a local store.",
            ),
            "import": Entry(f"{_CLI}.store:import_", "Import the files in a CAR file (version 1) into a local store."),
            "pin": Entry(f"{_CLI}.store:pin", "Pin contents, so that they are kept."),
            "pins": Entry(f"{_CLI}.store:pins", "List the pinned addresses."),
            "unpin": Entry(f"{_CLI}.store:unpin", "Unpin contents, so that they may be removed."),
        },
    ),
    "submit": Entry(f"{_CLI}.submit:submit", "Submit attestors' signatures to the chain."),
    "unpledge": Entry(f"{_CLI}.unpledge:unpledge", "Take a pledge back during funding."),
    "verify": Entry(f"{_CLI}.verify:verify", "Compare a directory's files with a manifest."),
    "verify-deployment": Entry(
        f"{_CLI}.verify_deployment:verify_deployment",
        "Compare a contract's code with this package, byte for byte.",
    ),
    "vote-stop": Entry(f"{_CLI}.vote_stop:vote_stop", "Vote to stop a campaign."),
    "wallet": Section(
        "Create, import and list encrypted key files.",
        {
            "change-passphrase": Entry(
                f"{_CLI}.wallet:change_passphrase",
                "Encrypt the key of NAME, a wallet or the path of a key file, with a new passphrase.",
            ),
            "import": Entry(f"{_CLI}.wallet:import_", "Keep an existing key, encrypted, under NAME."),
            "list": Entry(f"{_CLI}.wallet:list_", "List the key files with their addresses."),
            "new": Entry(f"{_CLI}.wallet:new", "Create a random key and keep it, encrypted, under NAME."),
        },
    ),
    "watch": Entry(f"{_CLI}.watch:watch", "Answer challenges as they come, and warn."),
}
"""Every command of this package, by name."""
