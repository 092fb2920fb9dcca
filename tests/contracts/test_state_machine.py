"""Any calls by anybody in any order at any time: contract and auditor agree, and the promises hold.

The model keeps the auditor's ledger, so that each of the two tests the other.

The ordinary run is short and always the same. With `LLAMAFUND_ASSURE` set it is long and starts from a fresh seed,
which is printed; `LLAMAFUND_SEED` repeats one.
"""

from __future__ import annotations

import copy
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from content import CHUNK, Bytes, Content, Uniform
from eth_account import Account
from eth_utils.abi import get_abi_output_types
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import ASSET, NATIVE, Model, RefusedError
from world import (
    ACTIVE,
    CHECKPOINT,
    COMPLETED,
    DATA,
    DATASET,
    DAY,
    ETHER,
    FAILED,
    FUNDING,
    GAS,
    NO_MINIMUM,
    WEIGHTS,
    ZERO,
    Campaign,
    RevertedError,
    World,
    data_of,
)

from llamafund_chain.audit.ledger import WHOLE, Rules
from llamafund_chain.audit.timeline import tell
from llamafund_chain.campaign.events import campaign_event
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain.transactions import Log

LONG = "LLAMAFUND_ASSURE" in os.environ
EXAMPLES = 500 if LONG else 50
STEPS = 40 if LONG else 30
RICH = 2**140
GWEI = 10**9
ACCEPT, REFUSE, BURN_GAS, RETURN_BOMB, REENTER = range(5)
HOUR = 3_600
BOMB = "100 kB and more"
SHOWN = 4
"""Open challenges that are read after every call."""
FLOOD = 270
BLOCK_GAS = 29_000_000
UNIFORM = Uniform(10)
"""Challenges that fit a transaction."""

people = st.sampled_from(["backer0"] * 3 + ["puppet"] * 3 + ["backer1", "backer2"])
anybody = st.sampled_from(["backer0", "backer1", "puppet", "stranger", "researcher", "compute"])
places = st.sampled_from(["own"] * 9 + ["elsewhere", "elsewhere", "puppet", "nobody", "campaign"])
moments = st.sampled_from(
    [("after", 1)] * 16
    + [("after", HOUR), ("after", DAY), ("after", 3 * DAY)]
    + [("boundary", -1), ("boundary", 0), ("boundary", 1)]
)
"""When a call is made: seconds after the block before, or around the next moment at which something may change."""
Moment = tuple[str, int]
judges = st.sampled_from(["the arbiter"] * 6 + ["researcher", "puppet"])


class Tally:
    """What a run has done."""

    def __init__(self) -> None:
        self.examples = 0
        self.steps = 0
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def __str__(self) -> str:
        calls = sum(self.accepted.values()) + sum(self.refused.values())
        return (
            f"{self.examples} examples, {self.steps} steps, {calls} calls: "
            f"{sum(self.accepted.values())} accepted {dict(self.accepted.most_common())}, "
            f"{sum(self.refused.values())} refused {dict(self.refused.most_common())}; "
            f"campaigns ended {dict(self.statuses)}"
        )


