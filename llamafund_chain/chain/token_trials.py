"""What a token would do to an escrow, tried out in simulated calls. Nothing is sent.

A token's code may do anything, and no reader of it could tell all. So a node is asked to run a pledge and a refund in
`eth_call`, with state overrides: the code of `Batch.sol` stands at the escrow's and the payer's address, and balances
are written into the token's storage. Stored values that a transfer reads are then changed one by one, to see whether
they could stop it or take a fee. What a node or a token does not let us try is `None`: it could not be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llamafund_chain.chain.batch import BATCH, BATCH_CODE, TELL_THE_TIME, TOKEN, Overrides, stranger
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, TransactionRevertedError, VerificationError

_MONTH = 30 * 86_400

_PROXY_SLOTS = {
    0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC: "its proxy names the code",  # EIP-1967
    0xA3F0AD74E5423AEBFD80D3EF4346578335A9A72AEAEE59FF6CB3582B35133D50: "its proxy asks the beacon",  # EIP-1967
    0xC5F16F0FCC639FA48A6947836D9850F504798523BF8C9A3A87D5876CF622BCF7: "its proxy names the code",  # EIP-1822
    0x7050C9E0F4CA769C69BD3A8EF740BC37934F8E2C036E5A723FD8EE048ED3F8C3: "its proxy names the code",  # OpenZeppelin 2
}
_CLONE_HEAD, _CLONE_TAIL = bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_DELEGATECALL, _PUSH1, _PUSH32 = 0xF4, 0x60, 0x7F

_ADDRESS_BITS = 160
_FLAGS = (1, 2, 100, 5_000, 10**17)
"""Values that switches and fees take: on, entered, and shares of a hundred, of ten thousand and of 10^18."""
_PACKED = (8, 16, 160, 168, 255)
"""Bits at which a flag is packed behind small numbers, behind an address, or at the end."""

_MARK = 1 << 255
"""The bit of a balance's word in which a token may keep a mark of the account."""

_MOST_SLOTS = 24
"""Stored values that are changed at most. Of a token that reads more, the rest could not be told."""

Slot = tuple[str, int]
"""A contract, in lower case, and the number of one of its storage slots."""


@dataclass(frozen=True)
class Trial:
    """What a token did in simulated calls; `None` could not be told. Amounts in its smallest unit.

    Attributes:
        problem: Why something could not be told, as a sentence without its full stop; empty if all was.
        sent: What a payer pledged.
        arrived: What of it the escrow was credited with.
        debited: What the payer lost.
        paid: What the escrow paid back.
        received: What of it arrived.
        taken: What the escrow lost.
        answers_differ: Whether the balance of one account depends on who asks.
        balance_computed: Whether a balance is something else than what is stored, or changes with time alone.
        switch: Whether a stored value that is the same for all can stop payouts.
        blocks: Whether a stored value of the escrow or the recipient can.
        fee_switch: Whether a stored value can make less arrive.
        upgraded_by: How the code can be replaced, in words; empty if it shows no way.
    """

    problem: str = ""
    sent: int | None = None
    arrived: int | None = None
    debited: int | None = None
    paid: int | None = None
    received: int | None = None
    taken: int | None = None
    answers_differ: bool | None = None
    balance_computed: bool | None = None
    switch: bool | None = None
    blocks: bool | None = None
    fee_switch: bool | None = None
    upgraded_by: str | None = None


def try_token(
    connection: Connection, token: str, escrow: str, amount: int, at: Block, payer: str | None = None
) -> Trial:
    """Try out a pledge and a refund, and what could stop them.

    Args:
        connection: The chain.
        token: Checksummed address of the token.
        escrow: Checksummed address of the campaign.
        amount: What to pledge.
        at: The block after which to try.
        payer: Who pledges. It need not have any tokens. `None` for somebody whom no token can know.

    Raises:
        NodeUnreachableError: No node answers.
    """
    return _Trials(connection, token, escrow, amount, at, payer or stranger()).run()


