"""What counts of what workers elsewhere say. Those here are stand-ins in this process, which answer in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from program_runs import Made, record_program
from sandboxes import require_sandbox

from llamafund_chain.evidence.programs import parse_program
from llamafund_trainer.replay import handover
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.cluster import ClusterReplay, Reply, Trust, _contradicted, replay_on_cluster
from llamafund_trainer.replay.handover import AnswerError, answer, question, read_answer
from llamafund_trainer.replay.plan import ReplayPlan
from llamafund_trainer.replay.program import Allowed
from llamafund_trainer.replay.result import FileComparison, SegmentResult, Word
from llamafund_trainer.replay.segments import segments_of, state_files

A, B = "tcp://a:1", "tcp://b:1"
HERE = "in a sandbox"


@dataclass
class Hands:
    """Workers by address, each a function from a question to its answer. The first that may answer does."""

    by_address: Mapping[str, Callable[[str, str], str]]
    asked: list[tuple[int, str]] = field(default_factory=list)

    def ask(
        self, questions: Mapping[int, str], avoid: Mapping[int, Collection[str]], done: Callable[[int], None]
    ) -> dict[int, Reply]:
        replies = {}
        for index, text in questions.items():
            worker = next((address for address in self.by_address if address not in avoid[index]), None)
            if worker is not None:
                self.asked.append((index, worker))
                replies[index] = Reply(worker, self.by_address[worker](text, worker))
                done(index)
        return replies


def resealed(text: str, **changes: object) -> str:
    """An answer with something changed, under a hash that fits."""
    said = handover._Answer.model_validate_json(json.loads(text)["answer"])
    return handover._sealed(said.model_copy(update=changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    require_sandbox()
    return record_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What is published as the end of the last segment is something else."""
    require_sandbox()
    return record_program(tmp_path_factory.mktemp("forged"), {0: 0, 2: 2, 4: 5})


def copied(run: Made) -> Callable[[str, str], str]:
    """A worker that repeats nothing and says that everything is as published."""

    def lie(asked: str, worker: str) -> str:
        segment = segments_of(run.run)[json.loads(asked)["segment"]]
        files = [
            handover._File(step=end.steps.last, path=entry.path, sha256=entry.sha256)
            for end in segment.made
            for entry in end.files
        ]
        said = handover._Answer(question=handover._sha256(asked), worker=worker, verdict="same", files=tuple(files))
        return handover._sealed(said)

    return lie


def heard(run: Made, workers: Any, workdir: Path, one_in: int = 8, stores: tuple[str, ...] = ()) -> ClusterReplay:
    segments = segments_of(run.run)
    picks = [Pick(segment, "random") for segment in segments]
    plan = ReplayPlan(parse_program(run.program.encoded), segments, picks, None, {})
    places = stores or (run.store.location,)
    return replay_on_cluster(workers, run.store, plan, places, workdir, trust=Trust(one_in, b"seed"))


def test_a_worker_that_copies_what_is_published_is_found_out_by_another(forged: Made, tmp_path: Path) -> None:
    workers = Hands({A: copied(forged), B: answer})
    found = heard(forged, workers, tmp_path, one_in=1)
    first, last = found.results
    assert (first.verdict, last.verdict) == ("same", "different")
    assert [(word.worker, word.verdict) for word in last.words] == [(A, "same"), (B, "different")]
    assert HERE in last.ran_on, "only this machine accuses"
    assert found.doubted.keys() == {A}
    assert "of steps 2 to 4 it says 'same', and this machine says 'different'" in found.doubted[A]
    assert workers.asked[-1] == (0, B), "what it said of the other segment counts for nothing"
    # Nobody else is left to repeat that.
    assert HERE in first.ran_on


def test_the_seed_chooses_what_is_repeated_elsewhere_and_at_least_one_is(made: Made, tmp_path: Path) -> None:
    workers = Hands({A: copied(made), B: copied(made)})
    found = heard(made, workers, tmp_path)
    assert [result.verdict for result in found.results] == ["same", "same"]
    assert [result.ran_on for result in found.results] == [f"worker {A}"] * 2
    assert sorted(workers.asked[:2]) == [(0, A), (1, A)]
    ((index, second),) = workers.asked[2:]
    assert second == B
    assert [len(result.words) for result in found.results] == ([2, 1] if index == 0 else [1, 2])


