"""What an audit costs over a node that is 20 ms away, against a plain web3.py script: requests, time and memory.

Each audit is a whole process, as a person starts it. The script asks the node once for each backer; from 1 000 backers
on it is stopped, and its time and requests are scaled up.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Reference, Row
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import create_campaign
from llamafund_chain.campaign.terms import MIN_BOND, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.errors import LlamafundError, UsageError

SIZES = "1000,10000,100000"
CAMPAIGNS = (200, 1_000)
DELAY = 20
"""Milliseconds that each request takes longer."""
LARGE = 10_000
"""Pledges from which on the bounds count."""
TIMES = 10
"""How many times fewer requests, and less time, an audit must take than the script."""
MEMORY = 300
"""Most megabytes of an audit."""
BACKERS = 500
"""How many more backers an audit with a full base must manage with one more request: it asks for each pledge anew, and
simulates each payment."""
GROWTH = 1.5
"""Most times more per pledge that an audit may take for ten times the pledges."""

_SCRIPTED = 1_000
_A_BLOCK = 20
_BLOCKS = 500
"""Most blocks of a campaign with more than so many times `_A_BLOCK` pledges: anvil copies the whole state for each."""

_DAY = 86_400
_ETHER = 10**18
_RICH = "0x" + "5e" * 20


@dataclass(frozen=True)
class _Run:
    """What one process took. Attributes: megabytes: its peak."""

    seconds: float
    requests: int
    megabytes: float
    output: str


class _Node:
    """The proxy in front of the chain."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}"

    def count(self) -> int:
        """Number of requests until now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, *words: str) -> _Run:
        """Run a Python program to its end.

        Raises:
            LlamafundError: It failed.
        """
        before, began = self.count(), time.monotonic()
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as trouble:
            process = subprocess.Popen([sys.executable, *words], env=_environment(), stdout=output, stderr=trouble)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = code = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - began
            output.seek(0)
            trouble.seek(0)
            if code:
                raise LlamafundError(f"python {' '.join(words)} ended with {code}", trouble.read()[-2_000:])
            return _Run(seconds, self.count() - before, used.ru_maxrss / 1_024, output.read())


def run(size: str = SIZES) -> Iterator[Row]:
    """Measure.

    Args:
        size: Numbers of pledges, separated by commas.

    Raises:
        LlamafundError: Something failed.
        UsageError: A size is none.
    """
    try:
        sizes = sorted(int(one) for one in size.split(","))
    except ValueError as error:
        raise UsageError(f"{size!r} are no numbers of pledges", remedy="Write them like 1000,10000") from error
    with Devnet(final_at_once=True) as chain, _slow(chain) as node, tempfile.TemporaryDirectory() as folder:
        smallest: tuple[int, _Run, _Run] | None = None
        for pledges in sizes:
            address, first = _campaign(chain, pledges)
            _pledge(chain, address, pledges)
            facts = str(Path(folder) / f"{pledges}.sqlite")
            fresh, again = _audit(node, address, facts, folder), _audit(node, address, facts, folder)
            yield from _rows(pledges, fresh, again, _script(node, address, first))
            if smallest is None:
                smallest = pledges, fresh, again
            else:
                few, small, small_again = smallest
                growth = (fresh.seconds / small.seconds) / (pledges / few)
                yield Row(f"{pledges}: time for each pledge, over that of {few}", growth, "times", bound=GROWTH)
                bound = small_again.requests + (pledges - few) / BACKERS
                reference = Reference(f"{few} pledges", small_again.requests)
                yield Row(f"{pledges}: requests of an audit again", again.requests, "requests", reference, bound)
    yield from _listed()


def _rows(pledges: int, fresh: _Run, again: _Run, script: _Run) -> Iterator[Row]:
    large = pledges >= LARGE
    requests = Reference("web3.py", script.requests)
    seconds = Reference("web3.py", script.seconds)
    for name, one in (("first audit", fresh), ("audit again", again)):
        yield Row(f"{pledges}: {name}", one.requests, "requests", requests, script.requests / TIMES if large else None)
        yield Row(f"{pledges}: {name}", one.seconds, "s", seconds, script.seconds / TIMES if large else None)
        yield Row(f"{pledges}: {name}", one.megabytes, "MB", Reference("web3.py", script.megabytes), MEMORY)


def _listed() -> Iterator[Row]:
    """How many requests it takes to list the campaigns of a chain."""
    for campaigns in CAMPAIGNS:
        with Devnet() as chain, _slow(chain) as node, tempfile.TemporaryDirectory() as folder:
            for number in range(campaigns):
                _campaign(chain, number + 1)
            words = ("-m", "llamafund_chain", "campaign", "list", "--rpc", node.url, "--store", folder, "--json")
            facts = str(Path(folder) / "facts.sqlite")
            once = Reference("two for each campaign", 2 * campaigns)
            for name in ("list campaigns", "list them again"):
                done = node.run(*words, "--facts", facts)
                yield Row(f"{campaigns}: {name}", done.requests, "requests", once, once.value / TIMES)
                yield Row(f"{campaigns}: {name}", done.seconds, "s")


def _audit(node: _Node, address: str, facts: str, folder: str) -> _Run:
    words = ("audit", address, "--rpc", node.url, "--depth", "books", "--finality", "latest")
    return node.run("-m", "llamafund_chain", *words, "--facts", facts, "--store", folder)


def _script(node: _Node, address: str, first: int) -> _Run:
    done = node.run("-m", "bench.plain_web3", node.url, address, str(first), str(_SCRIPTED))
    searching, calling, backers, asked = (float(word) for word in done.output.split())
    scale = backers / asked
    started = done.seconds - searching - calling
    seconds = started + searching + calling * scale
    return _Run(seconds, int(done.requests * scale), done.megabytes, done.output)


def _campaign(chain: Devnet, number: int) -> tuple[str, int]:
    """A campaign that takes pledges, and its first block."""
    from eth_account import Account

    researcher = Account.from_key((1).to_bytes(32, "big"))
    chain.fund(researcher.address, 100 * _ETHER)
    now = chain.connection.timestamp()
    terms = Terms(
        researcher=researcher.address,
        asset=NATIVE,
        goal=10**6 * _ETHER,
        cap=10**7 * _ETHER,
        funding_deadline=now + 10 * _DAY,
        stop_bps=5_000,
        challenge_window=2 * _DAY,
        answer_window=_DAY,
        min_bond=MIN_BOND,
        slack=0,
        proposal="11" * 32,
        dataset="22" * 32,
        attestors=(f"0x{11:040x}", f"0x{12:040x}", f"0x{13:040x}"),
        quorum=2,
        payees=(Payee(account=researcher.address, bps=10_000),),
        milestones=(Milestone(kind=MilestoneKind.WEIGHTS, bps=10_000, deadline=now + 40 * _DAY, min_score=0),),
    )
    address, receipt = create_campaign(chain.connection, researcher, terms, number.to_bytes(32, "big").hex())
    return address, receipt.block


def _pledge(chain: Devnet, campaign: str, pledges: int) -> None:
    """Let so many backers pledge, a few in each block. One account pays for all.

    Raises:
        LlamafundError: The campaign has not got them.
    """
    connection = chain.connection
    chain.fund(_RICH, 10**9 * _ETHER)
    connection.request("anvil_impersonateAccount", _RICH)
    connection.request("evm_setAutomine", False)
    at_once = max(_A_BLOCK, -(-pledges // _BLOCKS))
    for start in range(0, pledges, at_once):
        number = min(at_once, pledges - start)
        first = 10**9 + start
        fields = {"from": _RICH, "data": f"0x{_program(campaign, start, first, number).hex()}"}
        value = sum(range(first, first + number))
        connection.request("eth_sendTransaction", {**fields, "value": hex(value), "gas": hex(50_000 * (number + 4))})
        connection.request("evm_mine")
    connection.request("evm_setAutomine", True)
    connection.request("anvil_stopImpersonatingAccount", _RICH)
    expected = sum(range(10**9, 10**9 + pledges))
    pledged = CampaignClient(connection, campaign).state().pledged
    if pledged != expected:
        raise LlamafundError(f"The campaign has {pledged} instead of {expected} wei")


def _program(campaign: str, start: int, first: int, number: int) -> bytes:
    """Code of a contract that pledges for some backers while it is created, each a wei more than for the one before.

    Args:
        campaign: Address.
        start: Number of the first backer.
        first: Wei of the first pledge.
        number: How many backers, at most 255.
    """
    backer = ((1 << 150) + start).to_bytes(20, "big")
    selector = abi.contract("Campaign").encode("pledgeCoin", f"0x{bytes(20).hex()}")[:4]
    # The stack is [how many are done]. The call data stand in memory at 28: the selector, then the backer at 32.
    begin = b"\x63" + selector + b"\x60\x00\x52\x60\x00"  # PUSH4 selector, PUSH1 0, MSTORE; PUSH1 0
    loop = bytes([0x5B, 0x80, 0x60, number, 0x14, 0x60, 0, 0x57])  # JUMPDEST; DUP1, PUSH1 number, EQ, PUSH1 end, JUMPI
    loop += b"\x80\x73" + backer + b"\x01\x60\x20\x52"  # DUP1, PUSH20 backer, ADD, PUSH1 32, MSTORE
    loop += b"\x60\x00\x60\x00\x60\x24\x60\x1c"  # no bytes of the answer; 36 bytes from 28 on
    loop += b"\x84\x67" + first.to_bytes(8, "big") + b"\x01"  # DUP5, PUSH8 first, ADD: the value
    loop += b"\x73" + bytes.fromhex(campaign[2:]) + b"\x5a\xf1\x15\x60\x00\x57"  # PUSH20, GAS, CALL, ISZERO, JUMPI fail
    loop += b"\x60\x01\x01\x60" + bytes([len(begin)]) + b"\x56"  # PUSH1 1, ADD, PUSH1 loop, JUMP
    end = len(begin) + len(loop)
    code = bytearray(begin + loop + b"\x5b\x00\x5b\x60\x00\x60\x00\xfd")  # end: STOP; fail: REVERT
    code[len(begin) + 6], code[end - 8] = end, end + 2
    return bytes(code)


@contextmanager
def _slow(chain: Devnet) -> Iterator[_Node]:
    words: Sequence[str] = (sys.executable, "-m", "bench.slow_node", chain.rpc_url, str(DELAY))
    process = subprocess.Popen(words, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _Node(process)
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LLAMAFUND_CONFIG": os.devnull}
