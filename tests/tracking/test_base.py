"""Both loggers behind one interface: driven by a real Trainer and built from the real config files."""

from pathlib import Path

import hydra
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from omegaconf import OmegaConf

from diffplan.report.run_record import RunRecord
from diffplan.tracking.base import AbstractRunLogger
from diffplan.tracking.csv_logger import CsvLogger
from diffplan.tracking.wandb_logger import WandbLogger

CONF_DIR = Path(__file__).parents[2] / "conf" / "logger"


class Line(LightningModule):
    """Fits a line, logging its loss every step."""

    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"width": 1})
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        loss = (self.layer(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        if index == 19:
            for logger in self.trainer.loggers:
                logger.log_table("eval/single_task/episodes", ["seed", "score"], [[0, 1.5]], self.trainer.global_step)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(loggers, root):
    trainer = Trainer(
        max_steps=20,
        log_every_n_steps=5,
        logger=loggers,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
    )
    trainer.fit(Line(), train_dataloaders=torch.utils.data.DataLoader(torch.ones(80, 1), batch_size=4))


# Lightning 2.6 asks torch 2.13 for a tree's leaves in a way torch has deprecated, and advises on loader workers.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore:.*does not have many workers.*")
def test_a_trainer_gives_both_loggers_the_same_numbers(tmp_path, clean_wandb, read_offline):
    run_dir = tmp_path / "run"
    fit([CsvLogger(run_dir), WandbLogger(project="diffplan", save_dir=run_dir)], tmp_path)
    steps, losses = RunRecord.read(run_dir).series("train/loss")
    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    rows = [record["item"] for kind, record in read_offline(folder) if kind == "history"]
    sent = [(row["trainer/global_step"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert steps == [4, 9, 14, 19]
    assert [step for step, _ in sent] == steps
    assert [loss for _, loss in sent] == pytest.approx(losses)
    assert RunRecord.read(run_dir).events[-1]["status"] == "success"


def resolved(name, run_dir):
    """A logger group of ``conf`` with the interpolations it takes from the rest of the config."""
    values = {"seed": 3, "name": "paper", "group": "g", "tags": ["t"], "job_type": "train", "project": "p"}
    entries = OmegaConf.load(CONF_DIR / f"{name}.yaml")
    entries.pop("defaults", None)
    config = OmegaConf.create({**values, "paths": {"run_dir": str(run_dir)}, "logger": entries})
    return hydra.utils.instantiate(config).logger


def test_the_config_files_build_the_loggers(tmp_path):
    csv = resolved("csv_logger", tmp_path)
    wandb = resolved("wandb_logger", tmp_path)
    assert isinstance(csv.csv, CsvLogger)
    assert isinstance(wandb.wandb, WandbLogger)
    assert csv.csv.save_dir == wandb.wandb.save_dir == str(tmp_path)
    assert wandb.wandb.name == "p"
    assert OmegaConf.load(CONF_DIR / "wandb_logger.yaml").defaults[0] == "csv_logger"
    assert list(tmp_path.iterdir()) == []


def test_every_concrete_logger_has_the_whole_interface():
    for logger in (CsvLogger, WandbLogger):
        assert issubclass(logger, AbstractRunLogger)
        assert not logger.__abstractmethods__
