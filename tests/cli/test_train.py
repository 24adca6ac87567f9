"""``diffplan train`` in real processes: mistakes, interruptions, neighbours and sweeps."""

import json
import os
import resource
import shutil
import signal
import socket
import time

import pytest
import torch
from filelock import FileLock

from diffplan.run.checkpoint import load_model, read_checkpoint


@pytest.fixture(scope="module")
def finished(make_train_command):
    """A finished run, and what its process said."""
    command = make_train_command("finished")
    command.result = command()
    assert command.result.returncode == 0, command.result.stderr
    (command.run_dir,) = command.run_dirs
    return command


def sentence(result) -> str:
    """The one line that a stopped command may print."""
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("diffplan train: ")
    return lines[0].removeprefix("diffplan train: ")


def test_an_output_folder_that_is_a_file_is_named(train_command, tmp_path):
    (tmp_path / "file").write_text("mine")
    text = sentence(train_command(f"paths.output_dir={tmp_path / 'file'}"))
    assert "a part of its path is a file and no folder; choose another paths.output_dir=..." in text
    assert (tmp_path / "file").read_text() == "mine"


def wait_for(condition, process, seconds=120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def checkpoint_of(command):
    return next(iter(command.folder.glob("runs/*/*/*/checkpoints/last.ckpt")), None)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lrr=1e-3", "'optimizer.lr'"),
        ("task=maze2d-umaz-v1", "'maze2d-umaze-v1'"),
        ("optimizer.lr=abc", "optimizer.lr must be float | Tensor, got 'abc'"),
        ("+unknown=1", "'unknown'"),
        ("+unknown.key=1", "'unknown'"),
        ("+windw.horizon=16", "'window'"),
        ("+window.horizn=16", "'horizon'"),
        ("window.horizon=30", "28 or 32"),
    ],
)
def test_a_mistake_stops_at_once_with_one_sentence(train_command, override, expected):
    result = train_command(override)
    assert expected in sentence(result)
    assert train_command.data_files == []


