"""Payments carried out in simulated calls, to see what would arrive. Nothing is sent.

`eth_simulateV1` carries out many at once and shows the token's logs. A node without it is asked to run each payment in
an `eth_call` with state overrides. A node that does neither leaves it untold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llamafund_chain.chain.batch import BATCH, BATCH_CODE, TELL_A_BALANCE, TELL_THE_TIME, TOKEN, Overrides, stranger
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.tokens import TRANSFERRED
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, TransactionRevertedError

AT_ONCE = 50
"""Payments in one simulation: about 8 million gas, which nodes allow for one request."""

_MOST_REQUESTS = 20
"""Simulations that are asked for at once, to bound the memory that the answers take."""

_PAYING_GAS, _ASKING_GAS = 1_000_000, 300_000
"""Gas for a payment, which takes less than 100 000 unless somebody burns it, and for a question."""


@dataclass(frozen=True)
class Payment:
    """A call by which a contract pays somebody.

    Attributes:
        sender: Who makes it; `None` if anybody can.
        recipient: Who is paid.
        data: The call data.
        amount: What the contract owes, in the asset's smallest unit.
    """

    sender: str | None
    recipient: str
    data: bytes
    amount: int


@dataclass(frozen=True)
class Arrival:
    """What a simulated payment brought its recipient, in the asset's smallest unit; `None` could not be told.

    Attributes:
        done: Whether the call went through.
        own: By how much the balance grew that the recipient is told.
        others: By how much the balance grew that somebody else is told.
        logged: What the token's logs say; `None` without a log.
    """

    done: bool
    own: int | None = None
    others: int | None = None
    logged: int | None = None


@dataclass
class Simulation:
    """A state after a block, in which payments are carried out.

    Args:
        connection: The chain.
        contract: Checksummed address of the contract that pays.
        token: Checksummed address of the token that it pays; `None` for the chain's coin.
        at: The block.
        time: The time at which to pay, unix seconds; `None` for the block's.
    """

    connection: Connection
    contract: str
    token: str | None
    at: Block
    time: int | None = None
    _anybody: str = field(default_factory=stranger)
    _teller: str = field(default_factory=stranger)
    _clock: str = field(default_factory=stranger)

    def carry_out(self, payments: Sequence[Payment]) -> list[Arrival | None]:
        """Carry out each payment after those before it, in groups of `AT_ONCE` that do not see one another.

        Returns:
            What arrived, in the order of the payments; `None` where the node did not run it.

        Raises:
            NodeUnreachableError: No node answers.
        """
        found: list[Arrival | None] = []
        step = AT_ONCE * _MOST_REQUESTS
        for start in range(0, len(payments), step):
            part = payments[start : start + step]
            groups = [part[place : place + AT_ONCE] for place in range(0, len(part), AT_ONCE)]
            arrived = [one for group in self._simulated(groups) for one in group]
            missing = [place for place, one in enumerate(arrived) if one is None]
            for place, one in zip(missing, self._called([part[place] for place in missing]), strict=True):
                arrived[place] = one
            found += arrived
        return found

    def pay_all(self, amount: int) -> Arrival | None:
        """Have the contract's account transfer an amount of the token to somebody, whatever its code allows.

        Returns:
            What arrived; `None` if the node did not run it.
        """
        assert self.token is not None
        looks = self._looks(self._anybody)
        paying = (self.token, TOKEN.encode("transfer", self._anybody, amount))
        data = BATCH.encode("run", [*looks, paying, *looks])
        batch = {"code": f"0x{BATCH_CODE.hex()}"}
        changed = {self.contract: batch, self._anybody: batch, self._teller: batch}
        (answer,) = self._asked([({"from": self.contract, "to": self.contract, "data": f"0x{data.hex()}"}, changed)])
        return self._arrival_in(answer)

    # ------------------------------------------------------------ eth_simulateV1

    def _simulated(self, groups: Sequence[Sequence[Payment]]) -> list[list[Arrival | None]]:
        """What arrived by `eth_simulateV1`; `None` for all of a group that the node did not run."""
        answers = self.connection.read([("eth_simulateV1", (self._order(group),)) for group in groups], self.at)
        return [self._results(group, answer) for group, answer in zip(groups, answers, strict=True)]

    def _order(self, group: Sequence[Payment]) -> dict[str, Any]:
        calls = [_call(self._anybody, self._clock, b"", _ASKING_GAS)]
        for payment in group:
            looks = [_call(sender, to, data, _ASKING_GAS) for sender, to, data in self._views(payment.recipient)]
            paying = _call(payment.sender or self._anybody, self.contract, payment.data, _PAYING_GAS)
            calls += [*looks, paying, *looks]
        tellers = {self._clock: {"code": TELL_THE_TIME}, self._teller: {"code": TELL_A_BALANCE}}
        block: dict[str, Any] = {"stateOverrides": tellers, "calls": calls}
        if self.time is not None:
            block["blockOverrides"] = {"time": hex(self.time)}
        return {"blockStateCalls": [block], "validation": False}

    def _views(self, account: str) -> list[tuple[str, str, bytes]]:
        """Who asks whom what to know an account's balance: the account itself, and somebody else."""
        if self.token is None:
            return [(self._anybody, self._teller, bytes(12) + bytes.fromhex(account[2:]))]
        return [(sender, self.token, TOKEN.encode("balanceOf", account)) for sender in (account, self._anybody)]

    def _results(self, group: Sequence[Payment], answer: Any) -> list[Arrival | None]:
        untold: list[Arrival | None] = [None] * len(group)
        calls = answer[0].get("calls") if isinstance(answer, list) and answer and isinstance(answer[0], Mapping) else ()
        views = 1 if self.token is None else 2
        each = 2 * views + 1
        if not isinstance(calls, list) or len(calls) != 1 + each * len(group):
            return untold
        if not all(isinstance(call, Mapping) for call in calls):
            return untold
        hour = _number(calls[0])
        if hour is None or (hour != self.time if self.time is not None else hour < self.at.timestamp):
            return untold
        found: list[Arrival | None] = []
        for place, payment in enumerate(group):
            own = calls[1 + place * each : 1 + (place + 1) * each]
            before, paying, after = own[:views], own[views], own[views + 1 :]
            told = [_grown(*pair) for pair in zip(before, after, strict=True)]
            done = paying.get("status") == "0x1"
            logged = self._logged(paying.get("logs"), payment.recipient)
            found.append(Arrival(done, told[0], told[-1], logged if done else None))
        return found

    def _logged(self, logs: Any, recipient: str) -> int | None:
        if self.token is None or not isinstance(logs, list):
            return None
        amounts = [_transferred(log, self.token, self.contract, recipient) for log in logs]
        told = [amount for amount in amounts if amount is not None]
        return sum(told) if told else None

    # ------------------------------------------------------------------ eth_call

    def _called(self, payments: Sequence[Payment]) -> list[Arrival | None]:
        """What arrived by one `eth_call` for each payment."""
        asked = [self._question(payment) for payment in payments]
        return [self._outcome(one, answer) for one, answer in zip(payments, self._asked(asked), strict=True)]

    def _question(self, payment: Payment) -> tuple[dict[str, Any], Overrides]:
        batch = {"code": f"0x{BATCH_CODE.hex()}"}
        if self.token is None and payment.sender is not None:
            # The code of the campaign pays in full or not at all. The sender must keep its own code: it is paid.
            return {"from": payment.sender, "to": self.contract, "data": f"0x{payment.data.hex()}"}, {}
        sender = payment.sender or (self._anybody if self.token is None else payment.recipient)
        looks = self._looks(payment.recipient)
        data = BATCH.encode("run", [*looks, (self.contract, payment.data), *looks])
        changed: dict[str, dict[str, Any]] = {sender: batch}
        if self.token is None:
            changed[self._teller] = {"code": TELL_A_BALANCE}
        else:
            changed |= {payment.recipient: batch, self._teller: batch}
        return {"from": sender, "to": sender, "data": f"0x{data.hex()}"}, changed

    def _looks(self, account: str) -> list[tuple[str, bytes]]:
        """The same questions as `_views`, passed on by code that stands at the asking accounts."""
        if self.token is None:
            return [(self._teller, bytes(12) + bytes.fromhex(account[2:]))]
        look = BATCH.encode("run", [(self.token, TOKEN.encode("balanceOf", account))])
        return [(account, look), (self._teller, look)]

    def _asked(self, questions: Sequence[tuple[dict[str, Any], Overrides]]) -> list[Any]:
        """The answers to calls in changed states; refusals if the node does not turn its clock as told."""
        if not questions:
            return []
        block = hex(self.at.number)
        clock = () if self.time is None else ({"time": hex(self.time)},)
        probe = ({"to": self._clock}, block, {self._clock: {"code": TELL_THE_TIME}}, *clock)
        requests = [("eth_call", probe)]
        requests += [("eth_call", (asked, block, dict(changed), *clock)) for asked, changed in questions]
        hour, *answers = self.connection.request_many(requests)
        told = _uint(self._returned(hour))
        if told != (self.at.timestamp if self.time is None else self.time):
            return [None] * len(questions)
        return answers

    def _outcome(self, payment: Payment, answer: Any) -> Arrival | None:
        if self.token is None and payment.sender is not None:
            return self._plain_outcome(payment, answer)
        return self._arrival_in(answer)

    def _plain_outcome(self, payment: Payment, answer: Any) -> Arrival | None:
        if answer is None:
            return None
        try:
            self.connection.returned(answer)
        except TransactionRevertedError:
            return Arrival(done=False)
        except RpcError:
            return None
        return Arrival(True, payment.amount, payment.amount)

    def _arrival_in(self, answer: Any) -> Arrival | None:
        results = self._batched(self._returned(answer))
        views = 1 if self.token is None else 2
        if results is None or len(results) != 2 * views + 1:
            return None
        done, returned = results[views]
        told: list[int | None] = []
        for before, after in zip(results[:views], results[views + 1 :], strict=True):
            first, last = self._told(before), self._told(after)
            told.append(None if first is None or last is None else last - first)
        return Arrival(done and (not returned or _uint(returned) == 1), told[0], told[-1])

    def _told(self, look: tuple[bool, bytes]) -> int | None:
        success, returned = look
        if self.token is None or not success:
            return _uint(returned) if success else None
        inner = self._batched(returned)
        return _uint(inner[0][1]) if inner and inner[0][0] else None

    def _returned(self, answer: Any) -> bytes:
        try:
            return b"" if answer is None else self.connection.returned(answer)
        except NodeUnreachableError:
            raise
        except LlamafundError:
            return b""

    def _batched(self, returned: bytes) -> list[tuple[bool, bytes]] | None:
        try:
            (results,) = BATCH.decode_output("run", returned)
        except LlamafundError:
            return None
        return [(bool(success), bytes(data)) for success, data in results]


