from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR


def scheduler_from_yaml(path: Path, diffusion_steps: int = 20, prediction_type: str = "sample", **settings):
    config = OmegaConf.create({
        "task": {"diffusion_steps": diffusion_steps, "clip_denoised": False},
        "prediction_type": prediction_type,
        "scheduler": OmegaConf.load(path),
    })  # fmt: skip
    return instantiate(config.scheduler, **settings)


@pytest.fixture
def make_scheduler():
    return lambda name, *args, **settings: scheduler_from_yaml(
        CONF_DIR / "scheduler" / f"{name}.yaml", *args, **settings
    )
