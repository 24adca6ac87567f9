import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A few steps of the quick start: enough to load and to draw, not to plan well."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "diffplan.train", "experiment=quickstart", "debug=fast", "logger=csv_logger"]
    paths = [f"paths.output_dir={folder}", f"paths.data_dir={folder / 'data'}"]
    subprocess.run([*command, *paths], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return next(folder.rglob("last.ckpt")).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path, run_folder, monkeypatch):
    matplotlib.use("agg")
    monkeypatch.setenv("DIFFPLAN_RUN", str(run_folder))
    names: dict[str, object] = {}
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        assert cell["outputs"] == [], "notebooks are kept without outputs"
        exec("".join(cell["source"]), names)
    matplotlib.pyplot.close("all")
