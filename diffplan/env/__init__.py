"""Environments, the episode loop and scores; the only package that knows Gymnasium and MuJoCo."""

# ruff: noqa: E402 (MuJoCo reads how to draw when it is imported)

from diffplan.env.render.drawing_backend import choose_backend

choose_backend()

from diffplan.env.make_env import env_version, make_env, register_environments
from diffplan.env.maze2d.maze2d import Maze2D
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.waypoint_controller import WaypointController
from diffplan.env.rollout import Rollout, rollout
from diffplan.env.score import latched_returns, normalized_score, standard_error
from diffplan.planner.base import Planner

register_environments()

__all__ = [
    "Maze2D",
    "MazeLayout",
    "Planner",
    "Rollout",
    "WaypointController",
    "env_version",
    "latched_returns",
    "make_env",
    "normalized_score",
    "register_environments",
    "rollout",
    "standard_error",
]
