"""What stays behind when a folder is taken in, and what stops it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import compare_tree, hash_tree, left_out_text, list_tree, refuse_suspects
from llamafund_chain.evidence.hashing.left_out import IGNORE_FILE, UNFINISHED
from llamafund_chain.evidence.hashing.suspects import MAX_EXAMINED

CLUTTER = {
    ".git/config": ".git/",
    ".git/objects/aa/bb": ".git/",
    "sub/.git/HEAD": ".git/",
    ".hg/store": ".hg/",
    ".svn/wc.db": ".svn/",
    ".cache/huggingface/download/x.metadata": ".cache/huggingface/",
    "sub/.cache/huggingface/y": ".cache/huggingface/",
    ".ipynb_checkpoints/a.ipynb": ".ipynb_checkpoints/",
    "sub/__pycache__/a.pyc": "__pycache__/",
    "__MACOSX/._a": "__MACOSX/",
    ".DS_Store": ".DS_Store",
    "sub/Thumbs.db": "Thumbs.db",
    "sub/desktop.ini": "desktop.ini",
    "sub/._weights": "._*",
    "sub/.llamafund-samples.json": ".llamafund-samples.json",
}
UNFINISHED_NAMES = (f".{'0' * 24}.part", f"sub/.b{'a' * 58}.partial")
TAKEN = (".gitattributes", ".gitignore", ".github/x", "sub/weights", "a.part", ".cache/other")


def write(root: Path, *names: str, data: bytes = b"x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def names(root: Path, **options: bool) -> list[str]:
    listing = list_tree(root, **options)
    return [listing.name(number) for number in range(len(listing))]


def test_what_other_programs_keep_in_a_folder_stays_behind_and_is_counted(tmp_path: Path) -> None:
    write(tmp_path, *CLUTTER, *TAKEN, *UNFINISHED_NAMES)
    assert names(tmp_path) == sorted(TAKEN)
    counts = list_tree(tmp_path).left_out
    expected = {kind: list(CLUTTER.values()).count(kind) for kind in CLUTTER.values()}
    assert dict(counts) == {**expected, UNFINISHED: 2}
    text = left_out_text(counts)
    assert text.startswith("17 files left out: ")
    assert "3 × .git/" in text
    assert "--include-hidden" in text


def test_the_named_list_can_be_overridden_but_unfinished_files_are_never_taken_in(tmp_path: Path) -> None:
    write(tmp_path, *CLUTTER, *UNFINISHED_NAMES)
    assert names(tmp_path, hidden=True) == sorted(CLUTTER)
    with pytest.raises(UsageError, match="name of an unfinished file"):
        hash_tree(tmp_path, [UNFINISHED_NAMES[0]])


def test_clutter_does_not_change_a_hash(tmp_path: Path) -> None:
    write(tmp_path, *TAKEN)
    before = hash_tree(tmp_path)
    write(tmp_path, *CLUTTER, *UNFINISHED_NAMES)
    (tmp_path / ".git" / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / ".git" / "pipe")
    assert hash_tree(tmp_path) == before


def test_a_folder_of_clutter_alone_is_refused_with_what_was_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".DS_Store")
    with pytest.raises(UsageError, match=r"contains no files.*1 file left out: 1 × \.DS_Store"):
        list_tree(tmp_path)


def test_the_folder_says_what_else_stays_behind_in_the_syntax_of_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "keep.log", "sub/b.log", "tmp/x", "tmp/deep/y", "c.txt")
    (tmp_path / IGNORE_FILE).write_text("# comment\n*.log\n!keep.log\n/tmp/\n")
    assert names(tmp_path) == ["c.txt", "keep.log"]
    assert names(tmp_path, hidden=True) == ["c.txt", "keep.log"]
    assert dict(list_tree(tmp_path).left_out) == {f"matches in {IGNORE_FILE}": 4, IGNORE_FILE: 1}


@pytest.mark.parametrize("data", [b"\xff\xfe", b"#" * 300_000], ids=["encoding", "length"])
def test_patterns_that_cannot_be_followed_are_refused(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, "a")
    (tmp_path / IGNORE_FILE).write_bytes(data)
    with pytest.raises(UsageError, match="no patterns that can be followed"):
        list_tree(tmp_path)


def test_a_comparison_leaves_out_the_same_but_nothing_that_the_manifest_names(tmp_path: Path) -> None:
    write(tmp_path, *TAKEN, *CLUTTER, "noise.log")
    (tmp_path / IGNORE_FILE).write_text("*.log\n")
    files = hash_tree(tmp_path).files
    found = compare_tree(tmp_path, files)
    assert found.matches
    assert found.left_out[".git/"] == 3
    assert set(compare_tree(tmp_path, files, hidden=True).extra) == set(CLUTTER)
    # A manifest that names clutter is held to it, in a folder that is otherwise left out whole.
    named = hash_tree(tmp_path, [*TAKEN, ".git/config", ".DS_Store", "noise.log"]).files
    assert compare_tree(tmp_path, named).matches
    (tmp_path / ".git" / "config").write_bytes(b"y")
    assert [file.path for file in compare_tree(tmp_path, named).changed] == [".git/config"]
    (tmp_path / ".git" / "config").unlink()
    assert compare_tree(tmp_path, named).missing == (".git/config",)


def test_threat_a_strangers_ignore_file_hides_no_extra_file(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / IGNORE_FILE).write_text("*\n")
    files = hash_tree(tmp_path, ["a", IGNORE_FILE]).files
    write(tmp_path, "evil.py")
    assert compare_tree(tmp_path, files).extra == ("evil.py",)


SECRETS = {
    ".env": b"X=1",
    "sub/.env.production": b"X=1",
    "deploy.key": b"whatever",
    "home/.ssh/config": b"Host x",
    "id_ed25519": b"x",
    "a.pem": b"x\n-----BEGIN RSA PRIVATE KEY-----\nMII",
    "b.txt": b"token: hf_" + b"a" * 34,
    "c.py": b"T = 'ghp_" + b"b" * 36 + b"'",
    "d.cfg": b"aws = AKIA" + b"C" * 16,
    "e.sh": b"export KEY=sk-ant-api03-" + b"d" * 40,
    "f.json": json.dumps({"crypto": {"ciphertext": "00", "kdf": "scrypt"}}).encode(),
    "g.txt": b"# mine\nhttps://node.example bearer 0123456789abcdef\n",
}


@pytest.mark.parametrize("name", SECRETS)
def test_threat_a_secret_in_a_folder_is_not_published(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, data=SECRETS[name])
    write(tmp_path, "fine.txt")
    with pytest.raises(UsageError, match="looks like a secret") as refused:
        refuse_suspects(list_tree(tmp_path))
    assert name in str(refused.value)
    assert SECRETS[name].decode()[-16:] not in str(refused.value)
    refuse_suspects(list_tree(tmp_path), allow_secrets=True)


@pytest.mark.parametrize("before", [70_000, 1_000_000, MAX_EXAMINED - 38])
def test_a_secret_deep_in_a_long_text_is_found_with_its_line(tmp_path: Path, before: int) -> None:
    token = b"hf_" + b"a" * 34
    write(tmp_path, "run.log", data=b"basic\n" * 100 + b"x" * (before - 601) + b" " + token + b"\n" * 70_000)
    with pytest.raises(UsageError, match=r"run.log' \(a Hugging Face token, line 101\)"):
        refuse_suspects(list_tree(tmp_path))


def test_a_word_that_only_ends_or_begins_like_a_token_is_none_anywhere(tmp_path: Path) -> None:
    longer = b"hf_" + b"a" * 35
    write(tmp_path, "a.txt", data=b"x" * 70_000 + b"hf_" + b"a" * 34 + b" " + longer + b" " * 9_000 + longer)
    refuse_suspects(list_tree(tmp_path))


def test_threat_a_checkouts_token_goes_out_neither_by_default_nor_with_its_settings(tmp_path: Path) -> None:
    url = b'[remote "origin"]\n\turl = https://me:secret@git.example/x.git\n'
    write(tmp_path, ".git/config", data=url)
    write(tmp_path, "a")
    refuse_suspects(list_tree(tmp_path))
    assert names(tmp_path) == ["a"]
    with pytest.raises(UsageError, match=r"\.git/config.*Git's settings with credentials"):
        refuse_suspects(list_tree(tmp_path, hidden=True))


def test_what_only_resembles_a_secret_goes_out(tmp_path: Path) -> None:
    write(
        tmp_path, ".env.example", "keys.md", data=b"Put your hf_ token here; sk-learn, npm_config, basic bearer of news"
    )
    write(tmp_path, "cert.pem", data=b"-----BEGIN CERTIFICATE-----\nMII")
    write(tmp_path, "large.txt", data=b" " * MAX_EXAMINED + b"hf_" + b"a" * 34)
    write(tmp_path, "binary", data=b"\0hf_" + b"a" * 34)
    write(tmp_path, "large.bin", data=b"\0" + b" " * 200_000 + b"hf_" + b"a" * 34)
    write(tmp_path, "hints.txt", data=b"basic risk-free npm_run\n" * 100_000)
    write(tmp_path, "empty", data=b"")
    refuse_suspects(list_tree(tmp_path))


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s3--" + b"0" * 64 + b"\n", "git annex get"),
    ],
)
def test_pointers_are_refused_with_the_command_that_fetches(tmp_path: Path, data: bytes, command: str) -> None:
    write(tmp_path, "model.safetensors", "train/b.txt", data=data)
    for allow in (False, True):
        with pytest.raises(UsageError, match=f"(?s)model.safetensors.* pointer, and so are 1 other.*{command}"):
            refuse_suspects(list_tree(tmp_path), allow_secrets=allow)


def hub(tmp_path: Path) -> Path:
    repository = tmp_path / "models--me--tiny"
    write(repository, f"blobs/{'a' * 40}", data=b"config")
    write(repository, f"blobs/{'b' * 64}", data=b"weights")
    write(repository, "refs/main")
    snapshot = repository / "snapshots" / ("c" * 40)
    (snapshot / "sub").mkdir(parents=True)
    (snapshot / "config.json").symlink_to(f"../../blobs/{'a' * 40}")
    (snapshot / "sub" / "model.safetensors").symlink_to(f"../../../blobs/{'b' * 64}")
    return snapshot


def test_a_snapshot_in_the_cache_of_hugging_face_hub_is_taken_in_as_its_files(tmp_path: Path) -> None:
    snapshot = hub(tmp_path)
    write(tmp_path / "plain", "config.json", data=b"config")
    write(tmp_path / "plain", "sub/model.safetensors", data=b"weights")
    assert hash_tree(snapshot) == hash_tree(tmp_path / "plain")


def test_threat_a_link_out_of_a_snapshot_leads_only_to_blobs_of_its_repository(tmp_path: Path) -> None:
    snapshot = hub(tmp_path)
    write(tmp_path, "secret", f"models--other--x/blobs/{'d' * 40}")
    for target in (tmp_path / "secret", tmp_path / "models--other--x" / "blobs" / ("d" * 40)):
        (snapshot / "link").unlink(missing_ok=True)
        (snapshot / "link").symlink_to(target)
        with pytest.raises(UsageError, match="leads out of"):
            list_tree(snapshot)


def test_the_cache_of_a_repository_is_refused_and_its_snapshot_is_named(tmp_path: Path) -> None:
    snapshot = hub(tmp_path)
    with pytest.raises(UsageError, match=f"cache of a repository.*{snapshot.name}"):
        list_tree(snapshot.parent.parent)


def test_a_file_whose_line_ends_alone_were_converted_is_told_so(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", data=b"one\ntwo\n")
    write(tmp_path, "b.txt", data=b"one\r\ntwo\r\n")
    write(tmp_path, "c.txt", data=b"one\ntwo\n")
    files = hash_tree(tmp_path).files
    write(tmp_path, "a.txt", data=b"one\r\ntwo\r\n")
    write(tmp_path, "b.txt", data=b"one\ntwo\n")
    write(tmp_path, "c.txt", data=b"one\r\nTwo\r\n")
    assert [file.line_ends for file in compare_tree(tmp_path, files).changed] == ["CRLF", "LF", None]
