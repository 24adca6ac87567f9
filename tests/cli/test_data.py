import functools
import hashlib
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

import diffplan
from diffplan.cli.app import main as app_main
from diffplan.data.source.d4rl_file import file_sha256, summarize

REPOSITORY = Path(diffplan.__file__).parents[1]
MAZE = "maze2d-umaze-sparse-v1.hdf5"


def main(words):
    """The exit code; the sentence of a mistake goes to stderr, as the interpreter prints it."""
    try:
        app_main(["data", *words])
    except SystemExit as stopped:
        print(stopped.code, file=sys.stderr)
        return 1
    return 0


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Empty places for data, and no way to D4RL's server."""
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DIFFPLAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("D4RL_BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")


def maze_arrays(rows: int = 60) -> dict[str, np.ndarray]:
    """The ball walks past the goal at (1, 1) twice."""
    generator = np.random.default_rng(0)
    observations = generator.normal(size=(rows, 4)).astype(np.float32)
    observations[:, :2] = 3.0
    observations[[9, 10, 30], :2] = 1.0
    timeouts = np.zeros(rows, dtype=bool)
    timeouts[19::20] = True
    return {
        "observations": observations,
        "actions": generator.uniform(-1.0, 1.0, (rows, 2)).astype(np.float32),
        "rewards": (np.hypot(*(observations[:, :2] - 1.0).T) <= 0.5).astype(np.float32),
        "terminals": np.zeros(rows, dtype=bool),
        "timeouts": timeouts,
        "infos/goal": np.ones((rows, 2), dtype=np.float32),
        "infos/qpos": observations[:, :2],
        "infos/qvel": observations[:, 2:],
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key] = array
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "diffplan", "data", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A plain web server, without ranges, over the folder it returns."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing on stderr."""

    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("D4RL_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()
        thread.join()


def test_list_shows_every_data_set_and_where_it_is(tmp_path, capsys):
    write(tmp_path / "cache" / MAZE, maze_arrays())
    write(tmp_path / "data" / "regenerated" / "maze2d-open-v1-60-seed0.hdf5", maze_arrays())
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    assert "halfcheetah-full-replay-v2" in output
    assert "maze2d-open-v1-60-seed0.hdf5" in output
    row = next(line for line in output.splitlines() if line.startswith("maze2d-umaze-v1 "))
    assert "1,000,000" in row
    # Long paths run on over several lines, whole.
    assert str(tmp_path / "cache" / MAZE) in "".join(output.split())


def test_fetch_downloads_to_d4rl_s_cache_and_prints_the_hash(mirror, tmp_path):
    source = write(mirror / "maze2d" / MAZE, maze_arrays(1_000_000))
    result = command("fetch", "maze2d-umaze-v1")
    assert result.returncode == 0, result.stderr
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert digest in result.stdout
    assert (tmp_path / "cache" / MAZE).read_bytes() == source.read_bytes()


def test_fetch_reports_a_file_under_d4rl_s_name_that_is_not_d4rl_s(tmp_path, capsys):
    write(tmp_path / "cache" / MAZE, maze_arrays())
    assert main(["fetch", "maze2d-umaze-v1"]) == 1
    assert "must have D4RL's 1,000,000 rows, got 60" in capsys.readouterr().err
    assert (tmp_path / "cache" / MAZE).exists()


def test_fetch_with_force_replaces_what_is_there(mirror, tmp_path, capsys):
    old = write(tmp_path / "cache" / MAZE, maze_arrays(40))
    new = write(mirror / "maze2d" / MAZE, maze_arrays(1_000_000))
    assert main(["fetch", "maze2d-umaze-v1", "--force"]) == 0
    assert old.read_bytes() == new.read_bytes()


def test_fetch_with_force_keeps_the_old_file_if_the_new_one_has_fewer_rows(mirror, tmp_path, capsys):
    old = write(tmp_path / "cache" / MAZE, maze_arrays(40))
    before = old.read_bytes()
    write(mirror / "maze2d" / MAZE, maze_arrays(500))
    assert main(["fetch", "maze2d-umaze-v1", "--force"]) == 1
    assert "must have D4RL's 1,000,000 rows, got 500. The bytes were discarded" in capsys.readouterr().err
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir() if not path.name.startswith(".")] == [MAZE]


