"""What an evaluation leaves: one small file from which every table, plot and page is made."""

from diffplan.result.comparable_settings import comparable_settings, config_hash, experiment_config
from diffplan.result.episode_scores import EpisodeScores
from diffplan.result.file_identity import FileIdentity
from diffplan.result.result import Result
from diffplan.result.versions import versions
from diffplan.result.wandb_identity import WandbIdentity

__all__ = [
    "EpisodeScores",
    "FileIdentity",
    "Result",
    "WandbIdentity",
    "comparable_settings",
    "config_hash",
    "experiment_config",
    "versions",
]
