"""An environment of your own: a corridor whose far end pays best, known to Gymnasium as ``Corridor-v0``.

diffplan's commands know the environment when this file starts them:

    python examples/own_environment.py record corridor.hdf5
    python examples/own_environment.py train --config-dir examples/conf task=corridor source.path=corridor.hdf5
    python examples/own_environment.py plan checkpoint=<run>
"""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np


# --8<-- [start:environment]
class Corridor(gymnasium.Env):
    """A cart in a corridor 10 m long; each step pays the share of the corridor that lies behind it.

    Observations are position in metres and velocity in metres per second; the action is an acceleration.
    """

    observation_space = gymnasium.spaces.Box(np.float32([0, -2]), np.float32([10, 2]))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._state = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._state = np.array([self.np_random.uniform(0.0, 5.0), 0.0])
        return self._state.astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        position, velocity = self._state
        velocity = np.clip(velocity + 0.5 * float(np.clip(action[0], -1, 1)), -2, 2)
        position = np.clip(position + 0.2 * velocity, 0, 10)
        self._state = np.array([position, velocity])
        return self._state.astype(np.float32), float(position / 10), False, False, {}


def register() -> None:
    """Makes ``gymnasium.make`` know the environment, with episodes of 50 steps."""
    gymnasium.register("Corridor-v0", entry_point=Corridor, max_episode_steps=50)


# --8<-- [end:environment]


# --8<-- [start:use]
def main() -> None:
    """Registers the environment, then runs one of diffplan's commands or records data."""
    from own_data import write_episodes

    from diffplan.cli.app import main as run_diffplan

    register()
    if sys.argv[1] == "record":
        write_episodes(Path(sys.argv[2]), "Corridor-v0", num_episodes=40)
    else:
        run_diffplan()  # reads sys.argv, as the command diffplan does


# --8<-- [end:use]

if __name__ == "__main__":
    main()