class Stage:
    """The chain as every example finds it, with actors, tokens and what they cost to make."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tally = Tally()
        self.puppet = world.deploy("Puppet")
        self.places = {
            "backer0": world.backer0,
            "backer1": world.backer1,
            "backer2": world.backer2,
            "puppet": str(self.puppet.address),
            "stranger": world.stranger,
            "arbiter": world.arbiter,
            "researcher": world.researcher,
            "compute": world.compute,
            "verifier": world.verifier,
            "elsewhere": world.elsewhere,
            "nobody": ZERO,
        }
        self.tokens = {name: world.token(name, holders=[]) for name in ("DevToken", "FeeToken")}
        for name, account in self.places.items():
            if name == "nobody":
                continue
            world.rpc("anvil_setBalance", account, hex(RICH))
            for token in self.tokens.values():
                world.send(token.functions.mint(account, RICH), world.stranger)


class _EveryRule:
    def is_enabled(self, name: str) -> bool:
        return True


class Views:
    """All that a campaign answers, in one request."""

    def __init__(self, campaign: Campaign, accounts: Sequence[str], token: Any | None) -> None:
        self._world = campaign.world
        self._accounts = accounts
        self._token = token
        self._address = campaign.address
        backers, payees = accounts, range(len(campaign.terms["payees"]))
        asked: list[tuple[str, tuple[Any, ...]]] = [
            (name, ()) for name in ("status", "ledger", "released", "stopSupport", "votesFrom", "latestEvidence")
        ]
        asked += [("latestContent", ()), ("openChallenges", ()), ("requiredBond", ())]
        asked += [(name, (who,)) for name in ("pledgeOf", "hasVotedStop", "refundable") for who in backers]
        asked += [(name, (payee,)) for name in ("claimable", "claimed") for payee in payees]
        asked += [("deadlineOf", (index,)) for index in range(len(campaign.terms["milestones"]))]
        self._asked = [
            (name, arguments, *self._call(campaign.functions[name](*arguments))) for name, arguments in asked
        ]
        self._challenges = [self._call(campaign.functions.openChallenge(position)) for position in range(SHOWN)]
        self._balances = []
        if token is not None:
            self._balances = [self._call(token.functions.balanceOf(account)) for account in accounts]

    def _call(self, call: Any) -> tuple[dict[str, str], list[str]]:
        return {"to": call.address, "data": "0x" + data_of(call).hex()}, get_abi_output_types(call.abi)

    def read(self, open_challenges: int) -> dict[tuple[Any, ...], Any]:
        """Everything, and the first open challenges as many as there should be."""
        open_challenges = min(open_challenges, len(self._challenges))
        calls = [entry[2:] for entry in self._asked] + self._challenges[:open_challenges] + self._balances
        keys: list[tuple[Any, ...]] = [(name, *arguments) for name, arguments, *_ in self._asked]
        keys += [("openChallenge", position) for position in range(open_challenges)]
        keys += [(ASSET, account) for account in self._accounts] if self._token is not None else []
        requests: list[tuple[Any, Any]] = [("eth_call", [transaction, "latest"]) for transaction, _ in calls]
        requests += [("eth_getBalance", [account, "latest"]) for account in self._accounts]
        requests += [("eth_getBlockByNumber", ["latest", False])]
        answers = self._world.w3.provider.make_batch_request(requests)  # type: ignore[attr-defined]
        assert isinstance(answers, list), answers
        failed = [answer["error"] for answer in answers if "error" in answer]
        assert not failed, failed
        results = [answer["result"] for answer in answers]
        found: dict[tuple[Any, ...], Any] = {}
        for key, (_, types), result in zip(keys, calls, results, strict=False):
            decoded = self._world.w3.codec.decode(types, bytes.fromhex(result[2:]))
            found[key] = decoded[0] if len(decoded) == 1 else decoded
        for account, result in zip(self._accounts, results[len(calls) :], strict=False):
            found[NATIVE, account] = int(result, 16)
        found["base fee",] = int(results[-1]["baseFeePerGas"], 16)
        found["now",] = int(results[-1]["timestamp"], 16)
        return found

    def ahead(self, moments: Sequence[int]) -> list[tuple[int, int]]:
        """Status and units released at times to come, if nobody does anything until then."""
        calls = [entry[2] for entry in self._asked if entry[0] in ("status", "released")]
        answers = self._world.w3.provider.make_batch_request(  # type: ignore[attr-defined]
            [("eth_call", [call, "latest", {}, {"time": hex(moment)}]) for moment in moments for call in calls]
        )
        values = [int(answer["result"], 16) for answer in answers]
        return list(zip(values[::2], values[1::2], strict=True))


def _seldom(machine: Escrow) -> bool:
    return machine.steps % 4 == 0


def _mostly(*phases: int) -> Callable[[Escrow], bool]:
    """In these phases at every step, and in all others at every fourth."""
    return lambda machine: machine.model.phase in phases or _seldom(machine)


class Escrow(RuleBasedStateMachine):
    """One campaign beside its model."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        # By itself hypothesis switches half of the rules off in each example, and a challenge takes five in a row.
        self._rules_strategy.enabled_rules_strategy = st.just(_EveryRule())
        self.stage = stage
        self.world = stage.world
        self._before = self.world.devnet.snapshot()
        self.model: Model
        self._so_far = (FUNDING, 0)
        self.steps = 0
        self.stage.tally.examples += 1

    # ------------------------------------------------------------------- begin

    @initialize(data=st.data())
    def open(self, data: st.DataObject) -> None:
        asset = data.draw(st.sampled_from([None, None, "DevToken", "FeeToken"]), label="asset")
        goal = data.draw(
            st.one_of(
                st.integers(1, 50),
                st.integers(10**6, 10**9),
                st.sampled_from([10**6, 10 * ETHER, 10 * ETHER + 7, 2**127]),
            ),
            label="goal",
        )
        cap = data.draw(st.one_of(st.just(goal), st.integers(goal, min(2 * goal, 2**128 - 1))), label="cap")
        terms = self._terms(data, asset, goal, cap)
        self._rng = random.Random(data.draw(st.integers(0, 2**32), label="how it ends"))
        self.campaign = self.world.open(**terms)
        self._opened = self.world.w3.eth.block_number
        self.token = self.stage.tokens[asset] if asset else None
        self._accounts = [
            *(account for name, account in self.stage.places.items() if name != "nobody"),
            self.campaign.address,
        ]
        if self.token is not None:
            self._approve()
        self.views = Views(self.campaign, self._accounts, self.token)
        coin: Counter[str] = Counter({account: self.world.balance(account) for account in self._accounts})
        units = coin
        if self.token is not None:
            units = Counter({who: self.token.functions.balanceOf(who).call() for who in self._accounts})
        self.model = Model(
            terms=self.campaign.terms,
            rules=Rules.of(Terms.from_abi(self.campaign.terms)),
            address=self.campaign.address,
            now=self.world.now(),
            fee=_one_percent if asset == "FeeToken" else _nothing,
            balances={NATIVE: coin, ASSET: units},
        )
        starts = [
            "empty",
            "begun",
            "funded",
            "active",
            "flooded",
            *["attested", "challenged", "contested", "stopping", "stopping later"] * 2,
        ]
        start = data.draw(st.sampled_from(starts), label="start")
        self._begin(start, data)

    def _terms(self, data: st.DataObject, asset: str | None, goal: int, cap: int) -> dict[str, Any]:
        world, places = self.world, self.stage.places
        now = world.now()
        kinds = data.draw(
            st.sampled_from([(WEIGHTS,), (DATASET, WEIGHTS), (CHECKPOINT, WEIGHTS), (DATASET, CHECKPOINT, WEIGHTS)]),
            label="kinds",
        )
        first = data.draw(st.integers(1, 7_500 - len(kinds)), label="first tranche") if len(kinds) > 1 else 10_000
        bps = [first, 7_500 - first, 2_500] if len(kinds) == 3 else [first, 10_000 - first][: len(kinds)]
        payee_bps = data.draw(
            st.sampled_from([(10_000,), (7_000, 3_000), (3_333, 3_334, 3_333), (1, 9_999)]), label="payees' bps"
        )
        payees = [places[name] for name in ("compute", "puppet", "verifier")]
        return {
            "asset": self.stage.tokens[asset].address if asset else ZERO,
            "goal": goal,
            "cap": cap,
            "stopBps": data.draw(st.sampled_from([3_300, 5_000, 6_667, 8_000]), label="stopBps"),
            "dataset": data.draw(st.sampled_from([DATA, bytes(32)]), label="dataset"),
            "quorum": data.draw(st.integers(1, 3), label="quorum"),
            "slack": data.draw(st.sampled_from([0, 20 * DAY, 20 * DAY]), label="slack"),
            "payees": list(zip(payees, payee_bps, strict=False)),
            **self._arbiter(data),
            "milestones": [
                (kind, part, now + (60 + 20 * index) * DAY, NO_MINIMUM if kind == DATASET else -3_000_000)
                for index, (kind, part) in enumerate(zip(kinds, bps, strict=True))
            ],
        }

    def _arbiter(self, data: st.DataObject) -> dict[str, Any]:
        name = data.draw(st.sampled_from(["arbiter", "arbiter", "puppet", "nobody"]), label="arbiter")
        if name == "nobody":
            return {}
        window = data.draw(st.sampled_from([7 * DAY, 30 * DAY, 90 * DAY]), label="ruling window")
        return {"arbiter": self.stage.places[name], "rulingWindow": window}

    def _approve(self) -> None:
        assert self.token is not None
        everything = self.token.functions.approve(self.campaign.address, 2**256 - 1)
        for name in ("backer0", "backer1", "backer2"):
            self.world.send(everything, self.stage.places[name])
        execute = self.stage.puppet.functions.execute(self.token.address, 0, data_of(everything))
        self.world.send(execute, self.world.stranger)

    def _begin(self, start: str, data: st.DataObject) -> None:
        """Some way into the campaign's life, by the same checked calls."""
        if start == "empty":
            return
        goal, stop = self.model.terms["goal"], self.model.terms["stopBps"]
        if start.startswith("stopping"):
            # What the first backer pledges is the least that stops the campaign, or a unit less.
            first = max(1, -(-goal * stop // WHOLE) - data.draw(st.sampled_from([0, 0, 1]), label="less"))
        else:
            first = max(1, goal * data.draw(st.integers(1, 99), label="split") // 100)
        self._pledge("backer0", "backer0", self._gross(first))
        if start == "begun":
            return
        if goal > first:
            self._pledge("backer1", "puppet", self._gross(goal - first))
        if start == "funded":
            return
        self._call("activate", (), "researcher", lambda model, who: model.activate(who))
        if start == "active" or self.model.phase != ACTIVE:
            return
        if start == "stopping":
            self._vote("backer0", True, ("votes", 0))
            return
        self._begin_attested(start, data)

    def _begin_attested(self, start: str, data: st.DataObject) -> None:
        size = UNIFORM.size if start == "flooded" else data.draw(st.integers(1, 40_000), label="size")
        self._attest("none", size, ("after", 1))
        if start == "contested":
            self._begin_contested()
        if start == "flooded":
            for count in (FLOOD, FLOOD, 1):
                self._flood(count)
        if start == "challenged":
            for chunk in range(data.draw(st.integers(1, 2), label="challenges")):
                self._challenge("backer0", chunk, self.model.required_bond(0))
            if data.draw(st.integers(0, 3), label="answered") == 0:
                self._answer("stranger", 0, "none", ("after", 1))
        if start == "stopping later":
            self._vote("backer0", True, ("window", data.draw(st.sampled_from([-1, 0]), label="window")))

    def _begin_contested(self) -> None:
        while self.model.attested < len(self.model.terms["milestones"]):
            self._attest("none", 20_000, ("window", 0))
        self._contest(self._judge("the arbiter"), ("after", 1))

    def _gross(self, net: int) -> int:
        """The amount of which so much arrives, or the most below."""
        if self.model.fee is _nothing:
            return net
        gross = net * 100 // 99
        while gross - _one_percent(gross) > net:
            gross -= 1
        while gross + 1 - _one_percent(gross + 1) <= net:
            gross += 1
        return gross

    # ------------------------------------------------------------------- calls

    def _at(self, moment: Moment) -> int:
        kind, offset = moment
        if kind == "window":
            return max(self.model.now + 1, self.model.window_end + offset)
        if kind == "votes":
            return max(self.model.now + 1, self.model.votes_from + offset)
        boundaries = self.model.boundaries
        if kind == "boundary" and boundaries:
            return max(self.model.now + 1, boundaries[0] + offset)
        return self.model.now + max(1, offset)

    @property
    def _window_is_open(self) -> bool:
        return self.model.phase == ACTIVE and self.model.now + 1 < self.model.window_end

    def _place(self, name: str, own: str) -> str:
        if name == "own":
            return own
        return self.campaign.address if name == "campaign" else self.stage.places[name]

    def _call(
        self,
        name: str,
        arguments: tuple[Any, ...],
        who: str,
        does: Callable[[Model, str], None],
        *,
        moment: Moment = ("after", 1),
        value: int = 0,
        base_fee: int = 0,
    ) -> bool:
        """Call as `who` and as the model; both do it, or both refuse it alike.

        Returns:
            Whether it went through.
        """
        account = self.stage.places[who]
        sender = self.world.stranger if who == "puppet" else account
        call = self.campaign.functions[name](*arguments)
        if who == "puppet":
            call = self.stage.puppet.functions.execute(self.campaign.address, value, data_of(call))
            value = 0
        return self._compared(
            f"{name}{arguments} by {who}",
            name,
            call,
            sender,
            lambda model: does(model, account),
            moment=moment,
            value=value,
            base_fee=base_fee,
        )

    def _compared(
        self,
        told: str,
        name: str,
        call: Any,
        sender: str,
        does: Callable[[Model], None],
        *,
        moment: Moment,
        value: int,
        base_fee: int,
        gas: int = GAS,
    ) -> bool:
        at = self._at(moment)
        self.model.now = at
        trial = copy.deepcopy(self.model)
        expected = actual = None
        try:
            does(trial)
        except RefusedError as error:
            expected = error
        if expected is None:
            self.model = trial
        try:
            receipt = self.world.send(call, sender, value=value, at=at, base_fee=base_fee, gas=gas)
            cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
        except RevertedError as error:
            actual, cost = error, error.cost
        self.model.balances[NATIVE][sender] -= cost

        if actual is not None and len(actual.name) > 100_000:
            actual.name = BOMB
        told = f"{told}: refused by the chain with {actual!r:.999}, by the model with {expected!r}"
        if expected is None:
            assert actual is None, told
            self.stage.tally.accepted[name] += 1
            return True
        assert actual is not None, told
        assert (actual.name, actual.arguments) == (expected.name, expected.arguments), told
        self.stage.tally.refused[expected.name] += 1
        return False

    def _pledge(self, payer: str, backer: str, amount: int, moment: Moment = ("after", 1)) -> bool:
        account = self._place(backer, "")
        if self.token is None:
            name, arguments, value = "pledgeCoin", (account,), amount
        else:
            name, arguments, value = "pledgeToken", (account, amount), 0
        return self._call(
            name, arguments, payer, lambda model, who: model.pledge(who, account, amount), value=value, moment=moment
        )

    def _attest(self, defect: str, size: int, moment: Moment) -> bool:
        model = self.model
        index = model.attested
        kinds = [milestone[0] for milestone in model.terms["milestones"]]
        kind = kinds[min(index, len(kinds) - 1)]
        content: Content | None = (UNIFORM if size == UNIFORM.size else Bytes(size, seed=index)) if size else None
        fixed = kind == DATASET and any(model.terms["dataset"])
        claim: dict[str, Any] = {
            "milestone": index,
            "kind": kind,
            "evidence": DATA if fixed else bytes([0xE0 + index]) * 32,
            "parent": model.parent,
            "contentRoot": content.root if content else bytes(32),
            "contentSize": size,
            "score": -3_000_000,
            "expiry": model.now + 300 * DAY,
        }
        claim |= {
            "next milestone": {"milestone": index + 1},
            "kind": {"kind": (kind + 1) % 3},
            "expired": {"expiry": model.now},
            "parent": {"parent": b"\x77" * 32},
            "other data": {"evidence": b"\x99" * 32},
            "no evidence": {"evidence": bytes(32)},
            "no root": {"contentRoot": bytes(32)},
            "score": {"score": -3_000_001},
        }.get(defect, {})
        count = model.terms["quorum"] - (defect == "quorum")
        signers = (1 << count) - 1 | (8 if defect == "unknown signer" else 0)
        digest = self.campaign.digest(claim)
        keys = [self.world.attestors[i] for i in range(count)]
        good = [True] * count
        if defect == "stranger" and keys:
            keys[-1], good[-1] = Account.from_key("0x" + "77" * 32), False
        signatures = [self.world.sign(key, digest) for key in keys]
        if defect == "one signature more":
            signatures, good = [*signatures, b""], [*good, False]
        return self._call(
            "attest",
            (claim, signers, signatures),
            "stranger",
            lambda model, _: model.attest(claim, signers, good, content),
            moment=moment,
        )

    def _challenge(
        self,
        who: str,
        chunk: int,
        bond: int,
        *,
        base_fee: int = 0,
        root: bytes | None = None,
        moment: Moment = ("after", 1),
    ) -> bool:
        content = self.model.content
        assert content is not None
        claimed, size = root or content.root, content.size
        return self._call(
            "challenge",
            (claimed, size, chunk),
            who,
            lambda model, caller: model.challenge(caller, claimed, size, chunk, bond, base_fee),
            value=bond,
            base_fee=base_fee,
            moment=moment,
        )

    def _answer(self, who: str, chunk: int, flaw: str, moment: Moment) -> bool:
        content = self.model.content
        assert content is not None
        data, path = content.chunk(chunk), content.path(chunk)
        if flaw == "byte":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif flaw == "length":
            data = data[:-1]
        elif flaw == "path":
            path = [*path, bytes(32)]
        size = content.size + (flaw == "size")
        return self._call(
            "answer",
            (content.root, size, chunk, data, path),
            who,
            lambda model, caller: model.answer(caller, content.root, size, chunk, right=flaw in ("none", "size")),
            moment=moment,
        )

    # ------------------------------------------------------------------- rules

    @precondition(_mostly(FUNDING))
    @rule(payer=people, backer=st.sampled_from(["backer0", "backer1", "backer2", "puppet", "nobody", "campaign"]),
          share=st.one_of(st.sampled_from(["nothing", "one", "to goal", "to cap", "above cap"]), st.integers(1, 100)),
          moment=moments)  # fmt: skip
    def pledge(self, payer: str, backer: str, share: str | int, moment: Moment) -> None:
        terms, pledged = self.model.terms, self.model.ledger.pledged
        amounts = {
            "nothing": 0,
            "one": 1,
            "to goal": self._gross(max(0, terms["goal"] - pledged)),
            "to cap": self._gross(terms["cap"] - pledged),
            "above cap": self._gross(terms["cap"] - pledged) + 2,
        }
        self._pledge(payer, backer, terms["goal"] * share // 100 if isinstance(share, int) else amounts[share], moment)

    @precondition(_seldom)
    @rule(who=people)
    def pledge_another_asset(self, who: str) -> None:
        backer, asset = self.stage.places[who], self.model.terms["asset"]
        name = "pledgeToken" if self.model.is_coin else "pledgeCoin"
        arguments = (backer, 1) if self.model.is_coin else (backer,)

        def refuse(model: Model, caller: str) -> None:
            raise RefusedError("Campaign_WrongAsset", asset)

        self._call(name, arguments, who, refuse)

    @precondition(lambda self: (self.model.phase == FUNDING and self.model.ledger.pledged > 0) or _seldom(self))
    @rule(who=people, share=st.sampled_from(["all", "one", "one", "above goal", "above goal", "nothing", "too much"]),
          place=places, moment=moments, backers=st.sampled_from([True, True, True, False]))  # fmt: skip
    def unpledge(self, who: str, share: str, place: str, moment: Moment, backers: bool) -> None:
        who = self._who_pledged(who) if backers else who
        own = self.model.pledge_of(self.stage.places[who])
        spare = max(0, self.model.ledger.pledged - self.model.terms["goal"])
        amount = {"all": own, "nothing": 0, "too much": own + 1, "one": 1, "above goal": min(own, spare)}[share]
        recipient = self._place(place, self.stage.places[who])
        self._call(
            "unpledge",
            (amount, recipient),
            who,
            lambda model, caller: model.unpledge(caller, amount, recipient),
            moment=moment,
        )

    def _who_pledged(self, name: str) -> str:
        """This one if there is a pledge of theirs, else somebody who has one, if anybody has."""
        pledged = [other for other, account in self.stage.places.items() if self.model.pledge_of(account)]
        return name if name in pledged or not pledged else pledged[0]

    @precondition(_mostly(FUNDING))
    @rule(who=st.sampled_from(["researcher", "researcher", "stranger", "puppet"]), moment=moments)
    def activate(self, who: str, moment: Moment) -> None:
        self._call("activate", (), who, lambda model, caller: model.activate(caller), moment=moment)

    @precondition(_mostly(ACTIVE))
    @rule(defect=st.sampled_from(["none"] * 24 + ["next milestone", "kind", "expired", "parent", "other data",
                                 "no evidence", "no root", "score", "quorum", "unknown signer", "stranger",
                                 "one signature more"]),
          size=st.one_of(st.integers(1, 40_000), st.sampled_from([0, 1, CHUNK, CHUNK + 1, UNIFORM.size])),
          moment=st.one_of(st.sampled_from([("window", 0), ("window", 0), ("window", -1)]), moments))  # fmt: skip
    def attest(self, defect: str, size: int, moment: Moment) -> None:
        self._attest(defect, size, moment)

    @precondition(lambda self: self.model.content is not None and (self._window_is_open or _seldom(self)))
    @rule(who=people, chunk=st.integers(0, 3), extra=st.sampled_from([0, 0, 0, 1, ETHER, -1]),
          base_fee=st.sampled_from([0, 0, GWEI, 14 * GWEI, 500 * GWEI]), other=st.sampled_from([False] * 9 + [True]),
          moment=st.one_of(moments, moments, moments, st.just(("window", -1))))  # fmt: skip
    def challenge(self, who: str, chunk: int, extra: int, base_fee: int, other: bool, moment: Moment) -> None:
        content = self.model.content
        assert content is not None
        if chunk < 3:
            chunk %= -(-content.size // CHUNK)
        bond = self.model.required_bond(base_fee) + extra
        self._challenge(who, chunk, bond, base_fee=base_fee, root=b"\x66" * 32 if other else None, moment=moment)

    @precondition(lambda self: self.model.content is UNIFORM and self._window_is_open)
    @rule(count=st.sampled_from([3, 30, FLOOD]))
    def flood(self, count: int) -> None:
        self._flood(count)

    def _flood(self, count: int) -> None:
        """The puppet challenges the next chunks, each for the least bond, in one transaction."""
        content, model = self.model.content, self.model
        assert content is not None
        fresh = (n for n in range(content.size // CHUNK) if (model.attested - 1, n) not in model.challengers)
        chunks = list(itertools.islice(fresh, count))
        bonds = [model.price(len(model.open_challenges) + ahead, 0) for ahead in range(len(chunks))]
        puppet = str(self.stage.puppet.address)

        def challenge_all(trial: Model) -> None:
            for chunk, bond in zip(chunks, bonds, strict=True):
                trial.challenge(puppet, content.root, content.size, chunk, bond, 0)

        calls = [data_of(self.campaign.functions.challenge(content.root, content.size, chunk)) for chunk in chunks]
        self._all_by_the_puppet("challenge", calls, bonds, challenge_all)

    def _all_by_the_puppet(
        self, name: str, calls: list[bytes], values: list[int], does: Callable[[Model], None]
    ) -> bool:
        call = self.stage.puppet.functions.executeAll(self.campaign.address, values, calls)
        told, sender = f"{len(calls)} times {name} by the puppet", self.world.stranger
        return self._compared(told, name, call, sender, does, moment=("after", 1), value=0, base_fee=0, gas=BLOCK_GAS)

    @precondition(lambda self: self.model.content is not None and (bool(self.model.open_challenges) or _seldom(self)))
    @rule(who=st.sampled_from(["stranger", "backer1", "researcher", "puppet"]),
          flaw=st.sampled_from(["none"] * 10 + ["byte", "length", "path", "size"]),
          wanted=st.sampled_from([True, True, True, False]), moment=moments)  # fmt: skip
    def answer(self, who: str, flaw: str, wanted: bool, moment: Moment) -> None:
        content, open_challenges = self.model.content, self.model.open_challenges
        assert content is not None
        chunk = open_challenges[0].chunk if wanted and open_challenges else (content.size - 1) // CHUNK
        self._answer(who, min(chunk, (content.size - 1) // CHUNK), flaw, moment)

    @precondition(lambda self: (self.model.phase == FAILED and self.model.ledger.bonds > 0) or _seldom(self))
    @rule(who=people, chunk=st.integers(0, 2), place=places)
    def return_bond(self, who: str, chunk: int, place: str) -> None:
        mine = [
            challenge.chunk
            for challenge in self.model.open_challenges
            if challenge.challenger == self.stage.places[who]
        ]
        self._return_bond(who, mine[chunk % len(mine)] if mine else chunk, self._place(place, self.stage.places[who]))

    def _return_bond(self, who: str, chunk: int, recipient: str) -> bool:
        return self._call(
            "returnBond", (chunk, recipient), who, lambda model, caller: model.return_bond(caller, chunk, recipient)
        )

    @precondition(lambda self: self._disputable or _seldom(self))
    @rule(who=judges, moment=moments)
    def contest(self, who: str, moment: Moment) -> None:
        self._contest(self._judge(who), moment)

    def _contest(self, who: str, moment: Moment) -> bool:
        return self._call("contest", (), who, lambda model, caller: model.contest(caller), moment=moment)

    @precondition(lambda self: self._disputable or _seldom(self))
    @rule(who=judges, upheld=st.sampled_from([True, True, False]), moment=moments)
    def rule_on_the_last_attestation(self, who: str, upheld: bool, moment: Moment) -> None:
        self._call("rule", (upheld,), self._judge(who), lambda model, caller: model.rule(caller, upheld), moment=moment)

    @property
    def _disputable(self) -> bool:
        """Whether the last milestone is attested and its window open, in a campaign with an arbiter."""
        last = self.model.attested == len(self.model.terms["milestones"])
        return last and self._window_is_open and self.model.terms["arbiter"] != ZERO

    def _judge(self, name: str) -> str:
        """Whoever the terms name, for `the arbiter`."""
        if name == "the arbiter":
            return "puppet" if self.model.terms["arbiter"] == self.stage.places["puppet"] else "arbiter"
        return name

    @precondition(_mostly(ACTIVE))
    @rule(who=st.sampled_from(["backer0", "backer1", "backer2", "puppet", "stranger"]),
          support=st.sampled_from([True, True, False]), backers=st.sampled_from([True, True, False]),
          moment=st.one_of(st.sampled_from([("votes", 0), ("votes", 0), ("votes", -1)]),
                           st.sampled_from([("window", 0), ("window", -1)]), moments))  # fmt: skip
    def vote(self, who: str, support: bool, backers: bool, moment: Moment) -> None:
        who = self._who_pledged(who) if backers else who
        self._vote(who, support, moment)

    def _vote(self, who: str, support: bool, moment: Moment) -> bool:
        return self._call("voteStop", (support,), who, lambda model, caller: model.vote(caller, support), moment=moment)

    @precondition(lambda self: self.model.accounts.claimable > 0 or _seldom(self))
    @rule(who=st.sampled_from([None, None, None, "stranger", "compute"]), payee=st.integers(0, 3), place=places,
          moment=moments)  # fmt: skip
    def claim(self, who: str | None, payee: int, place: str, moment: Moment) -> None:
        number = payee % len(self.model.terms["payees"]) if who is None else payee
        self._claim(who or ("compute", "puppet", "verifier")[number], number, place, moment)

    def _claim(self, who: str, payee: int, place: str, moment: Moment) -> bool:
        recipient = self._place(place, self.stage.places[who])
        return self._call(
            "claim",
            (payee, recipient),
            who,
            lambda model, caller: model.claim(caller, payee, recipient),
            moment=moment,
        )

    @precondition(lambda self: (self.model.phase == FAILED and self.model.owed > 0) or _seldom(self))
    @rule(who=people, by=anybody, moment=moments)
    def collect_refund(self, who: str, by: str, moment: Moment) -> None:
        backer = self.stage.places[who]
        self._call("collectRefund", (backer,), by, lambda model, _: model.collect_refund(backer), moment=moment)

    @precondition(lambda self: (self.model.phase == FAILED and self.model.owed > 0) or _seldom(self))
    @rule(who=people, place=places, moment=moments)
    def refund_to(self, who: str, place: str, moment: Moment) -> None:
        recipient = self._place(place, self.stage.places[who])
        self._call(
            "refundTo", (recipient,), who, lambda model, caller: model.refund_to(caller, recipient), moment=moment
        )

    @precondition(_mostly(ACTIVE))
    @rule(who=st.sampled_from(["researcher"] * 4 + ["stranger"]), moment=moments,
          seconds=st.sampled_from([0, 1, 1, DAY, DAY, 5 * DAY, 20 * DAY, 20 * DAY + 1, 2**32 - 1]))  # fmt: skip
    def extend(self, who: str, seconds: int, moment: Moment) -> None:
        self._call(
            "extendDeadlines", (seconds,), who, lambda model, caller: model.extend(caller, seconds), moment=moment
        )

    @precondition(_seldom)
    @rule(who=st.sampled_from(["researcher", "backer0"]))
    def post_update(self, who: str) -> None:
        self._call("postUpdate", (b"\x42" * 32,), who, lambda model, caller: model.post_update(caller))

    @precondition(_seldom)
    @rule(mood=st.sampled_from(["accept", "accept", "refuse", "burn gas", "return bomb", "reenter", "vote"]))
    def change_the_puppets_mood(self, mood: str) -> None:
        self._change_mood(mood)

    def _change_mood(self, mood: str) -> None:
        puppet, functions = self.stage.puppet, self.campaign.functions
        # A guarded call in the middle of a payout fails; a vote is not guarded, moves no money, and counts.
        reentries = {"reenter": functions.refundTo(self.world.elsewhere), "vote": functions.voteStop(True)}
        if mood in reentries:
            call = puppet.functions.setReentry(self.campaign.address, data_of(reentries[mood]))
        else:
            numbers = {"accept": ACCEPT, "refuse": REFUSE, "burn gas": BURN_GAS, "return bomb": RETURN_BOMB}
            call = puppet.functions.setMood(numbers[mood])
        self.model.now += 1
        self.world.send(call, self.world.elsewhere, at=self.model.now, base_fee=0)
        account = str(puppet.address)
        effects: dict[str, str | Callable[[Model], None]] = {
            "refuse": "PuppetRefuses",
            "burn gas": "FailedCall",
            "return bomb": BOMB,
            "vote": lambda model: _tries(lambda: model.vote(account, True)),
        }
        self.model.moods.pop(account, None)
        if mood in effects:
            self.model.moods[account] = effects[mood]

    @precondition(lambda self: self.model.phase in (COMPLETED, FAILED) or _seldom(self))
    @rule(moment=moments)
    def wait(self, moment: Moment) -> None:
        at = self._at(moment)
        self.world.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
        self.world.warp(at)
        self.model.now = at

    @precondition(_seldom)
    @rule(amount=st.sampled_from([1, 7, ETHER]))
    def force_ether_in(self, amount: int) -> None:
        self.model.now += 1
        self.world.deploy("ForcedEther", self.campaign.address, value=amount, at=self.model.now, base_fee=0)
        self.model.give(NATIVE, self.world.stranger, amount)

    @precondition(lambda self: self.token is not None and _seldom(self))
    @rule(amount=st.sampled_from([1, 200, ETHER]))
    def donate_tokens(self, amount: int) -> None:
        assert self.token is not None
        self.model.now += 1
        call = self.token.functions.transfer(self.campaign.address, amount)
        self.world.send(call, self.world.elsewhere, at=self.model.now, base_fee=0)
        self.model.give(ASSET, self.world.elsewhere, amount)

    # -------------------------------------------------------------- invariants

    @invariant()
    def the_contract_answers_what_the_model_says(self) -> None:
        self.steps += 1
        self.stage.tally.steps += 1
        model = self.model
        found = self.views.read(len(model.open_challenges))
        expected: dict[tuple[Any, ...], Any] = {
            ("status",): model.phase,
            ("released",): model.accounts.released,
            ("stopSupport",): model.ledger.stop_support,
            ("votesFrom",): model.votes_from,
            ("latestEvidence",): model.parent,
            ("openChallenges",): len(model.open_challenges),
            ("requiredBond",): model.required_bond(found["base fee",]),
            ("latestContent",): self._commitment(),
            ("ledger",): self._ledger(),
            ("now",): model.now,
        }
        for account in self._accounts:
            expected["pledgeOf", account] = model.pledge_of(account)
            expected["hasVotedStop", account] = model.has_voted_stop(account)
            expected["refundable", account] = model.refundable(account)
            expected[NATIVE, account] = model.balances[NATIVE][account]
            if self.token is not None:
                expected[ASSET, account] = model.balances[ASSET][account]
        for payee in range(len(model.terms["payees"])):
            expected["claimable", payee] = model.claimable(payee)
            expected["claimed", payee] = model.claimed(payee)
        for index in range(len(model.terms["milestones"])):
            expected["deadlineOf", index] = model.deadline(index)
        for position, challenge in enumerate(model.open_challenges[:SHOWN]):
            challenger = challenge.challenger.lower()
            shown = (challenge.chunk, challenge.opened_at, challenger, challenge.bond)
            expected["openChallenge", position] = shown
        del found["base fee",]
        assert found.keys() == expected.keys()
        wrong = {key: (found[key], expected[key]) for key in expected if found[key] != expected[key]}
        assert not wrong, f"what the contract answers, and what it should: {wrong}"

    def _commitment(self) -> bytes:
        if self.model.commitment is None:
            return bytes(32)
        root, size = self.model.commitment
        return bytes(self.world.w3.keccak(root + size.to_bytes(32, "big")))

    def _ledger(self) -> tuple[Any, ...]:
        model, ledger = self.model, self.model.ledger
        stopped = ledger.stopped_at is not None
        return (
            ledger.pledged,
            ledger.attested_at[-1] if ledger.attested_at else 0,
            ledger.challenged_at or 0,
            ledger.slack_used,
            model.attested,
            ledger.activated,
            stopped,
            # Stopped before the latest tranche was released.
            stopped and model.waiting,
            ledger.contested,
        )

    @invariant()
    def promise_1_it_holds_what_it_owes(self) -> None:
        model = self.model
        held, bonds = model.balances[ASSET][self.campaign.address], model.ledger.bonds
        if model.is_coin:
            assert held - bonds >= model.owed
        else:
            assert held >= model.owed
            assert model.balances[NATIVE][self.campaign.address] >= bonds

    @invariant()
    def promise_2_every_unit_is_accounted_for(self) -> None:
        model, accounts = self.model, self.model.accounts
        held = model.balances[ASSET][self.campaign.address] - model.gifts[ASSET]
        assert accounts.balance == held - (model.ledger.bonds if model.is_coin else 0)
        assert accounts.conserved
        assert accounts.held == accounts.balance
        if model.phase == FAILED:
            assert 0 <= (accounts.rounding or 0) < max(1, len(model.ledger.backers))
        else:
            assert (accounts.refunded, accounts.refundable, accounts.rounding) == (0, 0, 0)

    @invariant()
    def promise_3_nothing_reaches_a_payee_up_front(self) -> None:
        model, accounts, terms = self.model, self.model.accounts, self.model.terms
        over = sum(model.now >= attested + terms["challengeWindow"] for attested in model.ledger.attested_at)
        assert model.released_milestones <= over
        assert accounts.released <= accounts.pledged * sum(bps for _, bps, *_ in terms["milestones"][:over]) // WHOLE
        payees = range(len(terms["payees"]))
        assert sum(model.claimed(payee) + model.claimable(payee) for payee in payees) == accounts.released

    @invariant()
    def time_alone_brings_what_the_ledger_says(self) -> None:
        around = {boundary + offset for boundary in self.model.boundaries for offset in (-1, 0)}
        moments = sorted(moment for moment in around if moment > self.model.now)
        if not moments or not _seldom(self):
            return
        ahead = copy.copy(self.model)
        for moment, found in zip(moments, self.views.ahead(moments), strict=True):
            ahead.now = moment
            assert found == (ahead.phase, ahead.accounts.released), f"{moment - self.model.now} s ahead"

    @invariant()
    def time_takes_nothing_back(self) -> None:
        phase, released = self.model.phase, self.model.accounts.released
        before, least = self._so_far
        assert phase == before or before in (FUNDING, ACTIVE), f"from status {before} to {phase}"
        assert (before, phase) != (ACTIVE, FUNDING)
        assert released >= least
        assert before != FAILED or released == least
        self._so_far = (phase, released)

    # --------------------------------------------------------------------- end

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None and hasattr(self, "model"):
                self._end()
        finally:
            self.world.devnet.revert(self._before)

    def _end(self) -> None:
        """Run the campaign to its end, take everything out in two orders, and look at what stays."""
        self._change_mood("accept")
        self._settle()
        self.stage.tally.statuses[self.model.phase] += 1
        assert self.model.phase in (COMPLETED, FAILED)
        self.the_contract_answers_what_the_model_says()
        before, model = self.world.devnet.snapshot(), copy.deepcopy(self.model)
        first = self._take_out()
        self.world.devnet.revert(before)
        self.model = model
        second = self._take_out()
        assert first == second, "another order, other amounts"

    def _settle(self) -> None:
        missing = self.model.terms["goal"] - self.model.ledger.pledged
        if self.model.phase == FUNDING and missing > 0 and self._rng.random() < 0.5:
            self._pledge("backer2", "backer2", self._gross(missing))
        if self.model.phase == FUNDING and self._rng.random() < 0.8:
            self._call("activate", (), "researcher", lambda model, who: model.activate(who))
        deliver = self._rng.random() < 0.5 and len(self.model.open_challenges) < FLOOD
        while self.model.phase in (FUNDING, ACTIVE):
            if self.model.phase == ACTIVE and deliver and self._deliver_some():
                continue
            self._pass_to(self.model.boundaries[0])

    def _deliver_some(self) -> bool:
        """Do the next thing that an honest attestor does, if there is one to do now."""
        if self.model.open_challenges:
            return self._answer("stranger", self.model.open_challenges[0].chunk, "none", ("after", 1))
        return not self.model.waiting and self._attest("none", 20_000, ("after", 1))

    def _pass_to(self, moment: int) -> None:
        self.world.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
        self.world.warp(moment)
        self.model.now = moment
        self.the_contract_answers_what_the_model_says()

    def _take_out(self) -> dict[str, int]:
        """Everybody collects everything, in some order; what each call paid, and what stays."""
        calls: dict[str, Callable[[], bool]] = {}
        for who in ("backer0", "backer1", "backer2", "puppet"):
            if self.model.refundable(self.stage.places[who]):
                calls[f"refund {who}"] = self._refunding(who)
        for payee, who in enumerate(("compute", "puppet", "verifier")[: len(self.model.terms["payees"])]):
            if self.model.claimable(payee) > 0:
                calls[f"claim {payee}"] = self._claiming(who, payee)
        names = {account: name for name, account in self.stage.places.items()}
        waiting = [challenge for challenge in self.model.open_challenges if challenge.bond > 0]
        flood = [challenge.chunk for challenge in waiting if names[challenge.challenger] == "puppet"]
        if len(flood) > SHOWN:
            waiting = [challenge for challenge in waiting if challenge.chunk not in flood]
            calls["bonds of the flood"] = lambda: self._return_flood(flood)
        for challenge in waiting:
            calls[f"bond {challenge.chunk}"] = self._returning(names[challenge.challenger], challenge.chunk)
        order = list(calls)
        self._rng.shuffle(order)
        paid = {}
        for name in order:
            unit = NATIVE if name.startswith("bond") else ASSET
            before = self._held(unit)
            assert calls[name](), name
            paid[name] = before - self._held(unit)
        self.the_contract_answers_what_the_model_says()
        self._the_events_add_up_to_the_ledger()

        dust = self._held(ASSET) - self.model.gifts[ASSET]
        if self.model.is_coin:
            dust = self._held(NATIVE) - self.model.gifts[NATIVE]
        else:
            assert self._held(NATIVE) == self.model.gifts[NATIVE]
        backers = 4
        assert 0 <= dust < backers if self.model.phase == FAILED else dust == 0, dust
        return {**paid, "dust": dust}

    def _the_events_add_up_to_the_ledger(self) -> None:
        """The auditor, who sees the chain alone, keeps the same books."""
        found = self.world.w3.eth.get_logs({"address": self.campaign.address, "fromBlock": self._opened})
        logs = [
            Log(
                address=log["address"],
                topics=tuple(bytes(topic) for topic in log["topics"]),
                data=bytes(log["data"]),
                block=log["blockNumber"],
                index=log["logIndex"],
                tx_hash=bytes(log["transactionHash"]).hex(),
            )
            for log in found
        ]
        events = [event for log in logs if (event := campaign_event(log)) is not None]
        assert len(events) == len(logs)
        story = tell(Terms.from_abi(self.campaign.terms), events, self.world.time_of)
        assert (story.rules, story.ledger) == (self.model.rules, self.model.ledger)
        assert list(story.ledger.challenges) == list(self.model.ledger.challenges)

    def _refunding(self, who: str) -> Callable[[], bool]:
        backer = self.stage.places[who]
        return lambda: self._call("collectRefund", (backer,), "stranger", lambda model, _: model.collect_refund(backer))

    def _claiming(self, who: str, payee: int) -> Callable[[], bool]:
        return lambda: self._claim(who, payee, "own", ("after", 1))

    def _returning(self, who: str, chunk: int) -> Callable[[], bool]:
        return lambda: self._return_bond(who, chunk, self.stage.places[who])

    def _return_flood(self, chunks: list[int]) -> bool:
        puppet = str(self.stage.puppet.address)

        def return_all(trial: Model) -> None:
            for chunk in chunks:
                trial.return_bond(puppet, chunk, puppet)

        calls = [data_of(self.campaign.functions.returnBond(chunk, puppet)) for chunk in chunks]
        return self._all_by_the_puppet("returnBond", calls, [0] * len(calls), return_all)

    def _held(self, unit: str) -> int:
        """What the campaign's account holds on the chain."""
        if unit == NATIVE or self.token is None:
            return self.world.balance(self.campaign.address)
        return int(self.token.functions.balanceOf(self.campaign.address).call())


def _nothing(amount: int) -> int:
    return 0


def _one_percent(amount: int) -> int:
    return amount // 100


def _tries(call: Callable[[], None]) -> None:
    try:
        call()
    except RefusedError:
        return


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    stage = Stage(world)
    yield stage
    print(stage.tally)


def _seed() -> int:
    if "LLAMAFUND_SEED" in os.environ:
        return int(os.environ["LLAMAFUND_SEED"])
    return random.SystemRandom().randrange(2**32) if LONG else 2_026


def test_promises_1_2_and_3_hold_after_every_call_by_anybody_in_any_order(stage: Stage) -> None:
    seed = _seed()
    print(f"LLAMAFUND_SEED={seed}")

    def machine() -> Escrow:
        return Escrow(stage)

    machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        print_blob=True,
        suppress_health_check=HealthCheck.all(),
        phases=(Phase.generate, Phase.shrink),
    )
    run_state_machine_as_test(machine, settings=profile)

    changing = {item["name"] for item in stage.world.implementation.abi
                if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")}  # fmt: skip
    assert changing - {"pledgeTokenWithPermit"} == stage.tally.accepted.keys(), "a call that never went through"
    assert {COMPLETED, FAILED} == stage.tally.statuses.keys()
