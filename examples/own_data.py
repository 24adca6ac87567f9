"""Data of your own: records episodes and writes them as one HDF5 file in D4RL's layout.

python examples/own_data.py pendulum.hdf5
"""

import sys
from pathlib import Path

import gymnasium
import h5py
import numpy as np


# --8<-- [start:write]
def write_episodes(path: Path, env_id: str, num_episodes: int) -> None:
    """Plays random actions and writes what happened, episode after episode, one row a step.

    Args:
        path: The HDF5 file.
        env_id: A Gymnasium environment.
        num_episodes: How many episodes to record.
    """
    env = gymnasium.make(env_id)
    rows: dict[str, list] = {name: [] for name in ("observations", "actions", "rewards", "terminals", "timeouts")}
    for seed in range(num_episodes):
        observation, _ = env.reset(seed=seed)
        env.action_space.seed(seed)
        is_over = False
        while not is_over:
            action = env.action_space.sample()
            following, reward, terminated, truncated, _ = env.step(action)
            rows["observations"].append(observation)  # before the action
            rows["actions"].append(action)
            rows["rewards"].append(reward)  # after the action
            rows["terminals"].append(terminated)  # the task ended: nothing can follow
            rows["timeouts"].append(truncated)  # the recording ended: more would have followed
            observation, is_over = following, terminated or truncated
    env.close()
    with h5py.File(path, "w") as file:
        for name, values in rows.items():
            dtype = bool if name in ("terminals", "timeouts") else np.float32
            file.create_dataset(name, data=np.asarray(values, dtype=dtype))


# --8<-- [end:write]

if __name__ == "__main__":
    write_episodes(Path(sys.argv[1]), "Pendulum-v1", num_episodes=20)
