"""A planner of your own: draws several plans to the goal and follows the shortest one.

Run it from the root of the repository:

    python examples/own_planner.py
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float

from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.sampler.base import AbstractSampler
from diffplan.planner.base import AbstractPlanner


# --8<-- [start:planner]
class ShortestPathPlanner(AbstractPlanner):
    """Plans once in each episode, chooses the shortest of several plans, and steers along it.

    Args:
        model: The trained model, conditioned on start and goal.
        critic: None; the length of a path needs no critic.
        sampler: How plans are drawn.
        num_candidates: Plans to choose from.
    """

    def __init__(
        self,
        model: TrajectoryModel,
        critic: TrajectoryCritic | None,
        sampler: AbstractSampler,
        num_candidates: int = 8,
    ) -> None:
        if len(model.conditioning.rows(model.horizon)) != 2:
            raise ConfigError("shortest_path_planner needs a model that plans from a start to a goal.")
        self.model = model
        self.sampler = sampler
        self.num_candidates = num_candidates
        self.chosen: Float[np.ndarray, "env row observation"] = np.zeros((0, 0, 0))
        self.step = 0

    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        if targets is None:
            raise ConfigError("shortest_path_planner needs a goal, but this task has none.")
        model = self.model
        goals = np.concatenate([targets, np.zeros_like(targets)], axis=1)  # arrive at rest
        given = torch.as_tensor(np.stack([observations, goals], axis=1), dtype=torch.float32)
        given = model.normalizer.normalize(given, model.layout.observations)
        given = given.repeat_interleave(self.num_candidates, dim=0)
        conditions = model.conditioning.from_observations(given, model.horizon, model.layout)
        # One generator an environment: its plans do not depend on what else is in the batch.
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        plans = self.sampler.sample(model, conditions, generators)
        plans = model.normalizer.unnormalize(plans[..., model.layout.observations], model.layout.observations)
        candidates = rearrange(plans.numpy(), "(env plan) row column -> env plan row column", plan=self.num_candidates)
        lengths = np.linalg.norm(np.diff(candidates[..., :2], axis=2), axis=-1).sum(axis=-1)
        self.chosen = candidates[np.arange(len(candidates)), lengths.argmin(axis=1)]
        self.step = 0

    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        self.step += 1
        row = min(self.step / self.model.stride, self.model.horizon - 1)
        before, into = int(row), row - int(row)
        after = min(before + 1, self.model.horizon - 1)
        wanted = (1 - into) * self.chosen[:, before] + into * self.chosen[:, after]
        return (wanted[:, :2] - observations[:, :2]) + (wanted[:, 2:] - observations[:, 2:])

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        return self.chosen

    @property
    def stride(self) -> int:
        return self.model.stride


# --8<-- [end:planner]


# --8<-- [start:use]
def main() -> None:
    """Solves eight mazes and prints the mean score."""
    from diffplan.env import normalized_score, rollout
    from diffplan.interop import DiffuserPipeline
    from diffplan.method.sampler import UnguidedSampler

    torch.set_num_threads(1)  # the network is too small for more
    pipeline = DiffuserPipeline.from_pretrained("notebooks/pretrained/maze2d-umaze")
    planner = ShortestPathPlanner(pipeline.model(), None, UnguidedSampler(pipeline.scheduler))
    episodes = rollout("maze2d-umaze-v1", planner, seeds=range(8), protocol="multi2d")
    # D4RL's returns of a random policy and of its reference controller score 0 and 100.
    scores = normalized_score(episodes.returns, 23.85, 161.86)
    print(f"mean score {scores.mean():.1f}; {episodes.successes.sum()} of {len(scores)} reached their goal")


# --8<-- [end:use]

if __name__ == "__main__":
    main()
