"""A guide of your own: prefers plans in which one column is large, here the hopper's forward speed.

Run it from the root of the repository:

    python examples/own_guide.py
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.method.critic import TrajectoryCritic
from diffplan.method.guide import AbstractGuide
from diffplan.method.shapes import Trajectories, TrajectoryMask


# --8<-- [start:guide]
class ColumnGuide(AbstractGuide):
    """Steers plans towards large values of one column.

    Args:
        critic: The trained critic; this guide does not need one.
        column: Which column of a plan row; actions come first, then observations.
        scale: Step size. 0 only ranks finished plans.
    """

    num_steps = 2  # guide steps in each denoising step

    def __init__(self, critic: TrajectoryCritic | None, column: int, scale: float) -> None:
        super().__init__(critic)
        self.column = column
        self.scale = scale

    def acts_at(self, timestep: int) -> bool:
        return self.scale > 0

    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"]:
        # Plans are normalised here: 1 means one standard deviation of the data above its mean.
        return trajectories[:, :, self.column].mean(dim=1)

    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        with torch.enable_grad():
            trajectories = trajectories.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.values(trajectories, timestep).sum(), trajectories)
        return self.scale * variance * gradient


# --8<-- [end:guide]


# --8<-- [start:use]
def main() -> None:
    """Plans for one observation, with the guide at three strengths, and prints the planned speed."""
    from diffplan.interop import DiffuserPipeline

    torch.set_num_threads(1)  # the network is too small for more
    pipeline = DiffuserPipeline.from_pretrained("notebooks/pretrained/hopper")
    pipeline.set_progress_bar_config(disable=True)
    standing = np.array([1.25, *[0.0] * 10])  # height and angles, then velocities; 5 is the forward speed
    column = pipeline.trajectory.layout.action_dim + 5
    for scale in (0.0, 3.0, 10.0):
        generator = torch.Generator().manual_seed(0)
        plan = pipeline(standing, num_candidates=32, guide=ColumnGuide(None, column, scale), generator=generator)
        print(f"scale {scale:4.1f}: mean planned speed {plan.observations[0, :, :, 5].mean():.2f} m/s")


# --8<-- [end:use]

if __name__ == "__main__":
    main()
