"""Real processes that are told to stop, with a stand-in for SLURM's programs where a cluster is needed."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

SCONTROL = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
[ "$1" = show ] && echo "JobId=7 JobState=${STATE:-RUNNING} Reason=${REASON:-None}"
exit ${FAILS:-0}
"""


@pytest.fixture
def cluster(tmp_path):
    """Environment of a process in job 7, and what that process asked SLURM for."""
    (tmp_path / "scontrol").write_text(SCONTROL)
    (tmp_path / "scontrol").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}

    def asked():
        return (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []

    return environment, asked


def run(body, **environment):
    """Runs a script that sends itself signals; the names it may need are there."""
    names = "import os, signal\nfrom diffplan.run import stop_signal\n"
    script = f"{names}def tell(name): os.kill(os.getpid(), getattr(signal, name))\n{textwrap.dedent(body)}"
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=outside | environment)


def test_a_process_with_nothing_to_save_leaves_at_once():
    result = run("stop_signal.listen(); tell('SIGTERM'); print('went on')")
    assert result.returncode == 143
    assert result.stdout == ""
    assert "stopped by SIGTERM" in result.stderr


def test_a_signal_that_is_deferred_waits_until_it_is_asked_for():
    result = run("""
        stop_signal.defer()
        print(stop_signal.was_received())
        tell('SIGTERM')
        print(stop_signal.was_received())
        stop_signal.leave()
    """)
    assert result.returncode == 143
    assert result.stdout.split() == ["False", "True"]


def test_after_training_a_signal_acts_at_once_again():
    result = run("stop_signal.defer(); stop_signal.act_at_once(); tell('SIGTERM'); print('went on')")
    assert (result.returncode, result.stdout) == (143, "")


def test_user_signals_are_left_alone_outside_a_cluster():
    assert run("stop_signal.listen(); tell('SIGUSR2')").returncode == -signal.SIGUSR2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_running_job_is_requeued(cluster, name):
    environment, asked = cluster
    result = run(f"stop_signal.listen(); tell('{name}')", **environment)
    assert result.returncode == 143
    assert asked() == ["show job 7 --oneliner", "requeue 7"]
    assert f"stopped by {name}; job 7 is requeued" in result.stderr


def test_a_job_that_ran_out_of_time_is_requeued(cluster):
    environment, asked = cluster
    run("stop_signal.listen(); tell('SIGTERM')", **environment, STATE="COMPLETING", REASON="TimeLimit")
    assert asked()[-1] == "requeue 7"


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETING", "PENDING"])
def test_a_job_that_was_cancelled_or_requeued_by_somebody_else_is_not(cluster, state):
    environment, asked = cluster
    result = run("stop_signal.listen(); tell('SIGTERM')", **environment, STATE=state)
    assert result.returncode == 143
    assert asked() == ["show job 7 --oneliner"]
    assert "was cancelled, or is in the queue again already" in result.stderr


def test_only_the_first_task_of_a_job_requeues_it(cluster):
    environment, asked = cluster
    assert run("stop_signal.listen(); tell('SIGTERM')", **environment, SLURM_PROCID="1").returncode == 143
    assert asked() == []


def test_a_job_that_slurm_does_not_take_back_says_so(cluster):
    environment, _ = cluster
    result = run("stop_signal.listen(); tell('SIGTERM')", **environment, FAILS="1")
    assert result.returncode == 143
    assert "job 7 is not requeued: scontrol show failed" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_launcher_that_started_the_process_brings_it_back(cluster):
    environment, asked = cluster
    result = run(
        """
        signal.signal(signal.SIGUSR2, lambda number, frame: print('resubmitted', flush=True))
        stop_signal.listen()
        stop_signal.listen()
        tell('SIGTERM')
        """,
        **environment,
    )
    assert (result.returncode, result.stdout) == (143, "resubmitted\n")
    assert asked() == ["show job 7 --oneliner"]


def test_a_second_signal_does_not_disturb_the_way_out(cluster):
    environment, asked = cluster
    result = run(
        """
        stop_signal.listen()
        try:
            tell('SIGUSR2')
        finally:
            tell('SIGTERM')
            print('tidied up')
        """,
        **environment,
    )
    assert (result.returncode, result.stdout) == (143, "tidied up\n")
    assert asked().count("requeue 7") == 1


def test_a_forked_child_dies_without_requeueing_its_parents_job(cluster):
    environment, asked = cluster
    result = run(
        """
        stop_signal.listen()
        child = os.fork()
        if child == 0:
            tell('SIGTERM')
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        **environment,
    )
    assert (result.returncode, result.stdout) == (0, f"{-signal.SIGTERM}\n")
    assert asked() == []
