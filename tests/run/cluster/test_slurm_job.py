import pytest

from diffplan.errors import ClusterError
from diffplan.run.slurm_job import SlurmJob, queued_jobs


@pytest.fixture
def make_program(tmp_path, monkeypatch):
    """Puts a script in the place of one of SLURM's programs."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


def test_a_run_remembers_the_job_that_was_submitted_for_it_last(tmp_path):
    run_dir = tmp_path / "run"
    assert SlurmJob.of_run(run_dir) is None
    SlurmJob("17_2").leave_note(run_dir)
    SlurmJob("18_0").leave_note(run_dir)
    assert SlurmJob.of_run(run_dir) == SlurmJob("18_0")


def test_the_current_job_is_the_environments(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert SlurmJob.current() is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert SlurmJob.current() == SlurmJob("7")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert SlurmJob.current() == SlurmJob("5_1")


def test_a_job_that_ran_before_was_requeued(monkeypatch):
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    assert not SlurmJob.was_requeued()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert SlurmJob.was_requeued()


def test_the_queue_is_read_job_by_job(make_program):
    make_program("squeue", "echo '7|RUNNING'; echo '8_0|PENDING'")
    assert queued_jobs() == {"7": "RUNNING", "8_0": "PENDING"}


def test_a_machine_without_slurm_has_no_queue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued_jobs() == {}


def test_a_scheduler_that_is_down_is_named(make_program):
    make_program("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(ClusterError, match="squeue --noheader failed: Unable to contact slurm controller"):
        queued_jobs()
