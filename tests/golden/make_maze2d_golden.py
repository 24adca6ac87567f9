"""Makes ``maze2d_mujoco_2_3_2.npz``: D4RL's point mass, written from its facts, under MuJoCo 2.3.2.

Run in an environment of its own, since the package needs a later MuJoCo:

    python -m venv golden && golden/bin/pip install "mujoco==2.3.2" "numpy<2" h5py
    golden/bin/python tests/golden/make_maze2d_golden.py <maze2d-umaze-sparse-v1.hdf5>

The argument is D4RL's own file, of which 64 rows are kept (Fu et al., "D4RL: Datasets for Deep Data-Driven
Reinforcement Learning", data under CC BY 4.0).

Nothing here is shared with the package: the mazes, the model and the order of a step are stated a second time.
"""

import sys
from pathlib import Path

import h5py
import mujoco
import numpy as np

MAZES = {
    "umaze": "##### #GOO# ###O# #OOO# #####",
    "medium": "######## #OO##OO# #OO#OOO# ##OOO### #OO#OOO# #O#OO#O# #OOO#OG# ########",
    "large": "############ #OOOO#OOOOO# #O##O#O#O#O# #OOOOOO#OOO# #O####O###O# #OO#O#OOOOO# ##O#O#O#O### #OO#OOO#OGO# "
    "############",
}
STEPS = 200
EPISODES = 4
# Rows of D4RL's U-Maze file in which the ball hits a wall three times and no new target is drawn.
EXCERPT = slice(832, 896)


def model_xml(maze):
    walls = "".join(
        f'<geom type="box" pos="{x + 1.0} {y + 1.0} 0" size="0.5 0.5 0.2" conaffinity="1"/>'
        for x, row in enumerate(maze.split())
        for y, tile in enumerate(row)
        if tile == "#"
    )
    return f"""
    <mujoco>
      <compiler inertiafromgeom="true" angle="radian" coordinate="local"/>
      <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
      <default>
        <joint damping="1" limited="false"/>
        <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
      </default>
      <worldbody>
        <geom type="plane" size="40 40 0.25" pos="0 0 -0.1" contype="1" conaffinity="0"/>
        <body pos="1.2 1.2 0">
          <geom type="sphere" size="0.1" contype="1"/>
          <joint name="x" type="slide" pos="0 0 0" axis="1 0 0"/>
          <joint name="y" type="slide" pos="0 0 0" axis="0 1 0"/>
        </body>
        {walls}
      </worldbody>
      <actuator>
        <motor joint="x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
        <motor joint="y" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
      </actuator>
    </mujoco>"""


def play(model, start, actions):
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = start[:2], start[2:]
    mujoco.mj_forward(model, data)
    states = [start]
    for action in actions:
        data.qvel[:] = np.clip(data.qvel, -5.0, 5.0)
        mujoco.mj_forward(model, data)
        data.ctrl[:] = np.clip(action, -1.0, 1.0)
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return np.array(states)


def main():
    if mujoco.__version__ != "2.3.2":
        sys.exit(f"These numbers are MuJoCo 2.3.2's; this is {mujoco.__version__}.")
    generator = np.random.default_rng(0)
    arrays = {}
    for name, maze in MAZES.items():
        model = mujoco.MjModel.from_xml_string(model_xml(maze))
        cells = [(x, y) for x, row in enumerate(maze.split()) for y, tile in enumerate(row) if tile != "#"]
        actions = generator.uniform(-1.2, 1.2, size=(EPISODES, STEPS, 2)).astype(np.float32)
        # Half of the episodes hold an action for 25 steps, which drives the ball into the walls at full speed.
        actions[::2] = np.repeat(actions[::2, ::25], 25, axis=1)
        starts = np.concatenate(
            [
                np.array(cells)[generator.integers(len(cells), size=EPISODES)]
                + generator.uniform(-0.1, 0.1, size=(EPISODES, 2)),
                generator.normal(size=(EPISODES, 2)) * 0.1,
            ],
            axis=1,
        )
        arrays[f"{name}/actions"] = actions
        arrays[f"{name}/states"] = np.array([play(model, s, a) for s, a in zip(starts, actions, strict=True)])
    with h5py.File(sys.argv[1]) as file:
        arrays["d4rl/observations"] = file["observations"][EXCERPT]
        arrays["d4rl/actions"] = file["actions"][EXCERPT]
    np.savez_compressed(Path(__file__).with_name("maze2d_mujoco_2_3_2.npz"), **arrays)


if __name__ == "__main__":
    main()
