"""`llamafund inspect`, and its short form before a pledge."""

from __future__ import annotations

from typing import Any

import pytest

from llamafund_chain.campaign.terms import BPS, NO_HASH, NO_MINIMUM, Milestone, MilestoneKind, Payee
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import ExpectedOutcome
from llamafund_chain.evidence.programs import Program
from llamafund_chain.store import LocalStore

ETHER = 10**18
DAY = 86_400
NOBODY = "0x00000000000000000000000000000000000000bb"
FAIR = {"min_bond": ETHER // 100, "answer_window": 2 * DAY, "cap": 11 * ETHER}
"""Terms that no rule of medium severity or worse finds fault with."""


@pytest.fixture
def inspect(llamafund, stage):
    def run(*more: object, address: str | None = None, store: str | None = None):
        where = ("--rpc", stage.devnet.rpc_url, "--store", store or stage.run.store.location)
        return llamafund("inspect", address or stage.client.address, *where, *more)

    return run


@pytest.fixture
def judged(inspect):
    """The outcomes by rule, of a run with --json."""

    def run(*more: object, code: int = 0, **named: Any) -> dict[str, dict[str, Any]]:
        ran = inspect("--json", *more, **named)
        assert ran.code == code, ran.stderr
        return {finding["rule"]: finding for finding in ran.json["findings"]}

    return run


def outcomes(found: dict[str, dict[str, Any]], outcome: str) -> set[str]:
    return {rule for rule, finding in found.items() if finding["outcome"] == outcome}


def test_an_honest_campaign_is_told_with_its_grade_and_everything_that_was_looked_at(inspect, stage) -> None:
    stage.open(**FAIR)
    ran = inspect("--amount", "0.5", "--json")
    assert ran.code == 0, ran.stderr
    found = {finding["rule"]: finding for finding in ran.json["findings"]}
    assert outcomes(found, "unknown") == set()
    assert outcomes(found, "fails") == {"arbiter-independent"}
    assert (ran.json["grade"], ran.json["means"]) == ("A", "Nothing serious was found")
    assert found["promise-beats-counting"]["detail"] == "Counting letters does 4.256433; the promise is 3"
    assert ran.json["proposal"]["title"] == "A model of numbers"


def test_whose_word_takes_how_much_and_when_is_said_in_one_sentence(inspect, stage) -> None:
    stage.open(**FAIR)
    ran = inspect("--amount", "0.5")
    assert (
        "The pledge: 0.5 ETH. If 2 of the 3 attestors say so, the payees can take 0.5 ETH of it: the first 0.05555 ETH "
        "from"
    ) in ran.stdout
    for words in (
        f"33.33 % to {stage.compute.address}, at most 0.16665 ETH",
        "Stopping takes 5 ETH of 10 ETH, so 4.5 ETH beside this pledge",
        "Blocking every stop vote costs a pledge of 5.000000000000000001 ETH",
        "before the goal of 10 ETH: nothing; you can take it back alone",
        "milestone 2 (WEIGHTS): 0.2778 ETH more, 0.5 ETH in all",
        "prevented by a stop vote or a challenge that nobody answers",
        "To outrun a slow guard",
        f"{stage.researcher.address}  researcher, payee 0: a plain key",
        "  │ researcher    Rosalind",
    ):
        assert words in ran.stdout, words


def test_what_is_released_already_is_not_at_risk_any_more(inspect, stage) -> None:
    stage.honest_until(1)
    backer = stage.backers[1].address
    stages = inspect("--backer", backer, "--json").json["stages"]
    assert [one["released"] for one in stages] == [True, False, False]
    assert stages[0]["amount"] == "0.3333"
    text = inspect("--backer", backer).stdout
    assert f"The pledge of {backer}: 3 ETH. If 2 of the 3 attestors say so, the payees can take 2.6667 ETH" in text


def test_a_failed_campaign_takes_nothing_more(inspect, stage) -> None:
    stage.open().pledge(stage.backers[0], ETHER)
    stage.devnet.advance(11 * DAY)
    ran = inspect()
    assert ran.code == 0
    assert "The campaign has failed: nobody can take more of it" in ran.stdout
    assert inspect("--json").json["stages"] == []


def test_a_look_alike_a_stranger_and_no_node_end_as_everywhere(inspect, stage, llamafund, no_node: str) -> None:
    stage.open()
    inspect(address=NOBODY).refused(3, "no campaign at")
    inspect(address=stage.devnet.deployment.factory).refused(3, "look-alike")
    llamafund("inspect", NOBODY, "--rpc", no_node).refused(4, "no node")
    inspect("--amount", "0").refused(2, "above zero")


# -------------------------------------------------------------------- the proposal


def test_a_proposal_that_no_store_has_could_not_be_told(inspect, judged, stage, tmp_path) -> None:
    stage.open(**FAIR)
    empty = LocalStore(tmp_path / "empty").location
    found = judged(store=empty)
    assert outcomes(found, "unknown") == {
        "words-match-terms",
        "score-is-required",
        "promise-beats-counting",
        "training-repeats",
    }
    assert inspect("--json", store=empty).json["grade"] == "C"
    assert "The proposal could not be read" in inspect(store=empty).stdout


def test_a_store_that_has_other_bytes_accuses_nobody(judged, stage) -> None:
    stage.open(**FAIR)
    stage.run.replace_in_store(raw_cid(stage.client.terms.proposal), b"{}")
    assert judged()["words-match-terms"]["outcome"] == "unknown"


def test_threat_a_proposal_that_says_something_else_than_the_terms_is_told(inspect, stage) -> None:
    other = stage.run.propose(NOBODY, [account.address for account in stage.attestors])
    stage.open(proposal={"researcher": other.researcher})
    ran = inspect()
    ran.refused(3, "The proposal says something else than the terms", NOBODY.lower())
    assert "Grade D: Do not pledge" in ran.stdout


def test_threat_a_proposal_that_would_control_a_terminal_is_shown_as_text(inspect, stage) -> None:
    evil = "A model\x1b[2J\x1b]0;pwned\x07\nGrade A: Nothing serious was found\r‮evil ​"
    stage.open(proposal={"summary": evil})
    ran = inspect()
    assert ran.code == 0, ran.stderr
    assert not set(ran.stdout) & set("\x1b\x07\r‮​")
    assert "\\u{1b}[2J" in ran.stdout
    # Strangers' lines cannot pass for ours: each stands behind a bar.
    assert [line for line in ran.stdout.splitlines() if line.startswith("Grade ")] == ["Grade B: Read what was found"]


@pytest.mark.parametrize(
    ("recipe", "status", "words"),
    [
        (b"import torch\n", "warn", "Training: Recorded, not replayable"),
        (
            Program(entry="a.py", environment={"machine": "x"}, python="3.11", lock={}, files={"a.py": ""}).encoded,
            "pass",
            "is a program of the researcher's own, 'a.py'",
        ),
        (b'{"schema": "llamafund/program/1"}', "fail", "is not valid"),
    ],
)
def test_whether_the_training_can_be_repeated_is_said_before_a_pledge(
    inspect, stage, recipe: bytes, status: str, words: str
) -> None:
    stage.open(proposal={"recipe": stage.run.store.put_bytes(recipe).sha256})
    assert inspect("--json").json["training"]["status"] == status
    assert words in inspect().stdout


@pytest.mark.parametrize(
    ("recipe", "outcome", "words"),
    [
        (None, "fails", "The proposal names no recipe"),
        (b"import torch\n", "fails", "Recorded, not replayable"),
        (b"schema: llamafund/recipe/1\n", "holds", "of a kind that others can repeat"),
        (b'{"schema": "llamafund/program/1"}', "holds", "of a kind that others can repeat"),
        ("ab" * 32, "unknown", "ab" * 32),
    ],
)
def test_whether_others_can_repeat_the_training_is_a_rule(
    judged, stage, recipe: bytes | str | None, outcome: str, words: str
) -> None:
    named = stage.run.store.put_bytes(recipe).sha256 if isinstance(recipe, bytes) else recipe
    stage.open(proposal={"recipe": named})
    found = judged()["training-repeats"]
    assert (found["outcome"], found["severity"]) == (outcome, "medium")
    assert words in found["detail"]


def test_a_proposal_of_many_lines_is_cut_short_with_a_word_about_it(inspect, stage) -> None:
    stage.open(proposal={"summary": "line\n" * 2_000})
    ran = inspect()
    assert "more lines: `llamafund manifest show" in ran.stdout
    assert len(ran.stdout.splitlines()) < 520


# --------------------------------------------------------------------- the promise


@pytest.mark.parametrize(
    ("floor", "outcome", "words"),
    [
        (-8_000_000, "fails", "Taking every byte for equally likely already does 8 bits per byte; the promise is 8"),
        (-7_500_000, "fails", "Counting letters already does 4.256433; the promise is 7.5: it binds nobody"),
        (-4_256_433, "fails", "Counting letters already does 4.256433"),
        (-4_256_432, "holds", "Counting letters does 4.256433; the promise is 4.256432"),
    ],
)
def test_a_promise_is_compared_with_what_counting_reaches(judged, stage, floor: int, outcome: str, words: str) -> None:
    stage.open(milestones=_weights(stage, floor))
    found = judged()["promise-beats-counting"]
    assert found["outcome"] == outcome
    assert words in found["detail"]


def test_terms_without_a_score_are_told(judged, stage) -> None:
    stage.open(milestones=_weights(stage, NO_MINIMUM))
    found = judged()
    assert found["score-is-required"]["outcome"] == "fails"
    assert "promise-beats-counting" not in found


def test_a_promise_on_unknown_data_could_not_be_told(judged, stage) -> None:
    stage.open(milestones=_weights(stage, -4_000_000), dataset=NO_HASH)
    found = judged(code=3)["promise-beats-counting"]
    assert found["outcome"] == "unknown"
    assert "On English text, counting letters does 4.649673 bits per byte" in found["detail"]


def test_a_metric_that_this_package_does_not_know_could_not_be_told(judged, stage) -> None:
    outcome = ExpectedOutcome(metric="elo", direction="higher", target=1_000_000, evaluation="games")
    stage.open(proposal={"outcome": outcome}, milestones=_weights(stage, 1_000_000))
    assert judged()["promise-beats-counting"]["outcome"] == "unknown"


def _weights(stage, floor: int) -> tuple[Milestone, ...]:
    now = stage.devnet.connection.timestamp()
    kinds = (MilestoneKind.DATASET, MilestoneKind.CHECKPOINT, MilestoneKind.WEIGHTS)
    return tuple(
        Milestone(kind, bps, now + (20 + 10 * place) * DAY, floor if kind is MilestoneKind.WEIGHTS else 0)
        for place, (kind, bps) in enumerate(zip(kinds, (2_000, 3_000, 5_000), strict=True))
    )


# ----------------------------------------------------------------------- the people


def test_people_who_profit_are_told(judged, stage) -> None:
    stage.open(payees=(Payee(stage.attestors[0].address, BPS // 2), Payee(stage.attestors[1].address, BPS // 2)))
    found = judged()
    assert {"attestors-paid", "insiders-fill-quorum"} <= outcomes(found, "fails")


def test_attestors_and_researchers_who_pledge_are_told(judged, stage) -> None:
    client = stage.open(**FAIR)
    stage.devnet.fund(stage.attestors[1].address, ETHER)
    client.pledge(stage.researcher, 6 * ETHER)
    client.pledge(stage.attestors[1], ETHER // 2)
    found = judged()
    assert stage.attestors[1].address in found["attestors-back"]["detail"]
    assert "the researcher alone has pledged 6 ETH" in found["researcher-can-block"]["detail"]


def test_threat_two_attestors_of_one_owner_are_told_before_a_pledge(judged, stage, nasty_code) -> None:
    owner = int(stage.judge.address, 16).to_bytes(32, "big")
    first, second = (stage.devnet.deploy(nasty_code["Owned"] + owner) for _ in range(2))
    stage.open(attestors=(first, second))
    assert judged(code=3)["one-owner"]["severity"] == "critical"


# ------------------------------------------------------------------------ the token


@pytest.mark.parametrize(
    ("token", "failing"),
    [
        ("PlainToken", set()),
        ("FeeToken", {"token-pays-in", "token-pays-out"}),
        ("SurchargingToken", {"token-pays-in", "token-pays-out"}),
        ("TrapToken", {"token-pays-out"}),
        ("PausableToken", {"token-cannot-be-stopped"}),
        ("BlocklistingToken", {"token-blocks-nobody"}),
        # A fee of more than all stops the payout.
        ("LaterFeeToken", {"token-takes-no-fee-later", "token-cannot-be-stopped"}),
        ("MeltingToken", {"token-keeps-balances"}),
    ],
)
def test_threat_a_nasty_token_is_told_before_a_pledge(judged, stage, nasty_code, token: str, failing: set[str]) -> None:
    code = nasty_code[token]
    if token == "FeeToken":
        # It names itself, and its decimals, as OpenZeppelin's do.
        stage.open(asset=stage.devnet.deploy(code), goal=10 * ETHER, cap=11 * ETHER)
    else:
        stage.open(asset=stage.devnet.deploy(code), goal=10**7, cap=11 * 10**6)
    found = judged()
    assert {rule for rule in outcomes(found, "fails") if rule.startswith("token-")} == failing


def test_threat_a_token_with_two_faces_is_told_before_a_pledge(judged, stage, nasty_code) -> None:
    stage.open(asset=stage.devnet.deploy(nasty_code["TwoFacedToken"]), goal=10**7, cap=11 * 10**6)
    found = judged()
    assert found["token-tells-one-balance"]["outcome"] == "fails"


def test_a_node_without_state_overrides_ends_in_could_not_be_told(
    inspect, stage, nasty_code, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.open(asset=stage.devnet.deploy(nasty_code["PausableToken"]), goal=10**7, cap=11 * 10**6)
    ask = Connection.request_many

    def refuse(self, requests):
        return [
            RpcError(method, -32602, "too many arguments, want at most 2", None)
            if method == "eth_call" and len(parameters) > 2
            else ask(self, [(method, parameters)])[0]
            for method, parameters in requests
        ]

    monkeypatch.setattr(Connection, "request_many", refuse)
    ran = inspect("--json")
    assert ran.code == 0, ran.stderr
    token = {one["rule"]: one for one in ran.json["findings"] if one["rule"].startswith("token-")}
    assert outcomes(token, "holds") == {"token-keeps-its-code"}
    assert outcomes(token, "fails") == set()
    assert "state overrides" in token["token-pays-in"]["detail"]
    assert ran.json["grade"] == "C"


# ----------------------------------------------------------------------- the pledge


def test_a_pledge_shows_the_grade_and_what_was_found_before_its_question(answering, stage) -> None:
    stage.open(quorum=1)
    ran = answering("n", "pledge", stage.client.address, "1", wallet="backer0")
    assert "Risk grade C at best: Ask before you pledge" in ran.stderr
    assert "  high      A single signature releases money" in ran.stderr
    assert ran.stderr.index("A single signature") < ran.stderr.index("Pledge 1 ETH from")
    assert f"`llamafund inspect {stage.client.address}` reads the proposal, too" in ran.stderr
    # What was not looked at is not said to be unknown.
    assert "could not be told" not in ran.stderr


def test_a_pledge_asks_the_node_little_more_than_before(llamafund, stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short form may add one request for the pledges of all people, and one for their code."""
    from llamafund_chain.cli import pledge

    stage.open()
    batches = 0
    ask = Connection.request_many

    def count(self, requests):
        nonlocal batches
        batches += 1
        return ask(self, requests)

    def run() -> int:
        nonlocal batches
        batches = 0
        words = ("pledge", stage.client.address, "1", "--yes", "--rpc", stage.devnet.rpc_url)
        assert llamafund(*words, wallet="backer0").code == 0
        return batches

    monkeypatch.setattr(Connection, "request_many", count)
    whole = run()
    monkeypatch.setattr(pledge, "_risk_lines", lambda _: [])
    assert whole - run() <= 6
