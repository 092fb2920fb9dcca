"""The example of a notebook is executed against a real campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[3] / "examples" / "audit_notebook" / "audit.ipynb"


def test_the_notebook_audits_and_draws(stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    stage.honest_until(2)
    for name, value in {
        "LLAMAFUND_RPC": stage.devnet.rpc_url,
        "LLAMAFUND_STORE": str(stage.run.store.location),
        "LLAMAFUND_CAMPAIGN": stage.client.address,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client.NotebookClient(notebook, timeout=None, startup_timeout=600, allow_errors=False).execute(cwd=str(tmp_path))
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    # The run was made up by hand, and the trainer's checks find that out.
    assert "Milestone 1 was attested although" in outputs["audit"][0]["data"]["text/plain"]
    assert "pass" in outputs["checks"][0]["text"]
    for drawn in ("money", "curves"):
        assert any("image/png" in output.get("data", {}) for output in outputs[drawn])
    assert all(not cell.outputs for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code")
