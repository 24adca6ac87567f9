"""A broken input, the command that reads it, and what is left of a healthy project to break."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# Settings that make a training of either kind last seconds.
_TINY = (
    "logger=csv_logger",
    "trainer=cpu",
    "trainer.max_steps=12",
    "trainer.log_every_n_steps=2",
    "window.horizon=8",
    "datamodule.batch_size=8",
    "backbone.dim=8",
    "callbacks.checkpoint.every_n_steps=4",
    "callbacks.rollout.every_n_steps=0",
    "callbacks.rollout.num_episodes=1",
    "callbacks.rollout.num_final_episodes=1",
    "callbacks.rollout.num_videos=0",
)
TINY_MAZE = (*_TINY, "experiment=quickstart", "task.diffusion_steps=4", "source.num_transitions=3000")
TINY_HOPPER = (
    *_TINY,
    "experiment=hopper_on_cpu",
    "task.diffusion_steps=4",
    "critic.backbone.dim=16",
    "critic.max_steps=8",
    "planner.num_candidates=2",
    "sampler.num_inference_steps=2",
)


@dataclass(frozen=True)
class Fault:
    """One broken input and the command that reads it.

    Attributes:
        name: What is broken, in words; unique within its generator.
        words: Command line after ``diffplan``.
        expected: ``refused`` is one sentence and a non-zero exit, ``accepted`` is success, ``either`` is one of both.
        protects: Files and folders that the command must leave as they are.
        environment: Variables set for the command.
        limit_seconds: Longest time the command may take on an idle core.
        folder: Working folder of the command; None is an empty one.
        hook: Python file that the command's process runs first, for instance to shorten waits.
    """

    name: str
    words: Sequence[str]
    expected: Literal["refused", "accepted", "either"] = "refused"
    protects: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limit_seconds: float = 60.0
    folder: Path | None = None
    hook: Path | None = None


@dataclass(frozen=True)
class Inputs:
    """Healthy material. A generator copies what it damages.

    Attributes:
        root: Folder of everything below.
        data_file: D4RL-layout file of the hopper, 1,200 rows.
        maze_data: Folder that ``paths.data_dir`` names, with a regenerated U-Maze set.
        maze_run: Finished run without a critic.
        hopper_run: Finished run with a critic.
        stopped_run: Run with a critic whose denoiser has been trained to step 8 of 12.
        export: Exported folder of ``hopper_run``.
        marker: File that foreign code would make.
        secret_file: Text file whose content no output may show.
        secret_variable: Name of an environment variable whose value no output may show.
        secret: The content of both.
        escape: Terminal escape sequence that no output and no page may hold as it is.
    """

    root: Path
    data_file: Path
    maze_data: Path
    maze_run: Path
    hopper_run: Path
    stopped_run: Path
    export: Path
    marker: Path
    secret_file: Path
    secret_variable: str
    secret: str
    escape: str

    def train_words(self, run: Path, output_dir: Path) -> list[str]:
        """Words that train, resume or show a copy of one of the runs.

        Args:
            run: ``maze_run``, ``hopper_run`` or ``stopped_run``.
            output_dir: Folder that ``copy_run`` returned.
        """
        source = [f"paths.data_dir={self.maze_data}"] if run == self.maze_run else [f"source.path={self.data_file}"]
        tiny = TINY_MAZE if run == self.maze_run else TINY_HOPPER
        return ["train", *tiny, *source, f"paths.output_dir={output_dir}"]

    def copy_run(self, run: Path, place: Path) -> tuple[Path, Path]:
        """Copies a run so that retyping its command finds the copy.

        Args:
            run: One of the runs.
            place: New folder.

        Returns:
            The folder for ``train_words``, and the run's folder in it.
        """
        # A run lies at <output_dir>/<task>/<name>/<seed and hash>.
        copied = place.joinpath(*run.parts[-3:])
        shutil.copytree(run, copied)
        return place, copied