def test_a_mistake_shows_its_traceback_on_request(train_command):
    train_command.environment["HYDRA_FULL_ERROR"] = "1"
    result = train_command("+unknown=1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ConfigError" in result.stderr


def test_absent_d4rl_data_names_the_commands_that_get_it(train_command):
    train_command.environment["D4RL_DATASET_DIR"] = str(train_command.folder / "cache")
    said = sentence(train_command("trainer=cpu", "logger=csv_logger", "source.download=false", tiny=False))
    assert "diffplan data fetch maze2d-umaze-v1" in said
    assert "diffplan data generate maze2d-umaze-v1" in said
    assert "source=maze2d_source" in said


@pytest.mark.slow
def test_unreachable_d4rl_data_names_the_commands_that_get_it(train_command):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    train_command.environment |= {
        "D4RL_BASE_URL": f"http://127.0.0.1:{port}",
        "D4RL_DATASET_DIR": str(train_command.folder / "cache"),
    }
    said = sentence(train_command("trainer=cpu", "logger=csv_logger", tiny=False))
    assert "diffplan data generate maze2d-umaze-v1" in said
    assert "source=maze2d_source" in said


def test_the_console_of_a_run_reads_well(finished):
    said = finished.result.stdout + finished.result.stderr
    for chatter in ("litlogger", "LeafSpec", "weights_only", "eval mode", "TPU", "Warning", "Epoch 0/-2"):
        assert chatter not in said
    lines = [line for line in said.splitlines() if "GPU available" in line]
    assert len(lines) == 1
    assert str(finished.run_dir) in said
    assert finished.result.stderr == ""


def test_a_run_records_the_command_that_made_it(finished):
    start = json.loads((finished.run_dir / "events.jsonl").read_text().splitlines()[0])
    assert start["command"][:2] == ["diffplan-train", "experiment=quickstart"]


def test_a_finished_run_is_not_trained_again(finished):
    checkpoint = finished.run_dir / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes(), (finished.run_dir / "metrics.jsonl").read_text()
    result = finished()
    assert result.returncode == 0, result.stderr
    assert (checkpoint.read_bytes(), (finished.run_dir / "metrics.jsonl").read_text()) == before
    assert json.loads((finished.run_dir / "results.json").read_text())["step"] == 20


def test_a_finished_run_plays_more_episodes_without_another_step(finished):
    checkpoint = finished.run_dir / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    result = finished("callbacks.rollout.num_final_episodes=3")
    assert result.returncode == 0, result.stderr
    left = json.loads((finished.run_dir / "results.json").read_text())
    assert left["protocols"]["multi2d"]["seeds"] == [0, 1, 2]
    assert (left["step"], checkpoint.read_bytes()) == (20, before)


def test_resume_false_leaves_an_existing_run_alone(finished):
    assert "holds a run already" in sentence(finished("resume=false"))


def test_a_second_process_in_the_run_folder_is_refused(finished):
    with FileLock(finished.run_dir / ".lock"):
        assert f"another process is working in {finished.run_dir}" in sentence(finished())


@pytest.mark.slow
def test_a_checkpoint_that_is_no_checkpoint_is_one_sentence(finished, train_command):
    shutil.copytree(finished.folder / "runs", train_command.folder / "runs")
    checkpoint = checkpoint_of(train_command)
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    (checkpoint.parents[1] / "results.json").unlink()
    assert "is truncated or not a checkpoint" in sentence(train_command())


def test_a_full_disk_stops_with_one_sentence_and_the_last_checkpoint_intact(finished, train_command):
    """The limit on file sizes stands in for the disk: writing fails in the middle of the file."""
    shutil.copytree(finished.folder / "runs", train_command.folder / "runs")
    shutil.copytree(finished.folder / "data", train_command.folder / "data")
    checkpoint = checkpoint_of(train_command)
    shutil.move(checkpoint.parents[1], checkpoint.parents[2] / "other")
    run_dir = checkpoint.parents[2] / "other"
    (run_dir / "results.json").unlink()
    before = (run_dir / "checkpoints" / "last.ckpt").read_bytes()

    def limit_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    result = train_command("trainer.max_steps=40", f"paths.run_dir={run_dir}", preexec_fn=limit_files)
    said = sentence(result)
    assert "could not write a checkpoint at step 40" in said
    assert "checkpoint of step 20 is untouched" in said
    assert (run_dir / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["last.ckpt"]
    load_model(run_dir / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("accumulate", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_sigterm_saves_exits_143_and_the_same_command_continues(train_command, accumulate):
    overrides = (
        "trainer.max_steps=80",
        f"trainer.accumulate_grad_batches={accumulate}",
        "callbacks.checkpoint.every_n_steps=10000",
        "callbacks.rollout.every_n_steps=0",
    )
    process = train_command.start(*overrides)
    wait_for(lambda: any(path.stat().st_size for path in train_command.folder.glob("runs/**/metrics.jsonl")), process)
    process.send_signal(signal.SIGTERM)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 143, stderr
    assert "Traceback" not in stderr
    stopped = read_checkpoint(checkpoint_of(train_command))["global_step"]
    assert 5 <= stopped < 80

    result = train_command(*overrides)
    assert result.returncode == 0, result.stderr
    assert f"step {stopped}" in (train_command.run_dirs[0] / "train.log").read_text()
    assert read_checkpoint(checkpoint_of(train_command))["global_step"] == 80


@pytest.mark.slow
def test_sigterm_during_the_last_evaluation_is_no_finished_run(train_command):
    overrides = ("callbacks.rollout.num_final_episodes=300", "callbacks.rollout.every_n_steps=0")
    process = train_command.start(*overrides)
    wait_for(lambda: checkpoint_of(train_command) is not None, process)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    # A shell reports both as 143.
    assert process.returncode in (143, -signal.SIGTERM)
    (run_dir,) = train_command.run_dirs
    assert not (run_dir / "results.json").exists()
    assert train_command(*overrides).returncode == 0
    assert json.loads((run_dir / "results.json").read_text())["metrics"]["eval/multi2d/num_episodes"] == 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")], ids=["basic", "joblib"]
)
def test_a_multirun_gives_every_seed_its_own_run(train_command, launcher):
    result = train_command("-m", "seed=0,1", *launcher)
    assert result.returncode == 0, result.stderr
    assert [path.name[:5] for path in train_command.run_dirs] == ["seed0", "seed1"]
    weights = [read_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"] for path in train_command.run_dirs]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    groups = [
        json.loads((path / "events.jsonl").read_text().splitlines()[0])["groups"] for path in train_command.run_dirs
    ]
    assert groups[0]["ablation"] == groups[1]["ablation"]


@pytest.mark.slow
def test_a_mistake_in_one_job_of_a_multirun_leaves_the_others_running(train_command):
    result = train_command("-m", "window.horizon=30,8")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "28 or 32" in result.stderr
    assert "window.horizon=30" in result.stderr
    assert checkpoint_of(train_command) is not None


@pytest.mark.slow
def test_two_processes_train_one_model_and_agree_on_its_weights(train_command):
    """Each process writes the hash of its weights; the second one holds no lock and writes no results."""
    probe = train_command.folder / "weight_probe.py"
    probe.write_text(
        "import hashlib\n"
        "from pathlib import Path\n"
        "from lightning import Callback\n\n"
        "class WeightProbe(Callback):\n"
        "    def on_train_end(self, trainer, module):\n"
        "        data = b''.join(value.cpu().numpy().tobytes() for value in module.state_dict().values())\n"
        f"        Path({str(train_command.folder)!r}, f'rank{{trainer.global_rank}}').write_text(\n"
        "            hashlib.sha256(data).hexdigest())\n"
    )
    train_command.environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(train_command.folder), os.environ.get("PYTHONPATH")])
    )
    result = train_command(
        "trainer=ddp", "trainer.accelerator=cpu", "+callbacks.probe._target_=weight_probe.WeightProbe"
    )
    assert result.returncode == 0, result.stderr
    hashes = [(train_command.folder / f"rank{rank}").read_text() for rank in (0, 1)]
    assert hashes[0] == hashes[1]
    (run_dir,) = train_command.run_dirs
    steps = [json.loads(line)["step"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert json.loads((run_dir / "results.json").read_text())["step"] == 20
