"""Environments, the episode loop and scores. No other room depends on MuJoCo."""

# ruff: noqa: E402 (choose_backend must run before MuJoCo is imported)

from diffplan.env.make_env import choose_backend, env_version, make_env, register_environments

choose_backend()

from diffplan.env.maze2d.maze2d import Maze2D
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.waypoint_controller import WaypointController
from diffplan.env.rollout import Rollout, rollout
from diffplan.env.score import latched_returns, normalized_score, standard_error

register_environments()

__all__ = [
    "Maze2D",
    "MazeLayout",
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
