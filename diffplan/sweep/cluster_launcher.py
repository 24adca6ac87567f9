"""Which launcher stands behind ``hydra/launcher=slurm``."""

from collections.abc import Sequence
from importlib.util import find_spec

from hydra.core.plugins import Plugins

from diffplan.errors import ConfigError
from diffplan.sweep.expansion import MULTIRUN_FLAGS

_PLUGIN = "hydra_plugins.hydra_submitit_launcher"


def use_slurm_launcher(words: Sequence[str]) -> None:
    """Makes sweeps on a cluster wait for every job; see ``SlurmLauncher``.

    Args:
        words: The command line.

    Raises:
        ConfigError: the launcher that is asked for is not installed.
    """
    if not set(words) & set(MULTIRUN_FLAGS):
        return
    if find_spec(_PLUGIN) is None:
        asked = [word for word in words if word.startswith(("hydra/launcher=slurm", "hydra/launcher=submitit"))]
        if asked:
            raise ConfigError(f"{asked[0]} is not installed here; run pip install 'diffplan[slurm]'.")
        return
    from diffplan.sweep.slurm_launcher import SlurmLauncher

    # Hydra takes launchers from its own packages only, so this one answers to the name of the one it extends.
    Plugins.instance().class_name_to_class[f"{_PLUGIN}.submitit_launcher.SlurmLauncher"] = SlurmLauncher
