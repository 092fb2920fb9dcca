"""A campaign's client: proof of what it is, its state and events, and every transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from llamafund_chain.campaign.attestation import propose
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.events import (
    Activated,
    Claimed,
    DeadlinesExtended,
    MilestoneAttested,
    Pledged,
    Refunded,
    Stopped,
    StopVoted,
    Unpledged,
    UpdatePosted,
)
from llamafund_chain.campaign.factory import create_campaign, list_campaigns
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain import abi
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.tokens import NATIVE, Token
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError

ETHER = 10**18
DAY = 86_400
NOBODY = "0x00000000000000000000000000000000000000bb"


def deploy_code(devnet, runtime: bytes) -> str:
    """Put any code on chain, as any look-alike's author can."""
    size = len(runtime).to_bytes(2, "big")
    creation = b"\x61" + size + b"\x80\x60\x0a\x3d\x39\x3d\xf3" + runtime
    assert len(creation) - len(runtime) == 10
    return devnet.deploy(creation)


# --------------------------------------------------------------------- proof


def test_a_campaign_of_the_factory_is_proven_to_be_one(stage) -> None:
    client = stage.open()
    identity = client.verify_code()
    assert identity.address == client.address
    assert identity.factory == stage.devnet.deployment.factory
    again = CampaignClient(stage.devnet.connection, client.address, identity.salt)
    assert again.verify_code().salt == identity.salt
    assert again.terms == client.terms


def test_an_address_without_code_is_no_campaign(stage) -> None:
    with pytest.raises(VerificationError, match="no campaign at"):
        CampaignClient(stage.devnet.connection, NOBODY).verify_code()


def test_another_contract_is_no_campaign(stage) -> None:
    with pytest.raises(VerificationError, match="look-alike"):
        CampaignClient(stage.devnet.connection, stage.devnet.deployment.factory).verify_code()


def test_the_implementation_itself_is_no_campaign(stage) -> None:
    with pytest.raises(VerificationError, match="look-alike"):
        CampaignClient(stage.devnet.connection, stage.devnet.deployment.implementation).verify_code()


def test_a_look_alike_with_exactly_a_campaigns_code_is_no_campaign(stage) -> None:
    real = stage.open()
    code = stage.devnet.connection.code(real.address)
    fake = deploy_code(stage.devnet, code)
    assert stage.devnet.connection.code(fake) == code
    with pytest.raises(VerificationError, match="never opened it"):
        CampaignClient(stage.devnet.connection, fake).verify_code()
    with pytest.raises(VerificationError, match="does not follow"):
        CampaignClient(stage.devnet.connection, fake, real.verify_code().salt).verify_code()


def test_a_look_alike_with_terms_that_do_not_parse_is_no_campaign(stage) -> None:
    code = stage.devnet.connection.code(stage.open().address)
    fake = deploy_code(stage.devnet, code + b"\x00")
    with pytest.raises(VerificationError, match="look-alike"):
        CampaignClient(stage.devnet.connection, fake).verify_code()


