"""Programs of a researcher's own: honest ones repeat, and what others try shows."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program_runs import SCRIPT, SEED, TRAINING, Made, record_program
from sandboxes import require_sandbox

from llamafund_chain.errors import ExitCode, LlamafundError, UncheckedError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.programs import parse_program
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.store.publishing import list_directory, publish
from llamafund_trainer.checks.run import _environment_of_program
from llamafund_trainer.process.sandbox import Ended, Limits, Room, run_program
from llamafund_trainer.replay.choice import Pick, weight_jumps
from llamafund_trainer.replay.program import Allowed, initial_difference, repeat_program
from llamafund_trainer.replay.segments import segments_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    require_sandbox()
    return record_program(tmp_path_factory.mktemp("program"))


def test_an_honest_program_repeats_from_the_manifests_alone(made: Made, tmp_path: Path) -> None:
    recipe = parse_program(made.program.encoded)
    assert recipe.sha256 == made.run[0].recipe
    picks = [Pick(segment, "random") for segment in segments_of(made.run)]
    results = repeat_program(made.store, recipe, picks, tmp_path)
    assert [result.verdict for result in results] == ["same", "same"]
    assert {(file.step, file.path) for file in results[0].compared} == {
        (step, name) for step in (0, 2) for name in ("model.safetensors", "state.json")
    }
    assert "in a sandbox" in results[0].ran_on
    assert [path.name[:13] for path in tmp_path.iterdir()] == ["program-read-"]
    assert initial_difference(made.store, recipe, made.run[0], tmp_path).verdict == "same"
    assert all(jump > 0 for jump in weight_jumps(made.store, segments_of(made.run), tmp_path))


def test_a_program_finds_its_base_model_where_an_argument_says(made: Made, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "deep").mkdir(parents=True)
    for name in ("config.json", "deep/file"):
        (base / name).write_text("{}", encoding="utf-8")
    files = hash_tree(base).files
    sha256 = publish(base, list_directory(files), files, [made.store.location]).sha256
    text = SCRIPT + "assert Path(sys.argv[3], 'deep/file').read_text() == '{}', os.listdir('/')"
    arguments = (*made.program.arguments, f"--base={{{sha256}}}")
    script = made.script(text.replace("sys.argv[3]", "sys.argv[3].removeprefix('--base=')"))
    changes = {"inputs": {sha256: f"{{{sha256}}}"}, "arguments": arguments}
    assert made.repeat(tmp_path, files=script, **changes).verdict == "same"


def test_fraud_a_program_that_makes_other_bytes(made: Made, tmp_path: Path) -> None:
    other = {**made.program.files, "training.py": TRAINING.replace("state + data", "data + state")}
    result = made.repeat(tmp_path, files=other)
    assert (result.verdict, result.settings) == ("different", {})
    assert "model.safetensors after step 4" in result.describe()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('nothing to do')", "ended with code 0 and without 'model.safetensors' after step 4: nothing to do"),
        ("raise ValueError('no')", "ended with code 1 and without 'model.safetensors' after step 4"),
        (SCRIPT + "Path(place, 'more').write_text('x')", "also wrote 'more'"),
        (SCRIPT + "for _ in range(70): place /= 'd'; place.mkdir()", "also wrote 'folders that hide what is in them'"),
        (SCRIPT.replace('{job["last"]})', '{job["last"] - 1})'), "without 'model.safetensors' after step 4"),
    ],
    ids=["nothing", "an error", "more files", "hidden files", "another step"],
)
def test_fraud_a_program_that_breaks_the_contract(made: Made, tmp_path: Path, text: str, words: str) -> None:
    result = made.repeat(tmp_path, files=made.script(text))
    assert result.verdict == "different"
    assert words in result.problem


def test_threat_a_program_finds_the_checkpoint_that_it_should_make(made: Made, tmp_path: Path) -> None:
    start, end = ({entry.sha256 for entry in link.files} for link in made.run[1:])
    text = (
        "import hashlib, os, sys\n"
        "from pathlib import Path\n"
        "read = []\n"
        "for place, folders, files in os.walk('/'):\n"
        "    folders[:] = [name for name in folders if os.path.join(place, name) not in\n"
        "                  ('/proc', '/sys', '/usr', sys.prefix, sys.base_prefix)]\n"
        "    read += [Path(place, name).read_bytes() for name in files if Path(place, name).is_file()]\n"
        "hashes = {hashlib.sha256(data).hexdigest() for data in read}\n"
        f"start, end, other = {start}, {end - start}, {made.run[-1].sha256!r}.encode()\n"
        "assert start <= hashes and not end & hashes\n"
        "read = [data for data in read if b'start, end' not in data]\n"
        "assert not any(one in data for one in (other, *(one.encode() for one in end)) for data in read)\n"
    )
    assert made.repeat(tmp_path, files=made.script(text + SCRIPT)).verdict == "same"


def test_threat_a_program_hands_over_what_its_verifier_has_elsewhere(made: Made, tmp_path: Path) -> None:
    training: dict[str, Callable[..., dict[str, bytes]]] = {}
    exec(TRAINING, training)
    (tmp_path / "known" / "checkpoint-4").mkdir(parents=True)
    for name, content in training["files"](4, SEED, b"Some text to train.").items():
        (tmp_path / "known" / "checkpoint-4" / name).write_bytes(content)
    text = f"import os; os.rmdir('/room/output'); os.symlink({str(tmp_path / 'known')!r}, '/room/output')"
    result = made.repeat(tmp_path, files=made.script(text))
    assert result.verdict == "different"
    assert "without 'model.safetensors' after step 4" in result.problem


def test_threat_others_run_a_file_that_a_program_has_made(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def look(command: list[str], room: Room, *rest: object, **named: object) -> Ended:
        modes.append(room.own.parent.stat().st_mode & 0o777)
        return run_program(command, room, *rest, **named)

    monkeypatch.setattr("llamafund_trainer.replay.program.run_program", look)
    assert made.repeat(tmp_path).verdict == "same"
    assert modes == [0o700]


def test_a_dataset_that_was_fetched_in_part_accuses_nobody(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(store: object, manifest: object, destination: Path) -> None:
        destination.mkdir()
        raise LlamafundError("The store went away")

    with monkeypatch.context() as broken:
        broken.setattr("llamafund_trainer.replay.program.fetch_tree", breaks_off)
        with pytest.raises(LlamafundError, match="went away"):
            made.repeat(tmp_path)
    assert made.repeat(tmp_path).verdict == "same"


def test_what_cannot_be_fetched_for_one_segment_does_not_hide_what_another_shows(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = {**made.program.files, "training.py": TRAINING.replace("state + data", "data + state")}
    recipe = parse_program(made.program.model_copy(update={"files": forged}).encoded)
    picks = [Pick(segment, "random") for segment in segments_of(made.run)]

    def withheld(store: Any, manifest: Any, destination: Path) -> Any:
        if manifest == made.run[1]:
            raise LlamafundError("The store went away")
        return fetch_tree(store, manifest, destination)

    monkeypatch.setattr("llamafund_trainer.replay.program.fetch_tree", withheld)
    for order in (picks, picks[::-1]):
        results = repeat_program(made.store, recipe, order, tmp_path)
        first, second = results if order is picks else results[::-1]
        assert (first.verdict, second.verdict) == ("different", "unchecked")
        assert "went away" in second.trouble


def test_threat_a_program_hands_over_files_of_its_verifier(made: Made, tmp_path: Path) -> None:
    text = SCRIPT + "import shutil; shutil.rmtree(place); os.symlink('/job', place)"
    result = made.repeat(tmp_path, files=made.script(text))
    assert result.verdict == "different"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("while True: pass", "it took more than 1 seconds"),
        ("raise MemoryError", "for want of something: .*MemoryError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "for want of something"),
        ("raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.')", "for want of something"),
    ],
    ids=["time", "memory", "killed", "a worker killed"],
)
def test_what_this_machine_does_not_suffice_for_accuses_nobody(
    made: Made, tmp_path: Path, text: str, words: str
) -> None:
    allowed = Allowed(limits=Limits(1 << 30, 1, 1 << 30))
    result = made.repeat(tmp_path, allowed, files=made.script(text))
    assert result.verdict == "unchecked"
    assert re.search(words, result.trouble)


def test_other_bytes_in_another_environment_accuse_nobody(made: Made, tmp_path: Path) -> None:
    other = {**made.program.files, "training.py": TRAINING.replace("state + data", "data + state")}
    result = made.repeat(tmp_path, files=other, environment={"processor_class": "Another 9"})
    assert result.verdict == "unchecked"
    assert "in another environment, which shows nothing: processor_class 'Another 9' (here " in result.trouble


def test_the_command_repeats_a_program_and_says_where_it_ran(made: Made, llamafund: Callable[..., Any]) -> None:
    head, store = made.run[-1].sha256, made.store.location
    ran = llamafund("replay", head, "--segments", 2, "--store", store, "--json")
    assert (ran.code, ran.json["verdict"], ran.json["estimate"]["tokens"]) == (0, "same", None)
    assert {segment["ran_on"][:12] for segment in ran.json["segments"]} == {"in a sandbox"}
    plain = llamafund("replay", head, "--segments", 2, "--store", store, "--dry-run", "--jobs", 3)
    assert "a program of the researcher's own" in plain.stderr
    assert "shared among" not in plain.stderr
    llamafund("replay", head, "--finer", store, "--store", store).refused(ExitCode.USAGE, "Leave out --finer")


@pytest.mark.parametrize("text", [SCRIPT + "Path(place, 'more').write_text('x')", "print('other')"])
def test_more_or_no_files_in_another_environment_accuse_nobody(made: Made, tmp_path: Path, text: str) -> None:
    result = made.repeat(tmp_path, files=made.script(text), environment={"processor_class": "Another 9"})
    assert result.verdict == "unchecked"
    assert "This is another environment: processor_class 'Another 9' (here " in result.trouble


def test_fraud_another_machine_in_the_record_to_excuse_other_bytes(made: Made, tmp_path: Path) -> None:
    other = {**made.program.files, "training.py": TRAINING.replace("state + data", "data + state")}
    forged = made.recorded(processor_class="Another 9", torch="9.9")
    assert forged.repeat(tmp_path, files=other).verdict == "different"
    found = _environment_of_program(made.program, forged.run)
    assert found.status == "fail"
    assert "records processor_class 'Another 9'; the recipe is for" in found.detail
    assert _environment_of_program(made.program, made.run).status == "pass"
    locked = made.program.model_copy(update={"lock": {"torch": "9.9"}})
    assert "records torch" in _environment_of_program(locked, made.run).detail


def test_a_run_of_several_processes_is_not_run(made: Made, tmp_path: Path) -> None:
    result = made.recorded(processes="8").repeat(tmp_path)
    assert (result.verdict, "8 processes" in result.trouble) == ("unchecked", True)


def test_a_program_that_is_trusted_repeats_without_a_sandbox(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamafund_trainer.process.sandbox.find_walls", lambda: ("none", "It is an island."))
    with pytest.raises(UncheckedError, match="It is an island"):
        made.repeat(tmp_path)
    result = made.repeat(tmp_path, Allowed(trust=True))
    assert (result.verdict, result.ran_on) == ("same", "without a sandbox")


def test_other_versions_than_it_needs_are_told_before_it_runs(made: Made, tmp_path: Path) -> None:
    changes = {"lock": {**made.program.lock, "numpy": "0.0.1", "no-such-thing": "1.0"}}
    with pytest.raises(UncheckedError, match=r"no-such-thing 1\.0 \(here missing\), numpy 0\.0\.1 \(here "):
        made.repeat(tmp_path, **changes)
    assert made.repeat(tmp_path, Allowed(other_versions=True), **changes).verdict == "same"


def test_threat_the_record_passes_settings_to_the_loader_of_libraries(made: Made, tmp_path: Path) -> None:
    text = "import os; print({k: v for k, v in os.environ.items() if 'evil' in v or k.startswith('LD_')})"
    forged = made.recorded(LD_PRELOAD="/evil.so", OMP_NUM_THREADS="1;evil", threads="9" * 50)
    assert (
        "code 0 and without 'model.safetensors' after step 4: {}"
        in forged.repeat(tmp_path, files=made.script(text)).describe()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": {"../train.py": "x"}, "entry": "../train.py"}, "could lead out"),
        ({"files": {"/train.py": "x"}, "entry": "/train.py"}, "slash"),
        ({"files": {"a": "x", "a/b": "x"}, "entry": "a"}, ""),
        ({"entry": "other.py"}, "is not one of the files"),
        ({"data": "{run}/../../etc"}, "could lead out"),
        ({"lock": {"torch; rm": "1"}}, "lock"),
        ({"lock": {"torch": "1 --index-url http://x"}}, "lock"),
        ({"python": "3"}, "python"),
        ({"more": 1}, "more"),
        ({"arguments": ["x"] * 101}, "arguments"),
        ({"arguments": ["x" * 4_000] * 5}, "more than 16000 bytes"),
        ({"arguments": ["\0"]}, "arguments"),
        ({"arguments": ["\ud800"]}, ""),
        ({"files": {"train.py": "\ud800"}}, ""),
        ({"inputs": {"../x": "x"}}, "inputs"),
        ({"inputs": {"5a" * 32: "../x"}}, "could lead out"),
        ({"files": {"train.py": "x" * 300_000}}, "at most"),
    ],
)
def test_threat_a_program_that_is_not_valid(change: dict[str, object], words: str) -> None:
    valid = {"schema": "llamafund/program/1", "entry": "train.py", "python": "3.11", "lock": {}}
    data = json.dumps({**valid, "files": {"train.py": "x"}, **change}).encode()
    with pytest.raises(VerificationError, match="(?s)" + words) as caught:
        parse_program(data)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
