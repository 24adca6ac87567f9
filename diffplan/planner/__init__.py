"""Trained models to actions."""

from diffplan.planner.base import AbstractPlanner
from diffplan.planner.waypoint_planner import WaypointPlanner

__all__ = ["AbstractPlanner", "WaypointPlanner"]
