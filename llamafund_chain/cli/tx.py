"""`llamafund tx`: the transactions that this program has sent, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping

import click
from pydantic import JsonValue

from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.fates import Fate, settled
from llamafund_chain.chain.journal import Entry
from llamafund_chain.chain.networks import chain_title, transaction_url
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Receipt
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.sending import all_told, sender_for, wait_option
from llamafund_chain.cli.shared import open_chain, receipt_facts, receipt_rows, sent_through
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import LlamafundError, NodeError, UsageError
from llamafund_chain.times import when

_MOST_LISTED = 50


@click.command("list", short_help="List sent transactions and what became of them.")
@click.option("--all", "every", is_flag=True, help="Also those whose outcome was told before.")
@rpc_option
@json_option
def list_(every: bool, rpc: str, as_json: bool) -> None:
    """List the transactions that this program has sent on the chain, oldest first, and what became of them.

    \b
    Example:
      llamafund tx list
    """
    sender = _sender(rpc)
    entries = [entry for entry in sender.entries() if every or entry.is_open][-_MOST_LISTED:]
    fates = [_fate(sender, entry) for entry in entries]
    rivals = {entry.replaces: entry.tx_hash for entry in entries if entry.replaces}
    listed: list[JsonValue] = [
        {**_facts(entry), **_fate_facts(fate)} for entry, fate in zip(entries, fates, strict=True)
    ]
    lines = [
        line
        for entry, fate in zip(entries, fates, strict=True)
        for line in (f"{when(entry.at)}  {_name(entry)}", f"  {entry.step}: {_words(entry, fate, rivals)}")
    ]
    nothing = f"On {chain_title(sender.connection.chain_id)} nothing "
    nothing += "was sent" if every else "waits, and every outcome was told. See them again with --all"
    emit("tx list", {"transactions": listed}, lines or [nothing], as_json=as_json)


@click.command(short_help="Show a sent transaction and what became of it.")
@click.argument("tx_hash", type=HASH, metavar="HASH")
@rpc_option
@json_option
def show(tx_hash: str, rpc: str, as_json: bool) -> None:
    """Show the transaction HASH, which this program has sent, and what became of it.

    \b
    Example:
      llamafund tx show 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060
    """
    sender = _sender(rpc)
    entry = _find(sender, tx_hash)
    fate = settled(sender.connection, sender.fate(entry))
    emit("tx show", {**_facts(entry), **_fate_facts(fate)}, _lines(entry, fate), as_json=as_json)
    _note_told(sender, entry, fate)


@click.command(short_help="Wait until a sent transaction is included or final.")
@click.argument("tx_hash", type=HASH, metavar="HASH")
@wait_option
@rpc_option
@json_option
def wait(tx_hash: str, rpc: str, as_json: bool) -> None:
    """Wait for the transaction HASH, which this program has sent: until a block includes it, or what --wait says.

    \b
    Example:
      llamafund tx wait 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060 --wait finalized
    """
    sender = _sender(rpc)
    entry = _find(sender, tx_hash)
    if_interrupted(sent_through(sender))
    _report("tx wait", sender, entry, sender.resume(entry), as_json=as_json)
    all_told()


@click.command("speed-up", short_help="Offer more for a transaction that waits.")
@click.argument("tx_hash", type=HASH, metavar="HASH")
@rpc_option
@signer_options
@yes_option
@json_option
def speed_up(tx_hash: str, rpc: str, signer: Signer, yes: bool, as_json: bool) -> None:
    """Replace the transaction HASH, which waits to be included, by the same one at a higher fee.

    Only one of the two can be included, so nothing is paid twice.

    \b
    Example:
      llamafund tx speed-up 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060 --wallet alice
    """
    _replace("tx speed-up", tx_hash, rpc, signer, yes=yes, as_json=as_json)


@click.command(short_help="Cancel a transaction that waits.")
@click.argument("tx_hash", type=HASH, metavar="HASH")
@rpc_option
@signer_options
@yes_option
@json_option
def cancel(tx_hash: str, rpc: str, signer: Signer, yes: bool, as_json: bool) -> None:
    """Replace the transaction HASH, which waits to be included, by one that does nothing.

    Only one of the two can be included. If HASH comes first, it is not cancelled, and this says so.

    \b
    Example:
      llamafund tx cancel 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060 --wallet alice
    """
    _replace("tx cancel", tx_hash, rpc, signer, yes=yes, as_json=as_json)


def _replace(command: str, tx_hash: str, rpc: str, signer: Signer, *, yes: bool, as_json: bool) -> None:
    sender = _sender(rpc)
    entry = _find(sender, tx_hash)
    fate = sender.fate(entry)
    if fate.kind not in ("pending", "missing") or fate.by:
        raise LlamafundError(
            f"Transaction 0x{tx_hash} can no longer be replaced", f"It {fate.words}", "Nothing was sent"
        )
    if_interrupted(sent_through(sender, "nothing was sent"))
    account = signer.unlock()
    if account.address != entry.sender:
        raise UsageError(
            f"The wallet is {account.address}",
            f"Transaction 0x{tx_hash} is of {entry.sender}, and only that account can replace it",
            "Use its wallet",
        )
    cancels = command == "tx cancel"
    what = f"Cancel it by a transaction that does nothing? It was: {entry.step}"
    question = what if cancels else f"Send it again at this fee? It does: {entry.step}"
    receipt = sender.replace(account, entry, cancel=cancels, agree=agreement(question, yes=yes))
    if cancels:
        sender.fate(entry)
    _report(command, sender, entry, receipt, as_json=as_json)


def _sender(rpc: str) -> Sender:
    return sender_for(open_chain(rpc))


def _find(sender: Sender, tx_hash: str) -> Entry:
    for entry in sender.entries():
        if entry.tx_hash == tx_hash:
            return entry
    url = transaction_url(sender.connection.chain_id, tx_hash)
    raise LlamafundError(
        f"The journal has no transaction 0x{tx_hash} on {chain_title(sender.connection.chain_id)}",
        "It has what this program has sent for this user, on this machine",
        "Check the hash, and with --rpc the chain" + ("" if url is None else f", or look at {url}"),
    )


def _fate(sender: Sender, entry: Entry) -> Fate | None:
    """What became of a transaction; `None` if it cannot be told now."""
    try:
        return sender.fate(entry)
    except NodeError:
        return None


def _note_told(sender: Sender, entry: Entry, fate: Fate) -> None:
    """Its outcome was asked for by name and is printed: the same may be sent again."""
    if fate.kind == "included":
        sender.finished.append(entry)
        all_told()


def _report(command: str, sender: Sender, entry: Entry, receipt: Receipt, *, as_json: bool) -> None:
    facts: dict[str, JsonValue] = {**_facts(entry), **receipt_facts(receipt)}
    done = "Cancelled" if command == "tx cancel" else "Included"
    lines = [f"{done}: {entry.step}", *rows(receipt_rows(receipt, sender.connection.chain_id))]
    emit(command, facts, lines, as_json=as_json)


def _name(entry: Entry) -> str:
    return f"0x{entry.tx_hash}" if entry.tx_hash else f"number {entry.nonce} of {entry.sender}, sent by its signer"


def _words(entry: Entry, fate: Fate | None, rivals: Mapping[str, str]) -> str:
    if fate is None:
        return "what became of it cannot be told now"
    if fate.kind == "missing" and entry.tx_hash in rivals:
        return f"gave way to 0x{rivals[entry.tx_hash]} ({entry.command})"
    return f"{fate.words} ({entry.command})"


def _facts(entry: Entry) -> dict[str, JsonValue]:
    return {
        "chain": f"eip155:{entry.chain_id}",
        "transaction": entry.tx_hash or None,
        "sent_at": entry.at,
        "sent_by": entry.command,
        "step": entry.step,
        "from": entry.sender,
        "nonce": entry.nonce,
        "to": entry.to,
        "value_wei": str(entry.value),
        "replaces": entry.replaces or None,
    }


def _fate_facts(fate: Fate | None) -> dict[str, JsonValue]:
    if fate is None:
        return {"fate": None, "settled": None, "block": None, "replaced_by": None}
    return {
        "fate": fate.kind,
        "settled": fate.settled or None,
        "block": None if fate.receipt is None else fate.receipt.block,
        "replaced_by": fate.by or None,
    }


def _lines(entry: Entry, fate: Fate) -> list[str]:
    chain_id = entry.chain_id
    pairs = [
        ("transaction", _name(entry)),
        ("chain", chain_title(chain_id)),
        ("sent", f"{when(entry.at)} by `llamafund {entry.command}`"),
        ("from", f"{entry.sender}, number {entry.nonce}"),
        ("to", entry.to),
        ("does", entry.step),
        ("value", format_coin(entry.value, chain_id)),
        ("fate", fate.words),
    ]
    url = transaction_url(chain_id, entry.tx_hash)
    if url is not None and entry.tx_hash:
        pairs.append(("see", url))
    if fate.receipt is not None:
        pairs.append(("fee", format_coin(fate.receipt.fee, chain_id)))
    return rows(pairs)