class _StopError(Exception):
    """Nothing more can be tried, for the reason given."""


@dataclass
class _Trials:
    connection: Connection
    token: str
    escrow: str
    amount: int
    at: Block
    payer: str
    # Somebody else, to tell what is stored for one account from what is stored for all.
    bystander: str = field(default_factory=stranger)
    found: Trial = field(default_factory=Trial)

    def run(self) -> Trial:
        try:
            self._look_at_code()
            self._require_overrides()
            self._ask_around()
            balances = self._balances()
            self._pledge_and_refund(balances)
            self._change_stored_values(balances)
        except _StopError as stop:
            self.found = replace(self.found, problem=str(stop))
        return self.found

    # ------------------------------------------------------------------ the code

    def _look_at_code(self) -> None:
        """Whether the token delegates to code that can be replaced."""
        reads = [("eth_getStorageAt", (self.token, hex(slot))) for slot in _PROXY_SLOTS]
        code, *values = self.connection.read([("eth_getCode", (self.token,)), *reads], self.at)
        if isinstance(code, RpcError):
            return
        runtime = self.connection.code_of(code)
        known = [_number(value) for value in values]
        for told, value in zip(_PROXY_SLOTS.values(), known, strict=True):
            if value:
                self.found = replace(self.found, upgraded_by=f"{told} 0x{value % (1 << _ADDRESS_BITS):040x}")
                return
        if runtime.startswith(_CLONE_HEAD) and runtime.endswith(_CLONE_TAIL):
            # A minimal clone runs the code of one other contract for ever.
            original = f"0x{runtime[len(_CLONE_HEAD) : len(_CLONE_HEAD) + 20].hex()}"
            runtime = self.connection.code(original, self.at)
        if not _may_delegate(runtime):
            self.found = replace(self.found, upgraded_by="" if None not in known else None)
            return
        # The byte may also be part of a constant. Only what a call touches tells.
        touched = self._contracts_touched()
        if touched is not None:
            others = f"it runs the code of {min(touched)} in its own storage" if touched else ""
            self.found = replace(self.found, upgraded_by=others if others or None not in known else None)

    def _contracts_touched(self) -> set[str] | None:
        """Other contracts with code that simple calls of the token touch; `None` if the node does not tell."""
        entries: set[str] = set()
        for data in (TOKEN.encode("balanceOf", self.bystander), TOKEN.encode("transfer", self.token, 0)):
            listed = self._access_list(self.bystander, data)
            if listed is None:
                return None
            entries |= {str(entry.get("address")).lower() for entry in listed if isinstance(entry, Mapping)}
        others = sorted(entries - {self.token.lower(), self.bystander.lower()})
        codes = self.connection.read([("eth_getCode", (other,)) for other in others], self.at) if others else []
        return {other for other, code in zip(others, codes, strict=True) if code not in ("0x", None)}

    # ---------------------------------------------------------------- the trials

    def _require_overrides(self) -> None:
        nothing = BATCH.encode("run", [])
        answer = self._call(self.bystander, nothing, {self.bystander: {"code": f"0x{BATCH_CODE.hex()}"}})
        try:
            (results,) = BATCH.decode_output("run", self.connection.returned(answer))
        except (RpcError, VerificationError, TransactionRevertedError) as error:
            raise _StopError("the node does not run calls with changed states (state overrides)") from error
        if results:
            raise _StopError("the node does not run calls as they are asked for")

    def _ask_around(self) -> None:
        """Whether everybody is told the same balance of the escrow."""
        asked = TOKEN.encode("balanceOf", self.escrow)
        answers = [
            self._call(self.token, asked, {}, sender=sender)
            for sender in (None, self.escrow, self.payer, self.bystander, self.token)
        ]
        told = {self._balance_in(answer) for answer in answers}
        if None in told:
            raise _StopError("the token does not tell balances")
        self.found = replace(self.found, answers_differ=len(told) > 1)

    def _balances(self) -> dict[str, tuple[Slot, int]]:
        """Where the token keeps the balances of payer and escrow, with a value to put there that is enough."""
        keys = {
            account: self._touched(None, TOKEN.encode("balanceOf", account))
            for account in (self.payer, self.escrow, self.bystander)
        }
        found: dict[str, tuple[Slot, int]] = {}
        for account in (self.payer, self.escrow):
            own = [slot for slot in keys[account] if slot not in keys[self.bystander]]
            place = next((slot for slot in own if self._told(account, slot, 4 * self.amount)), None)
            if place is None:
                raise _StopError("where the token keeps balances could not be found")
            value = 4 * self.amount
            told = self._told(account, place, value)
            if told != value:
                self.found = replace(self.found, balance_computed=True)
                # Shares that are worth less than one unit each.
                value = min(value * max(1, -(-value // max(told, 1))), 1 << 95)
            found[account] = place, value
        later = self._later(self.payer, *found[self.payer])
        if self.found.balance_computed is None:
            self.found = replace(self.found, balance_computed=later)
        sides = {self._balance_in(answer) for answer in self._asked_by_each(self.escrow, *found[self.escrow])}
        if len(sides) > 1:
            self.found = replace(self.found, answers_differ=True)
        return found

    def _told(self, account: str, slot: Slot, value: int) -> int:
        changed = {slot[0]: {"stateDiff": {_word(slot[1]): _word(value)}}}
        return self._balance_in(self._call(self.token, TOKEN.encode("balanceOf", account), changed)) or 0

    def _later(self, account: str, slot: Slot, value: int) -> bool | None:
        """Whether the same balance is another one a month later; `None` if the node cannot turn the clock."""
        changed = {slot[0]: {"stateDiff": {_word(slot[1]): _word(value)}}}
        asked = {"to": self.token, "data": f"0x{TOKEN.encode('balanceOf', account).hex()}"}
        clock = {"time": hex(self.at.timestamp + _MONTH)}
        block = hex(self.at.number)
        hour, now, then = self.connection.request_many(
            [
                ("eth_call", ({"to": self.bystander}, block, {self.bystander: {"code": TELL_THE_TIME}}, clock)),
                ("eth_call", (asked, block, changed)),
                ("eth_call", (asked, block, changed, clock)),
            ]
        )
        told = self._balance_in(now), self._balance_in(then)
        if None in told or self._balance_in(hour) != self.at.timestamp + _MONTH:
            return None
        return told[0] != told[1]

    def _asked_by_each(self, account: str, slot: Slot, value: int) -> list[Any]:
        changed = {slot[0]: {"stateDiff": {_word(slot[1]): _word(value)}}}
        asked = TOKEN.encode("balanceOf", account)
        return [
            self._call(self.token, asked, changed, sender=one) for one in (None, account, self.payer, self.bystander)
        ]

    def _pledge_and_refund(self, balances: Mapping[str, tuple[Slot, int]]) -> None:
        changed = self._actors({self.payer: balances[self.payer]})
        before, after = self._balances_around(changed, self._paying_in())
        arrived, debited = after[1] - before[1], before[0] - after[0]
        self.found = replace(self.found, sent=self.amount, arrived=max(arrived, 0), debited=max(debited, 0))
        if arrived <= 0:
            raise _StopError("a simulated pledge does not arrive")
        # Others have pledged, too: what a payout takes beyond its amount is theirs.
        changed = self._actors(balances)
        before, after = self._balances_around(changed, [*self._paying_in(), self._paying_out(arrived)])
        received, left = after[0] - (before[0] - debited), after[1] - before[1]
        self.found = replace(self.found, paid=arrived, received=max(received, 0), taken=max(arrived - left, 0))

    def _balances_around(self, changed: Overrides, calls: Sequence[tuple[str, bytes]]) -> tuple[list[int], list[int]]:
        """Balances of payer and escrow before and after some calls of the payer."""
        look = [(self.token, TOKEN.encode("balanceOf", account)) for account in (self.payer, self.escrow)]
        results = self._batch(self.payer, [*look, *calls, *look], changed)
        told = [_uint(returned) for success, returned in (*results[:2], *results[-2:]) if success]
        if len(told) < 4 or None in told:
            raise _StopError("the token does not tell balances in the trial")
        numbers = [number for number in told if number is not None]
        return numbers[:2], numbers[2:]

    def _paying_in(self) -> list[tuple[str, bytes]]:
        taking = (self.token, TOKEN.encode("transferFrom", self.payer, self.escrow, self.amount))
        return [
            (self.token, TOKEN.encode("approve", self.escrow, self.amount)),
            (self.escrow, BATCH.encode("run", [taking])),
        ]

    def _paying_out(self, amount: int) -> tuple[str, bytes]:
        return self.escrow, BATCH.encode("run", [(self.token, TOKEN.encode("transfer", self.payer, amount))])

    def _actors(self, balances: Mapping[str, tuple[Slot, int]]) -> dict[str, dict[str, Any]]:
        """States in which payer and escrow do as they are told, and have these balances."""
        changed: dict[str, dict[str, Any]] = {
            account: {"code": f"0x{BATCH_CODE.hex()}"} for account in (self.payer, self.escrow)
        }
        for (contract, slot), value in balances.values():
            changed.setdefault(contract, {}).setdefault("stateDiff", {})[_word(slot)] = _word(value)
        return changed

    # ---------------------------------------------------------------- the switches

    def _change_stored_values(self, balances: Mapping[str, tuple[Slot, int]]) -> None:
        """Whether a payout still arrives in full when one of the values that it reads is another one."""
        if not self.found.received:
            raise _StopError("a simulated payout does not arrive")
        usual = self._arrives([self._actors(balances)])[0]
        if not usual:
            raise _StopError("a payout from a balance that was written into the token does not arrive")
        places = {slot for slot, _ in balances.values()}
        ours = self._touched(self.escrow, TOKEN.encode("transfer", self.payer, 0))
        shared = set(self._touched(self.bystander, TOKEN.encode("transfer", self.token, 0)))
        known = [slot for slot in ours if slot not in places and slot[1] not in _PROXY_SLOTS]
        told = len(known) <= _MOST_SLOTS
        trials = [(slot, value) for slot in known[:_MOST_SLOTS] for value in self._other_values(slot)]
        trials += [
            (slot, value | _MARK)
            for account, (slot, value) in balances.items()
            # A mark beside the balance leaves the balance as it is.
            if self._told(account, slot, value | _MARK) == self._told(account, slot, value)
        ]
        states = []
        for (contract, slot), value in trials:
            state = self._actors(balances)
            state.setdefault(contract, {}).setdefault("stateDiff", {})[_word(slot)] = _word(value)
            states.append(state)
        switch = blocks = fee = False
        for (place, _), arrived in zip(trials, self._arrives(states), strict=True):
            if arrived == 0:
                switch |= place in shared
                blocks |= place not in shared
            elif arrived is None:
                told = False
            elif arrived < usual:
                fee = True
        seen = [one if one or told else None for one in (switch, blocks, fee)]
        self.found = replace(self.found, switch=seen[0], blocks=seen[1], fee_switch=seen[2])
        if not told:
            raise _StopError("not every stored value could be tried")

    def _arrives(self, states: Sequence[Overrides]) -> list[int | None]:
        """What of a payout arrives in each state; `None` if the node did not say."""
        look = (self.token, TOKEN.encode("balanceOf", self.payer))
        data = BATCH.encode("run", [look, (self.token, TOKEN.encode("transfer", self.payer, self.amount)), look])
        asked = {"from": self.payer, "to": self.escrow, "data": f"0x{data.hex()}"}
        answers = self.connection.request_many(
            [("eth_call", (asked, hex(self.at.number), dict(state))) for state in states]
        )
        return [self._difference(answer) for answer in answers]

    def _difference(self, answer: Any) -> int | None:
        try:
            before, moved, after = self._results(answer)
        except _StopError:
            return None
        if not _agreed(moved):
            return 0
        numbers = [_uint(returned) for _, returned in (before, after)]
        first, last = numbers
        # A balance that cannot be told any more is as good as none.
        return 0 if first is None or last is None else max(last - first, 0)

    def _other_values(self, slot: Slot) -> Iterator[int]:
        """Values that a stored one may change to: a switch, a share, or a flag that is packed with something."""
        answer = self.connection.read([("eth_getStorageAt", (slot[0], _word(slot[1])))], self.at)[0]
        now = _number(answer)
        if now is None:
            raise _StopError("the node does not tell what the token has stored")
        candidates = [now ^ 1 << bit for bit in _PACKED]
        if now < 256:
            candidates += [0, now ^ 1, *_FLAGS]
        yield from (value for value in dict.fromkeys(candidates) if value != now)

    def _touched(self, sender: str | None, data: bytes) -> list[Slot]:
        """The stored values that a call reads or writes."""
        listed = self._access_list(sender, data)
        if listed is None:
            raise _StopError("which stored values the token reads could not be told (eth_createAccessList)")
        found: list[Slot] = []
        for entry in listed:
            if isinstance(entry, Mapping) and isinstance(entry.get("storageKeys"), list):
                keys = [_number(key) for key in entry["storageKeys"]]
                found += [(str(entry.get("address")).lower(), key) for key in keys if key is not None]
        return found

    def _access_list(self, sender: str | None, data: bytes) -> list[Any] | None:
        asked = {"to": self.token, "data": f"0x{data.hex()}", **({} if sender is None else {"from": sender})}
        answer = self.connection.read([("eth_createAccessList", (asked,))], self.at)[0]
        listed = answer.get("accessList") if isinstance(answer, Mapping) else None
        return listed if isinstance(listed, list) else None

    # ---------------------------------------------------------------------- calls

    def _call(self, to: str, data: bytes, changed: Overrides, *, sender: str | None = None) -> Any:
        asked = {"to": to, "data": f"0x{data.hex()}", **({} if sender is None else {"from": sender})}
        parameters: tuple[Any, ...] = (asked, hex(self.at.number))
        return self.connection.request_many([("eth_call", (*parameters, changed) if changed else parameters)])[0]

    def _batch(self, account: str, calls: Sequence[tuple[str, bytes]], changed: Overrides) -> list[tuple[bool, bytes]]:
        return self._results(self._call(account, BATCH.encode("run", list(calls)), changed, sender=account))

    def _results(self, answer: Any) -> list[tuple[bool, bytes]]:
        try:
            (results,) = BATCH.decode_output("run", self.connection.returned(answer))
        except NodeUnreachableError:
            raise
        except LlamafundError as error:
            raise _StopError("the node did not run the trial") from error
        return [(bool(success), bytes(returned)) for success, returned in results]

    def _balance_in(self, answer: Any) -> int | None:
        try:
            return _uint(self.connection.returned(answer))
        except NodeUnreachableError:
            raise
        except LlamafundError:
            return None


def _may_delegate(code: bytes) -> bool:
    """Whether code contains what may be an instruction that runs other code in its own name."""
    place = 0
    while place < len(code):
        if code[place] == _DELEGATECALL:
            return True
        place += 1 + (code[place] - _PUSH1 + 1 if _PUSH1 <= code[place] <= _PUSH32 else 0)
    return False


def _agreed(result: tuple[bool, bytes]) -> bool:
    """Whether a token says that it did what it was asked to do: by returning true, or nothing."""
    success, returned = result
    return success and (not returned or _uint(returned) == 1)


def _uint(returned: bytes) -> int | None:
    return int.from_bytes(returned[:32], "big") if len(returned) >= 32 else None


def _number(value: Any) -> int | None:
    try:
        return int(value, 16) if isinstance(value, str) else None
    except ValueError:
        return None


def _word(value: int) -> str:
    return f"0x{value % (1 << 256):064x}"
