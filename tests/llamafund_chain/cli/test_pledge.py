"""`llamafund pledge`."""

from __future__ import annotations

import pytest

from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.tokens import Token
from llamafund_chain.chain.transactions import Fees

NOBODY = "0x00000000000000000000000000000000000000bb"
ETHER = 10**18


def pledge(llamafund, stage, amount: str, *more: object, wallet: str | None = "backer0", address: str | None = None):
    return llamafund(
        "pledge", address or stage.client.address, amount, "--rpc", stage.devnet.rpc_url, "--json", *more, wallet=wallet
    )


@pytest.mark.parametrize("amount", ["0.1", "7.000000000000000001", "1e-18", "20"])
def test_an_amount_arrives_with_full_precision(llamafund, stage, amount: str) -> None:
    client = stage.open()
    ran = pledge(llamafund, stage, amount, "--yes")
    assert ran.code == 0, ran.stderr
    assert client.pledge_of(stage.backers[0].address) == client.asset.parse(amount) == client.state().balance
    assert ran.json["amount"] == ran.json["pledge"] == client.asset.plain(client.asset.parse(amount))
    assert ran.json["means"] == "native"


def test_a_pledge_can_be_made_for_somebody_else(llamafund, stage) -> None:
    client = stage.open()
    ran = pledge(llamafund, stage, "2", "--yes", "--backer", stage.backers[1].address)
    assert ran.json["backer"] == stage.backers[1].address
    assert client.pledge_of(stage.backers[1].address) == 2 * ETHER
    assert client.pledge_of(stage.backers[0].address) == 0


def test_what_is_agreed_is_shown_before_anything_is_sent(llamafund, stage) -> None:
    stage.open(quorum=1, min_bond=2**96 - 1)
    stderr = pledge(llamafund, stage, "2", "--yes").stderr
    risks = ("A single signature releases money", "few or no backers", "A challenge fails the campaign after 1 day")
    for words in ("10 ETH", "1 of 3", "a bond of 79228162514.26", stage.client.terms.proposal, *risks):
        assert words in stderr


def test_what_a_challenge_is_worth_is_shown_before_anything_is_sent(llamafund, stage, rollup) -> None:
    """A bond of 10^12 wei on a rollup pays for a fraction of the data of an answer."""
    stage.open()
    rollup.op_stack()
    stderr = pledge(llamafund, stage, "2", "--yes").stderr
    assert "Note: The least bond of a challenge is 0.000001 ETH, but an answer costs about" in stderr
    assert "while 10 ETH is unreleased" in stderr
    rollup.unreadable()
    assert "pays for an answer could not be told" in pledge(llamafund, stage, "2", "--yes").stderr


def test_a_token_is_pledged_with_a_permit(llamafund, stage) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, stage.backers[0].address, 5_000_000)
    client = stage.open(asset=token, goal=10**6, cap=10**7)
    ran = pledge(llamafund, stage, "1.500001", "--yes")
    assert (ran.json["means"], ran.json["asset"], ran.json["amount"]) == ("permit", "DEMO", "1.500001")
    assert client.token.allowance(stage.backers[0].address, client.address) == 0
    pledge(llamafund, stage, "0.0000001", "--yes").refused(2, "smallest unit")
    pledge(llamafund, stage, "4", "--yes").refused(1, "has 3.499999 DEMO")


def test_a_token_without_permits_is_pledged_with_an_approval(llamafund, stage, monkeypatch) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, stage.backers[0].address, 5_000_000)
    stage.open(asset=token, goal=10**6, cap=10**7)
    monkeypatch.setattr(Token, "sign_permit", lambda *_: None)
    assert pledge(llamafund, stage, "1.5", "--yes").json["means"] == "approval"


@pytest.mark.parametrize("amount", ["1e-19", "0.1 ETH", "1,5", "-1", "NaN", "infinity", "", "all", "0", "0x10"])
def test_an_amount_that_is_none_sends_nothing(llamafund, stage, untouched, amount: str) -> None:
    stage.open()
    with untouched():
        pledge(llamafund, stage, "--yes", "--", amount).refused(2)
        pledge(llamafund, stage, amount, "--yes").refused(2)


@pytest.mark.parametrize("amount", ["-1", "-0.5", "-.5", "-1e-18", "0", "0.0"])
@pytest.mark.parametrize("command", ["pledge", "unpledge"])
def test_an_amount_that_is_not_above_zero_is_named_as_such(
    llamafund, stage, untouched, command: str, amount: str
) -> None:
    stage.open()
    where = ("--rpc", stage.devnet.rpc_url)
    with untouched():
        for words in ((amount, *where), (*where, amount)):
            ran = llamafund(command, stage.client.address, *words, "--yes", wallet="backer0")
            ran.refused(2, f"The amount is {amount}. It must be above zero")


