"""Ours as diffusers' and the original's, and theirs as ours."""

from diffplan.interop.diffuser_pipeline import DiffuserPipeline, DiffuserPipelineOutput
from diffplan.interop.diffusers_env import DiffusersEnv
from diffplan.interop.trajectory_format import TrajectoryFormat

__all__ = ["DiffuserPipeline", "DiffuserPipelineOutput", "DiffusersEnv", "TrajectoryFormat"]