def _call(sender: str, to: str, data: bytes, gas: int) -> dict[str, Any]:
    return {"from": sender, "to": to, "data": f"0x{data.hex()}", "gas": hex(gas)}


def _grown(before: Mapping[str, Any], after: Mapping[str, Any]) -> int | None:
    first, last = _number(before), _number(after)
    return None if first is None or last is None else last - first


def _number(call: Mapping[str, Any]) -> int | None:
    """The word that a simulated call returned; `None` if it did not go through."""
    returned = _bytes(call.get("returnData"))
    return None if returned is None or call.get("status") != "0x1" else _uint(returned)


def _transferred(log: Any, token: str, sender: str, recipient: str) -> int | None:
    """How much a log as a node writes it says that a token moved; `None` if it is no such log."""
    if not isinstance(log, Mapping) or str(log.get("address")).lower() != token.lower():
        return None
    topics = log.get("topics")
    if not isinstance(topics, list) or len(topics) != 3 or str(topics[0]).lower() != TRANSFERRED:
        return None
    if [str(topic).lower()[-40:] for topic in topics[1:]] != [sender.lower()[2:], recipient.lower()[2:]]:
        return None
    data = _bytes(log.get("data"))
    return None if data is None else _uint(data)


def _bytes(value: Any) -> bytes | None:
    try:
        return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else None
    except ValueError:
        return None


def _uint(returned: bytes) -> int | None:
    return int.from_bytes(returned[:32], "big") if len(returned) >= 32 else None