def test_money_never_goes_to_a_look_alike(llamafund, stage, untouched) -> None:
    stage.open()
    with untouched():
        pledge(llamafund, stage, "1", "--yes", address=NOBODY).refused(3, "no campaign at")
        pledge(llamafund, stage, "1", "--yes", address=stage.devnet.deployment.factory).refused(3, "look-alike")


def test_a_look_alike_that_carries_a_campaigns_code_gets_nothing(llamafund, stage, untouched) -> None:
    client = stage.open()
    fake = "0x00000000000000000000000000000000000000F1"
    code = stage.devnet.connection.code(client.address)
    stage.devnet.connection.request("anvil_setCode", fake, f"0x{code.hex()}")
    with untouched():
        pledge(llamafund, stage, "1", "--yes", address=stage.devnet.w3.to_checksum_address(fake)).refused(
            3, "look-alike"
        )


def test_a_campaign_that_a_reorganisation_could_undo_gets_nothing_yet(llamafund, stage, untouched) -> None:
    stage.open(settled=False)
    with untouched():
        pledge(llamafund, stage, "1", "--yes").refused(6, "not finalized yet")
    assert pledge(llamafund, stage, "1", "--yes", "--finality", "latest").code == 0


def test_the_wrong_network_gets_nothing(llamafund, stage) -> None:
    client = stage.open()
    with Devnet(deploy=False) as other:
        ran = llamafund("pledge", client.address, "1", "--rpc", other.rpc_url, "--yes", wallet="backer0")
    ran.refused(3, "not deployed on chain")


def test_no_node_gets_nothing(llamafund, no_node: str) -> None:
    llamafund("pledge", NOBODY, "1", "--rpc", no_node, "--yes", wallet="backer0").refused(4, "no node")


def test_more_than_the_cap_or_the_wallet_holds_is_refused(llamafund, stage, untouched) -> None:
    stage.open()
    with untouched():
        pledge(llamafund, stage, "20.000000000000000001", "--yes").refused(5, "cap is 20 ETH", "Campaign_CapExceeded")
        pledge(llamafund, stage, "101", "--yes").refused(1, "Nothing was sent")


def test_a_pledge_after_the_deadline_is_refused_with_the_time(llamafund, stage) -> None:
    stage.open()
    stage.devnet.advance(11 * 86_400)
    pledge(llamafund, stage, "1", "--yes").refused(5, "Failed")


def test_a_wallet_without_passphrase_or_of_no_name_pledges_nothing(llamafund, stage, tmp_path) -> None:
    client = stage.open()
    (tmp_path / "empty").touch(mode=0o600)
    (tmp_path / "empty").write_text("\n")
    arguments = ("pledge", client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")
    llamafund(*arguments, wallet="backer0", passphrase_file=tmp_path / "empty").refused(2, "contains no passphrase")
    llamafund(*arguments, wallet="backer0", passphrase_file=tmp_path / "none").refused(2, "cannot be read")
    llamafund(*arguments).refused(2, "No wallet was named")
    llamafund(*arguments, wallet="../etc/passwd").refused(2)


def test_the_terms_come_before_the_passphrase(llamafund, stage, tmp_path) -> None:
    client = stage.open()
    (tmp_path / "wrong").touch(mode=0o600)
    (tmp_path / "wrong").write_text("not it\n")
    arguments = ("pledge", client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")
    ran = llamafund(*arguments, wallet="backer0", passphrase_file=tmp_path / "wrong")
    ran.refused(2, "passphrase does not open")
    assert ran.stderr.index(client.terms.researcher) < ran.stderr.index("Error: ")


def test_the_environment_can_name_what_options_name(llamafund, stage, keystore, monkeypatch) -> None:
    client = stage.open()
    monkeypatch.setenv("LLAMAFUND_RPC", stage.devnet.rpc_url)
    monkeypatch.setenv("LLAMAFUND_WALLET", "backer0")
    monkeypatch.setenv("LLAMAFUND_KEYSTORE", str(keystore))
    monkeypatch.setenv("LLAMAFUND_PASSPHRASE_FILE", str(keystore / "passphrase"))
    assert llamafund("pledge", client.address, "1", "--yes").code == 0
    assert client.state().pledged == ETHER


def test_threat_a_node_that_advises_an_absurd_tip_is_not_obeyed_unseen(llamafund, stage, monkeypatch) -> None:
    client = stage.open()
    monkeypatch.setattr(Connection, "fees", lambda _: Fees(3 * 10**15, 10**15))
    before = stage.devnet.connection.balance(stage.backers[0].address)
    where = ("pledge", client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")

    assert llamafund(*where, wallet="backer0").code == 0

    paid = before - stage.devnet.connection.balance(stage.backers[0].address) - ETHER
    assert 0 < paid <= ETHER // 10

    assert llamafund(*where, "--again", "--max-fee", "1", wallet="backer0").code == 0
    assert ETHER // 10 < before - stage.devnet.connection.balance(stage.backers[0].address) - 2 * ETHER - paid <= ETHER
