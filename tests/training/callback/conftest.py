"""A tiny model and its data, trained in this process as ``diffplan-train`` does it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Callback, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.run import stop_signal
from diffplan.training.modules import StageLogger
from diffplan.training.stages import new_model, readable_console

TINY = (
    "experiment=quickstart",
    "logger=csv_logger",
    "source.num_transitions=2000",
    "window.horizon=8",
    "backbone.dim=8",
    "scheduler.num_train_timesteps=4",
    "datamodule.batch_size=4",
    "trainer.log_every_n_steps=2",
)


@pytest.fixture(scope="session")
def tiny_data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def composed(folder: Path, data_dir: Path, *overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("train", [*TINY, f"paths.output_dir={folder}", f"paths.data_dir={data_dir}", *overrides])
    OmegaConf.resolve(config)
    return config


@pytest.fixture
def config(tmp_path, tiny_data_dir):
    """The settings of a tiny run."""
    return composed(tmp_path, tiny_data_dir)


@pytest.fixture
def fit(tmp_path, tiny_data_dir, monkeypatch):
    """Trains with the given callbacks; returns what a test may want to look at."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(
        *callbacks: Callback, overrides=(), max_steps=6, loggers=(), checkpoint: Path | None = None, **trainer_options
    ) -> SimpleNamespace:
        # Every training here stands for a process of its own, which nobody has told to stop.
        monkeypatch.setattr(stop_signal, "_process", stop_signal._Process(os.getpid()))
        config = composed(tmp_path, tiny_data_dir, f"trainer.max_steps={max_steps}", *overrides)
        seed_everything(config.seed, verbose=False)
        datamodule = instantiate(config.datamodule)
        module = instantiate(config.module)(new_model(config, datamodule))
        options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        with readable_console():
            trainer = Trainer(
                **options | trainer_options,
                accelerator="cpu",
                max_epochs=-1,
                max_steps=max_steps,
                log_every_n_steps=2,
                logger=[StageLogger(run_logger) for run_logger in loggers],
                callbacks=list(callbacks),
                use_distributed_sampler=False,
                default_root_dir=tmp_path,
            )
            trainer.fit(module, datamodule, ckpt_path=checkpoint, weights_only=True)
        return SimpleNamespace(module=module, datamodule=datamodule, trainer=trainer)

    return run