def test_with_one_worker_this_machine_is_the_second(made: Made, tmp_path: Path) -> None:
    found = heard(made, Hands({A: copied(made)}), tmp_path)
    assert sorted(result.ran_on[:12] for result in found.results) == [HERE, f"worker {A}"[:12]]
    assert found.doubted == {}


def test_what_a_worker_cannot_repeat_is_repeated_here(made: Made, tmp_path: Path) -> None:
    found = heard(made, Hands({A: answer}), tmp_path, stores=(str(tmp_path / "not-on-that-machine"),))
    assert [(result.verdict, HERE in result.ran_on) for result in found.results] == [("same", True)] * 2
    assert {word.verdict for result in found.results for word in result.words} == {"unchecked"}
    assert "not-on-that-machine" in found.results[0].words[0].reason
    assert found.doubted == {}


def test_if_every_worker_goes_away_the_segments_are_unchecked(made: Made, tmp_path: Path) -> None:
    found = heard(made, Hands({}), tmp_path)
    assert [result.verdict for result in found.results] == ["unchecked", "unchecked"]
    assert "no worker of the cluster was left" in found.results[0].describe()


def test_a_worker_whose_answer_is_none_is_not_asked_again(made: Made, tmp_path: Path) -> None:
    workers = Hands({A: lambda asked, worker: "no JSON", B: copied(made)})
    found = heard(made, workers, tmp_path, one_in=1)
    assert found.doubted == {A: "its answer cannot be taken: it is not one of this program"}
    assert [result.verdict for result in found.results] == ["same", "same"]
    assert all(HERE in result.ran_on for result in found.results)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text + " " * handover._MAX_ANSWER, "too long"),
        (lambda text: text.replace("model", "modem"), "another hash"),
        (lambda text: resealed(text, question="00" * 32), "another question"),
        (lambda text: resealed(text, worker=B), "comes from 'tcp://b:1'"),
        (lambda text: resealed(text, files=()), "other files"),
        (lambda text: resealed(text, problem="no"), "other files"),
        (
            lambda text: resealed(
                text, files=(*(handover._File(step=4, path=p, sha256="0" * 64) for p in ("model.safetensors", "x")),)
            ),
            "other files",
        ),
    ],
    ids=["length", "hash", "question", "worker", "no files", "a problem", "more files"],
)
def test_an_answer_that_contradicts_itself_is_not_taken(made: Made, change: Callable[[str], str], words: str) -> None:
    recipe, segment = parse_program(made.program.encoded), segments_of(made.run)[1]
    asked = question(segment, [made.store.location], Allowed())
    honest = copied(made)(asked, A)
    assert read_answer(honest, asked, A, recipe, Pick(segment, "random")).verdict == "same"
    with pytest.raises(AnswerError, match=words):
        read_answer(change(honest), asked, A, recipe, Pick(segment, "random"))


def test_where_this_machine_cannot_tell_those_who_contradict_each_other_are_doubted(made: Made) -> None:
    here = SegmentResult(Pick(segments_of(made.run)[1], "random"), (), {}, 0.0, trouble="no memory")
    same, other = Word(A, "same"), Word(B, "different")
    assert dict(_contradicted(here, [same, other])).keys() == {A, B}
    assert dict(_contradicted(here, [other, Word(A, "unchecked")])) == {}


def test_a_segment_of_the_trainer_s_recipe_is_handed_over_too(
    lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in trains: it makes what is published, and the rest of the way is gone."""
    asked_for: list[Path] = []

    def repeat(store: Any, inputs: Any, picks: list[Pick], workdir: Path, **_: object) -> tuple[SegmentResult, ...]:
        asked_for.append(inputs.data)
        compared = tuple(
            FileComparison(end.steps.last, path, end.entry(path).sha256, end.entry(path).sha256)
            for end in picks[0].segment.made
            for path in state_files(inputs.recipe, end.steps.last)
        )
        return (SegmentResult(picks[0], compared, {"processor": ("this", "that")}, 1.5),)

    monkeypatch.setattr(handover, "repeat", repeat)
    segment = segments_of(lab.run)[0]
    asked = question(segment, [lab.store.location], Allowed())
    inputs = handover.fetch_inputs(lab.store, lab.run[-1], tmp_path)
    word = read_answer(answer(asked, A), asked, A, inputs, Pick(segment, "first"))
    assert (word.verdict, len(word.result.compared), word.result.seconds) == ("same", 8, 1.5)
    assert word.result.settings == {"processor": ("this", "that")}
    assert asked_for[0].name == "data"
