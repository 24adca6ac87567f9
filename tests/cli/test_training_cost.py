import json

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from diffplan.cli.training_cost import training_costs
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.sweep.cell import Cell

TINY = ("experiment=quickstart", "backbone.dim=8", "window.horizon=8", "datamodule.batch_size=4", "trainer=cpu")


def cell(folder, *overrides, state="missing"):
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("train", overrides=[*TINY, f"paths.run_dir={folder}", *overrides])
    return Cell(tuple(overrides), config, state)


def flops_of_a_batch(config):
    module = instantiate(OmegaConf.to_container(config.module, resolve=True))
    windows = torch.randn(config.datamodule.batch_size, module.horizon, module.layout.transition_dim)
    with FlopCounterMode(display=False) as counter:
        module.backbone(windows, torch.zeros(len(windows), dtype=torch.long)).sum().backward()
    return counter.get_total_flops()


def test_the_operations_are_those_that_pytorch_counts(tmp_path):
    chosen = cell(tmp_path, "trainer.max_steps=30", "trainer.accumulate_grad_batches=2")
    (cost,) = training_costs([chosen])
    assert cost.flops == 30 * 2 * flops_of_a_batch(chosen.config)
    assert (cost.device, cost.is_measured, cost.progress, cost.share_left) == ("cpu", False, "", 1.0)


def test_a_critic_is_counted_beside_its_denoiser_and_not_where_it_is_given(tmp_path):
    locomotion = ("experiment=hopper_on_cpu", "backbone.dim=16")
    both, alone = training_costs([cell(tmp_path, *locomotion), cell(tmp_path, *locomotion, "critic.path=elsewhere")])
    assert both.flops > alone.flops > 0


def test_what_cannot_be_built_has_no_cost(tmp_path):
    assert training_costs([cell(tmp_path, "window.horizon=30"), Cell((), None, "failed")]) == [None, None]


def test_a_checkpoint_says_what_is_behind(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    origin = {"diffplan": {"config": {}}, "state_dict": {}, "global_step": 10}
    torch.save(origin, tmp_path / "checkpoints" / "last.ckpt")
    (cost,) = training_costs([cell(tmp_path, "trainer.max_steps=40", state="started")])
    assert (cost.progress, cost.share_left) == ("step 10 of 40", 0.75)


@pytest.mark.slow
def test_a_finished_cell_says_what_the_others_will_take(train_command):
    assert train_command().returncode == 0
    (run_dir,) = train_command.run_dirs
    spent = json.loads((run_dir / "results.json").read_text())["cost"]["train_cpu_seconds"]
    with_20_steps = ("scheduler.num_train_timesteps=4", "datamodule.batch_size=8", "trainer.max_steps=20")
    finished = cell(run_dir, *with_20_steps, state="finished")
    missing = cell(run_dir / "other", *with_20_steps, "trainer.max_steps=40")
    first, second = training_costs([finished, missing])
    assert first.is_measured
    assert first.seconds == pytest.approx(spent)
    assert second.is_measured
    assert second.seconds == pytest.approx(2 * spent)
