"""What a user gets who installs the package: commands that run from anywhere, with their config."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUICK = (
    "experiment=quickstart",
    "logger=csv_logger",
    "source.num_transitions=3000",
    "trainer=cpu",
    "trainer.max_steps=2",
    "window.horizon=8",
    "backbone.dim=8",
    "datamodule.batch_size=8",
    "callbacks.rollout.num_final_episodes=2",
    "callbacks.rollout.num_videos=0",
    "paths.output_dir=runs",
    "paths.data_dir=data",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request, wheel, tmp_path_factory):
    """The ``bin`` folder of an environment with the package; everything else comes from this test's environment."""
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder, with_pip=False)
    (library,) = folder.glob("lib/python*/site-packages")
    what = [str(wheel)] if request.param == "wheel" else ["--no-build-isolation", "--editable", str(ROOT)]
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    # The packages of this environment come last, so that the installation under test is the one that is imported.
    (library / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib"))
    result = subprocess.run([*pip, "install", "--no-deps", "--ignore-installed", *what], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder / "bin"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(list(command), cwd=folder, capture_output=True, text=True, env=environment, timeout=200)


def test_the_wheel_holds_every_config_and_no_test(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix("diffplan/conf/") for name in names if name.startswith("diffplan/conf/")}
    assert shipped == {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    sweeps = {name.removeprefix("diffplan/sweeps/") for name in names if name.startswith("diffplan/sweeps/")}
    assert sweeps == {path.name for path in (ROOT / "sweeps").glob("*.yaml")}
    files = {path for path in (ROOT / "diffplan").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(names)
    assert "diffplan/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "notebooks/", "sweeps/"))]


def test_the_installation_under_test_is_the_one_imported(installed, tmp_path):
    code = "import diffplan, diffplan.config.paths; print(diffplan.__file__); print(diffplan.config.paths.CONF_DIR)"
    package, conf = run(tmp_path, str(installed / "python"), "-c", code).stdout.split()
    home = ROOT if "editable" in str(installed) else installed.parent
    assert Path(package).is_relative_to(home)
    assert Path(conf).is_relative_to(home)


def test_the_commands_explain_themselves_from_any_folder(installed, tmp_path):
    for command in ("diffplan-train", "diffplan-plan"):
        result = run(tmp_path, str(installed / command), "--help")
        assert result.returncode == 0, result.stderr
        assert "scheduler" in result.stdout
    result = run(tmp_path, str(installed / "diffplan-train"), "+sweep=widht")
    assert "did you mean 'width'?" in result.stderr
    result = run(tmp_path, str(installed / "diffplan-data"), "list")
    assert result.returncode == 0, result.stderr
    assert "maze2d-umaze-v1" in result.stdout


@pytest.mark.parametrize("way", ["script", "module"])
def test_a_run_from_another_folder_trains_and_is_evaluated(installed, tmp_path, way):
    command = (
        [str(installed / "diffplan-train")]
        if way == "script"
        else [str(installed / "python"), "-m", "diffplan.cli.train"]
    )
    result = run(tmp_path, *command, *QUICK)
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("runs/*/*/*/checkpoints/last.ckpt"))) == 1
    assert len(list(tmp_path.glob("runs/*/*/*/results.json"))) == 1
