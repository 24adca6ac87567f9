from collections.abc import Iterator

import numpy as np
import pytest
import torch
from lightning import Trainer

from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.source.base import AbstractSource, DataIdentity, Episode, Transitions
from diffplan.errors import ConfigError, DataError, TaskMismatchError
from diffplan.method.normalizer import GaussianNormalizer, LimitsNormalizer


class MemorySource(AbstractSource):
    """Episodes of two observation columns and one action column: ``observation = (row, -row)``, ``action = 10 row``."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self.lengths = lengths
        self.num_reads = 0
        self.prepared = False

    def prepare(self) -> None:
        self.prepared = True

    def read(self) -> Transitions:
        self.num_reads += 1
        return Transitions.from_episodes(self.episodes())

    def episodes(self) -> Iterator[Episode]:
        first = 0
        for length in self.lengths:
            rows = np.arange(first, first + length, dtype=np.float32)[:, None]
            yield Episode(np.hstack([rows, -rows]), 10 * rows, np.zeros(length, np.float32), False, True)
            first += length

    def identity(self) -> DataIdentity:
        return DataIdentity("memory", "file", "0" * 64, sum(self.lengths))


def datamodule(lengths=(5, 3), normalizer=None, **settings) -> TrajectoryDataModule:
    settings = {
        "action_dim": 1, "observation_dim": 2, "horizon": 3, "stride": 1, "batch_size": 2, "seed": 0, **settings,
    }  # fmt: skip
    width = settings["action_dim"] + settings["observation_dim"]
    return TrajectoryDataModule(MemorySource(lengths), normalizer or LimitsNormalizer(width), **settings)


def all_windows(module: TrajectoryDataModule):
    module.setup("fit")
    return module.windows.gather(torch.arange(len(module.windows)))


def test_windows_are_the_normalised_rows_with_the_action_first():
    module = datamodule()
    trajectories, valid = all_windows(module)
    raw = module.normalizer.unnormalize(trajectories)
    assert raw[:, :, 1].round().tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [5, 6, 7]]
    torch.testing.assert_close(raw[:, :, 0], 10 * raw[:, :, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(raw[:, :, 2], -raw[:, :, 1], atol=1e-5, rtol=0)
    assert trajectories.min() == -1.0
    assert trajectories.max() == 1.0
    assert valid.all()


def test_the_normaliser_is_fitted_on_each_row_once_however_many_windows_hold_it():
    module = datamodule(lengths=(4,), normalizer=GaussianNormalizer(3), horizon=2)
    module.setup("fit")
    assert module.normalizer.offset.tolist() == [15.0, 1.5, -1.5]
    assert module.normalizer.scale[1].item() == pytest.approx(np.std([0, 1, 2, 3]))


def test_padding_is_a_raw_zero_in_normalised_units_and_marked():
    module = datamodule(lengths=(2, 4), padding="zero")
    trajectories, valid = all_windows(module)
    assert valid[1].tolist() == [True, False, False]
    assert module.normalizer.unnormalize(trajectories[1]).round().abs().tolist() == [[10, 1, 1], [0, 0, 0], [0, 0, 0]]
    # With limits that are not around zero, it is not a zero of the network's units.
    assert trajectories[1, 1, 0] == -1.0


def test_observations_alone_are_planned_where_the_layout_has_no_action():
    module = datamodule(action_dim=0, normalizer=LimitsNormalizer(2))
    trajectories, _ = all_windows(module)
    assert trajectories.shape == (4, 3, 2)
    assert module.normalizer.unnormalize(trajectories)[3, :, 0].round().tolist() == [5, 6, 7]


def test_stride_and_the_released_code_s_window_rule_reach_the_index():
    assert all_windows(datamodule(stride=2))[0].shape == (1, 3, 3)
    assert len(all_windows(datamodule(drop_last_window=True, max_path_length=100))[0]) == 2


def test_the_data_is_read_once_and_its_identity_kept():
    module = datamodule()
    module.prepare_data()
    assert module.source.prepared
    module.setup("fit")
    module.setup("fit")
    assert module.source.num_reads == 1
    assert module.identity == module.source.identity()


def test_the_loader_has_a_batch_for_every_micro_batch_of_the_trainer():
    module = datamodule()
    module.setup("fit")
    module.trainer = Trainer(
        max_steps=5, accumulate_grad_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    batches = list(module.train_dataloader())
    assert len(batches) == 10
    assert {tuple(batch.trajectories.shape) for batch in batches} == {(2, 3, 3)}
    assert module.transfer_batch_to_device(batches[0], torch.device("cpu"), 0) is batches[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observation_dim": 4}, "declares observation_dim=4 but the data has 2"),
        ({"action_dim": 2}, "declares action_dim=2 but the data has 1"),
    ],
)
def test_data_of_other_dimensions_than_the_task_s_are_refused(settings, message):
    with pytest.raises(TaskMismatchError, match=message):
        datamodule(**settings).setup("fit")


def test_a_data_set_without_episodes_is_refused():
    with pytest.raises(DataError, match="holds no episode"):
        datamodule(lengths=()).setup("fit")


def test_an_empty_batch_is_refused():
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        datamodule(batch_size=0)
