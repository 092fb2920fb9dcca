"""Repeating segments on workers elsewhere, whose word accuses nobody."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_trainer.replay.choice import random_order
from llamafund_trainer.replay.handover import AnswerError, question, read_answer
from llamafund_trainer.replay.plan import ReplayPlan, repeat
from llamafund_trainer.replay.program import Allowed
from llamafund_trainer.replay.result import SegmentResult, Word

if TYPE_CHECKING:
    from llamafund_chain.store import Store


@dataclass(frozen=True)
class Reply:
    """What came back for a question.

    Attributes:
        worker: Address of the worker, as its cluster says; empty if nobody knows.
        text: Its answer; empty if there is none.
        error: Why there is none.
    """

    worker: str
    text: str = ""
    error: str = ""


class Workers(Protocol):
    """Those who repeat segments elsewhere."""

    def ask(
        self, questions: Mapping[int, str], avoid: Mapping[int, Collection[str]], done: Callable[[int], None]
    ) -> dict[int, Reply]:
        """Have questions answered, each by some worker.

        Args:
            questions: The questions by number.
            avoid: Addresses of workers that must not answer a question, by its number.
            done: Called with each number whose question is answered.

        Returns:
            The replies by number. Where no worker is left that may answer, there is none.
        """
        ...


@dataclass(frozen=True)
class Trust:
    """How far workers are believed.

    Attributes:
        one_in: One in so many segments is repeated by a second worker; at least one is.
        seed: Chooses them. No worker may know it beforehand.
    """

    one_in: int
    seed: bytes


@dataclass(frozen=True)
class ClusterReplay:
    """What a cluster has repeated.

    Attributes:
        results: One for each pick.
        doubted: Why a worker is not believed any more, by its address.
    """

    results: tuple[SegmentResult, ...]
    doubted: Mapping[str, str]


def replay_on_cluster(
    workers: Workers,
    store: Store,
    plan: ReplayPlan,
    stores: Sequence[str],
    workdir: Path,
    *,
    trust: Trust,
    jobs: int = 1,
    allowed: Allowed | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> ClusterReplay:
    """Have the segments of a plan repeated elsewhere.

    A worker can only say that a segment is the same. Whatever else it says is repeated here, and so is whatever two
    workers do not agree on. A worker whom that contradicts is not asked again, and what it has said counts for nothing.

    Args:
        workers: Who repeats them.
        store: Where the run is published.
        plan: What to repeat.
        stores: Where the workers find the run.
        workdir: Existing directory for fetched and new files.
        trust: How far the workers are believed.
        jobs: As in `replay_segments`, for what is repeated here.
        allowed: What a program may do.
        progress: Called with the number of steps repeated so far.

    Raises:
        VerificationError: As `repeat`, of what was repeated here.
    """
    allowed = allowed or Allowed()

    def here(indexes: Sequence[int]) -> dict[int, SegmentResult]:
        picks = [plan.picks[index] for index in indexes]
        try:
            results = repeat(store, plan.inputs, picks, workdir, jobs=jobs, allowed=allowed) if picks else ()
        except VerificationError:
            raise
        except LlamafundError as error:
            # What this machine could not repeat must not hide what the workers did.
            results = tuple(SegmentResult(pick, (), {}, 0.0, trouble=str(error)) for pick in picks)
        return dict(zip(indexes, results, strict=True))

    asked = [question(pick.segment, stores, allowed) for pick in plan.picks]
    return _Hearing(workers, plan, asked, trust, here, progress).held()


@dataclass
class _Hearing:
    """Who said what of which pick, and what of it counts."""

    workers: Workers
    plan: ReplayPlan
    questions: Sequence[str]
    trust: Trust
    here: Callable[[Sequence[int]], dict[int, SegmentResult]]
    progress: Callable[[int], None]
    said: dict[int, list[Word]] = field(default_factory=dict)
    believed: dict[int, list[Word]] = field(default_factory=dict)
    settled: dict[int, SegmentResult] = field(default_factory=dict)
    doubted: dict[str, str] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)

    def held(self) -> ClusterReplay:
        """What comes out once every pick is settled, or believed of workers whom nobody doubts."""
        waiting = list(range(len(self.plan.picks)))
        while waiting:
            self._hear(waiting)
            waiting = sorted(
                index for index, words in self.believed.items() if any(word.worker in self.doubted for word in words)
            )
            for index in waiting:
                del self.believed[index]
        for index, words in self.believed.items():
            result = words[0].result
            assert result is not None
            self.settled[index] = result
        results = (
            replace(self.settled[index], words=tuple(self.said.get(index, ()))) for index in range(len(self.plan.picks))
        )
        return ClusterReplay(tuple(results), self.doubted)

    def _hear(self, waiting: Sequence[int]) -> None:
        """Have picks repeated once, some of them twice, and here whatever is not the same then."""
        words = {index: [word] for index, word in self._ask(dict.fromkeys(waiting, "")).items()}
        count = math.ceil(len(waiting) / self.trust.one_in)
        chosen = {waiting[place] for place in random_order(len(waiting), self.trust.seed)[:count]}
        again = {index: words[index][0].worker for index in chosen if index in words and _same(words[index])}
        for index, word in self._ask(again).items():
            words[index].append(word)
        repeated_here = []
        for index in waiting:
            if index not in words and not self.doubted:
                trouble = "no worker of the cluster was left to repeat it"
                self.settled[index] = SegmentResult(self.plan.picks[index], (), {}, 0.0, trouble=trouble)
            elif _same(words.get(index, ())) and (index not in again or len(words[index]) > 1):
                self.believed[index] = words[index]
            else:
                repeated_here.append(index)
        for index, result in self.here(repeated_here).items():
            self.settled[index] = result
            self.doubted.update(_contradicted(result, words.get(index, ())))

    def _ask(self, unlike: Mapping[int, str]) -> dict[int, Word]:
        """Words on picks, each of another worker than the one that is named, and of none that is doubted."""
        questions = {index: self.questions[index] for index in unlike}
        avoid = {index: {worker, *self.doubted} - {""} for index, worker in unlike.items()}
        words = {}
        for index, reply in self.workers.ask(questions, avoid, self._done).items():
            words[index] = self._word(index, reply)
            self.said.setdefault(index, []).append(words[index])
        return words

    def _word(self, index: int, reply: Reply) -> Word:
        if not reply.text:
            return Word(reply.worker, "unchecked", reason=reply.error)
        pick = self.plan.picks[index]
        try:
            return read_answer(reply.text, self.questions[index], reply.worker, self.plan.inputs, pick)
        except AnswerError as error:
            reason = f"its answer cannot be taken: {error}"
            self.doubted[reply.worker] = reason
            return Word(reply.worker, "unchecked", reason=reason)

    def _done(self, index: int) -> None:
        self.answered.add(index)
        self.progress(sum(self.plan.picks[each].segment.steps for each in self.answered))


def _same(words: Sequence[Word]) -> bool:
    return bool(words) and all(word.verdict == "same" for word in words)


def _contradicted(here: SegmentResult, words: Sequence[Word]) -> Iterator[tuple[str, str]]:
    """Workers who cannot be believed any more, and why, after a segment was repeated here.

    Where this machine cannot tell, those who contradict each other are.
    """
    told = [word for word in words if word.verdict != "unchecked"]
    decided = here.verdict in ("same", "different")
    if not decided and len({word.verdict == "same" for word in told}) < 2:
        return
    segment = here.pick.segment
    steps = f"steps {segment.start.steps.last} to {segment.end.steps.last}"
    for word in told:
        if not decided or (word.verdict == "same") != (here.verdict == "same"):
            found = f"this machine says {here.verdict!r}" if decided else "another worker does not"
            yield word.worker, f"it lied or its machine differs: of {steps} it says {word.verdict!r}, and {found}"
