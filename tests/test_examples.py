"""Every example of one's own parts, from outside the package: as a script, and through the commands."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
# What makes a run short; the parts are those of a long one.
SHORT = (
    "debug=fast",
    "logger=csv_logger",
    "trainer=cpu",
    "num_threads=1",
    "planner=fast_guided_planner",
    "planner.num_candidates=2",
    "sampler.num_inference_steps=1",
    "callbacks.rollout.every_n_steps=1000",
    "callbacks.rollout.num_final_episodes=1",
)


def run(folder: Path, *words: str | Path, **variables: str) -> str:
    """Runs Python with the given words in a folder; returns what was printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **variables}
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, [variables.get("PYTHONPATH")]), str(ROOT)])
    command = [sys.executable, *map(str, words)]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def diffplan(folder: Path, *words: str | Path, **variables: str) -> str:
    """Runs the command ``diffplan``, whose script need not be on the path."""
    return run(folder, "-m", "diffplan", *words, **variables)


def imported(model: str, folder: Path) -> Path:
    """A shipped model as a run."""
    diffplan(folder, "import", "--from", ROOT / "notebooks" / "pretrained" / model, "--to", folder / model)
    return folder / model


def run_folder(folder: Path, task: str) -> Path:
    (found,) = (folder / "outputs" / task).glob("*/*")
    return found


def unexplained_keys(folder: Path) -> list[str]:
    """Keys of numbers, pictures and tables in the folder of a run or plan that have no row in the page *Metrics*."""
    with (folder / "metrics.csv").open() as file:
        keys = set(next(csv.reader(file))) - {"step", "epoch"}
    for kind in ("media", "tables"):
        files = (path for path in (folder / kind).rglob("*") if path.is_file())
        keys |= {re.sub(r"_\d+\.\w+$", "", path.relative_to(folder / kind).as_posix()) for path in files}
    assert any(key.startswith("eval/") for key in keys)
    rows = set(re.findall(r"`([\w/<>]+)`", (ROOT / "docs" / "metrics.md").read_text()))
    return [key for key in sorted(keys) if re.sub(r"^eval/\w+/", "eval/<protocol>/", key) not in rows]


def test_a_guide_steers_plans():
    lines = run(ROOT, EXAMPLES / "own_guide.py").splitlines()
    # The numbers of the page.
    assert [line.split(": ")[1] for line in lines] == [
        "mean planned speed 0.37 m/s",
        "mean planned speed 0.42 m/s",
        "mean planned speed 0.52 m/s",
    ]


def test_a_command_plans_with_a_guide_from_outside(tmp_path):
    hopper = imported("hopper", tmp_path)
    settings = ["planner.num_candidates=2", "num_episodes=1", "num_videos=0", "num_threads=1"]
    few_steps = ["scheduler=ddim", "sampler.num_inference_steps=1", "planner.replan_every=8"]
    chosen = ["--config-dir", EXAMPLES / "conf", "planner=guided_planner", "guide=column_guide", "guide.scale=3"]
    words = [*chosen, f"checkpoint={hopper}", *settings, *few_steps]
    printed = diffplan(tmp_path, "plan", *words, PYTHONPATH=str(EXAMPLES))
    assert "single_task" in printed
    (page,) = hopper.glob("plans/*/index.html")
    assert "own_guide.ColumnGuide" in (page.parent / "config.yaml").read_text()
    assert unexplained_keys(page.parent) == []


def test_a_planner_solves_mazes():
    printed = run(ROOT, EXAMPLES / "own_planner.py")
    assert "8 of 8 reached their goal" in printed


def test_a_command_plans_with_a_planner_from_outside(tmp_path):
    maze = imported("maze2d-umaze", tmp_path)
    settings = ["num_episodes=2", "num_videos=1", "num_threads=1", "sampler.num_inference_steps=4", "scheduler=ddim"]
    chosen = ["--config-dir", EXAMPLES / "conf", "planner=shortest_path_planner", "planner.num_candidates=4"]
    words = [*chosen, f"checkpoint={maze}", *settings]
    printed = diffplan(tmp_path, "plan", *words, PYTHONPATH=str(EXAMPLES))
    assert "multi2d" in printed
    assert "100 %" in printed
    (page,) = maze.glob("plans/*/index.html")
    assert unexplained_keys(page.parent) == []


def test_data_and_a_task_from_outside_are_trained_on_and_planned_with(tmp_path):
    run(tmp_path, EXAMPLES / "own_data.py", "pendulum.hdf5")
    assert "4,000 rows" in diffplan(tmp_path, "data", "inspect", "pendulum.hdf5")
    words = ["--config-dir", EXAMPLES / "conf", "task=pendulum", "source.path=pendulum.hdf5", *SHORT]
    assert "4,000 transitions of file data" in diffplan(tmp_path, "train", *words)
    trained = run_folder(tmp_path, "pendulum")
    assert (trained / "checkpoints" / "critic.ckpt").is_file()
    assert (trained / "results.json").is_file()
    assert unexplained_keys(trained) == []


def test_an_environment_from_outside_is_trained_for_and_planned_in(tmp_path):
    run(tmp_path, EXAMPLES / "own_environment.py", "record", "corridor.hdf5")
    words = ["--config-dir", EXAMPLES / "conf", "task=corridor", "source.path=corridor.hdf5", *SHORT]
    # The critic's width must be a multiple of 64 at its last level.
    run(tmp_path, EXAMPLES / "own_environment.py", "train", *words, "critic.backbone.dim=16")
    words = [f"checkpoint={run_folder(tmp_path, 'corridor')}", "num_episodes=1", "planner.num_candidates=2"]
    printed = run(tmp_path, EXAMPLES / "own_environment.py", "plan", *words, "num_threads=1")
    assert "corridor · 2,000 transitions of file data" in printed
