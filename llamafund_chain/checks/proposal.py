"""What can be checked of a campaign file before anything is sent: that it is complete, and keeps its own word."""

from __future__ import annotations

import hashlib
from pathlib import Path

from llamafund_chain.campaign.terms import NO_MINIMUM, Terms
from llamafund_chain.chain.known_accounts import TEST_CHAINS, names_of
from llamafund_chain.checks.baselines import check_promise, knows
from llamafund_chain.checks.before_pledge import NO_ENVIRONMENT, environment_of
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import DatasetManifest, ProposalManifest
from llamafund_chain.evidence.programs import parse_program
from llamafund_chain.evidence.recipes import NOT_REPLAYABLE, RecipeKind, recipe_kind
from llamafund_chain.files import read_spans
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.store import Store
from llamafund_chain.store.base import MissingContentError
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.strict_yaml import load_yaml
from llamafund_chain.text import counted, from_millionths


def check_proposal(proposal: ProposalManifest, terms: Terms, store: Store, recipe: Path) -> list[CheckResult]:
    """All findings about a campaign that is not open yet.

    Args:
        proposal: The proposal.
        terms: Its terms.
        store: Has its dataset.
        recipe: Where the recipe's file should be.
    """
    return [
        result_of(_dataset_published, proposal, store),
        result_of(_recipe_unchanged, proposal, recipe),
        result_of(_score_binds, proposal, terms),
        result_of(_promise_beats_counting, proposal, terms, store),
        result_of(_keys_secret, terms),
    ]


def require_secret_keys(terms: Terms, chain_id: int) -> None:
    """Refuse terms with accounts whose keys everybody has, unless the chain is a test chain.

    Args:
        terms: Of a campaign that is not open yet.
        chain_id: EIP-155 number of its chain.

    Raises:
        UsageError: A stranger could sign as one of its people, or take their money.
    """
    found = _known(terms)
    if found and chain_id not in TEST_CHAINS:
        raise UsageError(
            f"The file names accounts of test chains ({found}), and this is chain {chain_id}",
            "Everybody has their keys: strangers could sign for them and take what they are paid",
            "Replace every address with one of your own people",
        )


def _known(terms: Terms) -> str:
    """The people in some terms whose keys everybody has, as text; empty if there is none."""
    arbiter = () if terms.arbiter is None else (terms.arbiter,)
    payees = (payee.account for payee in terms.payees)
    return ", ".join(names_of((terms.researcher, *terms.attestors, *payees, *arbiter)))


def _dataset_published(proposal: ProposalManifest, store: Store) -> Finding:
    """The dataset that the proposal names is in the store, with all its files and the promised license."""
    promised = proposal.dataset
    if promised.manifest is None:
        return Finding("warn", "The proposal names no dataset: backers must believe its description")
    try:
        manifest = fetch_manifest(store, promised.manifest, DatasetManifest)
    except (MissingContentError, VerificationError) as error:
        detail = f"{error.what}. Publish the data with `llamafund dataset build`, and name the hash that it prints"
        return Finding("fail", detail)
    missing = [entry.path for entry in manifest.files if not store.has(raw_cid(entry.sha256))]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        many = f"{counted(len(missing), 'file')} of the dataset {verb} not in {store.location}"
        detail = f"{many}, for example {missing[0]}. Publish them with `llamafund dataset build`"
        return Finding("fail", detail)
    licenses = sorted({part.license for part in manifest.parts})
    if licenses != [promised.license]:
        detail = f"The dataset's license is {', '.join(licenses)}, but the proposal says {promised.license}"
        return Finding("fail", detail)
    return Finding("pass", f"The dataset {promised.manifest} is in {store.location}, all {len(manifest.files)} files")


