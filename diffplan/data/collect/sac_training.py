"""Trains a locomotion policy from scratch with stable-baselines3's SAC, for as long as a data set needs it."""

import io
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from diffplan.data.catalog import dataset
from diffplan.data.collect.episode_recorder import EpisodeRecorder, Rows, episode_returns, join
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.collect.npz_file import read_npz
from diffplan.data.collect.policies import SquashedGaussianPolicy
from diffplan.env.make_env import make_env
from diffplan.env.score import normalized_score
from diffplan.errors import ConfigError, DataError
from diffplan.files import cannot_write, check_file, exclusive, status_of, sweep_partials, write_file

if TYPE_CHECKING:
    from stable_baselines3 import SAC

logger = logging.getLogger(__name__)

_BUFFER_ROWS = 1_000_000
_ROW_KEYS = ("observations", "next_observations", "actions", "rewards", "terminals", "timeouts")
_STATE_KEYS = ("infos/qpos", "infos/qvel", "infos/action_log_probs")
# Independent streams of random numbers.
_TRAINING, _EVALUATION = 1, 2


@dataclass(frozen=True)
class Milestone:
    """One evaluation during a training.

    Attributes:
        step: Environment steps so far.
        return_mean: Mean return of the stochastic policy over the episodes of the evaluation.
        return_std: Standard deviation of these returns.
        normalized_score: ``return_mean`` on D4RL's scale: 0 for a random policy, 100 for D4RL's reference.
    """

    step: int
    return_mean: float
    return_std: float
    normalized_score: float