def test_fetch_checks_every_name_before_the_first_download(tmp_path, capsys):
    assert main(["fetch", "maze2d-umaze-v1", "maze2d-unaze-v1"]) == 1
    assert "did you mean 'maze2d-umaze-v1'" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_fetch_of_a_file_that_the_server_lacks_is_one_sentence(mirror):
    result = command("fetch", "maze2d-umaze-v1")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("diffplan data: ")
    assert "404" in result.stderr


def test_fetch_beside_a_process_that_fetches_the_same_file_is_refused(tmp_path):
    (tmp_path / "cache").mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from filelock import FileLock\n"
            "with FileLock(sys.argv[1]): print('locked', flush=True); sys.stdin.readline()",
            str(tmp_path / "cache" / f".{MAZE}.lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "locked\n"
    result = command("fetch", "maze2d-umaze-v1")
    holder.communicate("done\n")
    assert result.returncode == 1
    assert result.stderr.startswith("diffplan data: Another process is downloading ")
    assert result.stderr.count("\n") == 1


def test_generate_makes_a_file_that_inspect_and_verify_accept(tmp_path, capsys):
    assert main(["generate", "maze2d-umaze-v1", "--rows", "300", "--seed", "3"]) == 0
    assert "source.num_transitions=300 source.seed=3" in capsys.readouterr().out
    (path,) = (tmp_path / "data" / "regenerated").glob("*.hdf5")
    assert main(["verify", str(path)]) == 0
    assert "300 rows, all finite" in capsys.readouterr().out
    assert main(["inspect", str(path)]) == 0
    assert "kind regenerated" in capsys.readouterr().out
    assert main(["inspect", "maze2d-umaze-v1"]) == 1
    assert f"name a file, for instance {path}" in capsys.readouterr().err


def test_generate_of_something_else_than_a_maze_is_refused(capsys):
    assert main(["generate", "hopper-medium-v2", "--rows", "10"]) == 1
    assert "hopper-medium-v2" in capsys.readouterr().err


def test_inspect_shows_arrays_episodes_and_statistics_beside_the_published_ones(tmp_path, capsys):
    path = write(tmp_path / "maze2d-umaze-v1-part.hdf5", maze_arrays())
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}, kind file, taken for maze2d-umaze-v1" in lines
    words = [line.split() for line in lines]
    assert ["observations", "(60,", "4)", "float32"] in words
    # Three time-outs; departures from the goal after rows 10 and 30, then 29 rows without one.
    assert ["flags", "3", "0", "20", "20.0", "20", "1.0", "0.8", "2.0"] in words
    assert ["departures", "3", "0", "11", "20.0", "29", "1.0", "0.8", "2.0"] in words
    mean = np.float64(maze_arrays()["observations"][:, 0].mean(dtype=np.float64))
    assert any(line[:3] == ["observation", "0", f"{mean:.5g}"] and line[3] == "(1.9328)" for line in words)


def test_inspect_by_name_finds_the_file_in_d4rl_s_cache(tmp_path, capsys):
    path = write(tmp_path / "cache" / MAZE, maze_arrays())
    assert main(["inspect", "maze2d-umaze-v1"]) == 0
    assert str(path) in capsys.readouterr().out


def test_verify_refuses_a_file_under_d4rl_s_name_with_another_hash(tmp_path, capsys):
    arrays = {key: array for key, array in maze_arrays().items() if not key.startswith("infos")}
    path = write(tmp_path / "cache" / "hopper_medium-v2.hdf5", arrays)
    assert main(["verify", "hopper-medium-v2"]) == 1
    error = capsys.readouterr().err
    assert "must have the published SHA-256 5bdf1bc4" in error
    assert "diffplan data fetch hopper-medium-v2" in error
    assert path.exists()


def test_verify_holds_a_file_against_the_dimensions_of_its_task(tmp_path, capsys):
    path = write(tmp_path / "hopper-medium-v2.mine.hdf5", maze_arrays())
    assert main(["verify", str(path)]) == 1
    assert "declares observation_dim=11 but" in capsys.readouterr().err


