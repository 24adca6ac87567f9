"""Puts this package's sweeper and SLURM launcher in the place of the Hydra plugins that they extend."""

from collections.abc import Sequence
from importlib.util import find_spec

from hydra.core.plugins import Plugins

from diffplan.errors import ConfigError
from diffplan.sweep.resuming_sweeper import ResumingSweeper
from diffplan.sweep.sweep_file import MULTIRUN_FLAGS

_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"


def register_plugins(words: Sequence[str]) -> None:
    """Makes sweeps launch only unfinished cells, and makes sweeps on a cluster wait for every job.

    Hydra accepts plugins from two packages of its own only, so ours take the names of the plugins that they extend.

    Args:
        words: The command line.

    Raises:
        ConfigError: the SLURM launcher is asked for and is not installed.
    """
    plugins = Plugins.instance().class_name_to_class
    plugins[_BASIC_SWEEPER] = ResumingSweeper
    if not set(words) & set(MULTIRUN_FLAGS):
        return
    if find_spec(_SUBMITIT) is None:
        asked = [word for word in words if word.startswith(("hydra/launcher=slurm", "hydra/launcher=submitit"))]
        if asked:
            raise ConfigError(f"{asked[0]} is not installed here; run pip install 'diffplan[slurm]'.")
        return
    # Imported here, because the plugin is optional.
    from diffplan.sweep.slurm_launcher import SlurmLauncher

    plugins[f"{_SUBMITIT}.submitit_launcher.SlurmLauncher"] = SlurmLauncher
