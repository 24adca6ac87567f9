"""Environments by D4RL id."""

import difflib
from importlib.metadata import version

import gymnasium

from diffplan.errors import EnvironmentIdError

# D4RL's v1 episode lengths; it has the open maze as v0 only, whose length is kept.
MAZE2D_EPISODE_STEPS = {"open": 150, "umaze": 300, "medium": 600, "large": 800}


# D4RL's names for the bodies, and where they are.
_LOCOMOTION = {
    "hopper": "diffplan.env.locomotion.bodies:Hopper",
    "walker2d": "diffplan.env.locomotion.bodies:Walker2d",
    "halfcheetah": "diffplan.env.locomotion.bodies:HalfCheetah",
    "ant": "diffplan.env.locomotion.bodies:Ant",
}
_LOCOMOTION_DATA = ("random", "medium", "medium-replay", "medium-expert", "expert", "full-replay")
_LOCOMOTION_EPISODE_STEPS = 1000


def register_environments() -> None:
    """Makes ``gymnasium.make`` know D4RL's ids; those that exist already are left alone.

    A locomotion id names a data set; its environment is the same for all data sets of a body. ``hopper-exact-v2`` and
    its siblings differ from it in their capsules' masses alone, which are those of today's MuJoCo.
    """
    for body, entry_point in _LOCOMOTION.items():
        for data in _LOCOMOTION_DATA:
            env_id = f"{body}-{data}-v2"
            _register_locomotion(env_id, entry_point)
        # For data that was recorded with today's MuJoCo.
        _register_locomotion(f"{body}-exact-v2", entry_point, capsule_masses="exact")
    for maze, max_episode_steps in MAZE2D_EPISODE_STEPS.items():
        for reward, infix in (("sparse", ""), ("dense", "-dense")):
            env_id = f"maze2d-{maze}{infix}-v1"
            if env_id not in gymnasium.registry:
                gymnasium.register(
                    id=env_id,
                    entry_point="diffplan.env.maze2d.maze2d:Maze2D",
                    max_episode_steps=max_episode_steps,
                    kwargs={"maze": maze, "reward": reward},
                )


def _register_locomotion(env_id: str, entry_point: str, **settings: str) -> None:
    if env_id not in gymnasium.registry:
        gymnasium.register(
            id=env_id, entry_point=entry_point, max_episode_steps=_LOCOMOTION_EPISODE_STEPS, kwargs=settings
        )


def make_env(env_id: str, render_mode: str | None = None) -> gymnasium.Env:
    """Builds an environment with its time limit.

    Args:
        env_id: A D4RL id such as ``maze2d-large-v1``, or any other id registered with Gymnasium.
        render_mode: ``rgb_array`` to be able to render.

    Raises:
        EnvironmentIdError: no environment has this id.
    """
    if env_id not in gymnasium.registry:
        closest = difflib.get_close_matches(env_id, list(gymnasium.registry), n=1, cutoff=0.0)
        raise EnvironmentIdError(f"No environment is called {env_id!r}; the closest is {closest[0]!r}.")
    options = {} if render_mode is None else {"render_mode": render_mode}
    return gymnasium.make(env_id, disable_env_checker=True, **options)


def env_version(env_id: str) -> dict[str, str]:
    """Says what an environment's numbers depend on, for the record of a result.

    Args:
        env_id: As in ``make_env``.

    Returns:
        Versions of Gymnasium and MuJoCo, the class, and how it was corrected towards D4RL's.
    """
    env = make_env(env_id)
    kind, corrections = type(env.unwrapped), getattr(env.unwrapped, "corrections", "none")
    env.close()
    return {
        "env_id": env_id,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "settings": ", ".join(f"{key}={value}" for key, value in env.spec.kwargs.items()) if env.spec else "",
        "corrections": corrections,
        "gymnasium": version("gymnasium"),
        "mujoco": version("mujoco"),
    }
