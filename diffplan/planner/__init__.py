"""Trained models to actions."""

from diffplan.planner.base import AbstractPlanner
from diffplan.planner.cost import DecisionCost
from diffplan.planner.guided_planner import GuidedPlanner
from diffplan.planner.waypoint_planner import WaypointPlanner

__all__ = ["AbstractPlanner", "DecisionCost", "GuidedPlanner", "WaypointPlanner"]
