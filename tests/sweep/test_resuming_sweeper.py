"""Real sweeps of a command that writes one file, in real processes and with real launchers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from diffplan.sweep.resuming_sweeper import passing_on_sigterm

ROOT = Path(__file__).parents[2]
APP = """
import os, signal, sys, time
from pathlib import Path

import hydra

from diffplan.errors import DiffplanError, LockedError
from diffplan.run import stop_signal
from diffplan.run.folder import RunDir
from diffplan.sweep.launcher_watch import end_with_launcher
from diffplan.sweep.cell import write_failure_note
from diffplan.sweep.resuming_sweeper import SweepSettings, register_plugins, with_sweep_settings


def is_finished(config):
    return (Path(config.paths.run_dir) / "finished").exists()


def job(config):
    stop_signal.listen()
    end_with_launcher()
    with RunDir(Path(config.paths.run_dir)) as run_dir:
        with (run_dir.path / "starts").open("a") as file:
            file.write("x")
        (run_dir.path / "process").write_text(str(os.getpid()))
        if config.a == config.dies and not Path("spared").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if config.a == config.fails:
            write_failure_note(run_dir.path, "a is bad.")
            raise DiffplanError("a is bad.")
        time.sleep(config.seconds)
        (run_dir.path / "finished").touch()


try:
    register_plugins(sys.argv[1:])
    task = with_sweep_settings(job, SweepSettings(is_finished))
    hydra.main(version_base="1.3", config_path=".", config_name="app")(task)()
except DiffplanError as error:
    sys.exit(str(error))
"""
CONFIG = """
a: 0
fails: null
dies: null
seconds: 0
paths: {run_dir: "runs/a${a}"}
hydra:
  run: {dir: "${paths.run_dir}"}
  sweep: {dir: ".", subdir: "${paths.run_dir}"}
  job: {chdir: false}
"""
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
launchers = pytest.mark.parametrize(
    "launcher", [(), pytest.param(JOBLIB, marks=pytest.mark.slow)], ids=["basic", "joblib"]
)


class App:
    """The command in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "app.py").write_text(APP)
        (folder / "app.yaml").write_text(CONFIG)
        self.options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(ROOT), "HYDRA_FULL_ERROR": "1"}}

    def command(self, *words):
        return [sys.executable, "app.py", "-m", *words]

    def __call__(self, *words):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120, **self.options)

    @property
    def starts(self):
        return {path.parent.name: len(path.read_text()) for path in sorted(self.folder.glob("runs/*/starts"))}


@pytest.fixture
def app(tmp_path):
    return App(tmp_path)


@launchers
def test_a_failing_cell_stops_no_other_and_only_it_runs_again(app, launcher):
    result = app("a=0,1,2", "fails=1", *launcher)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-2:] == [
        "2 of 3 cells finished; the same command runs the 1 that are missing",
        "  failed: a=1: a is bad.",
    ]
    again = app("a=0,1,2", "fails=null", *launcher)
    assert again.returncode == 0, again.stderr
    assert "2 of 3 cells are finished and are not launched again" in again.stdout
    assert "3 of 3 cells finished" in again.stdout
    assert app.starts == {"a0": 1, "a1": 2, "a2": 1}


def test_a_finished_sweep_launches_nothing(app):
    app("a=0,1")
    assert "Launching" not in app("a=0,1").stdout
    assert app.starts == {"a0": 1, "a1": 1}


def test_a_cell_in_which_another_process_works_is_running_and_not_failed(app):
    (app.folder / "runs" / "a1").mkdir(parents=True)
    with FileLock(app.folder / "runs" / "a1" / ".lock"):
        result = app("a=0,1")
    assert result.returncode == 0, result.stderr
    assert "1 of 2 cells finished; the same command runs the 1 that are missing" in result.stdout
    assert "running: a=1: another process is working in runs/a1" in result.stdout
    assert app.starts == {"a0": 1}


def test_cells_are_handed_over_in_batches_of_the_size_that_is_asked_for(app):
    result = app("a=0,1,2", "hydra.sweeper.max_batch_size=2")
    assert result.returncode == 0, result.stderr
    assert "Launching 2 jobs" in result.stdout
    assert "Launching 1 jobs" in result.stdout


def test_a_mistake_in_the_grid_stops_before_anything_is_launched(app):
    assert app("a=0,1", "b=2").returncode == 1
    assert app.starts == {}


@pytest.mark.slow
def test_a_process_that_dies_takes_no_other_cell_with_it(app):
    result = app("a=0,1,2,3", "dies=1", "seconds=1", *JOBLIB)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-2:] == [
        "3 of 4 cells finished; the same command runs the 1 that are missing",
        "  failed: a=1: its process was killed",
    ]


@pytest.mark.slow
@launchers
def test_a_sweep_killed_half_way_is_finished_by_the_same_command(app, launcher):
    words = ("a=0,1,2,3", "seconds=2", *launcher)
    process = subprocess.Popen(app.command(*words), start_new_session=True, stdout=subprocess.DEVNULL, **app.options)
    finished = app.folder / "runs" / "a0" / "finished"
    while not finished.exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.parent.name for path in app.folder.glob("runs/*/finished")}
    assert len(done) < 4
    before = app.starts
    result = app("a=0,1,2,3", "seconds=0", *launcher)
    assert result.returncode == 0, result.stderr
    assert len(list(app.folder.glob("runs/*/finished"))) == 4
    assert {name: app.starts[name] for name in done} == {name: before[name] for name in done}


PARENT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from filelock import FileLock
from diffplan.sweep.resuming_sweeper import passing_on_sigterm, register_plugins


def work(folder):
    def save(number, frame):
        time.sleep(0.5)
        (folder / "saved").touch()
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, save)
    with FileLock(folder / ".lock"):
        (folder / "started").touch()
        time.sleep(60)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    child = multiprocessing.get_context("spawn").Process(target=work, args=(folder,))
    with passing_on_sigterm([folder]):
        child.start()
        while not (folder / "started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
"""


def test_the_handler_before_is_back_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with passing_on_sigterm([]):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_cell_in_another_process_saves_before_the_sweep_ends(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    result = subprocess.run([sys.executable, str(script), str(tmp_path)], timeout=60)
    assert result.returncode == 143
    assert (tmp_path / "saved").exists()


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells when another process has ended")
@pytest.mark.parametrize(
    "launcher", [JOBLIB, ("hydra/launcher=submitit_local",)], ids=["joblib", "submitit on this machine"]
)
def test_no_process_of_a_killed_launcher_stays_alive(app, launcher):
    if "submitit" in launcher[0]:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sweep = subprocess.Popen(app.command("a=0,1", "seconds=300", *launcher), **streams, **app.options)
    numbers = app.folder / "runs"
    wait_until(lambda: len(list(numbers.glob("*/process"))) == 2)
    processes = [int(path.read_text()) for path in numbers.glob("*/process")]
    assert all(map(is_alive, processes))
    sweep.kill()
    sweep.wait()
    wait_until(lambda: not any(map(is_alive, processes)), seconds=20)


def wait_until(holds, seconds: float = 90) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)
