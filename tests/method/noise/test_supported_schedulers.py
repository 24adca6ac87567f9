"""Every scheduler that diffusers has: a yaml that works, or a sentence that says why not."""

import warnings

import diffusers
import pytest
import yaml
from diffusers.schedulers import SchedulerMixin

from diffplan.config.paths import CONF_DIR
from diffplan.errors import ConfigError
from diffplan.method.noise.supported_schedulers import check_scheduler

# NumPy's complaints about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

YAMLS = sorted((CONF_DIR / "scheduler").glob("*.yaml"))
SERVED = {yaml.safe_load(path.read_text())["_target_"].partition(".")[2] for path in YAMLS}
EXPORTED = sorted(name for name in dir(diffusers) if name.endswith("Scheduler") and name != SchedulerMixin.__name__)


def bare(name: str):
    """An object of a class that may need libraries, weights or arguments to be built; only its name is looked at."""
    return type(name, (), {"config": {}})()


def test_the_list_of_schedulers_is_diffusers_whole_list():
    assert len(EXPORTED) >= 40
    assert set(EXPORTED) >= SERVED


@pytest.mark.parametrize("name", sorted(set(EXPORTED) - SERVED))
def test_a_scheduler_without_a_yaml_is_refused_with_a_reason_of_its_own(name):
    with pytest.raises(ConfigError, match=rf"^{name} cannot denoise plans: it \w.+\.$") as caught:
        check_scheduler(bare(name))
    assert "alphas_cumprod" not in str(caught.value)


def test_a_scheduler_without_a_trained_noise_schedule_is_refused():
    with pytest.raises(ConfigError, match="HomemadeScheduler cannot denoise plans: it has no alphas_cumprod"):
        check_scheduler(bare("HomemadeScheduler"))


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_every_scheduler_config_serves_for_every_prediction_type(path, kind, make_scheduler):
    check_scheduler(make_scheduler(path.stem, prediction_type=kind))


def test_an_unknown_prediction_type_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = diffusers.DDPMScheduler(20, prediction_type="x0")
    with pytest.raises(ConfigError, match="prediction_type='x0', but it must be one of sample, epsilon"):
        check_scheduler(scheduler)


def test_a_scheduler_that_needs_a_predicted_variance_is_refused():
    with pytest.raises(ConfigError, match="variance_type=learned_range, but no network here predicts a variance"):
        check_scheduler(diffusers.DDPMScheduler(variance_type="learned_range", prediction_type="sample"))
