"""A browser wallet for tests: it announces itself, asks nobody, and really signs and sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.node_errors import RpcError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from playwright.sync_api import BrowserContext, Page

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Crect width='8' height='8' fill='teal'/%3E%3C/svg%3E"
)

_SCRIPT = """
(() => {
  const { key, info, announced, legacy } = SETTINGS;
  const heard = {};
  const emit = (event, value) => { for (const one of [...(heard[event] ?? [])]) one(value); };
  const provider = {
    async request({ method, params }) {
      const { result, error, events } = await window[`asked_${key}`](JSON.stringify([method, params ?? []]));
      for (const [event, value] of events) emit(event, value);
      if (error) throw Object.assign(new Error(error.message), error);
      return result;
    },
    on(event, listener) { (heard[event] ??= []).push(listener); },
    removeListener(event, listener) { heard[event] = (heard[event] ?? []).filter((one) => one !== listener); },
  };
  (window.testWallets ??= {})[key] = { emit };
  if (legacy) window.ethereum = provider;
  if (!announced) return;
  const detail = Object.freeze({ info: Object.freeze(info), provider });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
"""


class RefusalError(Exception):
    """What a wallet answers instead of doing something.

    Args:
        code: As in EIP-1193 or EIP-1474.
        data: What else the error carries.
    """

    def __init__(self, code: int, data: Any = None) -> None:
        super().__init__(code)
        self.code = code
        self.data = data


@dataclass
class Wallet:
    """A wallet with some accounts, the first of which is selected.

    Attributes:
        connection: The node through which it sends.
        accounts: Its accounts.
        name: What it calls itself.
        chain: The chain that it stands on, EIP-155 number.
        knows: Chains that it can go to.
        announced: Whether it announces itself (EIP-6963).
        legacy: Whether it is also `window.ethereum`.
        allowed: Whether it lets the page see its accounts.
        asked: What it was asked, with parameters, oldest first.
        hashes: The transactions that it sent.
        refuses: Called with each method and its parameters; may raise a `RefusalError`.
        changes: Changes a transaction before it is signed; what a wallet must not do.
        capabilities: Its answer to `wallet_getCapabilities`.
        answers: What it answers to a method instead of doing it.
        sends_calls: Carries a batch out (EIP-5792) and returns the transaction's hash.
    """

    connection: Connection
    accounts: list[LocalAccount]
    name: str = "Test Wallet"
    chain: int = 0
    knows: set[int] = field(default_factory=set)
    announced: bool = True
    legacy: bool = False
    allowed: bool = False
    asked: list[tuple[str, Any]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    refuses: Callable[[str, Any], None] = lambda _method, _params: None
    changes: Callable[[dict[str, Any]], dict[str, Any]] = lambda transaction: transaction
    capabilities: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    sends_calls: Callable[[list[dict[str, Any]]], str] | None = None
    _events: list[tuple[str, Any]] = field(default_factory=list)
    _sent: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chain = self.chain or self.connection.chain_id
        self.knows |= {self.chain, self.connection.chain_id}

    @property
    def key(self) -> str:
        """Its name as part of an identifier."""
        return "".join(filter(str.isalnum, self.name)).lower()

    def install(self, context: BrowserContext) -> None:
        """Put it into a browser profile, before there is a page in it."""
        info = {"uuid": f"uuid-{self.key}", "name": self.name, "icon": ICON, "rdns": f"org.example.{self.key}"}
        settings = {"key": self.key, "info": info, "announced": self.announced, "legacy": self.legacy}
        context.expose_binding(f"asked_{self.key}", lambda _source, text: self._answer(*json.loads(text)))
        context.add_init_script(_SCRIPT.replace("SETTINGS", json.dumps(settings)))

    def select(self, page: Page, account: LocalAccount) -> None:
        """The person selects another account."""
        self.accounts = [account, *(one for one in self.accounts if one != account)]
        self._tell(page, "accountsChanged", self._shown())

    def go_to(self, page: Page, chain: int) -> None:
        """The person selects another network in the wallet."""
        self.chain = chain
        self._tell(page, "chainChanged", hex(chain))

    def forget(self, page: Page) -> None:
        """The person disconnects the page in the wallet."""
        self.allowed = False
        self._tell(page, "accountsChanged", [])

    def send_again(self, tx_hash: str, **changes: Any) -> str:
        """Send a transaction of its again with the same number and higher fees: sped up, or cancelled."""
        old = self._sent[tx_hash]
        fees = {name: 2 * old[name] for name in ("maxFeePerGas", "maxPriorityFeePerGas")}
        return self._sign_and_send({**old, **fees, **changes})

    def cancel(self, tx_hash: str) -> str:
        """Replace a transaction with an empty one."""
        account = self.accounts[0].address
        return self.send_again(tx_hash, to=account, data="0x", value=0, gas=21_000)

    # --------------------------------------------------------------- helpers

    def _tell(self, page: Page, event: str, value: Any) -> None:
        page.evaluate("([key, event, value]) => window.testWallets[key].emit(event, value)", [self.key, event, value])

    def _shown(self) -> list[str]:
        return [account.address for account in self.accounts] if self.allowed else []

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        self.asked.append((method, params))
        answer: dict[str, Any] = {}
        try:
            self.refuses(method, params)
            answer["result"] = self.answers[method] if method in self.answers else self._do(method, params)
        except RefusalError as refusal:
            answer["error"] = {"code": refusal.code, "message": "no", "data": refusal.data}
        except RpcError as error:
            answer["error"] = {"code": error.code, "message": error.message}
        events, self._events = self._events, []
        return {**answer, "events": events}

    def _do(self, method: str, params: Any) -> Any:
        own = {
            "eth_requestAccounts": self._connect,
            "eth_accounts": lambda _: self._shown(),
            "eth_chainId": lambda _: hex(self.chain),
            "wallet_revokePermissions": self._revoke,
            "wallet_switchEthereumChain": self._switch,
            "wallet_addEthereumChain": self._add,
            "wallet_getCapabilities": self._capabilities,
            "wallet_sendCalls": self._send_calls,
            "wallet_getCallsStatus": self._calls_status,
            "eth_sendTransaction": lambda given: self.send(given[0]),
            "eth_signTypedData_v4": self._sign_typed_data,
        }
        if method in own:
            return own[method](params)
        return self.connection.request(method, *params)

    def _connect(self, _params: Any) -> list[str]:
        self.allowed = True
        return self._shown()

    def _revoke(self, _params: Any) -> None:
        self.allowed = False

    def _switch(self, params: Any) -> None:
        chain = int(params[0]["chainId"], 16)
        if chain not in self.knows:
            raise RefusalError(4902)
        self.chain = chain
        self._events.append(("chainChanged", hex(chain)))

    def _add(self, params: Any) -> None:
        self.knows.add(int(params[0]["chainId"], 16))

    def _capabilities(self, _params: Any) -> Any:
        if not self.capabilities:
            raise RefusalError(4200)
        return {hex(self.chain): self.capabilities}

    def _send_calls(self, params: Any) -> Any:
        if self.sends_calls is None:
            raise RefusalError(4200)
        tx_hash = self.sends_calls(params[0]["calls"])
        self.hashes.append(tx_hash)
        return {"id": f"batch-{tx_hash}"}

    def _calls_status(self, params: Any) -> Any:
        receipt = self.connection.request("eth_getTransactionReceipt", params[0].removeprefix("batch-"))
        if receipt is None:
            return {"status": 100, "receipts": []}
        return {"status": 200, "receipts": [{"transactionHash": receipt["transactionHash"]}]}

    def _signer(self, address: str) -> LocalAccount:
        for account in self.accounts if self.allowed else ():
            if account.address.lower() == address.lower():
                return account
        raise RefusalError(4100)

    def send(self, asked: dict[str, Any]) -> str:
        """Sign and send what a page asked for; returns the transaction's hash."""
        account = self._signer(asked["from"])
        request = self.connection.request
        block = request("eth_getBlockByNumber", "latest", False)
        tip = 10**9
        transaction = {
            "from": account.address,
            "to": asked["to"],
            "data": asked["data"],
            "value": int(asked.get("value", "0x0"), 16),
            "gas": int(asked["gas"], 16) if "gas" in asked else 500_000,
            "nonce": int(request("eth_getTransactionCount", account.address, "pending"), 16),
            "maxFeePerGas": 2 * int(block["baseFeePerGas"], 16) + tip,
            "maxPriorityFeePerGas": tip,
            "chainId": self.chain,
            "type": 2,
        }
        return self._sign_and_send(self.changes(transaction))

    def _sign_and_send(self, transaction: dict[str, Any]) -> str:
        from eth_utils import to_checksum_address

        account = self._signer(transaction["from"])
        fields = {**transaction, "to": to_checksum_address(transaction["to"])}
        signed = account.sign_transaction({name: value for name, value in fields.items() if name != "from"})
        tx_hash = str(self.connection.request("eth_sendRawTransaction", f"0x{signed.raw_transaction.hex()}"))
        self._sent[tx_hash] = transaction
        self.hashes.append(tx_hash)
        return tx_hash

    def _sign_typed_data(self, params: Any) -> str:
        from eth_account.messages import encode_typed_data

        message = encode_typed_data(full_message=json.loads(params[1]))
        return f"0x{self._signer(params[0]).sign_message(message).signature.hex()}"
