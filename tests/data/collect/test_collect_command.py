import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import diffplan

TINY = (
    *("--rows", "300", "--train-steps", "300", "--medium-score", "-100", "--hidden-width", "8", "--batch-size", "4"),
    *("--learning-starts", "20", "--evaluate-every", "50", "--evaluation-episodes", "1"),
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "diffplan", "data", "collect", *map(str, arguments)]


def start(*arguments: object, **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(diffplan.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*arguments), env=environment, **streams, **options)


def collect(*arguments: object, **options) -> tuple[int, str, str]:
    process = start(*arguments, **options)
    output, errors = process.communicate(timeout=200)
    return process.returncode, output, errors


def test_a_random_set_is_made_and_said_how_to_train_on(tmp_path):
    code, output, errors = collect("hopper-random-v2", "--rows", 200, "--data-dir", tmp_path)
    assert (code, errors) == (0, "")
    (path,) = (tmp_path / "collected").glob("*.hdf5")
    assert f" collected rows in {path}, SHA-256 " in output
    assert "D4RL-normalised" in output
    assert f"diffplan train task=hopper-random-v2 source.path={path}" in output


def test_a_mistake_is_one_sentence(tmp_path):
    code, _, errors = collect("hopper-huge-v2", "--data-dir", tmp_path)
    assert code == 1
    assert errors.startswith("diffplan data: Only {hopper,walker2d,halfcheetah,ant}-{random,")
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_a_killed_collection_goes_on_and_ends_with_the_same_file(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    code, _, errors = collect("hopper-medium-expert-v2", *TINY, "--data-dir", whole)
    assert code == 0, errors
    process = start("hopper-medium-expert-v2", *TINY, "--data-dir", broken)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(broken.glob("policies/*/policy-*"))) < 3:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(broken.glob("collected/*.hdf5"))
    code, _, errors = collect("hopper-medium-expert-v2", *TINY, "--data-dir", broken)
    assert code == 0, errors
    assert 1 <= errors.count("D4RL-normalised") < 6
    (expected,), (found,) = whole.glob("collected/*.hdf5"), broken.glob("collected/*.hdf5")
    assert found.name == expected.name
    assert found.read_bytes() == expected.read_bytes()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_training_goes_on_with_room(tmp_path):
    code, _, errors = collect(
        *("hopper-medium-v2", *TINY, "--hidden-width", 64, "--data-dir", tmp_path),
        # A limit on the size of files makes write() fail half-way, as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert code == 1
    assert "DataError: " in errors.splitlines()[-1]
    assert "cannot be written: File too large; free some space" in errors.splitlines()[-1]
    assert not list(tmp_path.glob("**/.sac*"))
    code, _, errors = collect("hopper-medium-v2", *TINY, "--hidden-width", 64, "--data-dir", tmp_path)
    assert code == 0, errors