def test_events_that_a_node_makes_up_do_not_make_a_look_alike_a_campaign(stage, monkeypatch) -> None:
    real = stage.open()
    fake = deploy_code(stage.devnet, stage.devnet.connection.code(real.address))
    connection = connect(stage.devnet.rpc_url)
    request_many = connection.request_many

    def lie(requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        asked = [
            (method, ({**params[0], "topics": params[0]["topics"][:1]},) if method == "eth_getLogs" else params)
            for method, params in requests
        ]
        answers = request_many(asked)
        for (method, _), logs in zip(requests, answers, strict=True):
            if method == "eth_getLogs":
                for log in logs:
                    log["topics"][1] = "0x" + "00" * 12 + fake[2:].lower()
        return answers

    monkeypatch.setattr(connection, "request_many", lie)
    with pytest.raises(VerificationError, match="does not follow"):
        CampaignClient(connection, fake).verify_code()


def test_the_same_terms_and_salt_open_only_one_campaign(stage) -> None:
    client = stage.open()
    salt = client.verify_code().salt
    with pytest.raises(ContractRefusedError, match="already a campaign"):
        create_campaign(stage.devnet.connection, stage.researcher, client.terms, salt)
    other, _ = create_campaign(stage.devnet.connection, stage.researcher, client.terms, "77" * 32)
    listed = [event.campaign for event in list_campaigns(stage.devnet.connection)]
    assert listed[-2:] == [client.address, other]


def test_nobody_opens_a_campaign_in_anothers_name(stage) -> None:
    terms = stage.open().terms
    with pytest.raises(ContractRefusedError) as refusal:
        create_campaign(stage.devnet.connection, stage.backers[0], terms, "78" * 32)
    assert refusal.value.name == "CampaignFactory_NotResearcher"


def test_terms_that_break_a_rule_cost_no_gas(stage) -> None:
    terms = replace(stage.open().terms, goal=0)
    before = stage.devnet.connection.balance(stage.researcher.address)
    with pytest.raises(UsageError):
        create_campaign(stage.devnet.connection, stage.researcher, terms, "79" * 32)
    assert stage.devnet.connection.balance(stage.researcher.address) == before


# ------------------------------------------------------------ state, events


def test_an_honest_campaign_from_the_first_pledge_to_the_last_claim(stage) -> None:
    client = stage.open()
    one, two, three = stage.backers
    client.pledge(one, 7 * ETHER + 1)
    client.pledge(two, 2 * ETHER, three.address)
    client.unpledge(three, ETHER, NOBODY)
    client.pledge(three, 3 * ETHER)
    assert client.state().status is Status.FUNDING
    client.activate(stage.researcher)
    client.post_update(stage.researcher, "ee" * 32)
    stage.devnet.finalize()
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.attest(1, stage.run.train(stage.seed))
    stage.release()
    stage.attest(2, stage.run.export())
    during = client.state()
    assert during.window_end(client.terms) == during.attested_at + 2 * DAY
    stage.release()
    client.claim(stage.researcher, 0)
    client.claim(stage.compute, 1, NOBODY)

    state = client.state()
    assert state.status is Status.COMPLETED
    assert state.pledged == state.released == sum(state.claimed) == 11 * ETHER + 1
    assert state.balance == 0
    assert state.claimable == (0, 0)
    assert state.latest_evidence == stage.run.weights.sha256
    assert client.pledge_of(three.address) == 4 * ETHER
    assert client.refundable(three.address) == 0

    events = client.events()
    assert [type(event) for event in events] == [
        Pledged,
        Pledged,
        Unpledged,
        Pledged,
        Activated,
        UpdatePosted,
        *[MilestoneAttested] * 3,
        Claimed,
        Claimed,
    ]
    assert events[1].backer == three.address
    assert events[1].payer == two.address
    assert events[2].recipient.lower() == NOBODY
    assert events[4].training_seed == state.training_seed
    assert events[5].manifest == "ee" * 32
    assert events[6].signers == 0b101
    assert events[6].attestation.evidence == events[6].evidence == stage.run.dataset.sha256
    assert sum(event.amount for event in events if isinstance(event, Claimed)) == state.pledged
    assert [(event.block, event.log_index) for event in events] == sorted(
        (event.block, event.log_index) for event in events
    )


def test_a_stopped_campaign_refunds_what_was_not_released(stage) -> None:
    stage.honest_until(1)
    client = stage.client
    one, two, three = stage.backers
    assert 0 < client.state().votes_from <= client.state().timestamp
    client.vote_stop(three)
    client.vote_stop(three, False)
    assert client.state().stop_support == 0
    client.vote_stop(one)
    state = client.state()
    assert state.status is Status.FAILED
    assert state.stop_support == client.pledge_of(one.address)
    owed = [client.refundable(backer.address) for backer in stage.backers]
    client.refund(three, one.address)
    client.refund_to(two, NOBODY)
    client.refund(three, three.address)
    events = client.events()
    refunds = [event for event in events if isinstance(event, Refunded)]
    assert [refund.amount for refund in refunds] == owed
    assert refunds[1].recipient.lower() == NOBODY
    assert [event.support for event in events if isinstance(event, StopVoted)] == [True, False, True]
    assert [event.total_support for event in events if isinstance(event, Stopped)] == [state.stop_support]
    final = client.state()
    assert final.pledged - final.released - sum(owed) <= 3
    assert final.balance >= sum(final.claimable)


def test_deadlines_move_only_for_what_is_not_attested(stage) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    stage.attest(0, stage.run.dataset)
    client = stage.client
    client.extend_deadlines(stage.researcher, DAY)
    state = client.state()
    for milestone in range(3):
        (theirs,) = abi.contract("Campaign").decode_output(
            "deadlineOf",
            stage.devnet.connection.call(
                Call(client.address, abi.contract("Campaign").encode("deadlineOf", milestone))
            ),
        )
        if milestone >= state.attested:
            assert state.deadline(client.terms, milestone) == theirs
    (event,) = [event for event in client.events() if isinstance(event, DeadlinesExtended)]
    assert (event.by_seconds, event.slack_used) == (DAY, DAY)


def test_a_state_is_of_one_block_whatever_comes_after(stage) -> None:
    client = stage.open()
    block = stage.devnet.connection.block().number
    client.pledge(stage.backers[0], 5)
    assert client.state(block).pledged == 0
    assert client.state(block).balance == 0
    assert client.state().pledged == 5


# ------------------------------------------------------------------ refusals


def test_refusals_name_amounts_in_coins_and_times_by_the_clock(stage) -> None:
    client = stage.open()
    with pytest.raises(ContractRefusedError, match=r"bring the total to 20\.5 ETH .*cap is 20 ETH"):
        client.pledge(stage.backers[0], 20 * ETHER + ETHER // 2)
    with pytest.raises(ContractRefusedError, match=r"Only 0 ETH is pledged .*goal is 10 ETH"):
        client.activate(stage.researcher)
    stage.fund()
    with pytest.raises(ContractRefusedError, match=r"The campaign is Active .*activated once, during funding\."):
        client.activate(stage.researcher)
    with pytest.raises(ContractRefusedError, match="No milestone has been attested yet"):
        client.claim(stage.researcher, 0)
    stage.attest(0, stage.run.dataset)
    stage.devnet.advance(1_800)
    with pytest.raises(ContractRefusedError, match=r"challenge window until .* UTC, 1 day 23 hours"):
        client.claim(stage.researcher, 0)
    with pytest.raises(ContractRefusedError, match=r"challenge window until .* \(in 1 day 23 hours\)"):
        stage.attest(1, stage.run.train(stage.seed))
    with pytest.raises(ContractRefusedError, match="is not payee 1"):
        client.claim(stage.researcher, 1)


def test_a_refused_attestation_says_what_is_wrong_with_it(stage) -> None:
    stage.open()
    stage.fund()
    good = propose(stage.client, 0, stage.run.dataset)
    chain_id = stage.devnet.connection.chain_id

    def submit(statement, signers: int = 0b101) -> None:
        signing = [account for place, account in enumerate(stage.attestors) if signers >> place & 1]
        signatures = [
            bytes.fromhex(good.sign(account, chain_id, stage.client.address)[2:])
            if statement is good
            else bytes.fromhex(statement.sign(account, chain_id, stage.client.address)[2:])
            for account in signing
        ]
        stage.client.attest(stage.backers[0], statement, signers, signatures)

    for changes, name in (
        ({"parent": "00" * 32}, "Campaign_WrongParent"),
        ({"score": -5}, "Campaign_ScoreTooLow"),
        ({"expiry": 5}, "Campaign_AttestationExpired"),
        ({"evidence": "99" * 32}, "Campaign_WrongDataset"),
        ({"content_root": "00" * 32}, "Campaign_BadContent"),
    ):
        with pytest.raises(ContractRefusedError) as refusal:
            submit(replace(good, **changes))
        assert refusal.value.name == name
    with pytest.raises(ContractRefusedError, match=r"The attestation carries 1 signature .*require 2"):
        submit(good, 0b001)
    submit(good, 0b111)


def test_every_custom_error_of_the_contracts_has_its_sentence() -> None:
    from llamafund_chain.campaign.refusals import SENTENCES

    ours = {
        name
        for contract in ("Campaign", "CampaignFactory")
        for name in abi.contract(contract).errors
        if name.startswith("Campaign")
    }
    assert ours <= set(SENTENCES)


# -------------------------------------------------------------------- tokens


def token_campaign(stage, decimals: int = 6):
    address = stage.devnet.deploy_token("Demo Dollar", "DEMO", decimals)
    stage.devnet.mint_token(address, stage.backers[0].address, 15 * 10**decimals)
    return stage.open(asset=address, goal=10 * 10**decimals, cap=20 * 10**decimals)


def test_a_token_is_pledged_with_a_permit_and_no_allowance_stays(stage) -> None:
    client = token_campaign(stage)
    backer = stage.backers[0]
    receipt, means = client.pledge_any(backer, 11_000_001)
    assert means == "permit"
    assert receipt.fee > 0
    assert client.state().pledged == client.state().balance == 11_000_001
    assert client.token.allowance(backer.address, client.address) == 0
    assert client.asset.format(11_000_001) == "11.000001 DEMO"


def test_a_token_without_permits_is_pledged_with_an_approval_of_exactly_the_amount(stage, monkeypatch) -> None:
    client = token_campaign(stage)
    backer = stage.backers[0]
    client.approve(backer, 1)
    monkeypatch.setattr(Token, "sign_permit", lambda *_: None)
    assert client.pledge_any(backer, 5_000_000)[1] == "approval"
    assert client.token.allowance(backer.address, client.address) == 0
    client.approve(backer, 2_000_000)
    assert client.pledge_any(backer, 2_000_000)[1] == "allowance"
    assert client.state().pledged == 7_000_000


def test_nothing_is_approved_for_a_pledge_that_the_campaign_would_refuse(stage, monkeypatch) -> None:
    client = token_campaign(stage)
    backer = stage.backers[0]
    stage.devnet.mint_token(client.terms.asset, backer.address, 10**9)
    monkeypatch.setattr(Token, "sign_permit", lambda *_: None)
    with pytest.raises(ContractRefusedError, match=r"bring the total to 20\.000001 DEMO"):
        client.pledge_any(backer, 20_000_001)
    assert client.token.allowance(backer.address, client.address) == 0


def test_more_than_a_backer_holds_is_not_tried(stage) -> None:
    client = token_campaign(stage)
    with pytest.raises(LlamafundError, match="has 15 DEMO"):
        client.pledge_any(stage.backers[0], 15_000_001)


def test_the_chains_coin_does_not_go_into_a_token_campaign(stage) -> None:
    client = token_campaign(stage)
    with pytest.raises(ContractRefusedError) as refusal:
        client.pledge(stage.backers[0], 5)
    assert refusal.value.name == "Campaign_WrongAsset"


def test_a_tokens_name_cannot_steer_the_terminal(stage) -> None:
    address = stage.devnet.deploy_token("x", "\x1b[31m\u202e" + "A" * 5_000, 6)
    symbol = Token(stage.devnet.connection, address).asset.symbol
    assert len(symbol) < 120
    assert "\x1b" not in symbol
    assert "\u202e" not in symbol


def test_a_token_with_senseless_decimals_or_none_is_refused(stage) -> None:
    senseless = stage.devnet.deploy_token("x", "x", 255)
    with pytest.raises(VerificationError, match="255 decimals"):
        Token(stage.devnet.connection, senseless).asset  # noqa: B018 - reading it is what is tried
    with pytest.raises(VerificationError, match="not a usable token"):
        Token(stage.devnet.connection, stage.devnet.deployment.factory).asset  # noqa: B018 - as above
    with pytest.raises(VerificationError, match="no token at"):
        Token(stage.devnet.connection, NOBODY).asset  # noqa: B018 - as above


def test_the_symbol_of_an_old_token_is_32_bytes(stage, monkeypatch) -> None:
    connection = connect(stage.devnet.rpc_url)
    token = Token(connection, stage.devnet.deploy_token("x", "x", 6))
    read = connection.read

    def old(requests, at="latest"):
        wanted = [isinstance(asked[0], dict) and asked[0]["data"] == "0x95d89b41" for _, asked in requests]
        said = f"0x{b'MKR'.ljust(32, bytes(1)).hex()}"
        return [said if symbol else answer for symbol, answer in zip(wanted, read(requests, at), strict=True)]

    monkeypatch.setattr(connection, "read", old)
    assert token.asset.symbol == "MKR"


def test_a_campaign_in_the_chains_coin_has_18_decimals(stage) -> None:
    asset = stage.open().asset
    assert asset.address == NATIVE
    assert asset.parse("1e-18") == 1
    assert asset.format(10**17) == "0.1 ETH"


def test_a_hostile_answer_for_the_state_is_refused(stage, monkeypatch) -> None:
    connection = connect(stage.devnet.rpc_url)
    client = CampaignClient(connection, stage.open().address)
    assert client.state().pledged == 0
    request_many = connection.request_many
    for answer in ("0x", "0x01", "zz", None, 5):
        with monkeypatch.context() as patch:
            patch.setattr(
                connection,
                "request_many",
                lambda requests, answer=answer: [
                    answer if method == "eth_call" else honest
                    for (method, _), honest in zip(requests, request_many(requests), strict=True)
                ],
            )
            with pytest.raises((VerificationError, NodeUnreachableError)):
                client.state()
