"""What needs no SLURM; a real one is in ``tests/slurm``."""

import pytest

from diffplan.errors import ConfigError
from diffplan.sweep.slurm_launcher import SlurmLauncher


def test_a_job_without_time_to_train_before_its_signal_is_refused():
    launcher = SlurmLauncher(timeout_min=4, signal_delay_s=120)
    with pytest.raises(ConfigError, match=r"timeout_min=4 leaves a job no time .* at least 6 minutes"):
        launcher.launch([["seed=0"]], 0)
    SlurmLauncher(timeout_min=6, signal_delay_s=120)._check_time()
