"""Audits of campaigns on a real chain. The evidence is hand-made, so no check that trains takes part."""

from __future__ import annotations

import inspect
import json
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from faulty_store import FAULTS, StoreWithAFault

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.terms import Milestone, MilestoneKind, Status
from llamafund_chain.chain import abi
from llamafund_chain.checks.run import BUILT_IN
from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetPromise, MilestonePromise
from llamafund_chain.times import when

DAY = 86_400
ETHER = 10**18
STEP = 1 if "LLAMAFUND_ASSURE" in os.environ else 3
"""Each kind of trouble comes at every third request in an ordinary run; the kinds together, at each."""


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits the stage's campaign with the built-in checks."""

    def run(**changes: object) -> AuditReport:
        settings = {
            "finality": "finalized",
            "replay_segments": 0,
            "workdir": tmp_path,
            "progress": lambda text: None,
            "checks": BUILT_IN,
        }
        store = changes.pop("store", stage.run.store)
        return audit(stage.client, store, **{**settings, **changes})

    return run


@pytest.fixture
def lying_node(stage) -> Iterator[Callable[[Callable[..., Any]], CampaignClient]]:
    """Puts a server before the node that may change every answer, and gives the campaign as seen through it."""
    servers: list[ThreadingHTTPServer] = []

    def start(lie: Callable[..., Any]) -> CampaignClient:
        with_params = len(inspect.signature(lie).parameters) == 3

        class Node(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                request = urllib.request.Request(stage.devnet.rpc_url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request) as answer:
                    said = json.loads(answer.read())
                several = isinstance(asked, list)
                by_id = {one["id"]: one for one in (asked if several else [asked])}
                for one in said if several else [said]:
                    if "result" in one:
                        request_ = by_id[one["id"]]
                        more = (request_["params"],) if with_params else ()
                        one["result"] = lie(request_["method"], one["result"], *more)
                data = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return CampaignClient(connect(f"http://127.0.0.1:{server.server_port}"), stage.client.address)

    with ExitStack() as stack:
        yield start
        for server in servers:
            stack.callback(server.server_close)
            stack.callback(server.shutdown)


def failed(report: AuditReport, group: str | None = None) -> set[str]:
    return {check.name for check in report.checks if check.status == "fail" and group in (None, check.group)}


def contradicted(report: AuditReport) -> set[str]:
    """What showed that the node contradicts itself, which nobody is accused of."""
    assert report.verdict.outcome == "contradicted"
    assert report.verdict.headline.startswith("The node contradicts itself: ")
    assert failed(report) == set()
    assert report.verdict.alarms == ()
    return {check.name for check in report.checks if check.contradiction}


def unchecked(report: AuditReport, group: str | None = None) -> set[str]:
    """What decides and was not checked. This chain gives its accounts coins without paying them."""
    checks = [check for check in report.checks if check.status == "unchecked" and group in (None, check.group)]
    return {check.name for check in checks} - {"first-payments-apart"}


def assert_accuses_nobody(report: AuditReport) -> None:
    assert failed(report) == set()
    assert report.verdict.outcome == "unchecked"
    assert report.verdict.headline.startswith("No fault was found, but not everything could be checked: ")
    assert report.verdict.alarms == ()


def status_of(report: AuditReport, name: str) -> str:
    (check,) = [check for check in report.checks if check.name == name]
    return check.status


def two_milestones(stage, first: MilestoneKind, **proposal: object) -> dict[str, Any]:
    """What `stage.open` needs for a campaign of one milestone and the weights."""
    now = stage.devnet.connection.timestamp()
    kinds = (first, MilestoneKind.WEIGHTS)
    promises = tuple(MilestonePromise(kind=kind.name, title=kind.name, description="") for kind in kinds)
    return {
        "proposal": {"milestones": promises, **proposal},
        "milestones": (
            Milestone(kind=first, bps=2_000, deadline=now + 20 * DAY, min_score=-(10**7)),
            Milestone(kind=MilestoneKind.WEIGHTS, bps=8_000, deadline=now + 30 * DAY, min_score=-3_000_000),
        ),
    }


def train_on(stage, parent: str, **changes: object) -> CheckpointManifest:
    """A run like an honest one that differs from it as told."""
    stage.run.checkpoints = []
    chain: tuple[str, ...] = ()
    for first, last in ((0, 0), (0, 20), (20, 40)):
        link = stage.run.add_checkpoint(
            seed=stage.seed, first=first, last=last, parent=chain[-1] if chain else parent, chain=chain, **changes
        )
        chain += (link.sha256,)
    return link


def test_an_honest_campaign_holds_from_beginning_to_end(stage, look) -> None:
    stage.honest_until(3)
    stage.client.claim(stage.researcher, 0)
    stage.client.claim(stage.compute, 1)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert failed(report) == set()
    assert report.facts is not None
    assert report.facts.status == "Completed"
    assert [milestone.state for milestone in report.milestones] == ["released"] * 3
    assert report.money is not None
    assert report.money.events.claimed == report.money.events.pledged == "12.000000000000000008"
    assert report.money.state.balance == "0"


def test_the_signers_are_recovered_from_the_transaction(stage, look) -> None:
    stage.honest_until(1)

    signers = look().milestones[0].attested.signers

    assert [(signer.index, signer.person.name, signer.proof) for signer in signers] == [
        (0, "Attestor 0", "signature"),
        (2, "Attestor 2", "signature"),
    ]


def test_the_training_seed_follows_from_the_activations_block(stage, look) -> None:
    stage.honest_until(0)

    assert status_of(look(), "seed-from-block") == "pass"


def test_the_report_survives_its_json(stage, look) -> None:
    stage.honest_until(3)
    report = look()

    assert AuditReport.model_validate_json(report.to_json()) == report


def test_a_campaign_that_still_collects_holds(stage, look) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    stage.client.pledge(stage.backers[1], 2 * ETHER)
    stage.client.unpledge(stage.backers[0], ETHER // 3)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert report.money.events.withdrawn == "0.333333333333333333"
    assert report.money.events.locked == report.money.state.locked == "2.666666666666666667"


def test_a_campaign_that_missed_its_goal_accounts_for_every_refund(stage, look) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    stage.client.pledge(stage.backers[1], 2 * ETHER)
    stage.devnet.advance(11 * DAY)
    stage.client.refund(stage.compute, stage.backers[0].address)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert report.facts.status == "Failed"
    assert (report.money.events.refunded, report.money.events.refundable) == ("1", "2")
    assert (report.money.state.refunded, report.money.state.refundable) == ("1", "2")


def test_a_stopped_campaign_accounts_for_units_too_small_to_divide(stage, look) -> None:
    stage.honest_until(1)
    stage.client.claim(stage.researcher, 0)
    stage.client.vote_stop(stage.backers[0])
    for backer in stage.backers:
        stage.client.refund(stage.compute, backer.address)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert report.facts.status == "Failed"
    assert report.money.events == report.money.state.model_copy(
        update={"deposited": report.money.events.deposited, "withdrawn": "0"}
    )
    assert [milestone.state for milestone in report.milestones] == ["released", "missed", "missed"]
    assert status_of(report, "rounding-favours-escrow") == "pass"


def test_coins_forced_into_the_escrow_are_a_remark_and_not_a_failure(stage, look) -> None:
    stage.honest_until(1)
    stage.devnet.fund(stage.client.address, stage.client.state().balance + 5)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert status_of(report, "escrow-is-solvent") == "warn"


def test_coins_missing_from_the_escrow_are_caught(stage, look) -> None:
    stage.honest_until(1)
    stage.devnet.fund(stage.client.address, stage.client.state().balance - 1)
    stage.devnet.finalize()

    assert "escrow-is-solvent" in contradicted(look())


def test_a_token_campaign_is_audited_in_its_token(stage, look) -> None:
    token = stage.devnet.deploy_token("Hostile </title><script>", "<b>X</b>", 6)
    stage.open(asset=token, goal=1_000_000, cap=5_000_000)
    stage.devnet.mint_token(token, stage.backers[0].address, 3_000_000)
    stage.client.approve(stage.backers[0], 3_000_000)
    stage.client.pledge_token(stage.backers[0], 1_500_000)
    stage.devnet.finalize()

    report = look()

    assert report.verdict.outcome == "holds"
    assert report.facts.asset.address == token
    assert report.money.state.balance == "1.5"


def test_an_old_run_attested_by_a_colluding_quorum_is_called_fraud_while_backers_can_still_stop_it(stage, look) -> None:
    stage.honest_until(1)
    attestation = stage.attest(1, stage.run.train("01d0" * 16))

    report = look()

    assert report.verdict.outcome == "fails"
    assert failed(report) == {"seed-fresh"}
    assert report.verdict.headline.startswith("Fraud or negligence, caught before the money is released")
    (alarm,) = report.verdict.alarms
    assert alarm.milestone == attestation.milestone
    assert alarm.in_time
    assert int(alarm.until.timestamp()) == stage.client.state().attested_at + 2 * DAY
    assert any("vote-stop" in choice and "6.000000000000000004 ETH more" in choice for choice in alarm.choices)
    assert not any("voting opens at" in choice for choice in alarm.choices)
    assert any("Attestor 0, Attestor 2" in choice for choice in alarm.choices)


def test_on_the_first_day_the_audit_says_from_when_backers_can_stop_what_it_found(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset, content_root="ab" * 32)

    report = look()

    (alarm,) = report.verdict.alarms
    opens = when(stage.client.state().votes_from)
    assert any(f"voting opens at {opens}. Before" in choice for choice in alarm.choices)


def test_the_stop_that_the_audit_advises_withholds_the_tranche(stage, look) -> None:
    stage.honest_until(1)
    stage.attest(1, stage.run.train("01d0" * 16))
    stage.client.vote_stop(stage.backers[0])
    stage.devnet.advance(3 * DAY)

    report = look()

    assert [milestone.state for milestone in report.milestones] == ["released", "withheld", "missed"]
    assert not report.verdict.alarms[0].in_time
    assert any("stopped in time" in choice for choice in report.verdict.alarms[0].choices)


def test_other_weights_than_the_trained_ones_are_called_fraud_and_the_audit_admits_that_voting_is_closed(
    stage, look
) -> None:
    stage.honest_until(2)
    stage.attest(2, stage.run.export(parent=stage.run.checkpoints[0].sha256))

    report = look()

    assert failed(report) == {"parent-links"}
    (alarm,) = report.verdict.alarms
    assert alarm.in_time
    assert any("No vote can hold back this tranche" in choice for choice in alarm.choices)
    assert any("llamafund challenge" in choice for choice in alarm.choices)
    assert not any("vote-stop" in choice for choice in alarm.choices)


def test_weights_of_another_run_that_claim_the_promised_data_and_recipe_are_called_fraud(stage, look) -> None:
    stage.open(**two_milestones(stage, MilestoneKind.DATASET))
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.release()
    cheap = stage.run.store.put_bytes(b"schema: llamafund/recipe/1\n# One step.\n").sha256
    train_on(stage, stage.run.dataset.sha256, dataset="0d" * 32, recipe=cheap)
    stage.attest(1, stage.run.export())

    report = look()

    assert report.verdict.outcome == "fails"
    assert failed(report) == {"weights-match-run"}


def test_a_promised_dataset_that_is_nowhere_is_noticed_and_accuses_nobody(stage, look) -> None:
    missing = "ab" * 32
    promise = DatasetPromise(manifest=missing, description="unseen", sources=("nowhere",), license="CC0-1.0")
    stage.open(dataset=missing, **two_milestones(stage, MilestoneKind.CHECKPOINT, dataset=promise))
    stage.fund()
    stage.attest(0, train_on(stage, stage.run.proposal.sha256, dataset=missing))
    stage.release()
    stage.attest(1, stage.run.export(dataset=missing))

    report = look()

    assert failed(report) == set()
    for group in ("milestone 0", "milestone 1"):
        assert "dataset-published" in unchecked(report, group)
    assert_accuses_nobody(report)


def test_a_fraud_seen_too_late_is_not_sold_as_in_time(stage, look) -> None:
    stage.honest_until(1)
    stage.attest(1, stage.run.train("01d0" * 16))
    stage.release()

    report = look()

    assert report.milestones[1].state == "released"
    assert not report.verdict.alarms[0].in_time
    assert any("nothing brings it back" in choice for choice in report.verdict.alarms[0].choices)


def test_content_replaced_in_the_store_is_noticed_and_accuses_nobody(stage, look) -> None:
    stage.honest_until(1)
    entry = stage.run.dataset.files[0]
    stage.run.replace_in_store(entry.cid, b"x" * entry.size)

    report = look()

    assert unchecked(report) == {"content-published", "heldout-separate", "documents-distinct"}
    assert_accuses_nobody(report)


def test_an_attested_root_that_is_not_the_manifests_is_caught(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset, content_root="ab" * 32)

    assert failed(look()) == {"content-root-attested"}


def test_a_score_other_than_the_manifests_is_caught(stage, look) -> None:
    stage.honest_until(2)
    stage.attest(2, stage.run.export(), score=-1)

    assert failed(look()) == {"score-matches-manifest"}


def test_withheld_content_is_a_remark(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset, content_root="00" * 32, content_size=0)

    report = look()

    assert report.verdict.outcome == "holds"
    assert status_of(report, "content-open") == "warn"
    assert status_of(report, "content-published") == "warn"


def test_evidence_that_is_nowhere_is_noticed_and_accuses_nobody(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    stage.run.remove_from_store(raw_cid(stage.run.dataset.sha256))

    report = look()

    assert unchecked(report) == {"evidence-published", "evidence-checked"}
    assert_accuses_nobody(report)


def test_a_proposal_that_is_nowhere_is_noticed_and_the_money_is_still_counted(stage, look) -> None:
    stage.honest_until(1)
    stage.run.remove_from_store(raw_cid(stage.run.proposal.sha256))

    report = look()

    assert unchecked(report) == {"proposal-published", "evidence-checked"}
    assert_accuses_nobody(report)
    assert report.money.state.pledged == "12.000000000000000008"


@pytest.mark.parametrize("fault", FAULTS)
def test_no_trouble_of_a_store_or_of_this_machine_accuses_an_honest_campaign(stage, look, fault: str) -> None:
    stage.honest_until(3)
    whole = look()
    for asked in count(1 + list(FAULTS).index(fault) % STEP, STEP):
        store = StoreWithAFault(stage.run.store, FAULTS[fault], asked)
        report = look(store=store)
        if store.left > 0:
            break
        if report.checks == whole.checks:
            assert report.curves != whole.curves, "the fault went unnoticed"
        else:
            assert_accuses_nobody(report)
        assert (report.money.events, report.money.state) == (whole.money.events, whole.money.state)
    assert asked > 20
    assert report == whole


def test_a_report_shows_no_path_of_this_machine(stage, look, tmp_path: Path) -> None:
    stage.honest_until(1)
    stage.run.remove_from_store(stage.run.dataset.files[0].cid)

    report = look()

    assert "the local store" in next(check.detail for check in report.checks if check.name == "content-published")
    assert stage.run.store.location not in report.to_json()
    assert str(tmp_path) not in report.to_json()


def test_a_shallow_audit_says_what_it_left_out(stage, look) -> None:
    stage.honest_until(1)
    stage.run.remove_from_store(raw_cid(stage.run.proposal.sha256))

    books = look(depth="books")
    evidence = look(depth="evidence")

    assert books.verdict.outcome == "holds"
    assert books.verdict.headline.endswith("Only the contract, its events and its money were checked, and no evidence")
    assert {check.group for check in books.checks} == {
        *("contract", "timeline", "money", "risks", "node", "milestone 0", "across campaigns")
    }
    assert evidence.verdict.headline.endswith("Weights and training were not checked")


def test_what_could_not_be_checked_can_be_accepted_and_the_verdict_says_so(stage, look) -> None:
    stage.honest_until(1)
    stage.run.remove_from_store(raw_cid(stage.run.proposal.sha256))

    report = look(allow_unchecked=True)

    assert (report.verdict.outcome, report.verdict.unchecked_allowed) == ("unchecked", True)
    assert report.verdict.headline.endswith("The auditor accepts that")


def test_a_proposal_replaced_by_a_hostile_file_is_not_read(stage, look) -> None:
    stage.open()
    stage.run.replace_in_store(raw_cid(stage.run.proposal.sha256), b'{"schema": "\x1b[31m"}')

    report = look()

    assert unchecked(report) == {"proposal-published"}
    assert_accuses_nobody(report)


def test_a_proposal_that_names_other_attestors_than_the_terms_is_caught(stage, look) -> None:
    others = [{"name": "Somebody trustworthy", "address": "0x" + "99" * 20, "promise": "everything"}]
    stage.open(proposal={"attestors": tuple(others)})

    assert failed(look()) == {"attestors-match"}


def test_terms_other_than_the_proposal_promises_are_caught(stage, look) -> None:
    stage.open(told={"challenge_window": 30 * DAY})

    report = look()

    assert failed(report) == {"terms-as-promised"}
    (check,) = (one for one in report.checks if one.name == "terms-as-promised")
    assert check.detail == f"The proposal promises {30 * DAY} for challenge_window, but the terms say {2 * DAY}"


def test_terms_that_pay_for_less_than_the_proposal_promises_are_a_remark(stage, look) -> None:
    stage.open()
    lax = stage.client.terms.milestones[-1].__class__(
        kind=stage.client.terms.milestones[-1].kind,
        bps=5_556,
        deadline=stage.client.terms.milestones[-1].deadline,
        min_score=-9_000_000,
    )
    stage.open(milestones=(*stage.client.terms.milestones[:-1], lax))

    assert status_of(look(), "promise-is-binding") == "warn"


def test_a_researcher_among_the_attestors_and_a_quorum_of_one_are_remarks(stage, look) -> None:
    stage.attestors = (stage.researcher, *stage.attestors[1:])
    stage.open(quorum=1)

    report = look()

    assert report.verdict.outcome == "holds"
    assert status_of(report, "researcher-attests") == "warn"
    assert status_of(report, "quorum-of-one") == "warn"


def test_a_bond_that_does_not_pay_for_an_answer_is_a_remark(stage, look, rollup) -> None:
    stage.open(min_bond=ETHER // 100)
    stage.devnet.finalize()
    assert status_of(look(), "challenge-bond") == "pass"

    rollup.fjord(10**12)
    report = look()
    assert (status_of(report, "challenge-bond"), report.verdict.outcome) == ("warn", "holds")
    (bond,) = (check for check in report.checks if check.name == "challenge-bond")
    assert "10 ETH is unreleased" in bond.detail

    rollup.unreadable()
    report = look()
    assert (status_of(report, "challenge-bond"), report.verdict.outcome) == ("unchecked", "holds")


def test_a_researcher_that_can_block_a_stop_is_a_remark(stage, look) -> None:
    stage.open()
    stage.client.pledge(stage.researcher, 7 * ETHER)
    stage.client.pledge(stage.backers[0], 3 * ETHER)
    stage.devnet.finalize()

    assert status_of(look(), "cost-of-blocking") == "warn"


def test_a_cap_with_room_for_a_forced_stop_is_a_remark_until_funding_is_over(stage, look) -> None:
    stage.open(goal=10 * ETHER, cap=24 * ETHER)
    assert _forcing(stage, look) == ("pass", "Nothing is pledged, so there is nothing to stop")

    # Below the goal: it has to bring the pool there.
    stage.client.pledge(stage.backers[0], 4 * ETHER)
    assert _forcing(stage, look) == (
        "warn",
        "Whoever adds 6 ETH can stop the campaign 1 day after activation, and gets it back",
    )
    stage.client.pledge(stage.backers[1], 8 * ETHER)
    status, detail = _forcing(stage, look)
    assert (status, "adds 12 ETH" in detail) == ("warn", True)
    # A unit more, and its pledge no longer fits under the cap.
    stage.client.pledge(stage.backers[1], 1)
    status, detail = _forcing(stage, look)
    assert (status, "leaves less room" in detail) == ("pass", True)

    stage.client.activate(stage.researcher)
    status, detail = _forcing(stage, look)
    assert (status, "Funding is over" in detail) == ("pass", True)


def test_after_the_funding_deadline_nobody_can_add_what_forces_a_stop(stage, look) -> None:
    stage.open(goal=10 * ETHER, cap=50 * ETHER)
    stage.client.pledge(stage.backers[0], 10 * ETHER)
    stage.devnet.advance(11 * DAY)

    assert stage.client.state().status is Status.FUNDING
    assert _forcing(stage, look)[0] == "pass"


def _forcing(stage, look) -> tuple[str, str]:
    stage.devnet.finalize()
    (check,) = (check for check in look().checks if check.name == "cost-of-forcing")
    return check.status, check.detail


def test_an_address_without_a_campaign_is_no_campaign(stage, look) -> None:
    stage.open()
    stage.client = stage.client.__class__(stage.devnet.connection, stage.backers[0].address)

    report = look()

    assert failed(report) == {"campaign-is-genuine"}
    assert "do not send money" in report.verdict.headline
    assert report.facts is None


def without(event: str) -> Callable[[str, Any], Any]:
    topic = abi.contract("Campaign").topic(event)

    def censor(method: str, result: Any) -> Any:
        return [log for log in result if log["topics"][0] != topic] if method == "eth_getLogs" else result

    return censor


def test_pledges_that_a_node_hides_are_noticed(stage, look, lying_node) -> None:
    stage.honest_until(1)
    stage.client = lying_node(without("Pledged"))

    assert "pledged-agrees" in contradicted(look())


def test_an_attestation_that_a_node_hides_is_noticed(stage, look, lying_node) -> None:
    stage.honest_until(1)
    stage.client = lying_node(without("MilestoneAttested"))

    report = look()

    assert "events-match-state" in contradicted(report)
    assert "attested" in next(check.detail for check in report.checks if check.name == "events-match-state")


def test_votes_that_a_node_makes_heavier_than_their_pledges_are_noticed(stage, look, lying_node) -> None:
    stage.honest_until(1)
    stage.client.vote_stop(stage.backers[1])
    stage.devnet.finalize()
    support = stage.client.state().stop_support
    assert support == stage.client.pledge_of(stage.backers[1].address)
    interface = abi.contract("Campaign")
    asked = interface.encode("stopSupport").hex()

    # The event's weight and total and the contract's view tell the same lie.
    def weigh(method: str, result: Any, params: Any) -> Any:
        if method == "eth_call" and params[0]["data"].removeprefix("0x") == asked:
            return f"0x{support + 1:064x}"
        if method == "eth_getLogs":
            for log in result:
                if log["topics"][0] == interface.topic("StopVoted"):
                    log["data"] = log["data"].replace(f"{support:064x}", f"{support + 1:064x}")
        return result

    assert failed(look()) == set()
    stage.client = lying_node(weigh)
    report = look()

    assert contradicted(report) == {"events-match-state"}
    assert "stop support" in next(check.detail for check in report.checks if check.name == "events-match-state")


def test_a_signature_that_is_not_the_attestors_is_noticed(stage, look, lying_node) -> None:
    stage.honest_until(1)

    def forge(method: str, result: Any) -> Any:
        if method == "eth_getTransactionByHash":
            # The last signature is the last argument: 65 bytes, padded to 96.
            result["input"] = result["input"][:-192] + "07" * 32 + result["input"][-128:]
        return result

    stage.client = lying_node(forge)

    report = look()

    assert (status_of(report, "attestation-signed"), report.verdict.outcome) == ("warn", "holds")


def test_money_that_a_node_invents_is_noticed(stage, look, lying_node) -> None:
    stage.honest_until(1)
    released = abi.contract("Campaign").encode("released").hex()
    asked: list[bool] = []

    def inflate(method: str, result: Any, params: Any) -> Any:
        if method == "eth_call" and params[0]["data"].removeprefix("0x") == released:
            asked.append(True)
            return f"0x{ETHER:064x}"
        return result

    stage.client = lying_node(inflate)

    assert "released-agrees" in contradicted(look())
    assert asked


def test_a_node_that_answers_nonsense_ends_the_audit_with_a_clear_error(stage, look, lying_node) -> None:
    stage.honest_until(1)
    stage.client = lying_node(lambda method, result: {"\x1b": []} if method == "eth_getLogs" else result)

    with pytest.raises(NodeUnreachableError, match="makes no sense"):
        look()


def test_a_backer_is_told_where_the_money_is_and_everybody_what_happened_when(stage, look) -> None:
    stage.honest_until(1)

    found = look(backer=stage.backers[0].address, depth="books")

    mine = found.backer
    assert mine is not None
    assert (mine.pledged, mine.refundable, mine.refunded) == ("7.000000000000000001", "0", "0")
    assert mine.share == 5_833
    assert mine.released == "0.777699999999999999"
    assert [step.command.split()[1] for step in mine.next_steps] == ["vote-stop"]
    told = [(one.what.split()[0], one.to_come) for one in found.timeline]
    assert told == [
        ("Activated:", False),
        ("Milestone", False),
        ("Challenge", False),
        ("Milestone", True),
        ("Milestone", True),
    ]
    assert list(found.timeline) == sorted(found.timeline, key=lambda one: one.at)
    stranger = look(backer=stage.judge.address, depth="books").backer
    assert stranger is not None
    assert (stranger.pledged, stranger.share, stranger.next_steps) == ("0", 0, ())


def test_after_a_failure_a_backer_is_told_of_the_refund_until_it_is_collected(stage, look) -> None:
    stage.honest_until(1)
    stage.devnet.advance(40 * DAY)

    waiting = look(backer=stage.backers[0].address, depth="books").backer
    stage.client.refund(stage.backers[0], stage.backers[0].address)
    stage.devnet.finalize()
    done = look(backer=stage.backers[0].address, depth="books").backer

    assert waiting is not None
    assert done is not None
    assert (waiting.refundable, waiting.refunded, waiting.locked) == ("6.222300000000000001", "0", "0")
    assert [step.command.split()[1] for step in waiting.next_steps] == ["refund"]
    assert (done.refundable, done.refunded, done.next_steps) == ("0", waiting.refundable, ())
