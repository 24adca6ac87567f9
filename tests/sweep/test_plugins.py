import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.errors import ConfigError
from diffplan.sweep import resuming_sweeper
from diffplan.sweep.resuming_sweeper import ResumingSweeper, register_plugins

PLUGIN_CLASS = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
SWEEPER_CLASS = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """Hydra's plugins, as they were again afterwards."""
    classes = Plugins.instance().class_name_to_class
    for name in (PLUGIN_CLASS, SWEEPER_CLASS):
        monkeypatch.setitem(classes, name, classes[name])
    return classes


def test_a_grid_is_swept_by_the_sweeper_that_resumes(plugins):
    register_plugins(["-m", "seed=0,1"])
    assert plugins[SWEEPER_CLASS] is ResumingSweeper


def test_a_sweep_on_a_cluster_waits_for_every_job(plugins):
    register_plugins(["-m", "seed=0,1", "hydra/launcher=slurm"])
    assert plugins[PLUGIN_CLASS].__module__ == "diffplan.sweep.slurm_launcher"


@pytest.mark.parametrize("launcher", ["slurm", "submitit_slurm", "submitit_local"])
def test_a_launcher_that_is_not_installed_is_named_with_what_installs_it(monkeypatch, launcher):
    monkeypatch.setattr(resuming_sweeper, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"hydra/launcher={launcher} is not installed .* 'diffplan\[slurm\]'"):
        register_plugins(["--multirun", "seed=0,1", f"hydra/launcher={launcher}"])
    register_plugins(["--multirun", "seed=0,1", "hydra/launcher=joblib"])
    register_plugins(["seed=0"])


def test_the_preset_brings_cells_back_that_run_out_of_time():
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("train", ["hydra/launcher=slurm"], return_hydra_config=True)
    launcher = config.hydra.launcher
    assert launcher._target_ == PLUGIN_CLASS
    assert launcher.max_num_timeout > 0
    assert launcher.signal_delay_s < 60 * launcher.timeout_min
