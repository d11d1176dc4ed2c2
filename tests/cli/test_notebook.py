"""The notebook runs from top to bottom."""

import os
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setitem(os.environ, "IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copy(HERE / "notebooks" / "first-charter.ipynb", tmp_path)
    book = nbformat.read(tmp_path / "first-charter.ipynb", as_version=4)
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert "released" in str(book.cells[3].outputs)
