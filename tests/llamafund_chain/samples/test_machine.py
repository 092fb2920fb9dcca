"""What a machine is called, so that others can tell whether theirs computes the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from llamafund_chain.samples import machine

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: A Xeon\n\nmodel: 1\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40\n"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    machine.processor_class.cache_clear()
    yield
    machine.processor_class.cache_clear()


@pytest.mark.parametrize(
    ("text", "kind", "name"), [(INTEL, "GenuineIntel 6-143", "A Xeon"), (ARM, "0x41 0xd40", "")], ids=["Intel", "ARM"]
)
def test_linux_tells_maker_family_and_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, kind: str, name: str
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.processor", lambda: "")
    assert (machine.processor_class(), machine.processor_name()) == (kind, name)


def test_a_mac_tells_its_brand_and_any_other_system_something(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "missing")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: CompletedProcess((), 0, stdout="Apple M2\n"))
    assert machine.processor_class() == "Apple M2"
    machine.processor_class.cache_clear()
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.processor", lambda: "Intel64 Family 6 Model 143")
    assert machine.processor_class() == "Intel64 Family 6 Model 143"
