import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from diffplan.errors import CheckpointError
from diffplan.interop.imported_weights import read_diffusers
from tests.interop.original_layout import rebuild_critic, rebuild_denoiser


@pytest.fixture
def folder(make_pipeline, tmp_path):
    make_pipeline().save_pretrained(tmp_path)
    return tmp_path


def as_pickle(folder):
    """Leaves the weights as the published hopper models have them."""
    for part in ("unet", "value_function"):
        file = folder / part / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    shutil.rmtree(folder / "trajectory")


@pytest.mark.parametrize("published", [False, True], ids=["export", "published layout"])
def test_a_folder_s_networks_compute_the_same_here(folder, make_pipeline, published):
    if published:
        as_pickle(folder)
    pipeline, trajectories, timesteps = make_pipeline(), torch.randn(2, 8, 6), torch.tensor([0, 3])
    denoiser, critic = read_diffusers(folder, "denoiser"), read_diffusers(folder, "critic")
    given = rebuild_denoiser(denoiser.average)(trajectories, timesteps)
    torch.testing.assert_close(given, pipeline.model().backbone(trajectories, timesteps), atol=1e-5, rtol=1e-5)
    values = rebuild_critic(critic.average, 8)(trajectories, timesteps)
    torch.testing.assert_close(values, pipeline.critic().values(trajectories, timesteps), atol=1e-4, rtol=1e-5)
    assert (denoiser.form is None) == published
    assert (denoiser.prediction_type, denoiser.clip_sample, len(denoiser.alphas_cumprod)) == ("sample", False, 6)


def test_what_diffusers_cannot_express_comes_back(make_pipeline, tmp_path):
    pipeline = make_pipeline(attention=True)
    pipeline.save_pretrained(tmp_path)
    network = rebuild_denoiser(read_diffusers(tmp_path, "denoiser").average)
    trajectories, timesteps = torch.randn(2, 8, 6), torch.tensor([0, 3])
    wanted = pipeline.model().backbone(trajectories, timesteps)
    torch.testing.assert_close(network(trajectories, timesteps), wanted, atol=1e-5, rtol=1e-5)


def test_a_file_that_would_run_code_is_refused(folder):
    as_pickle(folder)
    torch.save({"conv": torch.nn.Identity()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds pickled code"):
        read_diffusers(folder, "denoiser")


def test_a_prediction_type_that_is_not_said_is_not_guessed(folder):
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    del config["prediction_type"]
    path.write_text(json.dumps(config))
    assert read_diffusers(folder, "denoiser").prediction_type is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("unet/config.json", "{", "is broken"),
        (
            "scheduler/scheduler_config.json",
            '{"_class_name": "os.system"}',
            "'os.system', which diffusers does not have",
        ),
        (
            "scheduler/scheduler_config.json",
            '{"_class_name": "FlowMatchEulerDiscreteScheduler"}',
            "whose noise no model",
        ),
        ("unet/diffusion_pytorch_model.safetensors", "no", "truncated or no safetensors"),
    ],
)
def test_a_broken_folder_is_refused_by_the_file(folder, file, content, message):
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        read_diffusers(folder, "denoiser")
