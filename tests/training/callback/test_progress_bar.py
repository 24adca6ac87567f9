from lightning import LightningModule, Trainer

from diffplan.training.callback.progress_bar import ProgressBar


def test_the_bar_shows_the_loss_and_nothing_else(tmp_path):
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", default_root_dir=tmp_path)
    bar = ProgressBar()
    assert bar.get_metrics(trainer, LightningModule()) == {}
    trainer._logger_connector._progress_bar_metrics = {"train/loss": 0.25, "train/steps_per_second": 9.0}
    assert bar.get_metrics(trainer, LightningModule()) == {"loss": 0.25}