class SacTraining:
    """One training per environment and seed. All kinds of data sets share it and continue it if they need more.

    ``SAC.learn`` trains from one milestone to the next. A milestone is the first end of an episode after every
    ``evaluate_every`` steps: the policy is evaluated, everything is saved, and all random numbers are seeded again. An
    interrupted training therefore repeats the steps since its last milestone and ends with the same numbers.

    The folder holds ``training.json`` (settings, versions and milestones), for every milestone ``policy-<step>.npz``
    (weights of the actor) and ``rows-<step>.npz`` (the steps since the milestone before), and for the last milestone
    ``sac-<step>.zip``, which stable-baselines3 saved. The rows also fill the replay buffer when a training resumes. The
    json is written last, and files that it does not name are ignored. Nothing in the folder is ever unpickled.

    Args:
        recipe: Settings of the training.
        folder: Folder of the training. It need not exist.

    Raises:
        ConfigError: The folder holds a training with other settings.
        DataError: The folder is damaged.
    """

    def __init__(self, recipe: LocomotionRecipe, folder: Path) -> None:
        self.recipe = recipe
        self.folder = folder
        self.milestones: tuple[Milestone, ...] = ()
        self.versions: dict[str, str] = {}
        self._read()

    def run(self, is_enough: Callable[[Milestone], bool]) -> Milestone:
        """Trains until a milestone is enough. Returns at once if an earlier milestone is.

        Args:
            is_enough: Called with every milestone.

        Returns:
            The first milestone that is enough, or else the first one after ``recipe.train_steps``.

        Raises:
            ConfigError: Stable-baselines3 is needed and not installed.
            DataError: The folder is damaged or cannot be written.
        """

        def find() -> Milestone | None:
            ends = (known for known in self.milestones if is_enough(known) or known.step >= self.recipe.train_steps)
            return next(ends, None)

        if found := find():
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self.folder / "training.json", "training in"):
                sweep_partials(self.folder)
                self._read()  # Another process may have trained in the meantime.
                return find() or self._train(find)
        except OSError as error:
            raise DataError(cannot_write(self.folder, error, "set --data-dir")) from error

    def policy(self, milestone: Milestone) -> SquashedGaussianPolicy:
        """Returns the policy at a milestone.

        Raises:
            DataError: Its file is missing or damaged.
        """
        path = self._path("policy", milestone.step)
        policy = SquashedGaussianPolicy(self._unpacked(path), str(path))
        if (policy.observation_dim, policy.action_dim) != self._dims:
            raise self._damaged(path)
        return policy

    def rows(self, last: Milestone) -> Rows:
        """Returns all steps up to a milestone, in order.

        Raises:
            DataError: A file is missing or damaged.
        """
        steps = [0, *(milestone.step for milestone in self.milestones if milestone.step <= last.step)]
        return join([self._rows(before, step) for before, step in pairwise(steps)])

    def _rows(self, before: int, step: int) -> Rows:
        """Reads the steps between two milestones."""
        rows = self._unpacked(path := self._path("rows", step))
        observation, action = self._dims
        widths = {"observations": observation, "next_observations": observation, "actions": action}
        shapes = {key: (step - before, *([widths[key]] if key in widths else [])) for key in _ROW_KEYS}
        wrong = [key for key, shape in shapes.items() if key not in rows or rows[key].shape[: len(shape)] != shape]
        known = {*_ROW_KEYS, *_STATE_KEYS}
        if wrong or set(rows) != known or not all(np.isfinite(array).all() for array in rows.values()):
            raise self._damaged(path)
        return rows

    def _train(self, find: Callable[[], Milestone | None]) -> Milestone:
        """Trains from the last milestone until ``find`` finds one, which is returned."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # Another number would give other rounding errors.
        env, judge = (EpisodeRecorder(make_env(self.recipe.env_id)) for _ in range(2))
        try:
            sac = self._sac(env)
            every, start, begin = self.recipe.evaluate_every, sac.num_timesteps, time.monotonic()
            while not (found := find()):
                # The seed decides everything until the next milestone, beginning with the reset that set_env asks for.
                sac.set_random_seed(int(self._seed(_TRAINING, sac.num_timesteps).generate_state(1)[0]))
                sac.set_env(sac.get_env())
                sac.learn(every - sac.num_timesteps % every, reset_num_timesteps=False, log_interval=None)
                while not env.ended:
                    sac.learn(1, reset_num_timesteps=False, log_interval=None)
                if not all(np.isfinite(weights).all() for weights in _actor(sac).values()):
                    raise DataError(
                        f"The training in {self.folder} diverged before step {sac.num_timesteps:,}; the milestones "
                        "until then are kept. Choose another --seed."
                    )
                milestone = self._evaluate(sac, judge)
                self._save(milestone, sac, env.take())
                seconds = (time.monotonic() - begin) / (milestone.step - start)
                left = timedelta(seconds=round(seconds * max(self.recipe.train_steps - milestone.step, 0)))
                logger.info(
                    f"{milestone.step:,} of at most {self.recipe.train_steps:,} steps: return "
                    f"{milestone.return_mean:,.0f} +- {milestone.return_std:,.0f}, D4RL-normalised "
                    f"{milestone.normalized_score:.1f}, at most {left} left"
                )
            return found
        finally:
            env.close()
            judge.close()
            torch.set_num_threads(threads)

    def _sac(self, env: EpisodeRecorder) -> "SAC":
        """Builds the algorithm and brings it to the last milestone."""
        try:
            from stable_baselines3 import SAC
            from stable_baselines3.common.logger import Logger
        except ImportError as error:
            raise ConfigError(
                "Training policies needs the package stable-baselines3; install it with "
                "`pip install diffplan[collect]`."
            ) from error
        sac = SAC(
            "MlpPolicy",
            env,
            buffer_size=_BUFFER_ROWS,
            batch_size=self.recipe.batch_size,
            learning_starts=self.recipe.learning_starts,
            policy_kwargs={"net_arch": [self.recipe.hidden_width] * 2},
            seed=self.recipe.seed,
            device="cpu",
        )
        sac.set_logger(Logger(None, []))

        def log_probability(
            observation: Float32[np.ndarray, " observation"], action: Float32[np.ndarray, " action"]
        ) -> float:
            if sac.num_timesteps < sac.learning_starts:
                return -len(action) * float(np.log(2.0))
            with torch.no_grad():
                mean, log_std, _ = sac.actor.get_action_dist_params(torch.from_numpy(observation[None]))
                distribution = sac.actor.action_dist.proba_distribution(mean, log_std)
                return float(distribution.log_prob(torch.from_numpy(action[None])))

        env.log_probability = log_probability
        if self.milestones:
            self._restore(sac)
        return sac

    def _restore(self, sac: "SAC") -> None:
        from stable_baselines3.common.save_util import load_from_zip_file

        path = self._path("sac", self.milestones[-1].step)
        self._check(path)
        try:
            # Without load_data, the library reads tensors only and unpickles nothing.
            _, parameters, variables = load_from_zip_file(path, load_data=False, device="cpu")
            sac.set_parameters(parameters, exact_match=True, device="cpu")
            sac.log_ent_coef.data.copy_(variables["log_ent_coef"])
        # Damaged files raise errors of every kind.
        except Exception as error:
            raise self._damaged(path) from error
        optimizers = (sac.actor.optimizer, sac.critic.optimizer, sac.ent_coef_optimizer)
        states = [(weight, state) for each in optimizers for weight, state in each.state.items()]
        moments = [
            (weight, tensor)
            for weight, state in states
            for tensor in [weight, *(value for key, value in state.items() if key != "step")]
        ]
        # The optimiser itself does not compare shapes.
        if not all(tensor.shape == weight.shape and bool(tensor.isfinite().all()) for weight, tensor in moments):
            raise self._damaged(path)
        sac.num_timesteps = self.milestones[-1].step
        buffer, rows = sac.replay_buffer, self.rows(self.milestones[-1])
        places = np.arange(sac.num_timesteps)[-_BUFFER_ROWS:] % _BUFFER_ROWS
        columns = {key: rows[key] for key in ("observations", "next_observations", "actions", "rewards", "timeouts")}
        for key, values in {**columns, "dones": rows["terminals"] | rows["timeouts"]}.items():
            getattr(buffer, key)[places, 0] = values[-_BUFFER_ROWS:]
        buffer.pos, buffer.full = sac.num_timesteps % _BUFFER_ROWS, sac.num_timesteps >= _BUFFER_ROWS

    def _evaluate(self, sac: "SAC", judge: EpisodeRecorder) -> Milestone:
        policy = SquashedGaussianPolicy(_actor(sac), "SAC")
        seeds = self._seed(_EVALUATION, sac.num_timesteps).spawn(self.recipe.evaluation_episodes)
        returns = np.concatenate([episode_returns(judge.play(policy, seed)) for seed in seeds]).astype(np.float64)
        entry = dataset(self.recipe.env_id)
        scores = normalized_score(returns, entry.reference_min, entry.reference_max)
        return Milestone(sac.num_timesteps, float(returns.mean()), float(returns.std()), float(scores.mean()))

    def _save(self, milestone: Milestone, sac: "SAC", rows: Rows) -> None:
        saved = io.BytesIO()
        sac.save(saved)
        write_file(self._path("policy", milestone.step), _packed(_actor(sac)))
        write_file(self._path("rows", milestone.step), _packed(rows))
        write_file(self._path("sac", milestone.step), saved.getvalue())
        before, self.milestones = self.milestones, (*self.milestones, milestone)
        for name in ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy", "diffplan"):
            # A training that was continued after an update names every version that had a part in it.
            known = self.versions.get(name, version(name)).split(", ")
            self.versions[name] = ", ".join(dict.fromkeys([*known, version(name)]))
        content = {
            "settings": self.recipe.training_settings(),
            "versions": self.versions,
            "milestones": [asdict(known) for known in self.milestones],
        }
        write_file(self.folder / "training.json", (json.dumps(content, indent=1) + "\n").encode())
        for old in before:
            self._path("sac", old.step).unlink(missing_ok=True)

    def _read(self) -> None:
        path = self.folder / "training.json"
        if status_of(path) is None:
            return
        self._check(path)
        try:
            content = json.loads(path.read_bytes())
            settings = dict(content["settings"])
            asked = self.recipe.training_settings()
            different = sorted(name for name in asked | settings if asked.get(name) != settings.get(name))
            if not different:
                self.milestones = tuple(_milestone(**milestone) for milestone in content["milestones"])
                self.versions = {str(name): str(known) for name, known in content["versions"].items()}
                steps = [0, *(milestone.step for milestone in self.milestones)]
                if any(one >= two for one, two in pairwise(steps)):
                    raise ValueError("steps")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(path) from error
        if different:
            name = different[0]
            raise ConfigError(
                f"{self.folder} holds a training with {name}={settings.get(name)}, but {name}={asked.get(name)} was "
                "requested; choose another --seed or --data-dir, or move the folder away."
            )

    def _seed(self, stream: int, step: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.recipe.seed, stream, step])

    def _path(self, kind: str, step: int) -> Path:
        return self.folder / f"{kind}-{step:08d}.{'zip' if kind == 'sac' else 'npz'}"

    def _unpacked(self, path: Path) -> Rows:
        self._check(path)
        try:
            return read_npz(path)
        # Damaged archives raise errors of every kind.
        except Exception as error:
            raise self._damaged(path) from error

    def _check(self, path: Path) -> None:
        try:
            check_file(path, "a file")
        except DataError as error:
            raise self._damaged(path) from error

    @property
    def _dims(self) -> tuple[int, int]:
        return self.recipe.entry.observation_dim, self.recipe.entry.action_dim

    def _damaged(self, path: Path) -> DataError:
        return DataError(f"{path} is missing or damaged; move {self.folder} away to train from scratch.")


def _milestone(step: Any, return_mean: Any, return_std: Any, normalized_score: Any) -> Milestone:
    numbers = (return_mean, return_std, normalized_score)
    if type(step) is not int or not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise ValueError("a milestone holds a step and three finite numbers")
    return Milestone(step, *map(float, numbers))


def _actor(sac: "SAC") -> dict[str, Float32[np.ndarray, "..."]]:
    """Returns a copy of the weights of the policy."""
    state = sac.policy.state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items() if name.startswith("actor.")}


def _packed(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()
