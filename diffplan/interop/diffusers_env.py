import os
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from diffplan.errors import CheckpointError
from diffplan.interop.trajectory_format import TrajectoryFormat


class DiffusersEnv:
    """Gives ``ValueGuidedRLPipeline`` all it asks of its environment: means, deviations and two shapes.

    That pipeline takes the mean and deviation of whatever ``get_dataset`` returns, over all columns together. This
    class returns objects whose mean and deviation are those of each column. So the pipeline normalises as the model was
    trained, and no data set is held in memory. The clipping of a ``limits`` normaliser is lost.

    Args:
        trajectory: The exported trajectory format.
        env: The environment that plans are made for. Other attributes are taken from it. None is enough to plan.
    """

    def __init__(self, trajectory: TrajectoryFormat, env: Any = None) -> None:
        layout = trajectory.layout
        offset, scale = trajectory.offset.cpu().numpy(), trajectory.scale.cpu().numpy()
        self._dataset = {
            name: SimpleNamespace(mean=partial(np.copy, offset[columns]), std=partial(np.copy, scale[columns]))
            for name, columns in (("actions", layout.actions), ("observations", layout.observations))
        }
        self.env = env
        self.observation_space = getattr(env, "observation_space", SimpleNamespace(shape=(layout.observation_dim,)))
        self.action_space = getattr(env, "action_space", SimpleNamespace(shape=(layout.action_dim,)))
        shapes = self.action_space.shape, self.observation_space.shape
        if shapes != ((layout.action_dim,), (layout.observation_dim,)):
            raise CheckpointError(
                f"the environment's actions and observations have shapes {shapes[0]} and {shapes[1]}, but the model "
                f"was trained with {layout.action_dim} and {layout.observation_dim} columns."
            )

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike, env: Any = None) -> "DiffusersEnv":
        """Reads the statistics of an exported folder; for ``env`` see the class."""
        return cls(TrajectoryFormat.from_pretrained(folder, subfolder="trajectory"), env)

    def get_dataset(self) -> dict[str, Any]:
        """Returns means and deviations in place of data."""
        return self._dataset

    def __getattr__(self, name: str) -> Any:
        if name == "env" or self.env is None:
            raise AttributeError(name)
        return getattr(self.env, name)
