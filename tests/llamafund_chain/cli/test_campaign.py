"""`llamafund campaign`: create, show, list, activate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llamafund_chain.campaign.answer_cost import answer_cost, three_digits
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain import abi
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.times import when

NOBODY = "0x00000000000000000000000000000000000000bb"
ETHER = 10**18
GWEI = 10**9
DAY = 86_400


def create(llamafund, stage, file: Path, *more: object, wallet: str | None = "researcher", store: Path | None = None):
    place = store or stage.run.store.location
    return llamafund(
        "campaign", "create", file, "--rpc", stage.devnet.rpc_url, "--store", place, "--json", *more, wallet=wallet
    )


def recipe(stage) -> bytes:
    return stage.run.store.read(raw_cid(stage.run.recipe), limit=1_000)


# ------------------------------------------------------------------- create


def test_a_campaign_is_opened_and_its_proposal_published(llamafund, stage, campaign_file, tmp_path: Path) -> None:
    file = campaign_file()
    (file.parent / "recipe.yaml").write_bytes(recipe(stage))
    ran = create(llamafund, stage, file, "--yes", "--salt", "ab" * 32, store=tmp_path / "store")
    assert ran.code == 0, ran.stderr
    made = ran.json
    client = CampaignClient(stage.devnet.connection, made["campaign"])
    assert client.verify_code().salt == made["salt"] == "ab" * 32
    assert client.terms.proposal == made["proposal"]
    store = LocalStore(tmp_path / "store")
    proposal = fetch_manifest(store, made["proposal"], ProposalManifest)
    assert proposal.outcome.target == 3_000_000
    assert store.read(raw_cid(proposal.recipe), limit=1_000) == recipe(stage)
    assert raw_cid(proposal.recipe) in store.pins()
    assert made["terms"]["cap"] == "20.5"
    assert made["chain"] == "eip155:31337"


@pytest.mark.parametrize("beside", ["absent", "changed"])
def test_a_campaign_whose_recipe_nobody_could_read_is_not_opened(
    llamafund, stage, campaign_file, tmp_path: Path, beside: str
) -> None:
    file = campaign_file()
    if beside == "changed":
        (file.parent / "recipe.yaml").write_bytes(recipe(stage) + b"# changed\n")
    nonce = stage.devnet.w3.eth.get_transaction_count(stage.researcher.address)
    refused = create(llamafund, stage, file, "--yes", store=tmp_path / "store")
    refused.refused(2)
    assert "say with --recipe where its file is" in refused.stderr
    assert stage.devnet.w3.eth.get_transaction_count(stage.researcher.address) == nonce
    assert not list((tmp_path / "store").glob("**/baf*"))
    (tmp_path / "elsewhere.yaml").write_bytes(recipe(stage))
    opened = create(llamafund, stage, file, "--yes", "--recipe", tmp_path / "elsewhere.yaml", store=tmp_path / "store")
    assert opened.code == 0, opened.stderr


def test_a_recipe_that_has_rotted_in_the_store_is_published_again(
    llamafund, stage, campaign_file, tmp_path: Path, untouched
) -> None:
    file, store = campaign_file(), LocalStore(tmp_path / "store")
    kept = store.path_of(store.put_bytes(recipe(stage)).cid)
    kept.chmod(0o600)
    kept.write_bytes(recipe(stage)[:-1] + b"#")
    with untouched():
        create(llamafund, stage, file, "--yes", store=store.location).refused(2, "say with --recipe where its file is")
    (file.parent / "recipe.yaml").write_bytes(recipe(stage))
    assert create(llamafund, stage, file, "--yes", store=store.location).code == 0
    assert kept.read_bytes() == recipe(stage)


def test_a_recipe_that_happens_to_be_in_the_store_is_kept_there(llamafund, stage, campaign_file, tmp_path) -> None:
    store = LocalStore(tmp_path / "store")
    cid = store.put_bytes(recipe(stage)).cid
    assert create(llamafund, stage, campaign_file(), "--yes", store=store.location).code == 0
    assert cid in store.pins()


def test_a_recipe_that_the_store_lacks_is_not_asked_for(
    llamafund, stage, campaign_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = LocalStore.read
    monkeypatch.setattr(LocalStore, "read", lambda self, cid, **more: asked.append(cid) or read(self, cid, **more))
    file = campaign_file()
    (file.parent / "recipe.yaml").write_bytes(recipe(stage))
    asked.clear()
    assert create(llamafund, stage, file, "--yes", store=tmp_path / "store").code == 0
    assert raw_cid(stage.run.recipe) not in asked


def test_a_campaign_with_other_terms_is_another_campaign(llamafund, stage, campaign_file) -> None:
    assert create(llamafund, stage, campaign_file(), "--yes", "--wait", "none").code == 0
    made = create(llamafund, stage, campaign_file(cap="30"), "--yes").json
    assert made["terms"]["cap"] == "30"
    assert CampaignClient(stage.devnet.connection, made["campaign"]).terms.cap == 30 * ETHER


def test_a_campaign_that_was_opened_before_is_told_with_its_own_terms(llamafund, stage, campaign_file) -> None:
    # A bond that follows from the price of gas, and relative times, may be others at the second start.
    assert create(llamafund, stage, campaign_file(min_bond="0.25"), "--yes", "--wait", "none").code == 0
    again = create(llamafund, stage, campaign_file(min_bond="0.26"), "--yes")
    client = CampaignClient(stage.devnet.connection, again.json["campaign"])
    assert again.json["terms"]["min_bond_wei"] == str(ETHER // 4)
    assert client.terms.min_bond == ETHER // 4
    assert "was opened earlier, with other terms" in again.stderr


def test_what_backers_will_agree_to_is_shown_before_anything_is_sent(llamafund, stage, campaign_file) -> None:
    stderr = create(llamafund, stage, campaign_file(), "--yes").stderr
    for words in ("10 ETH", "20.5 ETH", "2 of 3", stage.attestors[0].address, "50 %", "WEIGHTS"):
        assert words in stderr


def test_a_campaign_is_not_opened_unasked(llamafund, stage, campaign_file, untouched) -> None:
    file = campaign_file()
    with untouched():
        create(llamafund, stage, file).refused(2, "--yes")


def test_a_campaign_is_not_opened_in_anothers_name(llamafund, stage, campaign_file, untouched) -> None:
    file = campaign_file()
    with untouched():
        create(llamafund, stage, file, "--yes", wallet="backer0").refused(5, "only the researcher may open")


def test_a_campaign_that_breaks_a_rule_is_not_opened(llamafund, stage, campaign_file, untouched) -> None:
    for changes, words in (
        ({"goal": "1e-19"}, "1e-19"),
        ({"stop": "90%"}, "terms.stop is 90 %. It must be between 33 % and 80 %"),
        ({"challenge_window": "1d"}, "challenge_window"),
        ({"quorum": 4}, "quorum is 4"),
        ({"asset": NOBODY}, "no token at"),
        ({"golal": "1"}, "Did you mean goal?"),
    ):
        file = campaign_file(**changes)
        with untouched():
            ran = create(llamafund, stage, file, "--yes")
        ran.refused(3 if "asset" in changes else 2, words)


def test_an_arbiter_that_leaves_no_time_for_an_appeal_or_asks_a_mock_court_is_warned_of(
    llamafund, stage, campaign_file
) -> None:
    named = stage.arbiter_at_court(appeal_reserve=7 * DAY)
    file = campaign_file(arbiter={"account": named["arbiter"], "ruling_window": "7d"})
    ran = create(llamafund, stage, file, "--yes")
    assert ran.code == 0, ran.stderr
    assert "No appeal is taken in the last 7 days before the end, and the ruling window is no longer" in ran.stderr
    assert "a mock court, in which anybody rules as they like" in ran.stderr


def test_a_file_that_is_not_there_or_no_campaign_file_opens_nothing(llamafund, stage, tmp_path: Path) -> None:
    create(llamafund, stage, tmp_path / "nothing.yaml", "--yes").refused(2, "no file")
    (tmp_path / "bad.yaml").write_text("just words")
    create(llamafund, stage, tmp_path / "bad.yaml", "--yes").refused(2, "bad.yaml")


def test_the_same_salt_and_terms_open_only_one_campaign(llamafund, stage, campaign_file) -> None:
    now = stage.devnet.connection.timestamp()
    later = [datetime.fromtimestamp(now + days * 86_400, UTC).isoformat() for days in (10, 20, 30, 40)]
    file = campaign_file(
        funding_deadline=later[0],
        milestones=[
            {"share": "20%", "deadline": later[1]},
            {"share": "30%", "deadline": later[2]},
            {"share": "50%", "deadline": later[3], "min_score": "-3"},
        ],
    )
    assert create(llamafund, stage, file, "--yes", "--salt", "cd" * 32).code == 0
    create(llamafund, stage, file, "--yes", "--salt", "cd" * 32).refused(5, "already a campaign")


@pytest.mark.parametrize(
    ("floor", "words"),
    [
        ("-7.5", "min_score is -7.5, but counting letters already does 4.256433 bits per byte on its dataset"),
        (None, "terms.milestones[2] has no min_score"),
    ],
)
def test_a_promise_that_counting_keeps_opens_no_campaign_unless_told_otherwise(
    llamafund, stage, campaign_file, untouched, floor: str | None, words: str
) -> None:
    last = {"share": "50%", "deadline": "+40d", **({} if floor is None else {"min_score": floor})}
    milestones = [{"share": "20%", "deadline": "+20d"}, {"share": "30%", "deadline": "+30d"}, last]
    file = campaign_file(milestones=milestones)
    with untouched():
        create(llamafund, stage, file, "--yes").refused(2, words, "--accept-weak-promise")
    assert create(llamafund, stage, file, "--yes", "--accept-weak-promise").code == 0


def test_a_chain_without_the_contracts_opens_no_campaign(llamafund, campaign_file) -> None:
    file = campaign_file()
    with Devnet(deploy=False) as empty:
        ran = llamafund("campaign", "create", file, "--rpc", empty.rpc_url, "--yes", wallet="researcher")
    ran.refused(3, "not deployed on chain 31337")


def test_no_node_opens_no_campaign(llamafund, campaign_file, no_node: str) -> None:
    ran = llamafund("campaign", "create", campaign_file(), "--rpc", no_node, "--yes", wallet="researcher")
    ran.refused(4, "There is no node at http://127.0.0.1:9")


def test_a_wrong_passphrase_opens_no_campaign(llamafund, stage, campaign_file, tmp_path: Path, untouched) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not the passphrase\n")
    file = campaign_file()
    with untouched():
        ran = llamafund(
            "campaign", "create", file, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, "--yes",
            wallet="researcher", passphrase_file=wrong,
        )  # fmt: skip
    ran.refused(2, "passphrase does not open")
    assert "not the passphrase" not in ran.stderr


# --------------------------------------------------------------------- show


def show(llamafund, stage, address: str, *more: object):
    return llamafund(
        "campaign", "show", address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, *more
    )


def test_a_campaign_is_shown_with_terms_state_and_warnings(llamafund, stage) -> None:
    stage.honest_until(1)
    shown = show(llamafund, stage, stage.client.address, "--json").json
    assert shown["status"] == "Active"
    assert shown["title"] == stage.run.proposal.title
    assert shown["pledged"] == "12.000000000000000008"
    assert shown["attested"] == 1
    assert shown["training_seed"] == stage.seed
    assert shown["terms"]["goal"] == "10"
    assert shown["final"] is True
    text = show(llamafund, stage, stage.client.address).stdout
    for words in (stage.run.proposal.title, "12.000000000000000008 ETH", "attested and released", "Note: "):
        assert words in text
    assert shown["votes_from"] == stage.client.state().votes_from > 0
    assert "votes to stop" not in text


def test_where_it_stands_is_shown_in_one_column(llamafund, stage) -> None:
    stage.honest_until(1)
    stage.client.post_update(stage.researcher, "ab" * 32)
    text = show(llamafund, stage, stage.client.address).stdout
    status, *others = next(block.splitlines() for block in text.split("\n\n") if block.startswith("status"))
    column = status.index("Active")
    assert [line[column - 2 : column] for line in others] == ["  "] * len(others)
    assert all(line[column].strip() for line in others), text
    assert {"attested content", "updates"} <= {line[: column - 2].strip() for line in others}


def test_on_the_first_day_a_campaign_shows_from_when_votes_are_taken(llamafund, stage) -> None:
    client = stage.open()
    assert show(llamafund, stage, client.address, "--json").json["votes_from"] is None
    stage.fund()
    opens = client.state().votes_from
    assert f"open at {when(opens)}" in show(llamafund, stage, client.address).stdout
    stage.devnet.advance(opens - stage.devnet.connection.timestamp())
    assert "votes to stop" not in show(llamafund, stage, client.address).stdout


def milestones_of(text: str) -> list[str]:
    lines = text[text.index("\nstatus ") :].splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith("milestone ")]


def test_a_stopped_campaign_tells_what_was_never_released_and_what_is_not_reached(llamafund, stage) -> None:
    client = stage.open(slack=5 * DAY)
    stage.fund()
    stage.devnet.advance(DAY)
    stage.attest(0, stage.run.dataset)
    attested = f"attested {when(client.state().attested_at)}"
    text = show(llamafund, stage, client.address).stdout
    first, *later = milestones_of(text)
    assert first.startswith(f"{attested}, released in ")
    assert all(line.startswith("due before ") for line in later)
    assert "5 days left" in text
    client.vote_stop(stage.backers[0])
    stage.devnet.finalize()
    text = show(llamafund, stage, client.address).stdout
    assert milestones_of(text) == [f"{attested}, never released", "not reached", "not reached"]
    assert "left" not in text


def test_what_was_released_before_a_stop_stays_released(llamafund, stage) -> None:
    stage.honest_until(1)
    stage.client.vote_stop(stage.backers[0])
    stage.devnet.finalize()
    text = show(llamafund, stage, stage.client.address).stdout
    assert milestones_of(text) == ["attested and released", "not reached", "not reached"]


def test_a_challenge_without_an_answer_withholds_the_milestone_for_good(llamafund, stage) -> None:
    stage.honest_until(1)
    stage.attest(1, stage.run.train(stage.seed))
    attested = f"attested {when(stage.client.state().attested_at)}"
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, ETHER // 10)
    stage.devnet.advance(3 * DAY)
    stage.devnet.finalize()
    text = show(llamafund, stage, stage.client.address).stdout
    assert milestones_of(text) == ["attested and released", f"{attested}, never released", "not reached"]


def test_a_campaign_that_missed_its_goal_reached_no_milestone(llamafund, stage) -> None:
    client = stage.open()
    stage.devnet.advance(11 * DAY)
    text = show(llamafund, stage, client.address).stdout
    assert milestones_of(text) == ["not reached"] * 3


def test_what_is_not_final_is_shown_as_such(llamafund, stage) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 5)
    shown = show(llamafund, stage, client.address, "--json").json
    assert shown["final"] is False
    assert shown["pledged"] == "0.000000000000000005"


def test_a_proposal_that_cannot_be_read_hides_nothing_else(llamafund, stage, tmp_path: Path) -> None:
    client = stage.open()
    (tmp_path / "empty").mkdir()
    ran = llamafund("campaign", "show", client.address, "--rpc", stage.devnet.rpc_url, "--store", tmp_path / "empty")
    assert ran.code == 0, ran.stderr
    assert "The proposal could not be read" in ran.stdout
    assert "10 ETH" in ran.stdout


def test_warnings_name_what_backers_should_think_about(llamafund, stage) -> None:
    attestors = (stage.researcher.address, *(account.address for account in stage.attestors))
    client = stage.open(attestors=attestors, quorum=1, dataset="00" * 32)
    text = show(llamafund, stage, client.address).stdout
    for words in ("researcher is an attestor", "single signature", "do not fix the dataset", "can block a stop vote"):
        assert words in text


def test_a_cap_with_room_for_a_forced_stop_is_warned_of(llamafund, stage) -> None:
    roomy = stage.open(goal=10 * ETHER, cap=20 * ETHER)
    assert "leaves room for whoever adds 10 ETH" in show(llamafund, stage, roomy.address).stdout
    tight = stage.open(goal=10 * ETHER, cap=20 * ETHER - 1)
    assert "leaves room" not in show(llamafund, stage, tight.address).stdout


def test_what_is_no_campaign_is_not_shown_as_one(llamafund, stage) -> None:
    show(llamafund, stage, NOBODY).refused(3, "no campaign at")
    show(llamafund, stage, stage.devnet.deployment.implementation).refused(3, "look-alike")


# --------------------------------------------------------------------- bond


def test_a_bond_that_the_file_does_not_give_is_one_and_a_half_times_what_an_answer_costs(
    llamafund, stage, campaign_file, rollup
) -> None:
    """On a rollup whose data costs more than all gas, which a bond of its gas alone would not pay for."""
    rollup.op_stack(l1_base_fee=500 * GWEI, blob_base_fee=500 * GWEI)
    file = campaign_file(min_bond=None)
    cost = answer_cost(stage.devnet.connection)
    assert cost.data_fee > cost.gas * cost.price
    ran = create(llamafund, stage, file, "--yes")
    assert ran.code == 0, ran.stderr
    assert int(ran.json["terms"]["min_bond_wei"]) == three_digits(-(-3 * cost.wei // 2))


def test_a_bond_below_the_cost_of_an_answer_is_refused_unless_somebody_accepts_it(
    llamafund, stage, campaign_file, untouched
) -> None:
    file = campaign_file(min_bond="0.0001")
    with untouched():
        ran = create(llamafund, stage, file, "--yes")
        ran.refused(2, "terms.min_bond is 0.0001 ETH, but an answer costs 0.000", "--accept-low-bond")
        words = ran.stderr[ran.stderr.index("Leave min_bond out") :]
        proposed = words.split(" write ")[1].split(" ETH")[0]
    assert create(llamafund, stage, campaign_file(min_bond=proposed), "--yes").code == 0
    ran = create(llamafund, stage, file, "--yes", "--accept-low-bond")
    assert ran.code == 0, ran.stderr
    assert "an answer costs about" in ran.stderr


def test_a_fee_contract_that_cannot_be_read_is_no_reason_for_or_against_a_bond(
    llamafund, stage, campaign_file, rollup, untouched
) -> None:
    rollup.unreadable()
    with untouched():
        create(llamafund, stage, campaign_file(min_bond=None), "--yes").refused(
            1, "gives no terms.min_bond", "could not be told", "Write min_bond"
        )
    ran = create(llamafund, stage, campaign_file(min_bond="0.0001"), "--yes")
    assert ran.code == 0, ran.stderr
    assert "Note: Whether the least bond of 0.0001 ETH pays for an answer could not be told" in ran.stderr
    shown = show(llamafund, stage, ran.json["campaign"], "--json").json["challenge_bond"]
    assert (shown["status"], "could not be told" in shown["detail"]) == ("unchecked", True)


def test_the_bond_is_judged_by_what_an_answer_costs_today(llamafund, stage, rollup) -> None:
    client = stage.open(min_bond=ETHER // 100)
    judged = show(llamafund, stage, client.address, "--json").json["challenge_bond"]
    assert judged["status"] == "pass"
    assert int(judged["answer_cost_wei"]) < ETHER // 100
    assert "To outrun a slow guard (0.2 answers a second)" in show(llamafund, stage, client.address).stdout
    rollup.fjord(10**12)
    shown = show(llamafund, stage, client.address, "--json").json
    judged = shown["challenge_bond"]
    assert (judged["status"], judged["detail"] in shown["warnings"]) == ("warn", True)
    assert int(judged["answer_data_fee_wei"]) > ETHER // 100
    assert "while 10 ETH is unreleased" in judged["detail"]
    assert "whoever answers loses" in judged["detail"]


# --------------------------------------------------------------------- list


@pytest.mark.parametrize(("chain_id", "coin"), [(137, "POL"), (424242, "of the chain's coin")])
def test_amounts_are_told_in_the_coin_of_the_chain(llamafund, stage, node, chain_id: int, coin: str) -> None:
    client = stage.open(min_bond=3 * ETHER)
    client.pledge(stage.backers[0], 2 * ETHER)
    node(lambda method, params, forward: hex(chain_id) if method == "eth_chainId" else forward())
    words = ("campaign", "show", client.address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    shown = llamafund(*words)
    assert shown.code == 0, shown.stderr
    for sentence in (f"10 {coin}; below it", f"2 {coin} (20 %", f"takes a bond of 3 {coin}", f"a bond of 3 {coin}"):
        assert sentence in shown.stdout
    assert "ETH" not in shown.stdout
    symbol = llamafund(*words, "--json").json["terms"]["asset"]["symbol"]
    assert symbol == ("POL" if chain_id == 137 else None)


def test_the_campaigns_of_a_chain_are_listed(llamafund, stage) -> None:
    empty = llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url)
    assert "no campaigns" in empty.stdout
    client = stage.open()
    client.pledge(stage.backers[0], ETHER // 10)
    (entry,) = llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url, "--json").json["campaigns"]
    assert entry["campaign"] == client.address
    assert (entry["status"], entry["pledged"], entry["goal"]) == ("Funding", "0.1", "10")
    text = llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url).stdout
    assert client.address in text
    assert "0.1 of 10 ETH" in text


def test_a_campaign_in_a_senseless_token_does_not_hide_the_others(llamafund, stage) -> None:
    stage.open(asset=stage.devnet.deploy_token("ok", "OK", 6))
    broken = stage.devnet.deploy_token("x", "x", 255)
    # A client refuses to open such a campaign, a contract cannot.
    terms = stage.client.terms
    data = abi.contract("CampaignFactory").encode("createCampaign", replace(terms, asset=broken).to_abi(), bytes(32))
    Sender(stage.devnet.connection).send(stage.researcher, Call(stage.devnet.deployment.factory, data))
    ran = llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url)
    assert ran.code == 0
    assert "cannot be read" in ran.stdout
    assert " OK " in ran.stdout


def test_no_node_lists_nothing(llamafund, no_node: str) -> None:
    llamafund("campaign", "list", "--rpc", no_node).refused(4)
    llamafund("campaign", "list", "--rpc", "ipc:///x").refused(2, "http")


# ----------------------------------------------------------------- activate


def activate(llamafund, stage, wallet: str | None = "researcher"):
    return llamafund(
        "campaign", "activate", stage.client.address, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def test_activation_publishes_the_training_seed(llamafund, stage) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 10 * ETHER)
    ran = activate(llamafund, stage)
    assert ran.code == 0, ran.stderr
    assert ran.json["training_seed"] == stage.seed
    assert ran.json["pledged"] == "10"


def test_a_goal_that_is_not_met_activates_nothing(llamafund, stage, untouched) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 10 * ETHER - 1)
    with untouched():
        activate(llamafund, stage).refused(5, "Only 9.999999999999999999 ETH is pledged", "goal is 10 ETH")


def test_funding_that_is_open_is_closed_by_nobody_else(llamafund, stage, untouched) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 10 * ETHER)
    stage.devnet.advance(1_800)
    with untouched():
        activate(llamafund, stage, wallet="backer1").refused(5, "Funding is open until", "in 9 days 23 hours")


def test_without_a_wallet_nothing_is_activated(llamafund, stage) -> None:
    stage.open()
    activate(llamafund, stage, wallet=None).refused(2, "--wallet")
    activate(llamafund, stage, wallet="nobody").refused(2, "There is no wallet 'nobody'")
