"""Both loggers behind one interface: driven by a real Trainer and built from the real config files."""

import subprocess
import sys
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
from diffplan.training.modules import StageLogger

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
                logger.run_logger.log_table(
                    "eval/single_task/episodes", ["seed", "score"], [[0, 1.5]], self.trainer.global_step
                )
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(loggers, root):
    trainer = Trainer(
        max_steps=20,
        log_every_n_steps=5,
        logger=[StageLogger(logger) for logger in loggers],
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
    assert csv.csv.where_to_look() == f"Numbers, pictures and tables are in {tmp_path}"
    assert OmegaConf.load(CONF_DIR / "wandb_logger.yaml").defaults[0] == "csv_logger"
    assert list(tmp_path.iterdir()) == []


def test_every_concrete_logger_has_the_whole_interface():
    for logger in (CsvLogger, WandbLogger):
        assert issubclass(logger, AbstractRunLogger)
        assert not logger.__abstractmethods__


@pytest.mark.parametrize(
    ("ranks", "is_first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_only_the_first_process_writes(tmp_path, monkeypatch, ranks, is_first):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, rank in ranks.items():
        monkeypatch.setenv(name, rank)
    CsvLogger(tmp_path).log_metrics({"train/loss": 1.0}, 1)
    assert (tmp_path / "metrics.jsonl").exists() == is_first


@pytest.mark.parametrize(
    ("is_last", "status", "ends"), [(True, "success", True), (False, "success", False), (False, "failed", True)]
)
def test_a_run_ends_with_its_last_stage_or_with_a_failure(tmp_path, is_last, status, ends):
    run_logger = CsvLogger(tmp_path)
    stage_logger = StageLogger(run_logger, is_last)
    stage_logger.log_metrics({"train/loss": 1.0}, 1)
    stage_logger.finalize(status)
    assert (RunRecord.read(tmp_path).events[-1]["event"] == "finish") == ends


def test_planning_loads_no_trainer():
    code = (
        "import sys\nfrom diffplan.tracking import csv_logger, evaluation_recorder, wandb_logger\n"
        "assert not [name for name in sys.modules if name.startswith('lightning')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