def damage(kind: str, path: Path) -> Path:
    """A file broken in one way."""
    arrays = maze_arrays()
    if kind == "lacks":
        del arrays["rewards"]
    if kind == "finite":
        arrays["observations"][5, 1] = np.nan
    if kind == "equally many rows":
        arrays["actions"] = arrays["actions"][:-3]
    write(path, arrays)
    if kind == "is truncated":
        path.write_bytes(path.read_bytes()[:-700])
    if kind == "is empty":
        path.write_bytes(b"")
    if kind == "is not an HDF5 file":
        path.write_bytes(b"PK\x03\x04" + bytes(5000))
    return path


@pytest.mark.parametrize(
    "kind", ["is truncated", "lacks", "finite", "equally many rows", "is empty", "is not an HDF5 file"]
)
@pytest.mark.parametrize("subcommand", ["verify", "inspect"])
def test_a_broken_file_is_one_sentence_and_stays_as_it_is(tmp_path, kind, subcommand):
    path = damage(kind, tmp_path / "broken.hdf5")
    before = path.read_bytes()
    result = command(subcommand, path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"diffplan data: {path} ")
    assert kind in result.stderr
    assert result.stderr.count("\n") == 1
    # Nobody can get back a file that is not a published one.
    assert "delete" not in result.stderr
    assert path.read_bytes() == before


def test_a_path_without_a_file_is_reported(capsys):
    assert main(["verify", "nowhere/data.hdf5"]) == 1
    assert capsys.readouterr().err == "diffplan data: There is no file nowhere/data.hdf5.\n"


def test_a_name_that_is_nothing_suggests_close_ones(capsys):
    assert main(["inspect", "halfcheeta-medium-v2"]) == 1
    assert "did you mean 'halfcheetah-medium-v2'" in capsys.readouterr().err


def test_an_unknown_subcommand_is_refused_with_the_known_ones(capsys):
    assert main(["fech"]) == 1
    assert 'Did you mean "fetch"? Available commands: list, fetch, generate' in capsys.readouterr().err


def test_the_command_loads_neither_torch_nor_a_simulator():
    code = (
        "import sys, diffplan.cli.data\n"
        "heavy = ('torch', 'mujoco', 'gymnasium', 'lightning', 'hydra', 'wandb', 'minari')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout == "[]\n"


def test_every_argument_of_a_collection_reaches_its_file(tmp_path, capsys):
    numbers = {"hidden-width": 6, "batch-size": 7, "learning-starts": 8, "evaluate-every": 9, "evaluation-episodes": 2}
    flags = [str(word) for name, value in numbers.items() for word in (f"--{name}", value)]
    flags += ["--rows", "150", "--seed", "3", "--train-steps", "40", "--medium-score", "-50.5"]
    assert main(["collect", "hopper-medium-expert-v2", *flags, "--data-dir", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("collected/*.hdf5")
    metadata = summarize(path).metadata
    for name, value in numbers.items():
        assert metadata[f"training/{name.replace('-', '_')}"] == value
    assert (metadata["max_transitions"], metadata["seed"], metadata["training/seed"]) == (150, 3, 3)
    assert (metadata["training/train_steps"], metadata["training/medium_score"]) == (40, -50.5)
    output = capsys.readouterr().out
    assert f"diffplan train task=hopper-medium-expert-v2 source.path={path}" in output
    assert file_sha256(path) in output


def test_a_collected_file_is_inspected_and_verified(tmp_path, capsys):
    assert main(["collect", "hopper-random-v2", "--rows", "200", "--data-dir", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("collected/*.hdf5")
    assert main(["inspect", str(path)]) == 0
    assert main(["verify", str(path)]) == 0
    output = capsys.readouterr().out
    assert "kind collected, taken for hopper-random-v2" in output
    for key in ("generator", "normalized_score_mean", "environment/corrections", "environment/mujoco"):
        assert key in output
    assert f"{path} is sound" in output


@pytest.mark.parametrize("given", ["medium", "medium=", "=policy.zip"])
def test_a_policy_without_part_or_file_is_refused(tmp_path, capsys, given):
    assert main(["collect", "hopper-medium-v2", "--policy", given, "--data-dir", str(tmp_path)]) == 1
    assert "diffplan data: --policy must be PART=ZIP" in capsys.readouterr().err
