"""Environments by D4RL id, and how MuJoCo draws them."""

import logging
import os
import sys
from ctypes.util import find_library
from importlib.metadata import version

import gymnasium

from diffplan.errors import EnvironmentIdError, closest

# Episode lengths of D4RL's v1. The open maze exists as v0 only; its length is kept.
MAZE2D_EPISODE_STEPS = {"open": 150, "umaze": 300, "medium": 600, "large": 800}
# D4RL's names of the bodies and their classes.
_LOCOMOTION = {
    "hopper": "diffplan.env.locomotion.bodies:Hopper",
    "walker2d": "diffplan.env.locomotion.bodies:Walker2d",
    "halfcheetah": "diffplan.env.locomotion.bodies:HalfCheetah",
    "ant": "diffplan.env.locomotion.bodies:Ant",
}
_LOCOMOTION_DATA = ("random", "medium", "medium-replay", "medium-expert", "expert", "full-replay")
_LOCOMOTION_EPISODE_STEPS = 1000


def choose_backend() -> None:
    """Makes MuJoCo draw without a display if there is none and ``MUJOCO_GL`` is not set.

    This must run before MuJoCo is imported, because MuJoCo reads ``MUJOCO_GL`` only then. If EGL is not installed,
    nothing is set: an import of MuJoCo with ``MUJOCO_GL=egl`` would fail, and episodes can be played without pictures.
    """
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not has_display and "MUJOCO_GL" not in os.environ and find_library("EGL"):
        os.environ["MUJOCO_GL"] = "egl"
    # This logger would tell every log, as information, that one of its optional parts is not installed.
    logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)


def register_environments() -> None:
    """Registers D4RL's ids with Gymnasium. Ids that exist already are not changed.

    A locomotion id names a data set, but all data sets of a body have the same environment. ``hopper-exact-v2`` and
    the like differ from it only in the masses of the capsules, which are those of current MuJoCo.
    """
    for body, entry_point in _LOCOMOTION.items():
        for data in _LOCOMOTION_DATA:
            _register_locomotion(f"{body}-{data}-v2", entry_point)
        # For data that was recorded with current MuJoCo.
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
        render_mode: ``rgb_array`` if pictures will be drawn.

    Raises:
        EnvironmentIdError: No environment has this id.
    """
    if env_id not in gymnasium.registry:
        raise EnvironmentIdError(f"there is no environment {env_id!r}{closest(env_id, list(gymnasium.registry), 0.0)}")
    options = {} if render_mode is None else {"render_mode": render_mode}
    return gymnasium.make(env_id, disable_env_checker=True, **options)


def env_version(env_id: str) -> dict[str, str]:
    """Returns what the numbers of an environment depend on, for the record of a result.

    Args:
        env_id: As in ``make_env``.

    Returns:
        Versions of Gymnasium and MuJoCo, the class, and its corrections towards D4RL's environment.
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