def named_recipe(sha256: str, recipe: Path) -> bytes:
    """The bytes of the recipe that a proposal names.

    Args:
        sha256: What the proposal names, 64 hexadecimal digits.
        recipe: Where the recipe's file should be.

    Raises:
        UsageError: There is no such file, or it is another one.
        LlamafundError: It cannot be read.
    """
    remedy = "The proposal names a recipe; say with --recipe where its file is"
    try:
        data = b"".join(read_spans(recipe))
    except UsageError as error:
        raise UsageError(error.what, error.why, remedy) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UsageError(f"{recipe} has the SHA-256 {found}, but the proposal names {sha256}", remedy=remedy)
    return data


def _recipe_unchanged(proposal: ProposalManifest, recipe: Path) -> Finding:
    """The recipe's file is the one that the proposal names, and fixes where it is trained."""
    if proposal.recipe is None:
        return Finding("warn", "The proposal names no recipe: it can be chosen after the funding")
    try:
        data = named_recipe(proposal.recipe, recipe)
    except UsageError as error:
        return Finding("fail", str(error))
    kind = recipe_kind(data)
    if kind is RecipeKind.PROGRAM:
        return _program_complete(data, recipe)
    if kind is RecipeKind.OTHER:
        detail = f"{NOT_REPLAYABLE}: {recipe} is the recipe that the proposal names, but no program repeats it"
        return Finding("warn", f"{detail}. Attestors will have to leave those checks out, and answer for it")
    try:
        document = load_yaml(data)
    except DocumentError:
        document = None  # Training says what is wrong with it.
    if environment_of(document) is None:
        detail = f"{recipe} is the recipe that the proposal names, but {NO_ENVIRONMENT}"
        return Finding("warn", f"{detail}. `llamafund train {recipe} --dry-run` prints what this machine has")
    return Finding("pass", f"{recipe} is the recipe that the proposal names")


def _program_complete(data: bytes, recipe: Path) -> Finding:
    try:
        program = parse_program(data).program
    except VerificationError as error:
        return Finding("fail", f"{error} Record it again, and name the new recipe.json")
    if not program.environment:
        return Finding("warn", f"{recipe} is the program that the proposal names, but {NO_ENVIRONMENT}")
    if "{seed}" not in " ".join(program.arguments):
        detail = f"{recipe} is the program that the proposal names, but no argument of it is the training seed"
        return Finding("warn", f"{detail}. The campaign draws the seed when it becomes active")
    return Finding("pass", f"{recipe} is the program that the proposal names")


def _score_binds(proposal: ProposalManifest, terms: Terms) -> Finding:
    """The last milestone pays only for what the proposal promises."""
    outcome, last = proposal.outcome, terms.milestones[-1]
    target = -outcome.target if outcome.direction == "lower" else outcome.target
    promised = f"{outcome.metric} of {from_millionths(outcome.target)}"
    if last.min_score == NO_MINIMUM:
        return Finding("warn", f"The last milestone has no min_score: the promised {promised} binds nobody")
    if last.min_score != target:
        detail = (
            f"The last milestone's min_score is {from_millionths(last.min_score)}, but the promised {promised} is a "
            f"score of {from_millionths(target)}"
        )
        return Finding("warn" if last.min_score > target else "fail", detail)
    return Finding("pass", f"The last milestone pays only for the promised {promised} or better")


def _promise_beats_counting(proposal: ProposalManifest, terms: Terms, store: Store) -> Finding:
    """A model that only counts letters does not keep the promise."""
    if terms.milestones[-1].min_score == NO_MINIMUM:
        return Finding("unchecked", "Without a min_score there is nothing to compare")
    try:
        check_promise(terms, proposal.outcome, store)
    except UsageError as error:
        return Finding("fail", f"{error.what}: {error.why[0].lower()}{error.why[1:]}")
    if not knows(proposal.outcome):
        return Finding("unchecked", f"What a model without training reaches is not known for {proposal.outcome.metric}")
    return Finding("pass", "The last milestone asks for more than counting letters reaches")


def _keys_secret(terms: Terms) -> Finding:
    """Nobody else has the keys of the accounts."""
    found = _known(terms)
    if found:
        return Finding("warn", f"Everybody has the keys of {found}, accounts of test chains: it cannot open elsewhere")
    return Finding("pass", "No account is one of a test chain's, whose keys everybody has")
