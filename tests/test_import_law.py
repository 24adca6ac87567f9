"""Who may import whom: rows of the package, and third parties that only some of it may know."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

ALLOWED_IMPORTERS = {
    "lightning": {"training", "data", "tracking", "cli"},
    "pytorch_lightning": set(),
    "hydra": {"cli", "config", "interop", "sweep", "training"},
    "omegaconf": {"cli", "config", "interop", "sweep", "training"},
    "gymnasium": {"data", "env"},
    "mujoco": {"env"},
    "wandb": {"report", "tracking"},  # Reports read results from W&B.
    "wandb_workspaces": {"tracking"},
}

BARE_IMPORT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
import {module}
"""


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [str(LINT_IMPORTS), "--config", ".importlinter", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder)})


def imported_packages(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def third_party_violations(package: Path) -> list[str]:
    violations = []
    for file in sorted(package.rglob("*.py")):
        row = file.relative_to(package).with_suffix("").parts[0]
        for name in imported_packages(file) & ALLOWED_IMPORTERS.keys():
            if row not in ALLOWED_IMPORTERS[name]:
                violations.append(f"{file.relative_to(package)} imports {name}")
    return violations


@pytest.fixture
def copied_package(tmp_path):
    shutil.copytree(ROOT / "diffplan", tmp_path / "diffplan", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def plant(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text()}\n\n{line}\n")


def test_every_row_imports_only_rows_below():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("data/source/base.py", "from diffplan.training import DiffuserModule"),
        ("method/objective.py", "from diffplan.planner.base import AbstractPlanner"),
        ("errors.py", "import diffplan.method.shapes"),
        ("report/run_record.py", "from diffplan.tracking.base import AbstractRunLogger"),
    ],
)
def test_an_import_from_a_row_above_or_beside_is_caught(copied_package, file, line):
    plant(copied_package / "diffplan" / file, line)
    result = lint(copied_package)
    assert result.returncode == 1
    assert f"diffplan.{Path(file).with_suffix('').as_posix().replace('/', '.')}" in result.stdout


def test_a_new_top_level_module_without_a_row_is_caught(copied_package):
    (copied_package / "diffplan" / "extras.py").write_text("")
    result = lint(copied_package)
    assert result.returncode == 1
    assert "extras" in result.stdout


def test_third_parties_are_imported_only_where_they_belong():
    assert third_party_violations(ROOT / "diffplan") == []


@pytest.mark.parametrize(
    ("file", "line", "name"),
    [
        ("method/objective.py", "from lightning.pytorch import Trainer", "lightning"),
        ("planner/base.py", "from hydra.utils import instantiate", "hydra"),
        ("training/stages.py", "import wandb.apis", "wandb"),
        ("data/source/maze2d_recipe.py", "def later():\n    import mujoco", "mujoco"),
    ],
)
def test_a_third_party_in_the_wrong_place_is_caught(copied_package, file, line, name):
    plant(copied_package / "diffplan" / file, line)
    assert third_party_violations(copied_package / "diffplan") == [f"{file} imports {name}"]


@pytest.mark.parametrize("module", ["diffplan", "diffplan.method.network"])
def test_the_network_imports_without_frameworks_and_prints_nothing(module):
    blocked = ["lightning", "pytorch_lightning", "hydra", "omegaconf", "mujoco", "gymnasium", "wandb", "h5py"]
    code = BARE_IMPORT.format(blocked=set(blocked), module=module)
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_blocked_import_check_notices_a_framework():
    code = BARE_IMPORT.format(blocked={"lightning"}, module="diffplan.training")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1
    assert "lightning is blocked" in result.stderr
