"""The table of commands: where each is defined, and its short help, so that `--help` loads none of them.

Plug-ins are not listed here; `llamafund_chain.cli.groups` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """A command.

    Attributes:
        place: Module and attribute, for example `llamafund_chain.cli.pledge:pledge`.
        short_help: The command's own short help, which `--help` of its group shows.
    """

    place: str
    short_help: str


class Section(NamedTuple):
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
    "completion": Entry(
        f"{_CLI}.completion:completion", "Print a script that lets a shell complete commands, wallets and networks."
    ),
    "config": Section(
        "Show the configuration and where it is from.",
        {
            "path": Entry(f"{_CLI}.config:path", "Print where the configuration is read from."),
            "show": Entry(f"{_CLI}.config:show", "Show what applies here, and where each value is from."),
        },
    ),
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
    "init": Entry(f"{_CLI}.init:init", "Write a campaign file, a recipe and sample data to begin with."),
    "inspect": Entry(f"{_CLI}.inspect:inspect_", "Say what a pledge would risk, before you make it."),
    "manifest": Section(
        "Show, check and export the manifests that hashes on chain stand for.",
        {
            "check": Entry(
                f"{_CLI}.manifest:check",
                "Check that a manifest is valid: canonical, of a known schema, with all its listings, without "
                "contradictions.",
            ),
            "export": Entry(
                f"{_CLI}.manifest:export",
                "Convert a manifest, or the listing that `llamafund publish` made, to a format that other tools read.",
            ),
            "schema": Entry(
                f"{_CLI}.manifest:schema",
                "Print the JSON Schema (draft 2020-12) of one kind of manifest, or the names of all kinds.",
            ),
            "show": Entry(f"{_CLI}.manifest:show", "Print a manifest, with every character made visible."),
        },
    ),
    "mine": Entry(f"{_CLI}.mine:mine", "Show what you have in all campaigns, and what waits for you."),
    "people": Entry(f"{_CLI}.people:people", "Show the track record of a researcher, attestor, payee or backer."),
    "pledge": Entry(f"{_CLI}.pledge:pledge", "Put money into a campaign's escrow."),
    "proposal": Section(
        "Check proposals before a campaign is opened.",
        {
            "check": Entry(f"{_CLI}.proposal:check", "Check a campaign file with its data and its recipe."),
        },
    ),
    "publish": Entry(f"{_CLI}.publish:publish", "Send a directory to stores, nodes and pinning services."),
    "refund": Entry(f"{_CLI}.refund:refund", "Collect the refund of a failed campaign."),
    "return-bond": Entry(f"{_CLI}.return_bond:return_bond", "Reclaim bonds of unanswered challenges."),
    "review": Section(
        "Read and write reviews of a campaign's proposal.",
        {
            "list": Entry(f"{_CLI}.review:list_", "Show what others say of a campaign's proposal, checked."),
            "write": Entry(f"{_CLI}.review:write", "Sign and publish a review of a campaign's proposal."),
        },
    ),
    "rule": Entry(f"{_CLI}.rule:rule", "Uphold or refuse the last attestation, as the campaign's arbiter."),
    "store": Section(
        "Manage a store: pins, garbage collection and CAR files.",
        {
            "export": Entry(
                f"{_CLI}.store:export_",
                "Export contents of a local store to a CAR file (version 1), for `ipfs dag import` or to send on a "
                "disk.",
            ),
            "check": Entry(f"{_CLI}.store:check", "Read everything in a local store and compare it with its address."),
            "gc": Entry(
                f"{_CLI}.store:gc",
                "Remove unpinned contents, and unfinished files of killed programs, from a local store.",
            ),
            "import": Entry(
                f"{_CLI}.store:import_", "Import the files in a CAR file (version 1 or 2) into a local store."
            ),
            "list": Entry(
                f"{_CLI}.store:list_",
                "List the manifests that are published in a local store, and what takes up its space.",
            ),
            "pin": Entry(f"{_CLI}.store:pin", "Pin contents, so that they are kept."),
            "pins": Entry(f"{_CLI}.store:pins", "List the pinned addresses."),
            "unpin": Entry(f"{_CLI}.store:unpin", "Unpin contents, so that they may be removed."),
        },
    ),
    "submit": Entry(f"{_CLI}.submit:submit", "Submit attestors' signatures to the chain."),
    "tx": Section(
        "See, wait for, speed up and cancel sent transactions.",
        {
            "cancel": Entry(f"{_CLI}.tx:cancel", "Cancel a transaction that waits."),
            "list": Entry(f"{_CLI}.tx:list_", "List sent transactions and what became of them."),
            "show": Entry(f"{_CLI}.tx:show", "Show a sent transaction and what became of it."),
            "speed-up": Entry(f"{_CLI}.tx:speed_up", "Offer more for a transaction that waits."),
            "wait": Entry(f"{_CLI}.tx:wait", "Wait until a sent transaction is included or final."),
        },
    ),
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
    "watch": Entry(f"{_CLI}.watch:watch", "Answer challenges as they come, and warn; or follow many campaigns."),
    "web": Entry(f"{_CLI}.web:web", "Show the page on which people pledge with their browser's wallet."),
}
"""Every command of this package, by name."""

BELOW_ATTEST: Mapping[str, Entry] = {
    "export": Entry(f"{_CLI}.attest_export:export", "Export an attestation that you signed to EAS."),
}
"""The commands below `attest`, which is a command itself."""

BELOW_AUDIT: Mapping[str, Entry] = {
    "diff": Entry(f"{_CLI}.audit_reports:diff", "Say what changed between two reports of one campaign."),
    "sign": Entry(f"{_CLI}.audit_reports:sign", "Sign an audit's report, as its auditor."),
    "verify-report": Entry(
        f"{_CLI}.audit_reports:verify_report", "Check an audit's report from what it carries, without a node."
    ),
}
"""The commands below `audit`, which is a command itself."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "For everybody": ("web", "inspect", "review", "people", "mine", "tx"),
    "For backers": ("pledge", "unpledge", "challenge", "vote-stop", "refund", "return-bond", "dispute"),
    "For researchers": (
        *("init", "dataset", "proposal", "campaign", "train", "export", "publish"),
        *("submit", "answer", "watch", "claim"),
    ),
    "For attestors": ("attest", "replay", "evaluate", "compare-weights"),
    "For auditors": ("audit", "verify", "verify-deployment", "fetch", "manifest"),
    "For arbiters": ("contest", "rule"),
    "Wallets, stores and settings": ("wallet", "store", "config", "completion"),
    "To try it": ("demo", "devnet"),
}
"""The commands that `--help` shows together, in the order in which they are needed."""

OTHERS = "From other packages"


def by_role(names: Sequence[str]) -> dict[str, list[str]]:
    """Commands in the groups in which `--help` shows them; one that has no role is of another package.

    Args:
        names: Of the commands that there are.
    """
    groups = {role: [name for name in listed if name in names] for role, listed in ROLES.items()}
    known = {name for listed in ROLES.values() for name in listed}
    groups[OTHERS] = [name for name in names if name not in known]
    return {role: listed for role, listed in groups.items() if listed}
