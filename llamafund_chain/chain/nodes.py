"""Patience with nodes: what only reads is asked again, of the same node later or of another one at once.

What changes the chain is sent once, to one node. Only a signed transaction that no block includes is told to the other
nodes as well, for the first one may have dropped it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import sleep

from llamafund_chain.chain.node import Answer, ConnectionLostError, Node, Question, TimedOutError
from llamafund_chain.chain.node_errors import (
    BusyError,
    LaggingError,
    PrunedError,
    UnsupportedTagError,
)
from llamafund_chain.errors import NodeError, NodeUnreachableError, UsageError

BUSY_SECONDS = 60.0
"""Most seconds that are spent waiting for one answer of nodes that limit requests or are overloaded."""

LAG_SECONDS = 12.0
"""Most seconds that are spent waiting until a node has a block: one slot of Ethereum."""

LOST_SECONDS = 3.0
"""Most seconds that are spent waiting for a node that answered before and cannot be reached now."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 15.0
_HEADERS = ("eth_getBlockByNumber", "eth_getBlockByHash")
_log = logging.getLogger(__name__)


class Nodes:
    """One node, or several of the same chain: the first that answers serves, and the others take over.

    Args:
        urls: At least one, each `http://…` or `https://…`.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._nodes = [Node(url) for url in urls]
        self._serving = self._nodes[0]
        self._chain_id: str | None = None
        self._same_chain = {id(self._serving)}

    @property
    def shown(self) -> str:
        """The address of the node that serves, without what may be secret."""
        return self._serving.shown

    @property
    def others(self) -> tuple[str, ...]:
        """The addresses of the nodes that do not serve now, with what may be secret."""
        return tuple(url for url, node in zip(self._urls, self._nodes, strict=True) if node is not self._serving)

    def ask_once(self, questions: Sequence[Question]) -> list[Answer]:
        """Send requests that may change something, each once, to the node that serves."""
        return self._once(self._serving, questions)

    def tell_others(self, questions: Sequence[Question]) -> None:
        """Send requests to all nodes of the same chain but the one that serves, whatever they answer."""
        for node in self._nodes:
            if node is self._serving:
                continue
            if id(node) not in self._same_chain:
                (answer,) = self._once(node, [Question("eth_chainId")])
                if self._chain_id is None or answer != self._chain_id:
                    continue
                self._same_chain.add(id(node))
            self._once(node, questions)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Send requests that change nothing and belong together, at once where the node takes that.

        Returns:
            For each request its result, or why there is none. Errors that may pass were waited for.

        Raises:
            UsageError: Another node had to take over, and is of another chain.
        """
        answers: list[Answer] = [None] * len(questions)
        left = list(range(len(questions)))
        patience = _Patience()
        while True:
            asked = [questions[place] for place in left]
            for place, answer in zip(left, self._once(self._serving, asked), strict=True):
                answers[place] = answer
            left = [place for place in left if isinstance(answers[place], NodeError) and self._may_pass(answers[place])]
            if any(isinstance(answers[place], LaggingError) for place in left):
                # What came with it is of a node that was behind, too: an empty answer of it means nothing.
                trouble: NodeError = next(answer for answer in answers if isinstance(answer, LaggingError))
                left = list(range(len(questions)))
            elif left:
                trouble = answers[left[0]]
            if not left or not self._go_on(trouble, patience):
                return answers

    def _once(self, node: Node, questions: Sequence[Question]) -> list[Answer]:
        try:
            answers = node.ask(questions)
        except NodeError as error:
            return [error] * len(questions)
        return [_there_yet(node, *pair) for pair in zip(questions, answers, strict=True)]

    def _may_pass(self, error: NodeError) -> bool:
        """Whether the same node may answer later, or another one at once."""
        if isinstance(error, BusyError | LaggingError | ConnectionLostError):
            return True
        return len(self._nodes) > 1 and isinstance(error, NodeUnreachableError | UnsupportedTagError)

    def _go_on(self, error: NodeError, patience: _Patience) -> bool:
        """Prepare to ask again. Returns whether that makes sense."""
        patience.tried.add(id(self._serving))
        for node in self._nodes:
            if id(node) not in patience.tried:
                patience.tried.add(id(node))
                if self._takes_over(node, error):
                    return True
        if isinstance(error, TimedOutError | PrunedError | UnsupportedTagError):
            return False
        pause = patience.pause(error, answered=self._serving.answered)
        if pause is None:
            return False
        _log.info("%s; waiting %.3g s (%s)", error.what, pause, patience.left)
        sleep(pause)
        patience.tried.clear()
        return True

    def _takes_over(self, node: Node, error: NodeError) -> bool:
        """Let another node serve, if it answers and is of the same chain."""
        if self._chain_id is not None and id(node) not in self._same_chain:
            (answer,) = self._once(node, [Question("eth_chainId")])
            if isinstance(answer, NodeError):
                _log.info("%s", answer.what)
                return False
            if answer != self._chain_id:
                raise UsageError(
                    f"The nodes at {self._serving.shown} and {node.shown} are of different chains",
                    "The second one would have to take over, because of this: " + error.what,
                    "Name only nodes of one chain with --rpc",
                )
            self._same_chain.add(id(node))
        _log.info("%s; %s takes over", error.what, node.shown)
        self._serving = node
        return True

    def expect_chain(self, chain_id: str) -> None:
        """Accept no node of another chain from now on.

        Args:
            chain_id: What the serving node answered to `eth_chainId`.
        """
        self._chain_id = chain_id
        self._same_chain = {id(self._serving)}


class _Patience:
    """How long one answer was waited for.

    Attributes:
        tried: The nodes that were asked since the last pause, by identity.
        left: What is left of the time, as text.
    """

    def __init__(self) -> None:
        self.tried: set[int] = set()
        self.left = ""
        self._spent = 0.0
        self._next = _FIRST_PAUSE

    def pause(self, error: NodeError, *, answered: bool) -> float | None:
        """Seconds to wait before the next attempt; `None` to give up."""
        pause = self._next
        if isinstance(error, BusyError):
            if error.hopeless:
                return None
            most, pause = BUSY_SECONDS, max(pause, error.wait or 0.0)
        elif isinstance(error, LaggingError):
            most = LAG_SECONDS
        elif isinstance(error, ConnectionLostError) and answered:
            most = LOST_SECONDS
        else:
            return None
        if self._spent + pause > most:
            return None
        self._spent += pause
        self._next = min(2 * self._next, _LONGEST_PAUSE)
        self.left = f"{self._spent:.3g} of at most {most:.3g} s"
        return pause


def _there_yet(node: Node, question: Question, answer: Answer) -> Answer:
    """The same answer, or why it is none: a node that is behind knows nothing of a block that another one showed."""
    if answer is None and question.method in _HEADERS and question.params[0] not in ("finalized", "safe"):
        return LaggingError(
            f"The node at {node.shown} knows no block {_number(question.params[0])}",
            "It is behind the chain, or the block was undone",
            "Wait a little and repeat the command, or name another node with --rpc",
        )
    return answer


def _number(block: object) -> str:
    text = str(block)
    return str(int(text, 16)) if text.startswith("0x") and len(text) < 18 else text
