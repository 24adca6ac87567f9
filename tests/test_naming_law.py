"""One name, two places: the yaml and the class; and how long files and functions may be."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "diffplan"
FILES = sorted(PACKAGE.rglob("*.py"))
YAMLS = sorted((ROOT / "conf").rglob("*.yaml"))
CHOSEN = {
    "AbstractBackbone", "AbstractConditioning", "AbstractGuide", "AbstractNormalizer", "AbstractPlanner",
    "AbstractSampler", "AbstractSource", "AbstractTrajectoryModule",
}  # fmt: skip
BANNED_FOLDERS = {"utils", "util", "common", "helpers", "helper", "misc", "core", "lib", "tools"}
# Written in pieces, so that this file does not find itself.
BANNED_TEXT = re.compile("|".join([r"(?<!\w)/wo" + r"rk/", r"/tmp/br" + "ief", r"(?<![\w/])sha" + r"red/"]))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def plain(name: str) -> str:
    return name.replace("_", "").lower()


def public_classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def function_lengths(path: Path) -> dict[str, int]:
    """Lines of each function, its docstring and signature aside."""
    lengths = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
            lengths[node.name] = node.end_lineno - first.lineno + 1
    return lengths


def targets(node) -> list[str]:
    if isinstance(node, list):
        return [target for item in node for target in targets(item)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [target for value in node.values() for target in targets(value)]


def implementations(package: Path) -> dict[str, str]:
    """Concrete classes of abstract ones that are chosen in ``conf``: name and file."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        for node in public_classes(ast.parse(path.read_text())):
            bases = {ast.unparse(base) for base in node.bases}
            if bases & CHOSEN and "ABC" not in bases:
                found[node.name] = relative(path)
    return found


def test_the_stem_of_a_yaml_names_its_class():
    checked = 0
    for path in YAMLS:
        target = str((yaml.safe_load(path.read_text()) or {}).get("_target_", ""))
        # A body holds what several tasks share, and is named after the robot.
        if target.startswith("diffplan.") and path.parent.name != "body":
            # A preset of a class begins with a word of its own: `fast_guided_planner`.
            assert plain(path.stem).endswith(plain(target.rpartition(".")[2])), path
            checked += 1
    assert checked > 15


def test_every_target_in_conf_is_where_it_is_said_to_be():
    own = {target for path in YAMLS for target in targets(yaml.safe_load(path.read_text()))}
    own = {target for target in own if target.startswith("diffplan.")}
    assert len(own) > 15
    for target in own:
        module, _, name = target.rpartition(".")
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        assert name in {node.name for node in public_classes(tree)}, target


def test_every_implementation_has_a_yaml():
    stems = {plain(path.stem) for path in YAMLS}
    found = implementations(PACKAGE)
    assert {"MeanShiftSampler", "LimitsNormalizer", "StartAndGoal", "WaypointPlanner", "D4RLSource"} <= found.keys()
    assert [name for name in found if plain(name) not in stems] == []


def test_no_folder_has_a_name_that_says_nothing():
    folders = {path.parent.name for path in FILES} | {path.parent.name for path in YAMLS}
    assert "method" in folders
    assert folders & BANNED_FOLDERS == set()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_stays_within_400_lines_and_its_functions_within_50(path):
    assert len(path.read_text().splitlines()) <= 400
    assert {name: length for name, length in function_lengths(path).items() if length > 50} == {}


def test_a_function_of_51_lines_is_caught(tmp_path):
    (tmp_path / "long.py").write_text("def count():\n    '''Docstring.'''\n" + "    x = 1\n" * 51)
    assert function_lengths(tmp_path / "long.py") == {"count": 51}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_annotations_are_evaluated(path):
    assert "from __future__ import annotations" not in path.read_text()


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=relative)
def test_an_init_file_only_re_exports(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    # A module's __getattr__ re-exports a name at its first use.
    nodes = [node for node in ast.parse(path.read_text()).body if getattr(node, "name", "") != "__getattr__"]
    assert all(isinstance(node, allowed) for node in nodes)


def test_no_tracked_file_knows_the_machine_it_was_written_on():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        found += [f"{name}: {line.strip()[:100]}" for line in text.splitlines() if BANNED_TEXT.search(line)]
    assert found == []
