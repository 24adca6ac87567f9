"""Converts models between diffplan, diffusers and the original repository."""

from diffplan.interop.diffuser_pipeline import DiffuserPipeline, DiffuserPipelineOutput
from diffplan.interop.diffusers_env import DiffusersEnv
from diffplan.interop.trajectory_format import TrajectoryFormat

__all__ = ["DiffuserPipeline", "DiffuserPipelineOutput", "DiffusersEnv", "TrajectoryFormat"]
