"""Environments, the episode loop and scores; the only package that knows Gymnasium and MuJoCo."""

from diffplan.env.make_env import make_env, register_environments
from diffplan.env.maze2d import Maze2D
from diffplan.env.maze_layout import MazeLayout
from diffplan.env.rollout import Planner, Rollout, rollout
from diffplan.env.score import latched_returns, normalized_score, standard_error
from diffplan.env.waypoint_controller import WaypointController

register_environments()

__all__ = [
    "Maze2D",
    "MazeLayout",
    "Planner",
    "Rollout",
    "WaypointController",
    "latched_returns",
    "make_env",
    "normalized_score",
    "register_environments",
    "rollout",
    "standard_error",
]
