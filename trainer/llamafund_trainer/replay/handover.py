"""What passes between a verifier and the workers of their cluster: canonical JSON as text, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.evidence.manifests.encoding import canonical
from llamafund_chain.evidence.programs import ProgramFile
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import printable
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.plan import repeat
from llamafund_trainer.replay.program import Allowed
from llamafund_trainer.replay.result import FileComparison, SegmentResult, Verdict, Word
from llamafund_trainer.replay.segments import Segment, published_files
from llamafund_trainer.runs.inputs import Inputs, fetch_any_recipe, fetch_inputs

_MAX_ANSWER = 4 << 20
"""Longest answer in characters. The names of all files of two checkpoints fit."""

_MAX_REASON = 600


class _Text(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def encoded(self) -> str:
        return canonical(self.model_dump(mode="json")).decode()


class _Question(_Text):
    """A segment to repeat.

    Attributes:
        start: SHA-256 of the manifest of the checkpoint at its start.
        between: The same of the checkpoints on the way.
        end: SHA-256 of the manifest of the checkpoint at its end.
        segment: Its position in the run, from 0.
        stores: Where everything is, as `open_stores` takes it.
        other_versions: As in `Allowed`.
    """

    start: str
    between: tuple[str, ...]
    end: str
    segment: int
    stores: tuple[str, ...]
    other_versions: bool


class _File(_Text):
    step: int
    path: str
    sha256: str


class _Answer(_Text):
    """What came of a segment, as `SegmentResult` has it.

    Attributes:
        question: SHA-256 of the question.
        worker: Address of the worker in its cluster.
        files: What was made.
    """

    question: str
    worker: str
    verdict: Verdict
    files: tuple[_File, ...] = ()
    settings: dict[str, tuple[str, str]] = {}
    outside: dict[str, tuple[str, str]] = {}
    problem: str = ""
    trouble: str = ""
    seconds: float = 0.0


class _Sealed(_Text):
    """An answer as text, and its SHA-256."""

    answer: str
    sha256: str


class AnswerError(Exception):
    """What came back is no answer to the question, or contradicts itself."""


def question(segment: Segment, stores: Sequence[str], allowed: Allowed) -> str:
    """What a worker is asked.

    Args:
        segment: The segment to repeat.
        stores: Where the workers find the run.
        allowed: What a program may do. Without a sandbox, no worker runs one.
    """
    return _Question(
        start=segment.start.sha256,
        between=tuple(link.sha256 for link in segment.between),
        end=segment.end.sha256,
        segment=segment.index,
        stores=tuple(stores),
        other_versions=allowed.other_versions,
    ).encoded()


def answer(asked: str, worker: str) -> str:
    """Repeat a segment on this machine, as `replay` does, and say what came of it.

    Args:
        asked: The question.
        worker: Address of this worker.

    Raises:
        ValidationError: It is no question, or one of another version of this program.
    """
    wanted, sha256 = _Question.model_validate_json(asked), _sha256(asked)
    try:
        found = _repeated(wanted)
    except LlamafundError as error:
        # Whatever it accuses, whoever asks finds it again.
        trouble = printable(str(error), _MAX_REASON)
        return _sealed(_Answer(question=sha256, worker=worker, verdict="unchecked", trouble=trouble))
    return _sealed(
        _Answer(
            question=sha256,
            worker=worker,
            verdict=found.verdict,
            files=tuple(_File(step=file.step, path=file.path, sha256=file.repeated) for file in found.compared),
            settings=found.settings,
            outside=found.outside,
            problem=printable(found.problem, _MAX_REASON),
            trouble=printable(found.trouble, _MAX_REASON),
            seconds=found.seconds,
        )
    )


def read_answer(text: str, asked: str, worker: str, inputs: Inputs | ProgramFile, pick: Pick) -> Word:
    """What a worker says.

    Args:
        text: Its answer.
        asked: The question.
        worker: The worker that answered, as its cluster says.
        inputs: The run's recipe.
        pick: The segment that was to be repeated.

    Raises:
        AnswerError: It is no answer to this question, or contradicts itself.
    """
    if len(text) > _MAX_ANSWER:
        raise AnswerError("it is too long")
    try:
        sealed = _Sealed.model_validate_json(text)
        said = _Answer.model_validate_json(sealed.answer)
    except ValidationError as error:
        raise AnswerError("it is not one of this program") from error
    if _sha256(sealed.answer) != sealed.sha256:
        raise AnswerError("it has another hash than it says")
    if said.question != _sha256(asked):
        raise AnswerError("it answers another question")
    if said.worker != worker:
        raise AnswerError(f"it comes from {printable(said.worker, 100)!r}")
    reason = printable(said.trouble or said.problem, _MAX_REASON)
    if said.verdict != "same":
        return Word(worker, said.verdict, sealed.sha256, reason)
    made = {(file.step, file.path): file.sha256 for file in said.files}
    compared = tuple(
        FileComparison(step, path, published, made.pop((step, path), ""))
        for step, path, published in _published(inputs, pick.segment)
    )
    # What is published comes from our own manifests, so that nobody can say that other bytes were.
    result = SegmentResult(pick, compared, said.settings, said.seconds, outside=said.outside, ran_on=f"worker {worker}")
    if made or reason or result.verdict != "same":
        raise AnswerError("it says 'same' of other files than were to be made")
    return Word(worker, "same", sealed.sha256, result=result)


def _published(inputs: Inputs | ProgramFile, segment: Segment) -> Iterator[tuple[int, str, str]]:
    """Step, path and SHA-256 of each file that repeating a segment makes."""
    for end in segment.made:
        step = end.steps.last
        every = [entry.path for entry in end.files]
        for path in every if isinstance(inputs, ProgramFile) else published_files(inputs.recipe, step):
            yield step, path, end.entry(path).sha256


def _repeated(wanted: _Question) -> SegmentResult:
    store = open_stores(wanted.stores)
    hashes = (wanted.start, *wanted.between, wanted.end)
    start, *between, end = (fetch_manifest(store, sha256, CheckpointManifest) for sha256 in hashes)
    pick = Pick(Segment(wanted.segment, start, end, tuple(between)), "asked for")
    recipe = fetch_any_recipe(store, end.recipe)
    with ScratchFolder("replay") as workdir:
        inputs = recipe if isinstance(recipe, ProgramFile) else fetch_inputs(store, end, workdir)
        allowed = Allowed(other_versions=wanted.other_versions)
        return repeat(store, inputs, [pick], workdir, allowed=allowed)[0]


def _sealed(said: _Answer) -> str:
    text = said.encoded()
    return _Sealed(answer=text, sha256=_sha256(text)).encoded()


def _sha256(text: str) -> str:
    return hash_bytes(text.encode()).sha256
