"""Makes the healthy material that generators damage: a data file, runs, and an exported folder."""

from pathlib import Path

import h5py
import numpy as np
from fault import TINY_HOPPER, TINY_MAZE, Inputs
from harness import ForkServer

_OBSERVATION_DIM, _ACTION_DIM = 11, 3
_STOP = """
import os, signal, sys
count = 0
def watch(event, arguments):
    global count
    if event == "os.rename" and os.fsdecode(arguments[1]).endswith("/last.ckpt"):
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
"""


def make_inputs(server: ForkServer, root: Path) -> Inputs:
    """Makes the material.

    Args:
        server: Runs the trainings.
        root: New folder.
    """
    data_file = root / "hopper.hdf5"
    write_hopper_file(data_file)
    hopper = [*TINY_HOPPER, f"source.path={data_file}"]
    hopper_run = _train(server, hopper, root / "hopper")
    stopped_run = _stopped(server, hopper, root / "stopped")
    maze_data = root / "data"
    maze_run = _train(server, [*TINY_MAZE, f"paths.data_dir={maze_data}"], root / "maze")
    export = root / "export"
    _succeed(server, ["export", "--checkpoint", str(hopper_run), "--to", str(export)], root)
    secret = "jade-lantern-58213"
    secret_file = root / "secret.txt"
    secret_file.write_text(secret * 40)
    return Inputs(
        root, data_file, maze_data, maze_run, hopper_run, stopped_run, export, root / "marker", secret_file,
        "DIFFPLAN_FAULT_SECRET", secret, "\x1b]0;owned\x07",
    )  # fmt: skip


def write_hopper_file(path: Path, num_episodes: int = 6, length: int = 200) -> None:
    """Writes smooth random episodes with the columns of a hopper."""
    random = np.random.default_rng(0)
    rows = num_episodes * length
    ends = np.arange(1, rows + 1) % length == 0
    with h5py.File(path, "w") as file:
        file["observations"] = random.standard_normal((rows, _OBSERVATION_DIM)).astype(np.float32).cumsum(0) / 50
        file["actions"] = random.uniform(-1, 1, (rows, _ACTION_DIM)).astype(np.float32)
        file["rewards"] = random.uniform(0, 3, rows).astype(np.float32)
        file["terminals"] = np.zeros(rows, bool)
        file["timeouts"] = ends


def _train(server: ForkServer, words: list[str], output_dir: Path) -> Path:
    _succeed(server, ["train", *words, f"paths.output_dir={output_dir}"], output_dir.parent)
    return next(output_dir.glob("*/*/*/.hydra")).parent


def _stopped(server: ForkServer, words: list[str], output_dir: Path) -> Path:
    """Kills a training just before it would replace its checkpoint of step 8 by that of step 12."""
    hook = output_dir.parent / "stop.py"
    hook.write_text(_STOP)
    log = output_dir.parent / "log"
    answer = server.run(["train", *words, f"paths.output_dir={output_dir}"], output_dir.parent, log, hook=hook)
    assert answer["code"] == -9, (log / "stderr").read_text()[-2000:]
    return next(output_dir.glob("*/*/*/.hydra")).parent


def _succeed(server: ForkServer, words: list[str], root: Path) -> None:
    log = root / "log"
    answer = server.run(words, root, log)
    if answer["code"] != 0:
        raise RuntimeError(f"{words} ended with {answer['code']}: {(log / 'stderr').read_text()[-2000:]}")
