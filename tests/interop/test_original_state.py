"""Files in the original's layout, made from its names and shapes, against numbers that the original computed."""

import os
import pickle

import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.interop.imported_weights import find_state, read_original
from diffplan.method.network.temporal_unet import TemporalUnet
from tests.interop.original_layout import Denoiser, Value, rebuild_critic, rebuild_denoiser, write_state
from tests.method.network.test_temporal_unet import filled_by_rule, num_parameters, pattern


@pytest.mark.parametrize("maze", [False, True], ids=["main", "maze2d"])
def test_a_hopper_file_becomes_a_network_that_computes_what_the_original_computed(tmp_path, maze):
    read = read_original(write_state(tmp_path / "state_0.pt", Denoiser(14, 32, (1, 2, 4, 8), maze=maze)), "denoiser")
    network = rebuild_denoiser(read.average)
    assert num_parameters(network) == 3_956_302
    with torch.no_grad():
        flat = network(pattern(2, 32, 14), torch.tensor([0, 7])).flatten()
    # Printed with six digits by the original; both run in single precision through some thirty layers.
    assert flat.sum().item() == pytest.approx(29.676516, abs=1e-3)
    assert flat.abs().sum().item() == pytest.approx(541.804732, abs=1e-3)
    torch.testing.assert_close(flat[:4], torch.tensor([0.518598, 0.337171, -0.038262, 0.062909]), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-2:], torch.tensor([0.234336, -0.229961]), atol=1e-4, rtol=0)


def test_a_value_file_becomes_a_critic_that_computes_what_the_original_computed(tmp_path):
    read = read_original(write_state(tmp_path / "state_0.pt", Value(14, 32, (1, 2, 4, 8)), horizon=None), "critic")
    with torch.no_grad():
        values = rebuild_critic(read.average, 32)(pattern(2, 32, 14), torch.tensor([0, 7]))
    assert values.tolist() == pytest.approx([2.700459, 1.919825], abs=1e-4)


@pytest.mark.parametrize(
    ("columns", "multipliers", "attention", "maze", "expected"),
    [
        pytest.param(23, (1, 4, 8), True, False, 4_114_423, id="halfcheetah"),
        pytest.param(6, (1, 4, 8), False, True, 3_682_118, id="maze2d"),
    ],
)
def test_attention_and_mazes_lose_nothing(tmp_path, columns, multipliers, attention, maze, expected):
    path = write_state(tmp_path / "state_0.pt", Denoiser(columns, 32, multipliers, attention, maze))
    network = rebuild_denoiser(read_original(path, "denoiser").average)
    assert num_parameters(network) == expected
    # The rule knows sizes and shapes alone, so equal weights in other places would not be noticed by it alone; the
    # layers that share a size are told apart by the hopper's numbers above.
    wanted = filled_by_rule(TemporalUnet(columns, 32, multipliers, attention)).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())


def test_the_facts_beside_the_weights_are_read(tmp_path):
    read = read_original(write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)), steps=20), "denoiser")
    assert (read.step, read.horizon, len(read.alphas_cumprod), read.prediction_type) == (980_000, 32, 20, "sample")
    assert all((value == 0).all() for value in read.live.values())


def test_the_highest_epoch_is_taken_by_number_or_the_one_that_is_asked_for(tmp_path):
    for epoch in (5, 100, 20):
        (tmp_path / f"state_{epoch}.pt").touch()
    assert find_state(tmp_path).name == "state_100.pt"
    assert find_state(tmp_path, 20).name == "state_20.pt"
    with pytest.raises(CheckpointError, match=r"no state_7\.pt"):
        find_state(tmp_path, 7)


def test_a_pickled_config_is_refused_by_name_and_never_opened(tmp_path):
    with pytest.raises(CheckpointError, match=r"diffusion_config\.pkl is a pickle.*state_<epoch>\.pt"):
        find_state(tmp_path / "diffusion_config.pkl")


class Touch:
    """Pickled, this makes a folder when it is read."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_a_file_that_would_run_code_is_refused_by_what_it_would_run(tmp_path, write):
    write({"step": 0, "model": Touch(tmp_path / "touched"), "ema": {}}, tmp_path / "state_0.pt")
    with pytest.raises(CheckpointError, match=r"state_0\.pt (holds pickled code \(\w+\.mkdir\)|is truncated or not)"):
        read_original(tmp_path / "state_0.pt", "denoiser")
    assert not (tmp_path / "touched").exists()


def test_the_wrong_kind_of_network_is_refused(tmp_path):
    path = write_state(tmp_path / "state_0.pt", Value(14, 32, (1, 2, 4, 8)))
    with pytest.raises(CheckpointError, match="holds no denoiser"):
        read_original(path, "denoiser")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="no state of the original"):
        read_original(tmp_path / "other.pt", "denoiser")
