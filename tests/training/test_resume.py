"""A run that is killed anywhere and started again ends with the weights of one that never was."""

import json
import random
import time

import pytest
import torch

OVERRIDES = (
    "trainer.max_steps=60",
    "trainer.accumulate_grad_batches=2",
    "callbacks.checkpoint.every_n_steps=5",
    "callbacks.rollout.every_n_steps=20",
    "average.start_step=10",
    "learning_rate_schedule.num_warmup_steps=10",
)


def run_to_its_end(command, *more):
    result = command(*OVERRIDES, *more)
    assert result.returncode == 0, result.stderr
    (run_dir,) = command.run_dirs
    return run_dir


def kill_at_a_random_moment(command, generator, *more) -> None:
    """Lets a process work on the run for a moment of its training, evaluations included, then kills it."""
    before = {path: path.stat().st_mtime_ns for path in command.folder.glob("runs/**/last.ckpt")}
    process = command.start(*OVERRIDES, *more)
    deadline = time.monotonic() + 120
    while {path: path.stat().st_mtime_ns for path in command.folder.glob("runs/**/last.ckpt")} == before:
        if process.poll() is not None or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    time.sleep(generator.uniform(0.0, 0.6))
    process.kill()
    process.communicate()


def assert_equal(first, second, path=""):
    assert type(first) is type(second), path
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_equal(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for index, (mine, theirs) in enumerate(zip(first, second, strict=True)):
            assert_equal(mine, theirs, f"{path}/{index}")
    else:
        assert first == second, path


def trained(run_dir) -> dict:
    """What training determines: weights and their average, optimiser, schedule, place in the data, random state."""
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    data_state = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    names = ("global_step", "state_dict", "optimizer_states", "lr_schedulers")
    return {name: checkpoint[name] for name in names} | {
        "data": data_state,
        "random": checkpoint["callbacks"]["RandomState"],
    }


def metrics(run_dir) -> dict:
    """Numbers by step and key, the last value winning as in metrics.csv; durations aside."""
    values = {}
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for key in row.keys() - {"step", "time", "epoch"}:
            values[row["step"], key] = None if "second" in key else row[key]
    return values


@pytest.fixture(scope="module")
def uninterrupted(make_train_command):
    return run_to_its_end(make_train_command("uninterrupted"))


def check(command, num_kills, seed, uninterrupted, *more) -> None:
    generator = random.Random(seed)
    for _ in range(num_kills):
        kill_at_a_random_moment(command, generator, *more)
    run_dir = run_to_its_end(command, *more)
    assert trained(uninterrupted)["global_step"] == 60
    assert trained(uninterrupted)["data"] == [{"number": 120}]
    assert_equal(trained(run_dir), trained(uninterrupted))
    assert metrics(run_dir).keys() == metrics(uninterrupted).keys()
    assert metrics(run_dir) == metrics(uninterrupted)
    table = (run_dir / "metrics.csv").read_text().splitlines()[1:]
    steps = [int(row.partition(",")[0]) for row in table]
    assert steps == sorted(set(steps)) == sorted({step for step, _ in metrics(uninterrupted)})


def test_a_killed_and_resumed_run_ends_as_if_nothing_had_happened(make_train_command, uninterrupted):
    check(make_train_command("killed"), num_kills=1, seed=0, uninterrupted=uninterrupted)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_at_random_moments_change_nothing(make_train_command, uninterrupted):
    check(make_train_command("killed_often"), num_kills=10, seed=time.time_ns(), uninterrupted=uninterrupted)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_of_which_the_first_is_killed_change_nothing(make_train_command):
    """The second process ends by itself, because it can no longer exchange gradients."""
    processes = ("trainer=ddp", "trainer.accelerator=cpu")
    whole = run_to_its_end(make_train_command("two"), *processes)
    check(make_train_command("two_killed"), 2, time.time_ns(), whole, *processes)


@pytest.mark.slow
def test_another_seed_ends_elsewhere(make_train_command, uninterrupted):
    command = make_train_command("another_seed")
    result = command(*OVERRIDES, "seed=1")
    assert result.returncode == 0, result.stderr
    with pytest.raises(AssertionError):
        assert_equal(trained(command.run_dirs[0]), trained(uninterrupted))
