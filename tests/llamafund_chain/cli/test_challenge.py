"""`llamafund challenge`, `answer` and `return-bond`, on a real chain with real content."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.campaign.client import ANSWER_GAS
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain.node_errors import RpcError

ETHER = 10**18
DAY = 86_400


def run(llamafund, stage, command: str, *more: object, wallet: str | None = "backer0"):
    return llamafund(
        command, stage.client.address, *more, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def challenge(llamafund, stage, *more: object, wallet: str = "backer0"):
    return run(llamafund, stage, "challenge", *(more or ("--chunk", "0")), wallet=wallet)


def answer(llamafund, stage, *more: object, wallet: str = "stranger"):
    stores = more or ("--store", stage.run.store.location)
    return run(llamafund, stage, "answer", *stores, wallet=wallet)


def test_a_challenge_is_made_and_answered(llamafund, attested) -> None:
    client, connection = attested.client, attested.devnet.connection
    least = client.required_bond()

    made = challenge(llamafund, attested, "--chunk", "0", "--bond", "0.1").json

    assert (made["milestone"], made["chunk"], made["challenger"]) == (0, 0, attested.backers[0].address)
    (waiting,) = client.open_challenges()
    assert waiting.bond == ETHER // 10 >= least
    state = client.state()
    assert (state.challenged_at, made["answer_by"]) == (waiting.opened_at, waiting.opened_at + DAY)

    attested.devnet.fund(account_of("stranger"), ETHER)
    before = connection.balance(account_of("stranger"))
    (done,) = answer(llamafund, attested).json["answered"]

    assert done["chunk"] == 0
    assert client.open_challenges() == ()
    # The gas of an answer at the development chain's low fees is far below this bond.
    assert connection.balance(account_of("stranger")) > before + waiting.bond // 2
    assert answer(llamafund, attested).json["answered"] == []


def account_of(name: str) -> str:
    from eth_account import Account

    return str(Account.from_key((31 if name == "stranger" else 0).to_bytes(32, "big")).address)


def test_all_open_challenges_are_answered_in_one_go_in_their_order(llamafund, stage) -> None:
    (stage.run.folder / "unused").mkdir(parents=True)
    stage.open()
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.attest(1, stage.run.train(stage.seed))
    size = stage.client.latest_attestation().content_size
    last = (size - 1) // 16_384
    assert last > 0, "the hand-made checkpoint has more than one chunk"
    challenge(llamafund, stage, "--offset", size - 1)
    challenge(llamafund, stage, "--chunk", 0, wallet="backer1")
    stage.devnet.fund(account_of("stranger"), ETHER)
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    unasked = llamafund("answer", stage.client.address, *where, wallet="stranger")
    unasked.unasked("Answer 2 challenges as", "for bonds of", "in all? It may cost what the bonds bring.")
    ran = answer(llamafund, stage)
    assert [one["chunk"] for one in ran.json["answered"]] == [last, 0]


def test_a_file_of_the_evidence_names_its_first_chunk(llamafund, attested) -> None:
    path = attested.run.dataset.files[0].path
    ran = challenge(llamafund, attested, "--file", path, "--store", attested.run.store.location)
    assert ran.json["chunk"] == 0
    ran = challenge(llamafund, attested, "--file", "../etc/passwd", "--store", attested.run.store.location)
    ran.refused(5, "has no file")


def test_the_least_bond_is_what_the_contract_asks_for(attested) -> None:
    client = attested.client
    base = client.connection.base_fee()
    assert client.required_bond() == max(client.terms.min_bond, ANSWER_GAS * base)
    (asked,) = client._ask("requiredBond")
    assert asked in (client.required_bond(), client.terms.min_bond)


def test_what_would_be_refused_is_not_sent(llamafund, attested, untouched) -> None:
    size = attested.client.latest_attestation().content_size
    with untouched():
        challenge(llamafund, attested, "--chunk", "0", wallet="stranger").refused(5, "no pledge")
        challenge(llamafund, attested, "--chunk", "99").refused(5, "no chunk 99")
        challenge(llamafund, attested, "--offset", size).refused(5, f"no byte {size}")
        challenge(llamafund, attested, "--chunk", "0", "--bond", "0.000000000000000001").refused(5, "too small")
        challenge(llamafund, attested, "--chunk", "0", "--offset", "0").refused(2, "one of")
        run(llamafund, attested, "return-bond").refused(5, "Active")


def test_the_same_chunk_is_not_challenged_twice(llamafund, attested) -> None:
    assert challenge(llamafund, attested).code == 0
    challenge(llamafund, attested, wallet="backer1").refused(5, "challenged before")


def test_nothing_is_challenged_before_the_first_attestation(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        challenge(llamafund, stage).refused(5, "Nothing has been attested")


def test_after_the_window_no_challenge_is_made(llamafund, attested) -> None:
    attested.release()
    challenge(llamafund, attested).refused(5, "It is too late for this")


@pytest.mark.parametrize("harm", ["remove", "replace"])
def test_a_store_that_lacks_or_changed_the_content_answers_nothing(llamafund, attested, untouched, harm) -> None:
    challenge(llamafund, attested)
    entry = attested.run.dataset.files[0]
    if harm == "remove":
        attested.run.remove_from_store(entry.cid)
    else:
        attested.run.replace_in_store(entry.cid, b"x" * entry.size)
    with untouched():
        ran = answer(llamafund, attested)
        assert ran.code in (1, 3)
        assert entry.path in ran.stderr


def test_a_second_store_helps_out(llamafund, attested, tmp_path: Path) -> None:
    challenge(llamafund, attested)
    attested.devnet.fund(account_of("stranger"), ETHER)
    empty = tmp_path / "empty"
    answer(llamafund, attested, "--store", empty).refused(1)
    ran = answer(llamafund, attested, "--store", empty, "--store", attested.run.store.location)
    assert len(ran.json["answered"]) == 1


def test_silence_fails_the_campaign_and_the_bond_comes_back(llamafund, attested) -> None:
    bond = ETHER // 10
    challenge(llamafund, attested, "--chunk", "0", "--bond", "0.1")
    attested.devnet.advance(DAY)
    client, target = attested.client, "0x00000000000000000000000000000000000000cc"
    assert client.state().status is Status.FAILED
    answer(llamafund, attested).refused(5, "too late", "1 challenge was not answered in time")
    run(llamafund, attested, "return-bond", wallet="backer1").refused(5, "no bond")
    to_another = ("return-bond", client.address, "--to", target, "--rpc", attested.devnet.rpc_url)
    llamafund(*to_another, wallet="backer0").unasked(f"Reclaim the bond of 0.1 ETH for chunk 0, sent to {target}?")
    ran = run(llamafund, attested, "return-bond", "--to", target)
    assert [one["bond"] for one in ran.json["returned"]] == ["0.1"]
    assert client.connection.balance(target) == bond
    run(llamafund, attested, "return-bond").refused(5, "no bond")


def test_a_challenge_is_told_from_its_receipt_whatever_the_nodes_index_lacks(llamafund, attested, node) -> None:
    sent: list[str] = []

    def behind(method: str, params: tuple[object, ...], forward):
        answer = forward()
        if method == "eth_sendRawTransaction":
            sent.append(answer)
        return [] if method == "eth_getLogs" and sent else answer

    node(behind)
    made = challenge(llamafund, attested).json
    assert (made["chunk"], f"0x{made['transaction']}") == (0, sent[0])


def test_a_challenge_whose_logs_are_hidden_is_made_all_the_same(llamafund, attested, node, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.chain.sending.LATE_SECONDS", 0.0)
    sent: list[str] = []

    def forgetful(method: str, params: tuple[object, ...], forward):
        answer = forward()
        if method == "eth_sendRawTransaction":
            sent.append(answer)
        return {**answer, "logs": []} if method == "eth_getTransactionReceipt" and answer else answer

    node(forgetful)
    made = challenge(llamafund, attested).json
    assert (made["chunk"], made["answer_by"], f"0x{made['transaction']}") == (0, None, sent[0])
    assert len(attested.client.open_challenges()) == len(sent) == 1


def test_bonds_that_came_back_before_an_error_are_told(llamafund, large, node) -> None:
    attestation = large.client.latest_attestation()
    for chunk in range(3):
        large.client.challenge(large.backers[0], attestation, chunk, ETHER)
    large.devnet.advance(DAY)
    sent: list[str] = []

    def busy(method: str, params: tuple[object, ...], forward):
        if method != "eth_sendRawTransaction":
            return forward()
        if len(sent) == 2:
            raise RpcError(method, -32000, "busy", None)
        sent.append(forward())
        return sent[-1]

    asked = llamafund("return-bond", large.client.address, "--rpc", large.devnet.rpc_url, wallet="backer0")
    asked.unasked("Reclaim bonds of 3 ETH in all for the chunks 0, 1, 2?")
    node(busy)
    ran = run(llamafund, large, "return-bond")
    ran.refused(1, "busy")
    assert len(sent) == 2
    for tx_hash in sent:
        assert tx_hash in ran.stderr


def test_answers_that_were_sent_before_an_error_are_told(llamafund, large, node) -> None:
    attestation = large.client.latest_attestation()
    for chunk in range(3):
        large.client.challenge(large.backers[0], attestation, chunk, ETHER)
    large.devnet.fund(account_of("stranger"), ETHER)
    sent: list[str] = []

    def busy(method: str, params: tuple[object, ...], forward):
        if method != "eth_sendRawTransaction":
            return forward()
        if len(sent) == 2:
            raise RpcError(method, -32000, "busy", None)
        sent.append(forward())
        return sent[-1]

    node(busy)
    ran = answer(llamafund, large)
    ran.refused(1, "busy")
    for tx_hash in sent:
        assert tx_hash in ran.stderr


def test_campaign_show_tells_of_an_open_challenge(llamafund, attested) -> None:
    challenge(llamafund, attested)
    ran = llamafund("campaign", "show", attested.client.address, "--rpc", attested.devnet.rpc_url)
    assert "a challenge is open" in ran.stdout


def test_campaign_show_tells_what_can_be_challenged_and_at_what_price(llamafund, stage) -> None:
    stage.open(min_bond=ETHER // 50)
    arguments = ("campaign", "show", stage.client.address, "--rpc", stage.devnet.rpc_url)
    before = llamafund(*arguments)
    assert "attested content" not in before.stdout
    assert llamafund(*arguments, "--json").json["content"] is None
    stage.fund()
    attestation = stage.attest(0, stage.run.dataset)
    after = llamafund(*arguments)
    for words in (attestation.content_root, f"{attestation.content_size} bytes, 1 chunk", "0.02 ETH", "1 day"):
        assert words in after.stdout
    content = llamafund(*arguments, "--json").json["content"]
    assert content == {"root": attestation.content_root, "size": attestation.content_size}


def test_an_audit_understands_challenges(llamafund, attested) -> None:
    challenge(llamafund, attested, "--chunk", "0", "--bond", "0.5")
    attested.devnet.advance(DAY)

    def audit() -> dict[str, str]:
        ran = llamafund(
            "audit",
            attested.client.address,
            "--rpc",
            attested.devnet.rpc_url,
            "--store",
            attested.run.store.location,
            "--json",
            "--depth",
            "evidence",
        )
        return {check["name"]: check["status"] for check in ran.json["report"]["checks"]}

    found = audit()
    assert found["events-match-state"] == found["escrow-is-solvent"] == found["bonds-are-held"] == "pass"
    run(llamafund, attested, "return-bond")
    attested.devnet.finalize()
    found = audit()
    assert found["events-match-state"] == found["escrow-is-solvent"] == "pass"
    assert "bonds-are-held" not in found
