"""Makes ``locomotion_mujoco_2_3_2.npz``: Gymnasium's version 4 environments under MuJoCo 2.3.2.

Run in an environment of its own, since the package needs later releases of both:

    python -m venv golden && golden/bin/pip install "mujoco==2.3.2" "gymnasium==0.29.1" "numpy<2" imageio
    golden/bin/python tests/golden/make_locomotion_golden.py

Version 4 equals version 2, which D4RL used, in observation, reward, termination and reset, and this MuJoCo that of
D4RL's time in contacts; its capsules are heavier, for which there is ``half_cheetah_v2.npz``. Actions are drawn beyond
the motors' range and clipped before the step, as D4RL's ``NormalizedBoxEnv`` does. The ant is left out: MuJoCo has
changed more than contact margins for its free joint.
"""

from pathlib import Path

import gymnasium
import numpy as np

EPISODES, STEPS = 3, 60


def main() -> None:
    """Plays seeded episodes of each body until they end, and writes what happened."""
    arrays = {}
    for body, env_id in (("hopper", "Hopper-v4"), ("walker2d", "Walker2d-v4"), ("halfcheetah", "HalfCheetah-v4")):
        env = gymnasium.make(env_id)
        for episode in range(EPISODES):
            random = np.random.default_rng(episode)
            observations, actions, rewards, terminated = [env.reset(seed=episode)[0]], [], [], False
            state = np.concatenate([env.unwrapped.data.qpos, env.unwrapped.data.qvel])
            while len(actions) < STEPS and not terminated:
                action = random.uniform(-1.3, 1.3, env.action_space.shape)
                observation, reward, terminated, _, _ = env.step(np.clip(action, -1, 1).astype(np.float64))
                observations.append(observation)
                actions.append(action)
                rewards.append(reward)
            for name, values in (
                ("state", state), ("observations", observations), ("actions", actions), ("rewards", rewards),
                ("terminated", terminated),
            ):  # fmt: skip
                arrays[f"{body}/{episode}/{name}"] = np.asarray(values)
    np.savez_compressed(Path(__file__).with_name("locomotion_mujoco_2_3_2.npz"), **arrays)


if __name__ == "__main__":
    main()
