"""Sending with care: simulated, shown, written down, then sent; and never paid twice.

A transaction is written to a journal before any node gets it. Whoever starts the same command again, after whatever
went wrong, gets that transaction's outcome, or the same bytes are sent again, which cannot be included twice. Another
transaction is only sent where the first one can never be included, or because somebody asked for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import sleep
from typing import TYPE_CHECKING, Literal

from llamafund_chain.chain import transactions
from llamafund_chain.chain.call_words import Described, described
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.data_fees import DataFees, DataFeeUnknownError
from llamafund_chain.chain.fates import Fate, fate_of
from llamafund_chain.chain.journal import Entry, Journal, State, entry_of, of_chain
from llamafund_chain.chain.known_accounts import require_own_key
from llamafund_chain.chain.node_errors import BusyError, RpcError
from llamafund_chain.chain.nodes import BUSY_SECONDS
from llamafund_chain.chain.outbox import Money, Outbox
from llamafund_chain.chain.outside import SendsOnlyError
from llamafund_chain.chain.prices import Speed, capped, prices
from llamafund_chain.chain.reverted import smallest_units
from llamafund_chain.chain.transactions import Call, Fees, Receipt, SendRefusedError, SignedTransaction, not_included
from llamafund_chain.errors import LlamafundError, NodeError, NodeUnreachableError, NotFinalError, UsageError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

Agree = Callable[[], None]
"""Asks whether to send the transaction, and raises if the answer is no."""

Wait = Literal["none", "mined", "safe", "finalized"] | int
"""What to wait for: nothing, a block that includes it, so many blocks on top, or a block that is safe or final."""

SETTLE_TIMEOUT = 1800.0
"""Seconds to wait until a block is as settled as somebody wants it."""

FORGOTTEN_SECONDS = 20.0
"""Seconds after which a node that does not know a sent transaction is given the same bytes again."""

LATE_SECONDS = 15.0
"""Seconds that a receipt may be incomplete, or may be missing though its number is used."""

_LOOKS = (0.0, 0.25, 0.5, 1.0)
_BUSY_TRIES = 6
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Policy:
    """How to send.

    Attributes:
        speed: How much to offer.
        max_fee: Most wei that a transaction's fee may be; `None` without a limit.
        wait: What to wait for.
        dry_run: Whether to stop before anything is signed.
        again: Whether another transaction is wanted where an earlier one was found.
    """

    speed: Speed = "normal"
    max_fee: int | None = None
    wait: Wait = "mined"
    dry_run: bool = False
    again: bool = False


@dataclass(frozen=True)
class Preview:
    """What would be sent, after a simulation in which it did not revert.

    Attributes:
        chain_id: EIP-155 number.
        sender: Checksummed address.
        to: Checksummed address.
        call: What it does there, in words.
        value: Wei that it sends.
        gas: Gas limit.
        fees: Wei per unit of gas.
        data_fee: Wei charged for its data beside the gas; `None` if that could not be told.
    """

    chain_id: int
    sender: str
    to: str
    call: Described
    value: int
    gas: int
    fees: Fees
    data_fee: int | None

    @property
    def highest_fee(self) -> int:
        """Most wei that it can cost beside its value."""
        return self.gas * self.fees.highest + (self.data_fee or 0)


class DryRunError(Exception):
    """Nothing is to be sent. Not a failure; the command line prints what would have been.

    Attributes:
        preview: What would be sent.
    """

    def __init__(self, preview: Preview) -> None:
        super().__init__("Nothing is sent in a dry run")
        self.preview = preview


class NotWaitedError(Exception):
    """A transaction was sent, and nobody wants to wait for it. Not a failure.

    Attributes:
        tx_hash: 64 hexadecimal digits.
    """

    def __init__(self, tx_hash: str) -> None:
        super().__init__("The transaction was sent")
        self.tx_hash = tx_hash


class ReplacedError(LlamafundError):
    """Another transaction has used a transaction's number, so that it can never be included."""


class Reporter:
    """What is told while something is sent. This one says nothing, and wants no second transaction."""

    def preview(self, preview: Preview) -> None:
        """Called with what would be sent, before anybody is asked."""

    def signed(self, entry: Entry) -> None:
        """Called before a transaction leaves: from now on its hash may be on the chain."""

    def note(self, text: str) -> None:
        """Called with what somebody should know."""

    def another(self, question: str) -> bool:  # noqa: ARG002
        """Whether to send another transaction than the one that was found."""
        return False


