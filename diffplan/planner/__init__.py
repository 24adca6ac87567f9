"""Trained models and observations in, actions out."""

from diffplan.planner.base import AbstractPlanner
from diffplan.planner.candidates import Candidates, PlanDrawer
from diffplan.planner.cost import DecisionCost
from diffplan.planner.guided_planner import GuidedPlanner
from diffplan.planner.waypoint_planner import WaypointPlanner

__all__ = ["AbstractPlanner", "Candidates", "DecisionCost", "GuidedPlanner", "PlanDrawer", "WaypointPlanner"]
