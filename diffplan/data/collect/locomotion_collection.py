"""Makes one locomotion data set of D4RL's kinds."""

from importlib.metadata import version

import numpy as np

from diffplan.data.collect.episode_recorder import EpisodeRecorder, Rows, episode_returns, join
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.collect.policies import Policy, SquashedGaussianPolicy, UniformPolicy
from diffplan.data.collect.sac_training import Milestone, SacTraining
from diffplan.data.progress import TaskProgress
from diffplan.data.source.d4rl_file import file_sha256, summarize, verify_written_file, write_d4rl_file
from diffplan.env.make_env import env_version, make_env
from diffplan.env.score import normalized_score
from diffplan.errors import ConfigError, DataError, TaskMismatchError
from diffplan.files import cannot_write, exclusive, status_of, sweep_partials_of, user_path

_STREAMS = {"random": 10, "medium": 11, "expert": 12}  # Streams of random numbers; those of a training are below 10.

Facts = dict[str, str | int | float]


class LocomotionCollection:
    """Trains the missing policies, plays them, and writes a file in D4RL's layout.

    The file goes into the folder ``collected`` of ``data_dir``, and the training into
    ``policies/<body>-v2-seed<seed>``, where the other kinds of data set find it.

    Args:
        recipe: Settings of the data set.
        data_dir: Folder of all data.
    """

    def __init__(self, recipe: LocomotionRecipe, data_dir: str) -> None:
        self.recipe = recipe
        folder = user_path(data_dir)
        self.path = folder / "collected" / recipe.file_name
        self._policy_dir = folder / "policies" / f"{recipe.domain}-v2-seed{recipe.seed}"

    def prepare(self) -> None:
        """Makes the file if it is not there yet. An interrupted training continues.

        Raises:
            ConfigError: Stable-baselines3 is needed and not installed, or the folder holds another training.
            DataError: The training did not reach medium, a file cannot be written, or the existing file is damaged.
            TaskMismatchError: A given policy does not fit the environment.
        """
        if status_of(self.path) is not None:
            verify_written_file(self.path)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(self.path, "collecting"):
                sweep_partials_of(self.path)
                if status_of(self.path) is None:
                    self._collect()
        except OSError as error:
            raise DataError(cannot_write(self.path, error, "set --data-dir")) from error

    def _collect(self) -> None:
        training: SacTraining | None = None
        parts: dict[str, Rows] = {}
        facts: Facts = {}
        for part in self.recipe.parts:
            if part == "random":
                parts[part] = self._play(part, UniformPolicy(self.recipe.entry.action_dim))
                continue
            if part in self.recipe.policy_paths:
                parts[part] = self._play(part, self._given_policy(part))
                continue
            training = training or SacTraining(self.recipe, self._policy_dir)
            milestone = self._milestone(training, part)
            facts |= {f"{part}/step": milestone.step, f"{part}/evaluation_score": milestone.normalized_score}
            is_replay = part == "replay"
            parts[part] = training.rows(milestone) if is_replay else self._play(part, training.policy(milestone))
        versions = training.versions if training is not None else {}
        write_d4rl_file(self.path, join(list(parts.values())), self._metadata(parts, facts, versions))

    def summary(self) -> list[str]:
        """Returns lines about the file: what it holds and how to train on it."""
        said = summarize(self.path).metadata
        return [
            f"{self.recipe.name}: {said['num_transitions']:,} collected rows in {self.path}, "
            f"SHA-256 {file_sha256(self.path)}.",
            f"{said['num_episodes']:,} episodes, return {said['return_mean']:,.1f} +- {said['return_std']:,.1f} "
            f"({said['return_min']:,.1f} to {said['return_max']:,.1f}), D4RL-normalised "
            f"{said['normalized_score_mean']:.1f}.",
            f"Train on it with: diffplan train task={self.recipe.name} source.path={self.path}",
        ]

    def _milestone(self, training: SacTraining, part: str) -> Milestone:
        needed = self.recipe.score_at_medium

        def is_medium(milestone: Milestone) -> bool:
            return part != "expert" and milestone.normalized_score >= needed

        milestone = training.run(is_medium)
        if part == "expert" or is_medium(milestone):
            return milestone
        best = max(known.normalized_score for known in training.milestones if known.step <= milestone.step)
        raise DataError(
            f"The policy scored {best:.1f} at best in {milestone.step:,} steps, but medium needs {needed:g}; train "
            "longer with --train-steps, lower --medium-score, or choose another --seed."
        )

    def _given_policy(self, part: str) -> SquashedGaussianPolicy:
        policy = SquashedGaussianPolicy.from_zip(self.recipe.policy_paths[part])
        entry = self.recipe.entry
        if (policy.observation_dim, policy.action_dim) != (entry.observation_dim, entry.action_dim):
            raise TaskMismatchError(
                f"task '{self.recipe.name}' has observation_dim={entry.observation_dim} and action_dim="
                f"{entry.action_dim}, but the policy in {policy.origin} has {policy.observation_dim} and "
                f"{policy.action_dim}."
            )
        return policy

    def _play(self, part: str, policy: Policy) -> Rows:
        """Plays complete episodes as long as they fit."""
        limit = self.recipe.rows_per_part[self.recipe.parts.index(part)]
        recorder = EpisodeRecorder(make_env(self.recipe.env_id))
        episodes = list[Rows]()
        num_rows = 0
        with TaskProgress(f"Playing {part}", limit) as progress:
            while num_rows < limit:
                seed = np.random.SeedSequence([self.recipe.seed, _STREAMS[part], len(episodes)])
                episodes.append(recorder.play(policy, seed))
                num_rows += len(episodes[-1]["rewards"])
                progress.advance(len(episodes[-1]["rewards"]))
        recorder.close()
        if num_rows > limit:
            episodes.pop()
        if not episodes:
            raise ConfigError(f"--rows leaves {limit} to the {part} policy, but its first episode took {num_rows}.")
        return join(episodes)

    def _statistics(self, rows: Rows) -> Facts:
        returns = episode_returns(rows).astype(np.float64)
        entry = self.recipe.entry
        scores = normalized_score(returns, entry.reference_min, entry.reference_max)
        return {
            "num_transitions": len(rows["rewards"]),
            "num_episodes": len(returns),
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
            "normalized_score_mean": float(scores.mean()),
        }

    def _metadata(self, parts: dict[str, Rows], facts: Facts, training_versions: dict[str, str]) -> Facts:
        values: Facts = {
            "generator": "diffplan data collect, policies trained or given here; not D4RL's own data",
            **self.recipe.metadata(),
            **self._statistics(join(list(parts.values()))),
            **facts,
        }
        if len(parts) > 1:
            for part, rows in parts.items():
                values |= {f"{part}/{key}": value for key, value in self._statistics(rows).items()}
        values |= {f"environment/{key}": value for key, value in env_version(self.recipe.env_id).items()}
        values |= {f"version/{name}": version(name) for name in ("diffplan", "numpy")}
        return values | {f"training/version/{name}": known for name, known in training_versions.items()}
