"""The whole story, start to end."""

from __future__ import annotations

import hashlib
import time
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.demo.folder import Folder, prepare
from llamafund_chain.demo.narrator import Narrator
from llamafund_chain.demo.plot import Plot
from llamafund_chain.demo.processes import interruptible
from llamafund_chain.demo.stage import Stage, StoryError
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.name import PROJECT
from llamafund_chain.samples.project import with_environment
from llamafund_chain.strict_yaml import load_yaml

PROMISED_BITS_PER_BYTE = Decimal("2.2")
"""What the proposal promises for the trainer's default recipe.

Twenty seeds reached 1.99 to 2.08, on average 2.03 (`python -m bench promise`). So there is room for any seed.
"""


def tell(out: Path, recipe: Path, bits_per_byte: Decimal, stream: TextIO, *, keep: bool = False) -> DemoFacts:
    """Play all seven acts on a local chain and leave everything in one folder.

    Args:
        out: The demo's folder. The folder of an earlier demo is replaced.
        recipe: A training recipe.
        bits_per_byte: The loss on held-out text that the proposal promises for it.
        stream: Where the story is told.
        keep: Leave chain, store and page up after a story that held, until somebody stops it.

    Returns:
        The facts. `held` says whether the story held; a broken expectation is recorded here, not raised.

    Raises:
        UsageError: `out` is not a demo's folder, or the recipe does not exist.
        LlamafundError: The chain cannot be started.
        KeyboardInterrupt: The demo was interrupted; everything it started has stopped.
    """
    if not recipe.is_file():
        raise UsageError(f"There is no recipe {recipe}", remedy="Name a recipe file with --recipe, or leave it out")
    folder = prepare(out.absolute())
    narrator = Narrator(stream)
    begun = time.monotonic()
    facts = DemoFacts(started_at=int(time.time()), folder=str(folder.root))
    try:
        with interruptible():
            _play(folder, narrator, facts, recipe, bits_per_byte, begun, keep=keep)
    except StoryError as error:
        facts.broken = str(error)
    except KeyboardInterrupt:
        facts.broken = "Interrupted"
        # A new narrator: the old one may have been interrupted in the middle of a line, which would swallow this.
        Narrator(stream).say(f"Interrupted. The chain and all other processes are stopped. Files: {folder.root}")
        raise
    except LlamafundError as error:
        facts.broken = str(error)
        raise
    finally:
        if not facts.held:
            _write(folder, facts, begun)
    if not facts.held:
        _summarise(folder, narrator, facts)
    return facts


def _write(folder: Folder, facts: DemoFacts, begun: float) -> None:
    facts.seconds = round(time.monotonic() - begun, 1)
    folder.facts.write_text(facts.to_json(), "utf-8")


def _play(
    folder: Folder,
    narrator: Narrator,
    facts: DemoFacts,
    recipe: Path,
    bits_per_byte: Decimal,
    begun: float,
    *,
    keep: bool,
) -> None:
    from llamafund_chain.campaign.refusals import explain
    from llamafund_chain.chain.devnet import Devnet
    from llamafund_chain.demo.auditing import audit_campaign
    from llamafund_chain.demo.frauds import try_rug_pulls
    from llamafund_chain.demo.keeping import open_another, stay
    from llamafund_chain.demo.opening import attest_data, collect_pledges, propose
    from llamafund_chain.demo.training import publish_weights, train

    narrator.title(f"{PROJECT}: strangers fund an open model, without trusting whoever trains it")
    narrator.say("Everything below happens now, on this machine. No number is made up in advance.")
    data = _for_this_machine(recipe.read_bytes())
    folder.recipe.write_bytes(data)
    plot = Plot(recipe=folder.recipe, bits_per_byte=bits_per_byte, recipe_sha256=hashlib.sha256(data).hexdigest())
    with Devnet(explain=explain) as devnet:
        stage = Stage(folder=folder, narrator=narrator, devnet=devnet, connection=devnet.connection, facts=facts)
        facts.chain = devnet.connection.caip2
        for title, play in (
            ("A proposal", propose),
            ("The pledges", collect_pledges),
            ("The data", attest_data),
            ("The training", train),
            ("The open weights", publish_weights),
            ("The audit", audit_campaign),
            ("Four rug pulls", try_rug_pulls),
        ):
            with stage.act(title):
                play(stage, plot)
        if keep:
            open_another(stage, plot)
        facts.held = all(expectation.held for expectation in facts.expectations)
        _write(folder, facts, begun)
        _summarise(folder, narrator, facts)
        if keep:
            stay(stage)
    if keep:
        narrator.say("The chain and the page have stopped.")


def _for_this_machine(recipe: bytes) -> bytes:
    """The recipe with this machine as the place where it is trained, unless it names one or needs more than that."""
    try:
        document = load_yaml(recipe)
    except DocumentError:
        return recipe  # The trainer says what is wrong with it.
    if not isinstance(document, dict) or document.keys() & {"environment", "lora"}:
        return recipe
    determinism = document.get("determinism")
    on_gpu = isinstance(determinism, dict) and determinism.get("device", "cpu") != "cpu"
    return recipe if on_gpu else with_environment(recipe)


def _summarise(folder: Folder, narrator: Narrator, facts: DemoFacts) -> None:
    if facts.held:
        narrator.chapter("Summary")
        narrator.table(
            ["", *(f"{fact.name} ({fact.asset})" for fact in facts.campaigns)],
            [
                ["status", *(fact.status for fact in facts.campaigns)],
                ["pledged", *(fact.pledged for fact in facts.campaigns)],
                ["paid", *(fact.paid for fact in facts.campaigns)],
                ["refunded", *(fact.refunded for fact in facts.campaigns)],
                ["left", *(fact.dust for fact in facts.campaigns)],
            ],
        )
        narrator.gap()
        for fraud in facts.frauds:
            narrator.caught(f"{fraud.name}. Caught by {', '.join(fraud.caught_by)}. {fraud.outcome}.")
    lines = [
        f"{len(facts.expectations)} expectations, {sum(item.held for item in facts.expectations)} held",
        f"{facts.seconds:.0f} seconds",
    ]
    narrator.gap()
    narrator.say("; ".join(lines) + ".")
    for what, path in (
        ("The audit, for reading", folder.audit_html),
        ("All facts as JSON", folder.facts),
        ("Manifests", folder.manifests),
        ("Signatures", folder.signatures),
        ("The model", folder.weights),
    ):
        if path.exists():
            narrator.item(f"{what}: {path}")
    folder.summary.write_text(_summary_text(facts), "utf-8")


def _summary_text(facts: DemoFacts) -> str:
    lines = [f"{PROJECT} demo", "", f"The story {'held' if facts.held else 'broke: ' + facts.broken}", ""]
    lines += [f"Act {act.number}  {act.title}: {act.seconds} s" for act in facts.acts]
    lines.append("")
    for campaign in facts.campaigns:
        lines.append(
            f"{campaign.title} ({campaign.address}): {campaign.status}. {campaign.ending}. "
            f"Pledged {campaign.pledged} = paid {campaign.paid} + refunded {campaign.refunded} + left {campaign.dust} "
            f"{campaign.asset}"
        )
    lines.append("")
    lines += [f"{fraud.name}: caught by {', '.join(fraud.caught_by)}. {fraud.outcome}." for fraud in facts.frauds]
    lines.append("")
    lines += [
        f"[{'held' if item.held else 'BROKEN'}] {item.claim}{': ' + item.found if item.found else ''}"
        for item in facts.expectations
    ]
    return "\n".join(lines) + "\n"
