"""Environments by D4RL id."""

import difflib

import gymnasium

from diffplan.errors import EnvironmentIdError

# D4RL's v1 episode lengths; it has the open maze as v0 only, whose length is kept.
MAZE2D_EPISODE_STEPS = {"open": 150, "umaze": 300, "medium": 600, "large": 800}


def register_environments() -> None:
    """Makes ``gymnasium.make("maze2d-umaze-v1")`` and its siblings work; ids that exist already are left alone."""
    for maze, max_episode_steps in MAZE2D_EPISODE_STEPS.items():
        for reward, infix in (("sparse", ""), ("dense", "-dense")):
            env_id = f"maze2d-{maze}{infix}-v1"
            if env_id not in gymnasium.registry:
                gymnasium.register(
                    id=env_id,
                    entry_point="diffplan.env.maze2d:Maze2D",
                    max_episode_steps=max_episode_steps,
                    kwargs={"maze": maze, "reward": reward},
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
