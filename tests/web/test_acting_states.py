"""What became of a transaction, each state told apart, and wallets that refuse, move, change or stay silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acting import ETHER, Acting
from playwright.sync_api import expect
from wallets import RefusalError, Wallet


def test_each_fate_of_a_transaction_is_told_apart(site: Any, stage: Any) -> None:
    client = stage.open(cap=12 * ETHER)
    request = stage.devnet.connection.request
    backer, other = stage.backers[:2]
    wallet = Wallet(stage.devnet.connection, [backer])
    act = Acting(site, stage, wallet)
    act.look()
    act.connect()

    # Would revert: said before the wallet is asked, in the contract's own terms.
    act.start("pledge")
    act.fill(Amount="13")
    expect(act.page.get_by_text("The contract would refuse this now")).to_be_visible()
    expect(act.page.get_by_text("The campaign's cap is 12 ETH")).to_be_visible()
    act.fill(Amount="200")
    expect(act.page.get_by_text("The account has too little for this")).to_be_visible()

    # Refused by the person.
    wallet.refuses = _declines
    act.fill(Amount="1")
    act.ask()
    expect(act.page.get_by_text("You declined in the wallet")).to_be_visible()
    act.phase("pledge", "declined")
    wallet.refuses = lambda _method, _params: None
    assert client.pledge_of(backer.address) == 0

    try:
        # In the pool; asked for a second time; sped up.
        request("evm_setAutomine", False)
        act.ask()
        act.phase("pledge", "pool")
        act.start("pledge")
        act.fill(Amount="1")
        act.ask()
        expect(act.page.get_by_text("You have asked for this already: Pledge 1 ETH")).to_be_visible()
        assert len(wallet.hashes) == 1
        act.look()
        act.phase("pledge", "pool")
        wallet.send_again(wallet.hashes[0])
        request("evm_mine")
        act.phase("pledge", "mined")
        expect(act.page.get_by_text("somebody sped it up")).to_be_visible()
        request("evm_mine")
        act.phase("pledge", "safe")
        act.final("pledge")

        # Cancelled in the wallet.
        act.pledge("2")
        act.phase("pledge", "pool")
        wallet.cancel(wallet.hashes[-1])
        request("evm_mine")
        act.phase("pledge", "cancelled")
        stage.devnet.finalize()
        act.phase("pledge", "void")

        # Dropped by the node.
        act.pledge("3")
        act.phase("pledge", "pool")
        request("anvil_dropTransaction", wallet.hashes[-1])
        act.phase("pledge", "missing")
        act.page.get_by_role("button", name="Stop waiting for it").click()
        act.phase("pledge", "void")

        # Reverted: somebody else's pledge came first and left no room.
        act.pledge("5")
        act.phase("pledge", "pool")
        rival = Wallet(stage.devnet.connection, [other], allowed=True)
        rival.changes = lambda one: {**one, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}
        data, value = _pledge_data(other.address), hex(8 * ETHER)
        rival.send({"from": other.address, "to": client.address, "data": data, "value": value})
        request("evm_mine")
        act.phase("pledge", "reverted")
        act.final("pledge", "failed")
    finally:
        request("evm_setAutomine", True)
    assert client.pledge_of(backer.address) == ETHER

    # Mined, then the chain leaves the block: first the node is behind, then it does not know the transaction.
    before = stage.devnet.snapshot()
    act.look()
    act.pledge("0.5")
    act.phase("pledge", "mined")
    stage.devnet.revert(before)
    act.phase("pledge", "behind")
    stage.devnet.finalize()
    act.phase("pledge", "undoneMissing")

    # The node is gone: nothing is claimed about the transaction, and nothing can be sent.
    act.page.route(f"{stage.devnet.rpc_url}/**", lambda route: route.abort())
    act.phase("pledge", "unknown")
    act.start("pledge")
    act.fill(Amount="0.25")
    expect(act.page.get_by_text("Whether this works could not be told")).to_be_visible()
    act.page.unroute_all()
    act.page.locator(".act-form").get_by_role("button", name="Read again").click()
    expect(act.page.get_by_role("button", name="Ask Test Wallet")).to_be_enabled()


def test_wallets_that_refuse_move_or_change_the_call(site: Any, stage: Any) -> None:
    client = stage.open()
    backer, other = stage.backers[:2]
    script = "<img src=x onerror=alert(1)>"
    honest = Wallet(stage.devnet.connection, [backer, other], chain=1)
    honest.knows = {1}
    second = Wallet(stage.devnet.connection, [other], name=f"Other {script}")
    act = Acting(site, stage, honest, second)
    act.look()
    expect(act.page.get_by_text(f"Other {script}")).to_be_visible()
    expect(act.page.locator(".wallet img")).to_have_count(2)
    assert honest.asked == second.asked == []
    for code, words in ((4001, "You declined"), (4100, "does not let this page"), (4900, "no connection")):
        honest.refuses = _refusing(code)
        act.page.get_by_role("button", name="Test Wallet").click()
        expect(act.page.get_by_text(words)).to_be_visible()
    honest.refuses = lambda _method, _params: None
    act.connect()

    # Another network: the wallet is told about this one, and goes there.
    expect(act.page.get_by_text("The wallet is on Ethereum")).to_be_visible()
    for code, words in ((4200, "The wallet cannot do that"), (4901, "not on this network"), (-32002, "still waits")):
        honest.refuses = _refusing(code)
        act.page.get_by_role("button", name="Switch to Devnet").click()
        expect(act.page.get_by_text(words)).to_be_visible()
    honest.refuses = lambda _method, _params: None
    act.page.get_by_role("button", name="Switch to Devnet").click()
    expect(act.page.get_by_text("The wallet is on Ethereum")).to_have_count(0)
    assert "wallet_addEthereumChain" in [method for method, _ in honest.asked]

    # Account and chain change midway, told or not.
    act.start("pledge")
    act.fill(Amount="1")
    honest.go_to(act.page, 1)
    expect(act.page.get_by_role("button", name="Ask Test Wallet")).to_be_disabled()
    honest.go_to(act.page, client.connection.chain_id)
    expect(act.page.get_by_role("button", name="Ask Test Wallet")).to_be_enabled()
    honest.accounts.reverse()
    act.ask()
    expect(act.page.get_by_text(other.address).first).to_be_visible()
    expect(act.page.locator(".act-form")).to_have_count(0)
    assert honest.hashes == []
    honest.select(act.page, backer)
    expect(act.page.get_by_text(backer.address).first).to_be_visible()

    # A wallet that changes the call is told apart from one that did what was asked.
    honest.changes = lambda one: {**one, "data": _pledge_data(other.address), "value": one["value"] + 1}
    act.pledge("1")
    act.phase("pledge", "mined")
    expect(act.page.get_by_text("This is not what was asked for")).to_be_visible()
    expect(act.page.get_by_text("another call, another amount")).to_be_visible()
    honest.changes = lambda one: one

    # A wallet that fails after it sent: the page finds the transaction on the chain, and asks for nothing again.
    honest.refuses = lambda _method, _params: None
    send = honest.send
    honest.send = lambda asked: _raise_after(send(asked))  # type: ignore[method-assign]
    act.pledge("2")
    expect(act.page.get_by_text("It may have sent something all the same")).to_be_visible()
    act.phase("pledge", "mined", "Pledge 2 ETH")
    assert client.pledge_of(backer.address) == 2 * ETHER
    honest.send = send  # type: ignore[method-assign]

    # The wallet forgets the page; the other one takes over.
    honest.forget(act.page)
    act.connect(f"Other {script}")
    expect(act.page.get_by_text(other.address).first).to_be_visible()
    act.look()
    expect(act.page.get_by_text("Connected with Other")).to_be_visible()
    act.page.get_by_role("button", name="Disconnect").click()
    expect(act.page.get_by_text("Choose a wallet")).to_be_visible()
    assert act.page.locator("img[src=x]").count() == 0


def test_an_old_wallet_has_no_name_and_a_development_node_lends_its_accounts(site: Any, stage: Any) -> None:
    client = stage.open()
    old = Wallet(stage.devnet.connection, [stage.backers[0]], name="Old", announced=False, legacy=True)
    act = Acting(site, stage, old)
    act.look()
    act.connect("Unnamed wallet")
    act.page.get_by_role("button", name="Disconnect").click()
    act.connect("Test accounts of this node")
    lent = stage.devnet.w3.eth.accounts[1]
    act.page.get_by_label("Test account").select_option(lent)
    act.start("pledge")
    act.fill(Amount="1")
    act.ask("Test accounts of this node")
    act.phase("pledge", "mined")
    assert client.pledge_of(lent) == ETHER
    act.look()
    expect(act.page.get_by_text("Connected with Test accounts of this node")).to_be_visible()


def _declines(method: str, _params: Any) -> None:
    if method == "eth_sendTransaction":
        raise RefusalError(4001)


def _refusing(code: int) -> Callable[[str, Any], None]:
    def refuse(method: str, _params: Any) -> None:
        if method in ("eth_requestAccounts", "wallet_switchEthereumChain"):
            # Some wallets wrap one error in another.
            raise RefusalError(-32603, {"originalError": {"code": code}})

    return refuse


def _raise_after(_sent: str) -> str:
    raise RefusalError(-32603)


def _pledge_data(backer: str) -> str:
    from llamafund_chain.chain import abi

    return f"0x{abi.contract('Campaign').encode('pledgeCoin', backer).hex()}"
