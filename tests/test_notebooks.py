"""Every notebook, run in a kernel of its own on the models that are shipped, as a reader would."""

import base64
import io
import os
import re
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"

# What each prints, and how many pictures it shows; films are an animation or a video.
EXPECTED = {
    "plan_in_a_maze": (r"mean score 1\d\d\.\d, 8 of 8 reached their goal", 2),
    "watch_it_denoise": (r"steps, plans, rows, columns: \(64, 8, 48, 4\)", 2),
    "vary_the_horizon": (r"32 rows: score 1\d\d\.\d ± +\d\.\d, 100% reached the goal", 2),
    "swap_the_scheduler": (r"DPM-Solver\+\+: error in metres 1: 0\.\d\d", 3),
    "guide_by_hand": (r"lower +40 +(8|9|10)\d%", 3),
    "value_guided_hopper": (r"one denoiser: True", 2),
}
FILMS = {"plan_in_a_maze", "watch_it_denoise", "value_guided_hopper"}


@pytest.fixture
def kernel_environment(monkeypatch):
    """The package under test, one thread, and no word about a progress bar's widget that is not installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")


def executed(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        # Of Jupyter's own packages, which warn of one another.
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(path.parent)}}).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def streamed(notebook: nbformat.NotebookNode, name: str) -> str:
    return "".join(output.text for output in outputs(notebook) if output.get("name") == name)


def shown(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    return [output.data[kind] for output in outputs(notebook) if kind in output.get("data", {})]


def test_every_notebook_is_known_here():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_is_short_valid_and_kept_without_outputs(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= 13
    assert outputs(notebook) == []
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert "diffplan export --checkpoint " in notebook.cells[0].source


@pytest.mark.parametrize("name", EXPECTED)
def test_the_files_a_notebook_points_to_are_there(name):
    text = "\n".join(cell.source for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    links += re.findall(r'"(pretrained/[^"]+|\.\./[^"]+)"', text)
    assert links
    assert [link for link in links if not (NOTEBOOKS / link).exists()] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_runs_and_shows_what_it_promises(name, kernel_environment):
    before = set(NOTEBOOKS.rglob("*"))
    notebook = executed(NOTEBOOKS / f"{name}.ipynb")
    line, num_pictures = EXPECTED[name]
    assert re.search(line, streamed(notebook, "stdout"))
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in shown(notebook, "image/png")]
    assert len(pictures) == num_pictures
    assert all(len(np.unique(np.asarray(picture.convert("L")))) > 20 for picture in pictures)
    if name in FILMS:
        assert num_frames(notebook) > 20
    # Progress bars are all that may be said aside.
    said = re.sub(r"\r?[^\r\n]*\d+%\|[^\r\n]*\]", "", streamed(notebook, "stderr"))
    assert said.strip() == ""
    assert set(NOTEBOOKS.rglob("*")) == before


def num_frames(notebook: nbformat.NotebookNode) -> int:
    """Frames of the one film of a notebook."""
    films = shown(notebook, "image/gif")
    if films:
        return Image.open(io.BytesIO(base64.b64decode(films[0]))).n_frames
    (page,) = [page for page in shown(notebook, "text/html") if "data:video/mp4" in page]
    film = base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)", page).group(1))
    # The table of sample sizes has one entry a picture: after its name come version, common size, and their number.
    table = film.index(b"stsz")
    return int.from_bytes(film[table + 12 : table + 16], "big")
