"""Commands run as a user runs them: real processes, tiny settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Before PyTorch is imported: tests run side by side, and threads that wait for a core take longer than none.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
TINY = (
    "experiment=quickstart",
    "logger=csv_logger",
    "source.num_transitions=3000",
    "trainer=cpu",
    "trainer.max_steps=20",
    "trainer.log_every_n_steps=5",
    "window.horizon=8",
    "backbone.dim=8",
    "scheduler.num_train_timesteps=4",
    "datamodule.batch_size=8",
    "callbacks.rollout.num_episodes=1",
    "callbacks.rollout.num_final_episodes=2",
    "callbacks.rollout.num_videos=0",
)


class TrainCommand:
    """``diffplan-train`` with tiny settings in a folder of its own.

    Args:
        folder: Where runs and data go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HYDRA_FULL_ERROR": "0"}

    def command(self, *overrides: str, tiny: bool = True) -> list[str]:
        paths = [f"paths.output_dir={self.folder}/runs", f"paths.data_dir={self.folder}/data"]
        flags = [override for override in overrides if override.startswith("-")]
        values = [override for override in overrides if not override.startswith("-")]
        return [sys.executable, "-m", "diffplan.cli.train", *flags, *(TINY if tiny else ()), *paths, *values]

    def __call__(self, *overrides: str, tiny: bool = True, **options) -> subprocess.CompletedProcess:
        options = {"capture_output": True, "text": True, "timeout": 200, "env": self.environment, "cwd": ROOT} | options
        return subprocess.run(self.command(*overrides, tiny=tiny), **options)

    def start(self, *overrides: str) -> subprocess.Popen:
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command(*overrides), env=self.environment, cwd=ROOT, **streams)

    @property
    def run_dirs(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob("runs/*/*/*/.hydra"))

    @property
    def data_files(self) -> list[Path]:
        return [path for path in self.folder.glob("data/**/*") if path.is_file()]


@pytest.fixture
def train_command(tmp_path) -> TrainCommand:
    return TrainCommand(tmp_path)


@pytest.fixture(scope="module")
def make_train_command(tmp_path_factory) -> Callable[[str], TrainCommand]:
    return lambda name: TrainCommand(tmp_path_factory.mktemp(name))
