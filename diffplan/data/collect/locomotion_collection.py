"""Makes one locomotion data set of D4RL's kinds."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.progress import Progress

from diffplan.data.collect.collected_file import verify_collected_file, write_collected_file
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.collect.sac_milestone import SacMilestone
from diffplan.data.collect.sac_training import SacTraining
from diffplan.data.collect.squashed_gaussian_policy import SquashedGaussianPolicy
from diffplan.data.collect.uniform_policy import UniformPolicy
from diffplan.env.episode_recorder import EpisodeRecorder, Policy, Rows, episode_returns, join
from diffplan.env.make_env import env_version, make_env
from diffplan.env.score import normalized_score
from diffplan.errors import ConfigError, DataError, TaskMismatchError

_STREAMS = {"random": 10, "medium": 11, "expert": 12}  # of random numbers; those of the training are below 10


class LocomotionCollection:
    """Trains what is not trained yet, plays it, and writes a D4RL-format file once.

    The file goes into the folder ``collected`` of ``data_dir``, policies into ``policies/<domain>-v2-seed<seed>``,
    where the other kinds of set find them.

    Args:
        recipe: What to make.
        data_dir: Folder of all data.
    """

    def __init__(self, recipe: LocomotionRecipe, data_dir: str) -> None:
        self.recipe = recipe
        folder = Path(data_dir).expanduser()
        self.path = folder / "collected" / recipe.file_name
        self._policy_dir = folder / "policies" / f"{recipe.domain}-v2-seed{recipe.seed}"

    def prepare(self, progress: Progress) -> None:
        """Makes the file where it is not there yet; goes on with the training that an earlier call began.

        Args:
            progress: Shows how far it is.

        Raises:
            ConfigError: Stable-baselines3 is needed and not installed, or another training lies in the folder.
            DataError: The training never reached medium, a file cannot be written, or one that is there is damaged.
            TaskMismatchError: A policy that was given does not fit the environment.
        """
        if self.path.exists():
            verify_collected_file(self.path)
            return
        training: SacTraining | None = None
        parts: dict[str, Rows] = {}
        policies: dict[str, Policy] = {}
        facts: dict[str, str | int | float] = {}
        for part in self.recipe.parts:
            if part == "random":
                policies[part] = UniformPolicy(self.recipe.entry.action_dim)
                continue
            if part in self.recipe.policy_paths:
                policies[part] = self._given_policy(part)
                continue
            training = training or SacTraining(self.recipe.settings, self._policy_dir)
            milestone = self._milestone(training, part, progress)
            facts |= {f"{part}/step": milestone.step, f"{part}/evaluation_score": milestone.normalized_score}
            if part == "replay":
                parts[part] = training.archive.rows(milestone)
            else:
                policies[part] = training.archive.policy(milestone)
        parts |= {part: self._play(part, policy, progress) for part, policy in policies.items()}
        versions = training.archive.versions if training is not None else {}
        write_collected_file(self.path, join(list(parts.values())), self._metadata(parts, facts, versions))

    def _milestone(self, training: SacTraining, part: str, progress: Progress) -> SacMilestone:
        asked = self.recipe.score_at_medium

        def is_medium(milestone: SacMilestone) -> bool:
            return part != "expert" and milestone.normalized_score >= asked

        milestone = training.run(is_medium, self.recipe.train_steps, progress)
        if part == "expert" or is_medium(milestone):
            return milestone
        best = max(known.normalized_score for known in training.archive.milestones if known.step <= milestone.step)
        raise DataError(
            f"The policy scored {best:.1f} at best in {milestone.step:,} steps, but medium asks for {asked:g}; train "
            "longer with --train-steps, ask for less with --medium-score, or take another --seed."
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

    def _play(self, part: str, policy: Policy, progress: Progress) -> Rows:
        """Plays whole episodes as long as they fit."""
        limit = self.recipe.rows_per_part[self.recipe.parts.index(part)]
        recorder = EpisodeRecorder(make_env(self.recipe.env_id))
        task = progress.add_task(f"Playing {part}", total=limit)
        episodes = list[Rows]()
        num_rows = 0
        while num_rows < limit:
            seed = np.random.SeedSequence([self.recipe.seed, _STREAMS[part], len(episodes)])
            episodes.append(recorder.play(policy, seed))
            num_rows += len(episodes[-1]["rewards"])
            progress.update(task, completed=num_rows)
        progress.remove_task(task)
        recorder.env.close()
        if num_rows > limit:
            episodes.pop()
        if not episodes:
            raise ConfigError(f"--rows leaves {limit} to the {part} policy, but its first episode took {num_rows}.")
        return join(episodes)

    def _statistics(self, rows: Rows) -> dict[str, str | int | float]:
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

    def _metadata(
        self, parts: dict[str, Rows], facts: dict[str, str | int | float], training_versions: dict[str, str]
    ) -> dict[str, str | int | float]:
        values: dict[str, str | int | float] = {
            "generator": "diffplan-data collect, policies trained or given here; not D4RL's own data",
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
