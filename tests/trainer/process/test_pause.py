"""Pauses: used only if they are complete and follow the last checkpoint."""

from __future__ import annotations

from pathlib import Path

from llamafund_trainer.process.pause import find_pause, remove_outdated_pause, write_pause


def test_a_pause_that_was_tampered_with_or_follows_another_checkpoint_is_not_used(tmp_path: Path) -> None:
    def save(place: Path) -> Path:
        state = place / "checkpoint-7"
        state.mkdir()
        (state / "model.safetensors").write_bytes(b"weights")
        return state

    write_pause(tmp_path / "pause", save, step=7, after="ab" * 32, losses=[0.1, 0.2], logged=5)
    found = find_pause(tmp_path / "pause", "ab" * 32)
    assert found is not None
    assert ([float.fromhex(each) for each in found.record.losses], found.record.logged) == ([0.1, 0.2], 5)
    assert find_pause(tmp_path / "pause", "cd" * 32) is None
    remove_outdated_pause(tmp_path / "pause", "ab" * 32, 7)
    assert find_pause(tmp_path / "pause", "ab" * 32) == found, "its checkpoint may be published after it was written"
    remove_outdated_pause(tmp_path / "pause", "cd" * 32, 6)
    assert find_pause(tmp_path / "pause", "ab" * 32) == found, "and so may one before that"
    (found.state / "model.safetensors").write_bytes(b"weightz")
    assert find_pause(tmp_path / "pause", "ab" * 32) is None
    assert find_pause(tmp_path / "nowhere", "ab" * 32) is None
    remove_outdated_pause(tmp_path / "pause", "cd" * 32, 7)
    assert list(tmp_path.iterdir()) == []