class Sender:
    """Sends transactions to one chain.

    Args:
        connection: The chain.
        journal: Where they are written down; `None` if nobody will look for them.
        policy: How to send.
        reporter: What is told meanwhile.
        command: The command that sends, in words, for the journal.

    Attributes:
        outbox: Their way to the chain.
        policy: How to send.
        finished: What was included but not told to anybody yet; see `told`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        journal: Journal | None = None,
        policy: Policy | None = None,
        reporter: Reporter | None = None,
        command: str = "",
    ) -> None:
        self.connection = connection
        self.outbox = Outbox(connection)
        self.policy = policy or Policy()
        self.finished: list[Entry] = []
        self._journal = journal
        self._reporter = reporter or Reporter()
        self._command = command
        self._many: dict[str, Entry] = {}
        self.outbox.leaving = self._leave
        self.outbox.arrived = self._arrive

    # ------------------------------------------------------------------ send

    def send(
        self,
        account: BaseAccount,
        transaction: Call,
        value: int = 0,
        *,
        money: Money = smallest_units,
        agree: Agree | None = None,
        intent: str | None = None,
        repeatable: bool = False,
    ) -> Receipt:
        """Send one transaction and wait until it is included. It is simulated first.

        If the journal has one with the same intent whose outcome nobody was told, that one is taken instead.

        Args:
            account: The account that signs and pays.
            transaction: What to call or deploy.
            value: Wei to send with it.
            money: Writes amounts in the explanation of a refusal.
            agree: Called after a successful simulation. If it raises, the transaction is not sent.
            intent: What it is to bring about, if its call data do not say that: two such would pay twice.
            repeatable: Whether a second one does no harm, so that an earlier one is no reason not to send it.

        Raises:
            ContractRefusedError: The simulation or the included transaction reverted.
            DryRunError: Nothing is to be sent.
            NotWaitedError: It was sent, and is not waited for.
            LlamafundError: The account cannot pay for it, or the node refused it.
            NodeUnreachableError: The node stopped answering; the message says whether anything may have been sent.
        """
        sender, goal = str(account.address), _digest(intent or _intent(transaction, value))
        if intent is None and transaction.data and not value:
            self._close_overtaken(sender, goal)
        earlier = self._open(sender, goal)
        taken = self._take_any(earlier, money, agree, repeatable=repeatable)
        if isinstance(taken, Receipt):
            return taken
        number = taken
        rivals = [one for one in earlier if one.nonce == number]
        preview = self._prepare(sender, transaction, value, money, rivals)
        self._reporter.preview(preview)
        if self.policy.dry_run:
            raise DryRunError(preview)
        if agree is not None:
            agree()
        self._require_ready(account)
        with self._alone(sender):
            self._refuse_another(sender, goal, earlier)
            nonce = self._next_number(sender) if number is None else number
            unsigned = SignedTransaction("", b"", sender, transaction, value, nonce, preview.gas, preview.fees)
            entry = self._sign_and_send(account, unsigned, goal, preview.call.sentence)
        return self._conclude(entry, money, repeatable=repeatable)

    def earlier(self, sender: str, intent: str, *, money: Money, agree: Agree | None = None) -> Receipt | None:
        """The receipt of an earlier transaction with the same intent, which `send` would take; `None` if there is none.

        For what has to be found out or signed before a transaction can be sent, and need not be if one was.

        Args:
            sender: Checksummed address.
            intent: See `send`.
            money: See `send`.
            agree: See `send`.
        """
        taken = self._take_any(self._open(sender, _digest(intent)), money, agree, repeatable=False)
        return taken if isinstance(taken, Receipt) else None

    def told(self) -> None:
        """Take note that what was included was told to whoever sent it: from now on the same may be sent again."""
        for entry in self.finished:
            self._write(entry, state="told")
        self.finished = []

    def resume(self, entry: Entry, money: Money = smallest_units) -> Receipt:
        """Wait for a transaction of the journal; as `send` does once it has sent one."""
        return self._conclude(entry, money, repeatable=False)

    def replace(self, account: BaseAccount, entry: Entry, *, cancel: bool, agree: Agree | None = None) -> Receipt:
        """Send another transaction with the number of one that waits, at a higher fee. Only one can be included.

        Args:
            account: Its sender.
            entry: The one that waits.
            cancel: Whether to do nothing instead of the same.
            agree: See `send`.
        """
        call = Call(entry.sender, b"") if cancel else entry.signed.transaction
        value = 0 if cancel else entry.value
        if not cancel and entry.data is None:
            raise UsageError(
                f"Transaction 0x{entry.tx_hash} cannot be made again from the journal",
                "Its call data were too long to be kept",
                "Cancel it, or repeat its command",
            )
        rivals = [one for one in self.entries(entry.sender) if one.nonce == entry.nonce]
        gas = 21_000 if cancel else entry.gas
        fees = self._fees(gas, rivals)
        preview = Preview(self.connection.chain_id, entry.sender, call.to, described(call), value, gas, fees, 0)
        self._reporter.preview(preview)
        if self.policy.dry_run:
            raise DryRunError(preview)
        if agree is not None:
            agree()
        with self._alone(entry.sender):
            unsigned = SignedTransaction("", b"", entry.sender, call, value, entry.nonce, gas, fees)
            intent = _digest(f"cancel {entry.tx_hash}") if cancel else entry.intent
            step = "nothing, to cancel" if cancel else entry.step
            made = self._sign_and_send(account, unsigned, intent, step, replaces=entry.tx_hash)
        return self._conclude(made, smallest_units, repeatable=False)

    # --------------------------------------------------------------- journal

    def entries(self, sender: str | None = None) -> list[Entry]:
        """The transactions of the journal on this chain, oldest first.

        Args:
            sender: Checksummed address; `None` for everybody's.
        """
        if self._journal is None:
            return []
        found = of_chain(self._journal.entries(), self.connection.genesis())
        return [entry for entry in found if sender in (None, entry.sender)]

    def fate(self, entry: Entry) -> Fate:
        """What became of a transaction of the journal; see `fate_of`."""
        fate = self._fate_of(entry)
        if fate.receipt is not None and fate.receipt.block_hash != entry.block_hash:
            if entry.block is not None and entry.block_hash:
                self._reporter.note(
                    f"Block {entry.block}, which included transaction 0x{entry.tx_hash}, was undone; "
                    f"block {fate.receipt.block} includes it now."
                )
            state = entry.state if entry.state == "told" else "included"
            self._write(
                entry,
                state="failed" if fate.kind == "reverted" else state,
                block=fate.receipt.block,
                block_hash=fate.receipt.block_hash,
            )
        elif fate.receipt is None and entry.block is not None and not fate.by:
            undone = self._is_undone(entry)
            if undone is False or (undone is None and entry.state == "told"):
                return Fate("included")
            self._reporter.note(_left(entry.tx_hash, entry.block, certain=undone is True))
            self._write(entry, state="signed", block=None, block_hash="")
        elif fate.kind == "replaced" and fate.by and entry.raw_sha256:
            self._write(entry, state="void")
        return fate

    def _fate_of(self, entry: Entry) -> Fate:
        """The fate, where one that does the same and is in the journal itself is another transaction."""
        fate = fate_of(self.outbox, entry)
        if fate.kind == "pending" and any(one.tx_hash == fate.by for one in self.entries(entry.sender) if fate.by):
            return Fate("replaced", by=fate.by)
        return fate

    def _is_undone(self, entry: Entry) -> bool | None:
        """Whether the block that was seen to include a transaction is gone; `None` if the node does not show it."""
        assert entry.block is not None
        try:
            return self.connection.block(entry.block).hash != entry.block_hash
        except NodeError:
            return None

    def _open(self, sender: str, intent: str) -> list[Entry]:
        return [entry for entry in self.entries(sender) if entry.is_open and entry.intent == intent]

    def _write(self, entry: Entry, **changes: object) -> Entry:
        if self._journal is None:
            return replace(entry, **changes)  # type: ignore[arg-type]
        return self._journal.change(entry, **changes)

    def _alone(self, sender: str) -> AbstractContextManager[None]:
        if self._journal is None:
            return nullcontext()
        return self._journal.sending(
            sender, lambda: self._reporter.note(f"Another process sends from {sender}: waiting until it is done.")
        )

    # ----------------------------------------------------- what was sent before

    def _take_any(
        self, entries: list[Entry], money: Money, agree: Agree | None, *, repeatable: bool
    ) -> Receipt | int | None:
        """The same as `_take`, for transactions with several numbers."""
        number: int | None = None
        for group in [] if self.policy.dry_run else _by_number(entries):
            taken = self._take(group, money, agree, repeatable=repeatable)
            if isinstance(taken, Receipt):
                return taken
            number = taken if taken is not None else number
        return number

    def _take(
        self, entries: list[Entry], money: Money, agree: Agree | None, *, repeatable: bool
    ) -> Receipt | int | None:
        """What to do about earlier transactions with one number and the same intent.

        Returns:
            The receipt of one, if it is taken for this one; the number under which to send another, so that only one
            of them can be included; `None` if they do not matter any more.
        """
        fates = [(entry, self.fate(entry)) for entry in entries]
        for wanted in ("included", "pending", "reverted", "replaced", "missing"):
            found = next(((entry, fate) for entry, fate in reversed(fates) if fate.kind == wanted), None)
            if found is not None:
                break
        else:
            return None
        entry, fate = found
        self._reporter.note(f"{_named(entry)} of {_when(entry)}, {entry.step}, {fate.words}.")
        over = self._over(fate, entry, repeatable=repeatable)
        if over is not None:
            self._close(entries, over)
            return None
        if fate.kind in ("included", "pending"):
            what = "It is in a block" if fate.kind == "included" else "It waits to be included"
            if self._wants_another(f"{what}. Send another one all the same, which pays once more?"):
                self._close(entries, "told" if fate.kind == "included" else "signed")
                return None
            self._reporter.note("It is taken for this one, and nothing more is sent: --again would send another.")
            entry = replace(entry, tx_hash=fate.by or entry.tx_hash)
            return self._conclude(entry, money, repeatable=repeatable, is_included=fate.receipt is not None)
        cheap = self.policy.max_fee is None or entry.gas * entry.highest <= self.policy.max_fee
        first = self.connection.nonce(entry.sender, "pending") if fate.kind == "missing" else entry.nonce
        if first < entry.nonce and not self.policy.again:
            self._reporter.note(
                f"Its number is {entry.nonce}, and the node knows no transaction with number {first} of "
                f"{entry.sender}: it waits for that one. --again would send another one with a number that is free now."
            )
        if fate.kind == "missing" and entry.raw and entry.state != "refused" and cheap and not self.policy.again:
            if agree is not None:
                agree()
            self._reporter.note(f"The same bytes are sent again: 0x{entry.tx_hash} can be included only once.")
            self._broadcast(entry)
            return self._conclude(entry, money, repeatable=repeatable)
        if fate.kind == "missing" and entry.raw_sha256 and not (first < entry.nonce and self.policy.again):
            return entry.nonce
        if self._wants_another("It is not certain that it paid nothing. Send another one all the same?"):
            self._close(entries, "told")
            return None
        raise LlamafundError(
            f"{_named(entry)} of the same command may have paid already",
            f"It {fate.words}",
            f"Nothing more was sent. Look for number {entry.nonce} of {entry.sender}, in its wallet or on an explorer. "
            "If it paid nothing, repeat the command with --again",
        )

    def _close_overtaken(self, sender: str, intent: str) -> None:
        """Close what is in a block and pays nothing, if its sender was told of a later call of the same contract.

        A vote may be retracted and given again, and what was taken back pledged again: then the same is another wish.
        """
        told = [entry for entry in self.entries(sender) if entry.state == "told"]
        for entry in [] if self.policy.dry_run else self._open(sender, intent):
            later = any(one.to == entry.to and one.nonce > entry.nonce for one in told)
            if later and (fate := self.fate(entry)).kind == "included":
                self._reporter.note(f"{_named(entry)} of {_when(entry)}, {entry.step}, {fate.words}.")
                self._write(entry, state="told")

    def _wants_another(self, question: str) -> bool:
        return self.policy.again or self._reporter.another(question)

    @staticmethod
    def _over(fate: Fate, entry: Entry, *, repeatable: bool) -> State | None:
        """How an earlier transaction ended, if it is no reason not to send another one."""
        if fate.kind == "reverted":
            return "failed"
        if fate.kind == "included" and repeatable:
            return "told"
        return "void" if fate.kind == "replaced" and fate.by and entry.raw_sha256 else None

    def _close(self, entries: list[Entry], state: State) -> None:
        for entry in entries:
            self._write(entry, state=state)

    def _refuse_another(self, sender: str, intent: str, known: list[Entry]) -> None:
        """Notice what another process has sent while somebody was asked."""
        ids = {entry.id for entry in known}
        new = [entry for entry in self._open(sender, intent) if entry.id not in ids]
        if new and not self.policy.again:
            raise LlamafundError(
                f"{_named(new[0])} was sent meanwhile by the same command in another process",
                "This one would pay a second time",
                "Nothing more was sent. Repeat the command to see what became of the other one",
            )

    # --------------------------------------------------------------- prepare

    def _prepare(
        self, sender: str, transaction: Call, value: int, money: Money, rivals: Sequence[Entry] = ()
    ) -> Preview:
        """Simulate, and find out what it costs to replace the rivals, which have its number."""
        connection = self.connection
        require_own_key(sender, connection.chain_id)
        held = connection.balance(sender, "latest")
        self.outbox.check_funds(sender, held, value)
        connection.call(transaction, block="pending", sender=sender, value=value, money=money)
        gas = connection.estimate(sender, transaction, value, block="pending", money=money)
        gas += gas // 4
        fees = self._fees(gas, rivals)
        data_fee: int | None
        try:
            (fee,) = DataFees(connection).of([transaction], gas)
            data_fee = fee.wei
        except (DataFeeUnknownError, RpcError):
            data_fee = None
        needed = value + gas * fees.highest + (data_fee or 0)
        if held < needed and not connection.is_contract(sender):
            self.outbox.check_funds(sender, held, needed)
        call = described(transaction)
        return Preview(connection.chain_id, sender, transaction.to, call, value, gas, fees, data_fee)

    def _fees(self, gas: int, rivals: Sequence[Entry]) -> Fees:
        """What to offer for a unit of gas to replace others, within the limit."""
        fees = prices(self.connection, self.policy.speed)
        for one in rivals:
            fees = fees.at_least(Fees(one.highest, one.tip).raised())
        return capped(fees, gas, self.policy.max_fee, self.connection)

    def _leave(self, signed: Sequence[SignedTransaction]) -> None:
        """Write down and show transactions that a guard sends, which keeps account of them itself."""
        for one in signed:
            entry = self._written(one, _digest(one.tx_hash), described(one.transaction).sentence, head=0)
            self._many[one.tx_hash] = entry
            self._reporter.signed(entry)

    def _arrive(self, signed: SignedTransaction, receipt: Receipt) -> None:
        """Take note of what became of such a transaction, and so of all others with its number."""
        for tx_hash, entry in list(self._many.items()):
            if (entry.sender, entry.nonce) == (signed.sender, signed.nonce):
                del self._many[tx_hash]
                if tx_hash != signed.tx_hash:
                    self._write(entry, state="void")
                    continue
                state: State = "told" if receipt.succeeded else "failed"
                self._write(entry, state=state, block=receipt.block, block_hash=receipt.block_hash)

    def _written(self, signed: SignedTransaction, intent: str, step: str, *, head: int, replaces: str = "") -> Entry:
        """The entry of a transaction, in the journal if there is one."""
        entry = entry_of(
            signed,
            chain_id=self.connection.chain_id,
            genesis=self.connection.genesis(),
            head=head,
            command=self._command,
            step=step,
            intent=intent,
            replaces=replaces,
        )
        if self._journal is not None:
            self._journal.add(entry)
        return entry

    def _require_ready(self, account: BaseAccount) -> None:
        from llamafund_chain.chain.signers import LockedAccount, SafeAccount

        if isinstance(account, LockedAccount):
            # Other processes need not wait while somebody types.
            account.unlocked()
        if isinstance(account, SafeAccount) and not self.connection.is_contract(str(account.address)):
            raise UsageError(
                f"There is no Safe at {account.address}",
                "The address has no code on this chain",
                "Check the address after safe:, and with --rpc the chain",
            )

    def _next_number(self, sender: str) -> int:
        """The number of the next transaction: after those that wait, even where the node does not count them."""
        number = self.connection.nonce(sender, "pending")
        waiting = {entry.nonce: entry for entry in self.entries(sender) if entry.is_open}
        while number in waiting and self._is_known(waiting[number].tx_hash, (0.0,)):
            number += 1
        return number

    # ------------------------------------------------------------------ leave

    def _sign_and_send(
        self, account: BaseAccount, unsigned: SignedTransaction, intent: str, step: str, *, replaces: str = ""
    ) -> Entry:
        """Sign, write down and send; or let a signer do it that only sends."""
        head = self.connection.block().number

        def written(signed: SignedTransaction) -> Entry:
            return self._written(signed, intent, step, head=head, replaces=replaces)

        try:
            signed = self.outbox.sign(
                account,
                unsigned.transaction,
                unsigned.value,
                nonce=unsigned.nonce,
                gas=unsigned.gas,
                fees=unsigned.fees,
            )
        except SendsOnlyError:
            return self._sent_by_signer(account, unsigned, written)
        entry = written(signed)
        self._reporter.signed(entry)
        self._broadcast(entry, signed)
        return entry

    def _sent_by_signer(
        self, account: BaseAccount, unsigned: SignedTransaction, written: Callable[[SignedTransaction], Entry]
    ) -> Entry:
        """Let a signer send that signs nothing without sending it."""
        from llamafund_chain.chain.signers import RemoteAccount

        assert isinstance(account, RemoteAccount)
        account.require_chain(self.connection.chain_id)
        entry = written(unsigned)
        try:
            tx_hash = account.send_transaction(unsigned.fields(self.connection.chain_id))
        except NodeUnreachableError as error:
            raise NodeUnreachableError(
                "The signer stopped answering while it was to send a transaction",
                f"It may or may not have sent it. {error.what}",
                f"Look in the signer for number {unsigned.nonce} of {unsigned.sender} before repeating the command",
            ) from error
        except LlamafundError:
            self._write(entry, state="void")
            raise
        self.outbox.sent[tx_hash] = False
        entry = self._write(entry, tx_hash=tx_hash)
        self._reporter.signed(entry)
        return entry

    def _broadcast(self, entry: Entry, signed: SignedTransaction | None = None) -> None:
        """Give a transaction to the node. An error does not mean that it did not arrive: then it is looked for."""
        one = signed or entry.signed
        try:
            self._transmit(one)
        except SendRefusedError as refusal:
            if self._is_known(one.tx_hash, _LOOKS):
                return
            self.outbox.forget(one.tx_hash)
            self._write(entry, state="refused")
            refusal.what = f"{refusal.what}. Transaction 0x{one.tx_hash}, number {one.nonce}, is not in the node's pool"
            raise
        except NodeUnreachableError as error:
            if self._is_known(one.tx_hash, _LOOKS):
                return
            raise NodeUnreachableError(
                f"The node stopped answering while transaction 0x{one.tx_hash} was being sent",
                f"It may or may not have arrived; it was not sent again. {error.what}",
                "Repeat the command to find out: it never pays twice. Or see `llamafund tx list`",
            ) from error

    def _transmit(self, signed: SignedTransaction) -> None:
        """Give the same bytes to the node until it is not too busy to take them."""
        pause = _LOOKS[1]
        for left in reversed(range(_BUSY_TRIES)):
            try:
                self.outbox.transmit(signed)
            except BusyError as error:
                if not left or error.hopeless or (error.wait or 0) > BUSY_SECONDS:
                    raise
                sleep(max(pause, error.wait or 0))
                pause *= 2
                if self._is_known(signed.tx_hash, (0.0,)):
                    return
            else:
                return

    def _is_known(self, tx_hash: str, pauses: tuple[float, ...]) -> bool:
        """Whether the node has a transaction, in a block or not."""
        for pause in pauses if tx_hash else ():
            sleep(pause)
            with contextlib.suppress(NodeError):
                if self.connection.request("eth_getTransactionByHash", f"0x{tx_hash}") is not None:
                    return True
        return False

    # ------------------------------------------------------------------- wait

    def _conclude(self, entry: Entry, money: Money, *, repeatable: bool, is_included: bool = False) -> Receipt:
        """Wait as long as somebody wants to, and take note of the outcome."""
        self.outbox.sent.setdefault(entry.tx_hash, False)
        if self.policy.wait == "none" and not repeatable and not is_included:
            raise NotWaitedError(entry.tx_hash)
        entry, receipt = self._await(entry)
        self.outbox.sent[entry.tx_hash] = True
        if not receipt.succeeded:
            self._write(entry, state="failed", block=receipt.block, block_hash=receipt.block_hash)
            raise self.outbox.reverted(entry.signed, receipt, money)
        state = "told" if repeatable else "included"
        entry = self._write(entry, state=state, block=receipt.block, block_hash=receipt.block_hash)
        if repeatable:
            return receipt
        self.finished.append(entry)
        return self._await_settled(entry, receipt)

    def _await(self, entry: Entry) -> tuple[Entry, Receipt]:
        """Wait until a block includes a transaction, or one that replaces it for the same purpose.

        Raises:
            NotFinalError: None does after `transactions.RECEIPT_TIMEOUT` seconds.
            ReplacedError: None ever will.
            NodeUnreachableError: The node stopped answering, or does not say what a receipt must.
        """
        watch = _Watch()
        for _ in _pauses(transactions.RECEIPT_TIMEOUT):
            try:
                raw = self.connection.request("eth_getTransactionReceipt", f"0x{entry.tx_hash}")
            except (NodeUnreachableError, RpcError) as error:
                raise self._silent(entry, error) from error
            try:
                receipt = self.outbox.receipt_in(raw, entry.signed)
            except NodeUnreachableError as error:
                if watch.late("receipt"):
                    raise self._silent(entry, error) from error
                continue
            if receipt is not None:
                if self._is_complete(entry, receipt) or watch.late("logs"):
                    return entry, receipt
                continue
            entry = self._look_after(entry, watch)
        raise not_included([entry.tx_hash])

    @staticmethod
    def _is_complete(entry: Entry, receipt: Receipt) -> bool:
        """Whether a receipt shows what its transaction did: every call that we make writes a log."""
        return bool(receipt.logs) or not receipt.succeeded or entry.data == ""

    def _look_after(self, entry: Entry, watch: _Watch) -> Entry:
        """Now and then, see whether a transaction is still under way, and which one of its number."""
        if not watch.due():
            return entry
        try:
            for rival in self.entries(entry.sender):
                if rival.nonce == entry.nonce and rival.id != entry.id and rival.tx_hash and rival.is_open:
                    (receipt,) = self.outbox.receipts([rival.signed])
                    if receipt is not None:
                        self._reporter.note(f"0x{rival.tx_hash} was included in place of 0x{entry.tx_hash}.")
                        self._write(entry, state="void")
                        if rival.intent != entry.intent:
                            raise _came_first(entry, rival)
                        return rival
            fate = self._fate_of(entry)
        except NodeError:
            return entry
        if fate.kind == "pending" and fate.by:
            self._reporter.note(f"{_named(entry)} {fate.words}.")
            return replace(entry, tx_hash=fate.by)
        if fate.kind == "replaced" and (fate.by or watch.late("replaced")):
            if fate.by and entry.raw_sha256:
                self._write(entry, state="void")
            raise _replaced(entry, fate.by)
        if fate.kind == "missing" and entry.raw and watch.forgotten():
            self._reporter.note(f"The node has forgotten transaction 0x{entry.tx_hash}; it gets the same bytes again.")
            with contextlib.suppress(NodeError):
                self.outbox.transmit(entry.signed)
            with contextlib.suppress(NodeError):
                self.outbox.spread([entry.signed])
        return entry

    def _silent(self, entry: Entry, error: NodeError) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"Transaction 0x{entry.tx_hash} was sent, but the node does not say whether it was included",
            str(error),
            f"Repeat the command to find out: it never pays twice. Or run: llamafund tx wait 0x{entry.tx_hash}",
        )

    def _await_settled(self, entry: Entry, receipt: Receipt) -> Receipt:
        """Wait until the block of a transaction is as settled as somebody wants it.

        Raises:
            NotFinalError: It is not after `SETTLE_TIMEOUT` seconds, or the node does not say.
        """
        wait = self.policy.wait
        if wait in ("none", "mined", 0):
            return receipt
        for _ in _pauses(SETTLE_TIMEOUT):
            try:
                (now,) = self.outbox.receipts([entry.signed])
                if now is None or now.block_hash != receipt.block_hash:
                    self._reporter.note(_left(entry.tx_hash, receipt.block, certain=now is not None))
                    entry, receipt = self._await(self._write(entry, state="signed", block=None, block_hash=""))
                    self._write(entry, state="included", block=receipt.block, block_hash=receipt.block_hash)
                    continue
                if isinstance(wait, int):
                    settled = self.connection.block().number - wait
                else:
                    settled = self.connection.block("finalized" if wait == "finalized" else "safe").number
            except NodeError as error:
                raise self._unsettled(entry, receipt, str(error)) from error
            if settled >= receipt.block:
                return receipt
        raise self._unsettled(entry, receipt, f"That is so after {SETTLE_TIMEOUT:.0f} seconds of waiting")

    def _unsettled(self, entry: Entry, receipt: Receipt, why: str) -> NotFinalError:
        wait = self.policy.wait
        goal = f"{wait} blocks deep" if isinstance(wait, int) else str(wait)
        return NotFinalError(
            f"Transaction 0x{entry.tx_hash} is in block {receipt.block}, but not {goal} yet",
            why,
            f"It has done what it should. Wait for more with: llamafund tx wait 0x{entry.tx_hash} --wait {wait}",
        )


def _left(tx_hash: str, block: int, *, certain: bool) -> str:
    """That a block counts no more which was seen to include a transaction. A node that is behind shows none either."""
    if certain:
        return f"Block {block}, which included transaction 0x{tx_hash}, was undone."
    return f"The node no longer shows transaction 0x{tx_hash} in block {block}: it is behind, or undid the block."


class _Watch:
    """When it is time to look after a transaction that is waited for."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._next = time.monotonic() + 1.0
        self._again = time.monotonic() + FORGOTTEN_SECONDS

    def late(self, what: str) -> bool:
        """Whether something was the case for too long already."""
        return time.monotonic() - self._started.setdefault(what, time.monotonic()) > LATE_SECONDS

    def due(self) -> bool:
        """Whether it is time to look again."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + 3.0
        return True

    def forgotten(self) -> bool:
        """Whether it is time to give the node the same bytes again."""
        if time.monotonic() < self._again:
            return False
        self._again = time.monotonic() + FORGOTTEN_SECONDS
        return True


def _pauses(seconds: float) -> Iterator[None]:
    """Go on at once, then after longer and longer pauses, for so many seconds."""
    until, pause = time.monotonic() + seconds, 0.02
    while True:
        yield
        if time.monotonic() > until:
            return
        sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _by_number(entries: list[Entry]) -> list[list[Entry]]:
    numbers = dict.fromkeys(entry.nonce for entry in entries)
    return [[entry for entry in entries if entry.nonce == number] for number in numbers]


def _intent(transaction: Call, value: int) -> str:
    """What a transaction brings about, where nothing else says so: what it pays beside a call may differ each time."""
    data = transaction.data.hex()
    return f"{transaction.to.lower()} {data or value}"


def _digest(intent: str) -> str:
    return hashlib.sha256(intent.encode()).hexdigest()


def _named(entry: Entry) -> str:
    return f"Transaction 0x{entry.tx_hash}" if entry.tx_hash else f"Transaction number {entry.nonce}"


def _when(entry: Entry) -> str:
    from llamafund_chain.times import when

    return when(entry.at)


def _replaced(entry: Entry, by: str) -> ReplacedError:
    other = f"Transaction 0x{by}" if by else "Another transaction, which the node does not show,"
    return ReplacedError(
        f"Transaction 0x{entry.tx_hash} was replaced and will never be included",
        f"{other} has used its number, {entry.nonce}",
        "If that was not you, another program has the same key. Repeat the command if it is still wanted",
    )


def _came_first(entry: Entry, rival: Entry) -> ReplacedError:
    """The error where another transaction of this program has used a transaction's number."""
    if entry.replaces == rival.tx_hash:
        return ReplacedError(
            f"Transaction 0x{rival.tx_hash} is not cancelled: a block includes it",
            f"Transaction 0x{entry.tx_hash}, which was to cancel it, came too late and will never be included",
            f"See what it did with: llamafund tx show 0x{rival.tx_hash}",
        )
    return ReplacedError(
        f"Transaction 0x{entry.tx_hash} was replaced and will never be included",
        f"Transaction 0x{rival.tx_hash} of `llamafund {rival.command}` has used its number, {entry.nonce}",
        "Repeat the command if it is still wanted",
    )


def cost_words(preview: Preview) -> str:
    """What a transaction may cost beside its value, as text."""
    chain_id = preview.chain_id
    text = f"at most {format_coin(preview.highest_fee, chain_id)}"
    if preview.data_fee is None:
        return f"{text}, and what the chain charges for its data, which could not be told"
    return text + (f", {format_coin(preview.data_fee, chain_id)} of it for its data" if preview.data_fee else "")
