"""Cells as jobs of a SLURM cluster."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititSlurmLauncher
from omegaconf import OmegaConf

from diffplan.config.resolvers import register_resolvers
from diffplan.errors import ClusterError, ConfigError, DiffplanError
from diffplan.run import stop_signal
from diffplan.run.slurm_job import SlurmJob, queued_jobs
from diffplan.sweep.cell import look_at_cell
from diffplan.sweep.launcher_watch import leave_jobs_alone

# Until Python has started, no signal handler can requeue the job, so the job's shell script does it.
_REQUEUE_A_JOB_THAT_DIED_STARTING = (
    'job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}"',
    'job="${job:-$SLURM_JOB_ID}"',
    "trap 'case $? in 138|140|143) "
    '[ "$(squeue --noheader --format=%T --jobs=$job)" = RUNNING ] && scontrol requeue $job;; '
    "esac' EXIT",
)
_EXECUTOR_SETTINGS = ("submitit_folder", "max_num_timeout")

logger = logging.getLogger(__name__)


class SlurmLauncher(SubmititSlurmLauncher):
    """Hydra's submitit launcher, extended to wait for every job of a sweep even if some of them fail.

    The launcher writes the number of each cell's job into the cell's run folder. A sweep that is started again while
    jobs wait or run therefore leaves those cells alone. The launcher asks ``squeue``, which works on clusters without
    accounting.

    Attributes:
        poll_seconds: Seconds between two calls of ``squeue``.
    """

    poll_seconds = 10.0

    def __call__(self, *arguments: Any, **options: Any) -> JobReturn:
        """Runs one cell, inside its job."""
        stop_signal.listen()
        register_resolvers()
        return super().__call__(*arguments, **options)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submits one job for each cell and waits until all jobs have ended.

        Raises:
            ClusterError: SLURM rejects the jobs.
            ConfigError: the time limit of a job is too short.
        """
        self._check_time()
        leave_jobs_alone()
        jobs = self._submit(job_overrides, initial_job_idx)
        for job, overrides in zip(jobs, job_overrides, strict=True):
            SlurmJob(job.job_id).leave_note(self._run_dir(overrides))
        numbers = " ".join(sorted({job.job_id.split("_")[0] for job in jobs}))
        logger.info(
            "submitted %d cells as SLURM job %s; their output is in %s", len(jobs), numbers, jobs[0].paths.folder
        )
        try:
            ended = _wait(jobs, self.poll_seconds)
        except BaseException:
            logger.warning("the jobs go on without this command, and `scancel %s` ends them", numbers)
            raise
        return [_job_return(job, overrides, job in ended) for job, overrides in zip(jobs, job_overrides, strict=True)]

    def _check_time(self) -> None:
        """Refuses a time limit that would stop every job before it has trained, again and again."""
        minutes, delay = self.params["timeout_min"], self.params["signal_delay_s"]
        # SLURM counts whole minutes and may send its signal one minute early.
        if 60 * minutes < delay + 180:
            raise ConfigError(
                f"hydra.launcher.timeout_min={minutes} leaves a job no time to train before the signal that comes "
                f"signal_delay_s={delay} before its end; give it at least {delay // 60 + 4} minutes."
            )

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[submitit.Job[Any]]:
        shared = set(OmegaConf.structured(BaseQueueConf).keys())
        settings = {
            key if key in shared else f"slurm_{key}": value
            for key, value in self.params.items()
            if key not in _EXECUTOR_SETTINGS
        }
        settings["slurm_setup"] = [*(self.params.get("setup") or ()), *_REQUEUE_A_JOB_THAT_DIED_STARTING]
        arguments = [
            (list(overrides), "hydra.sweep.dir", first + index, f"job_id_for_{first + index}", Singleton.get_state())
            for index, overrides in enumerate(job_overrides)
        ]
        try:
            executor = submitit.AutoExecutor(
                cluster="slurm",
                folder=self.params["submitit_folder"],
                slurm_max_num_timeout=self.params["max_num_timeout"],
            )
            executor.update_parameters(**settings)
            return executor.map_array(self, *zip(*arguments, strict=True))
        except (RuntimeError, submitit.core.utils.FailedJobError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise ClusterError(f"SLURM rejected the jobs: {reason}") from error

    def _run_dir(self, overrides: Sequence[str]) -> Path:
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        run_dir = look_at_cell(overrides, composed, lambda config: False).run_dir
        if run_dir is None:
            raise ClusterError(f"the cell {' '.join(overrides)} has no run folder.")
        return run_dir


def _wait(jobs: Sequence[submitit.Job[Any]], seconds: float) -> list[submitit.Job[Any]]:
    """Waits until every job has written a result or has left the queue; returns the jobs with a result."""
    missing: set[str] = set()
    while True:
        try:
            queued = set(queued_jobs())
        except ClusterError as error:
            logger.warning("%s", error)
            queued = {job.job_id for job in jobs}
        left = [job for job in jobs if not _has_result(job)]
        # On a shared disk, a result may become visible after its job has left the queue, so jobs are checked twice.
        gone = {job.job_id for job in left if job.job_id not in queued}
        if all(job.job_id in gone & missing for job in left):
            return [job for job in jobs if job not in left]
        missing = gone
        time.sleep(seconds)


def _has_result(job: submitit.Job[Any]) -> bool:
    return job.task(0).paths.result_pickle.exists()


def _job_return(job: submitit.Job[Any], overrides: Sequence[str], has_result: bool) -> JobReturn:
    """Builds what Hydra expects for a job."""
    try:
        if has_result:
            return job.task(0).result()
        reason = f"its SLURM job {job.job_id} ended without a result; see {job.paths.folder}"
    except Exception as error:
        reason = f"SLURM job {job.job_id}: {(str(error).strip() or type(error).__name__).splitlines()[-1]}"
    lost = JobReturn(overrides=filter_overrides(overrides), status=JobStatus.FAILED)
    lost.return_value = DiffplanError(reason)
    return lost
