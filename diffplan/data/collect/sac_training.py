"""Trains a locomotion policy from scratch, as far as a data set needs it."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout
from rich.progress import Progress

from diffplan.data.catalog import dataset
from diffplan.data.collect.sac_archive import SacArchive
from diffplan.data.collect.sac_learner import SacLearner, private_random_state
from diffplan.data.collect.sac_milestone import SacMilestone
from diffplan.data.collect.sac_settings import SacSettings
from diffplan.data.collect.squashed_gaussian_policy import SquashedGaussianPolicy
from diffplan.env.episode_recorder import EpisodeRecorder, Policy, Row, Rows, episode_returns, join
from diffplan.env.make_env import make_env
from diffplan.env.score import normalized_score
from diffplan.errors import DataError

# Streams of random numbers that have nothing to do with each other.
_EPISODE, _LEARNER, _EVALUATION = 0, 1, 2


class SacTraining:
    """One training per environment and seed, shared by all kinds of data set and continued where one needs more.

    Everything random is seeded anew at the start of each episode, and milestones fall on ends of episodes: a training
    that was killed repeats what it did since the last milestone and ends with the same numbers.

    Args:
        settings: Of the training.
        folder: Where its archive lies.

    Raises:
        ConfigError: A training with other settings lies there.
    """

    def __init__(self, settings: SacSettings, folder: Path) -> None:
        self.settings = settings
        self.archive = SacArchive(folder, settings)

    def run(self, is_enough: Callable[[SacMilestone], bool], num_steps: int, progress: Progress) -> SacMilestone:
        """Trains until a milestone is enough; returns at once if one in the archive is.

        Args:
            is_enough: Asked about every milestone in turn.
            num_steps: Steps after which the training stops if none is.
            progress: Shows how far it is.

        Returns:
            The first milestone that is enough; else the first after ``num_steps``.

        Raises:
            ConfigError: Stable-baselines3 is needed and not installed.
            DataError: The archive is damaged or cannot be written.
        """

        def find() -> SacMilestone | None:
            ends = (known for known in self.archive.milestones if is_enough(known) or known.step >= num_steps)
            return next(ends, None)

        found = find()
        if found is not None:
            return found
        try:
            self.archive.folder.mkdir(parents=True, exist_ok=True)
            lock = self._lock(progress)
        except OSError as error:
            raise DataError(f"{self.archive.folder} cannot be written: {error.strerror}; set --data-dir.") from error
        with lock, private_random_state():
            self.archive.reload()  # another process may have trained while this one waited
            found = find()
            return found if found is not None else self._train(find, num_steps, progress)

    def _lock(self, progress: Progress) -> AcquireReturnProxy:
        lock = FileLock(self.archive.folder / ".lock")
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            progress.console.print(f"Another process trains in {self.archive.folder}; waiting for it.", highlight=False)
            return lock.acquire()

    def _train(self, find: Callable[[], SacMilestone | None], num_steps: int, progress: Progress) -> SacMilestone:
        learner = SacLearner(self.settings)
        step, episode = self._restore(learner)
        recorder = EpisodeRecorder(make_env(self.settings.env_id))
        evaluator = EpisodeRecorder(make_env(self.settings.env_id))
        task = progress.add_task(f"Training SAC in {self.settings.env_id}", total=num_steps, completed=step)
        found, rows = None, list[Rows]()
        start = step
        while found is None:
            learner.reseed(self._seed(_LEARNER, episode))

            def on_step(row: Row) -> None:
                learner.learn(row)
                progress.advance(task)

            rows.append(recorder.play(learner, self._seed(_EPISODE, episode), on_step))
            step, episode = step + len(rows[-1]["rewards"]), episode + 1
            if step // self.settings.evaluate_every == start // self.settings.evaluate_every:
                continue
            milestone = self._evaluate(evaluator, SquashedGaussianPolicy(learner.actor(), "SAC"), step, episode)
            self.archive.save(milestone, learner.actor(), learner.state(), join(rows), training_versions())
            progress.console.print(
                f"{step:,} steps: return {milestone.return_mean:,.0f} +- {milestone.return_std:,.0f}, "
                f"D4RL-normalised {milestone.normalized_score:.1f}",
                highlight=False,
            )
            found, rows, start = find(), [], step
        progress.remove_task(task)
        recorder.env.close()
        evaluator.env.close()
        return found

    def _restore(self, learner: SacLearner) -> tuple[int, int]:
        """Brings the learner to the last milestone; returns its step and episode."""
        if not self.archive.milestones:
            return 0, 0
        last = self.archive.milestones[-1]
        rows = self.archive.rows(last)
        for index in range(last.step):
            learner.remember({key: array[index] for key, array in rows.items()})
        learner.load_state(self.archive.learner())
        return last.step, last.episode

    def _evaluate(self, recorder: EpisodeRecorder, policy: Policy, step: int, episode: int) -> SacMilestone:
        seeds = self._seed(_EVALUATION, step).spawn(self.settings.evaluation_episodes)
        returns = np.concatenate([episode_returns(recorder.play(policy, seed)) for seed in seeds]).astype(np.float64)
        entry = dataset(self.settings.env_id)
        scores = normalized_score(returns, entry.reference_min, entry.reference_max)
        return SacMilestone(step, episode, float(returns.mean()), float(returns.std()), float(scores.mean()))

    def _seed(self, stream: int, index: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.settings.seed, stream, index])


def training_versions() -> dict[str, str]:
    """Versions of the libraries that have a part in what a training gives."""
    names = ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy", "diffplan")
    return {name: version(name) for name in names}
