"""The notebook runs from top to bottom, shows its results as tables and drawings, and the stages as they go."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    shutil.copy(HERE / "notebooks" / "first-charter.ipynb", folder)
    read = nbformat.read(folder / "first-charter.ipynb", as_version=4)
    before = dict(os.environ)
    os.environ |= {"JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(folder / "ipython")}
    try:
        NotebookClient(
            read, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return [cell for cell in read.cells if cell.cell_type == "code"]


def shown(cell):
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_run_shows_its_stages_in_one_output_and_says_nothing_else(book):
    assert [output.output_type for output in book[1].outputs] == ["display_data"]
    assert shown(book[1]).count("✓") >= 6
    assert "<progress" not in shown(book[1])  # nothing is under way any more


def test_results_plots_and_findings_show_themselves(book):
    assert "every limit was kept" in shown(book[2])
    assert "every limit was kept" not in str(
        book[2].outputs[0].data["text/plain"]
    )  # a line, not the whole record
    assert shown(book[3]).count("<svg") >= 4
    assert "airlines" in shown(book[4])


def test_the_comparison_shows_itself(book):
    assert "2 runs compared: tweets, quick" in shown(book[8])
    assert "paired on the same" in shown(book[8])


WATCHING = """
from charter.cli import notebook
class Handle:
    def update(self, shown): drawn.append(shown.data)
class Module:
    class HTML:
        def __init__(self, data): self.data = data
    @staticmethod
    def display(shown, display_id): drawn.append(shown.data); return Handle()
from charter.pipeline.progress import Progress
from charter.runs.run import Event
import sys
drawn = []
sys.modules["IPython.display"] = Module
view = notebook.NotebookView("zh")
try:
    with view:
        view.event(Event("started", "train"))
        view._drawn = 0
        view.progress(Progress("train", 12, 74, "loss <0.5>"))
        raise ValueError
except ValueError:
    pass
print(drawn[-2] + "=====" + drawn[-1])
"""


def test_a_bar_is_shown_under_way_and_a_stage_that_failed_is_marked():
    told = subprocess.run([sys.executable, "-c", WATCHING], capture_output=True, text=True, check=True).stdout
    going, ended = told.split("=====")
    assert '<progress value="12" max="74"' in going
    assert "loss &lt;0.5&gt;" in going
    assert "✗ 训练" in ended
