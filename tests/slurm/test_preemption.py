"""Cells on a real SLURM: interrupted in every way a cluster knows, they end as cells that nothing interrupted."""

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from diffplan.run.checkpoint import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
LONG = (
    "trainer.max_steps=600",
    "callbacks.checkpoint.every_n_steps=10000",
    "callbacks.rollout.every_n_steps=0",
)
ON_SLURM = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")


def weights(run_dir):
    return read_checkpoint(run_dir / "checkpoints" / "last.ckpt")["state_dict"]


def scores(run_dir):
    protocols = json.loads((run_dir / "results.json").read_text())["protocols"]
    return {name: episodes["returns"] for name, episodes in protocols.items()}


def run_dir_of(command, seed):
    return next(command.folder.glob(f"runs/*/*/seed{seed}-*"))


def steps_seen(command, seed):
    files = list(command.folder.glob(f"runs/*/*/seed{seed}-*/metrics.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [row["step"] for row in rows if "train/loss" in row]


def said(command):
    return "".join(file.read_text() for file in sorted(command.folder.glob("runs/.submitit/*/*.out")))


def start(command, *overrides):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command.command(*overrides), env=command.environment, cwd=ROOT, **streams)


def end(slurm, process):
    slurm.wait_until(lambda: process.poll() is not None)
    return process.communicate()[0]


def job_of(command, seed):
    return (run_dir_of(command, seed) / "slurm_job_id").read_text().strip()


@pytest.fixture(scope="module")
def undisturbed(make_train_command):
    """The cells as they end on a machine of one's own."""
    command = make_train_command("undisturbed")
    result = command("-m", "seed=0,1", *LONG)
    assert result.returncode == 0, result.stderr
    return command


def test_preempted_cells_end_as_undisturbed_ones_do(slurm, cluster_command, undisturbed):
    """One cell gives way to a job in a partition of more weight, the other one gets SIGTERM alone."""
    process = start(cluster_command, "-m", "seed=0,1", *LONG, *ON_SLURM, "logger=wandb_logger")
    slurm.wait_until(lambda: all(len(steps_seen(cluster_command, seed)) > 2 for seed in (0, 1)))
    slurm.submit("--partition=urgent", "--output=/dev/null", script="sleep 1")
    jobs = [job_of(cluster_command, seed) for seed in (0, 1)]
    slurm.wait_until(lambda: any(slurm.states().get(job) != "RUNNING" for job in jobs))
    (other,) = (job for job in jobs if slurm.states().get(job) == "RUNNING")
    slurm.ask("scancel", "--signal=TERM", other)
    output = end(slurm, process)
    assert process.returncode == 0, output + said(cluster_command)
    assert "2 of 2 cells finished" in output
    assert said(cluster_command).count("is requeued and continues") == 2
    for seed in (0, 1):
        mine, theirs = weights(run_dir_of(cluster_command, seed)), weights(run_dir_of(undisturbed, seed))
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
        assert scores(run_dir_of(cluster_command, seed)) == scores(run_dir_of(undisturbed, seed))
        run_id = (run_dir_of(cluster_command, seed) / "wandb_run_id").read_text().strip()
        parts = list(run_dir_of(cluster_command, seed).glob(f"wandb/offline-run-*-{run_id}"))
        assert len(parts) == 2


def test_a_launcher_that_is_killed_submits_no_cell_twice(slurm, cluster_command):
    overrides = ("-m", "seed=0,1", *LONG, *ON_SLURM, "logger=csv_logger")
    process = start(cluster_command, *overrides)
    slurm.wait_until(lambda: len(steps_seen(cluster_command, 0)) > 2)
    slurm.ask("scontrol", "requeue", job_of(cluster_command, 1))
    process.send_signal(signal.SIGTERM)
    assert "the jobs go on without this command" in process.communicate(timeout=60)[0]
    queue = slurm.states()
    again = cluster_command(*overrides)
    assert again.returncode == 0, again.stderr
    assert "0 of 2 cells finished" in again.stdout
    assert slurm.states().keys() == queue.keys()
    slurm.wait_until(lambda: not slurm.states())
    assert "2 of 2 cells are finished and are not launched again" in cluster_command(*overrides).stdout


def test_a_job_whose_time_is_up_comes_back_and_one_that_is_cancelled_does_not(slurm, cluster_command):
    process = start(cluster_command, "-m", "seed=0,1", *LONG, *ON_SLURM, "hydra.launcher.timeout_min=8")
    slurm.wait_until(lambda: all(len(steps_seen(cluster_command, seed)) > 2 for seed in (0, 1)))
    slurm.ask("scontrol", "update", f"jobid={job_of(cluster_command, 0)}", "timelimit=1")
    slurm.ask("scancel", job_of(cluster_command, 1))
    slurm.wait_until(lambda: slurm.states().get(job_of(cluster_command, 0)) == "PENDING")
    slurm.ask("scontrol", "update", f"jobid={job_of(cluster_command, 0)}", "timelimit=8")
    output = end(slurm, process)
    assert process.returncode == 1
    assert "1 of 2 cells finished" in output
    assert "failed: seed=1: its SLURM job" in output
    assert "(99 remaining timeouts)" in said(cluster_command)
    assert read_checkpoint(run_dir_of(cluster_command, 0) / "checkpoints" / "last.ckpt")["global_step"] == 600
    assert not (run_dir_of(cluster_command, 1) / "results.json").exists()


def test_a_signal_while_python_starts_costs_nothing(slurm, cluster_command):
    process = start(cluster_command, "-m", "seed=0,1", *LONG[1:], *ON_SLURM)
    slurm.wait_until(lambda: list(slurm.states().values()).count("RUNNING") == 2)
    for name, number in zip(("USR2", "TERM"), sorted(slurm.states()), strict=True):
        slurm.ask("scancel", f"--signal={name}", number)
    output = end(slurm, process)
    assert process.returncode == 0, output + said(cluster_command)
    assert "2 of 2 cells finished" in output


@pytest.mark.parametrize("name", ["USR1", "TERM"])
def test_a_plain_script_comes_back_from_its_last_evaluation(slurm, cluster_command, name):
    overrides = ("callbacks.rollout.num_final_episodes=300", "callbacks.rollout.every_n_steps=0")
    script = f"cd {ROOT}\nexport OMP_NUM_THREADS=1\nsrun {shlex.join(cluster_command.command(*overrides))}"
    log = cluster_command.folder / "job.log"
    number = slurm.submit("--ntasks=1", f"--output={log}", script=script)
    slurm.wait_until(lambda: any(cluster_command.folder.glob("runs/*/*/*/checkpoints/last.ckpt")))
    slurm.ask("scancel", f"--signal={name}", number)
    slurm.wait_until(lambda: number not in slurm.states())
    assert f"stopped by SIG{name}; job {number} is requeued" in log.read_text(), log.read_text()
    (run_dir,) = cluster_command.run_dirs
    assert json.loads((run_dir / "results.json").read_text())["metrics"]["eval/multi2d/num_episodes"] == 300


def test_two_tasks_that_train_one_model_stop_and_come_back_together(slurm, cluster_command):
    overrides = ("trainer=ddp", "trainer.accelerator=cpu", *LONG[1:], "trainer.max_steps=200")
    script = f"""cd {ROOT}
export OMP_NUM_THREADS=1 MASTER_ADDR=127.0.0.1 GLOO_SOCKET_IFNAME=lo
srun {shlex.join(cluster_command.command(*overrides))}"""
    log = cluster_command.folder / "job.log"
    number = slurm.submit("--ntasks-per-node=2", "--nodes=1", f"--output={log}", script=script)
    slurm.wait_until(lambda: len(steps_seen(cluster_command, 0)) > 2)
    slurm.ask("scancel", "--signal=TERM", number)
    slurm.wait_until(lambda: number not in slurm.states())
    assert f"stopped by SIGTERM; job {number} is requeued" in log.read_text(), log.read_text()
    (run_dir,) = cluster_command.run_dirs
    assert json.loads((run_dir / "results.json").read_text())["step"] == 200
    steps = steps_seen(cluster_command, 0)
    assert steps == sorted(set(steps)), "no step was trained twice"
