"""Who can act for an account, and whom its code pays, as far as that code and its storage tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.connection import At, Connection
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.reverted import revert_data
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import VerificationError

_DELEGATION = bytes.fromhex("ef0100")  # EIP-7702
_CLONE = bytes.fromhex("363d3d373d3d3d363d73")  # EIP-1167, up to the address that it delegates to
_MOST_OWNERS = 64
"""Owners of a wallet that are looked at. Anybody can write a contract that names a million."""
_MOST_RECIPIENTS = 12
"""Recipients of a payment splitter that are asked for."""
_SLOTS = 8
"""Slots of a contract's storage that are read: where small contracts keep an owner, a recipient or an heir."""

_WALLET = Interface(
    [
        *(
            {"type": "function", "name": name, "inputs": [], "outputs": [{"name": "", "type": kind}]}
            for name, kind in (("getOwners", "address[]"), ("getThreshold", "uint256"), ("owner", "address"))
        ),
        # OpenZeppelin's PaymentSplitter, and those that follow it.
        {
            "type": "function",
            "name": "payee",
            "inputs": [{"name": "index", "type": "uint256"}],
            "outputs": [{"name": "", "type": "address"}],
        },
    ]
)


@dataclass(frozen=True)
class Wallet:
    """Who can act for an account.

    Attributes:
        owners: Checksummed addresses; the account itself if it is a key, or if its code does not say.
        threshold: How many of them it takes.
        kind: In words, for people; empty for a plain key.
        is_key: Whether a key can act for it, whatever its code says.
        pays: Whom its code pays or names, with where that stands.
    """

    owners: frozenset[str]
    threshold: int
    kind: str = ""
    is_key: bool = True
    pays: Mapping[str, str] = field(default_factory=dict)


def wallets_of(connection: Connection, accounts: Sequence[str], at: At) -> dict[str, Wallet]:
    """Who can act for accounts, in two requests.

    Args:
        connection: The chain.
        accounts: Checksummed addresses. Those whose addresses stand in others' code or storage are found there.
        at: Which block.

    Raises:
        NodeUnreachableError: No node answers.
        RpcError: The node does not tell an account's code, or refuses to run it.
    """
    answers = connection.read([("eth_getCode", (account,)) for account in accounts], at)
    codes = {account: connection.code_of(answer) for account, answer in zip(accounts, answers, strict=True)}
    with_code = {account: code for account, code in codes.items() if code}
    wallets = {account: Wallet(frozenset({account}), 1) for account in accounts}
    return wallets | dict(_contracts(connection, with_code, accounts, at))


def _contracts(
    connection: Connection, codes: Mapping[str, bytes], known: Collection[str], at: At
) -> Iterator[tuple[str, Wallet]]:
    """Who can act for accounts with code, and whom they pay, in one request."""
    if not codes:
        return
    names = ("getOwners", "getThreshold", "owner")
    calls = [Call(account, _WALLET.encode(name)) for account in codes for name in names]
    calls += [Call(account, _WALLET.encode("payee", place)) for account in codes for place in range(_MOST_RECIPIENTS)]
    reads = [connection.read_of(call) for call in calls]
    reads += [("eth_getStorageAt", (account, hex(slot))) for account in codes for slot in range(_SLOTS)]
    answers = connection.read(reads, at)
    said, listed, stored = (
        answers[: 3 * len(codes)],
        answers[3 * len(codes) : len(calls)],
        answers[len(calls) :],
    )
    for place, (account, code) in enumerate(codes.items()):
        owners, threshold, owner = (
            _value(connection, name, answer)
            for name, answer in zip(names, said[3 * place : 3 * place + 3], strict=True)
        )
        pays = {
            recipient: f"payee({index}) of its code"
            for index, answer in enumerate(listed[_MOST_RECIPIENTS * place : _MOST_RECIPIENTS * (place + 1)])
            if isinstance(recipient := _value(connection, "payee", answer), str)
        }
        slots = stored[_SLOTS * place : _SLOTS * (place + 1)]
        pays = _held(account, code, slots, known) | pays
        yield account, _wallet(account, code, owners, threshold, owner, pays)


def _wallet(
    account: str, code: bytes, owners: object, threshold: object, owner: object, pays: Mapping[str, str]
) -> Wallet:
    clone = ""
    if code.startswith(_CLONE):
        clone = f", a clone of 0x{code[len(_CLONE) : len(_CLONE) + 20].hex()} (EIP-1167)"
    named: frozenset[str] = frozenset()
    needed, kind = 1, "a contract that does not say who decides"
    if isinstance(owners, Sequence) and owners and isinstance(threshold, int) and threshold:
        named = frozenset(str(one) for one in owners[:_MOST_OWNERS])
        needed, kind = threshold, f"a wallet of {len(owners)}, {threshold} of whom sign"
    elif isinstance(owner, str) and int(owner, 16):
        named, kind = frozenset({owner}), f"a contract of {owner}"
    if code.startswith(_DELEGATION):
        kind = f"a key that runs the code of 0x{code[len(_DELEGATION) :].hex()[:40]} (EIP-7702)"
        if named:
            kind += f", which {', '.join(sorted(named)[:3])} can use"
        # The key can always act; so can whoever the code obeys, alone if it takes only one.
        alone = named if needed == 1 else frozenset[str]()
        return Wallet(alone | {account}, 1, kind, is_key=True, pays=pays)
    return Wallet(named or frozenset({account}), needed, kind + clone, is_key=False, pays=pays)


def _held(account: str, code: bytes, slots: Sequence[object], known: Collection[str]) -> dict[str, str]:
    """Which known addresses stand in a contract's code, or in the first slots of its storage."""
    found: dict[str, str] = {}
    for address in known:
        raw = bytes.fromhex(address[2:])
        if address == account:
            continue
        if raw in code:
            found[address] = "named in its code"
            continue
        words = [bytes.fromhex(str(slot)[2:].zfill(64)) if isinstance(slot, str) else b"" for slot in slots]
        place = next((number for number, word in enumerate(words) if raw in word), None)
        if place is not None:
            found[address] = f"in slot {place} of its storage"
    return found


def _value(connection: Connection, name: str, answer: object) -> object:
    """What a function of a contract returned; `None` if there is no such function."""
    from eth_utils import to_checksum_address

    if isinstance(answer, RpcError):
        if name != "payee" and revert_data(answer.code, answer.message, answer.data) is None:
            raise answer
        return None
    try:
        (value,) = _WALLET.decode_output(name, connection.returned(answer))
    except VerificationError:
        return None
    if isinstance(value, str):
        return to_checksum_address(value)
    return [to_checksum_address(one) for one in value[:_MOST_OWNERS]] if isinstance(value, tuple | list) else value
