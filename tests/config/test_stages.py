import pytest
from omegaconf import OmegaConf

from diffplan.config.stages import check_stages
from diffplan.errors import ConfigError


@pytest.mark.parametrize(
    ("stages", "denoiser"),
    [(["critic"], None), (["denoiser"], "outputs/run"), (["critic", "denoiser"], "outputs/run")],
)
def test_a_run_in_which_nothing_would_be_trained_is_refused(stages, denoiser):
    config = OmegaConf.create({"stages": stages, "denoiser": denoiser, "critic": {"module": None, "path": None}})
    with pytest.raises(ConfigError, match="nothing is left to train"):
        check_stages(config)
