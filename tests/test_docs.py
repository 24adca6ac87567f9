"""What README and documentation name exists: paths, links, commands, settings, metrics; and their code runs."""

import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cyclopts import CycloptsError
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from diffplan.cli.app import app, with_options
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.sweep.sweep_file import expand_sweep

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Verbs whose words Hydra reads; the config of each has its name.
HYDRA = ("train", "plan", "schedulers", "guidance")
# Planners whose settings a command line may name without naming the planner, which a checkpoint does.
PLANNERS = ("waypoint_planner", "guided_planner", "fast_guided_planner")
# Command lines that a setting named alone may belong to.
BASES = {
    "train": [("task=hopper-medium-expert-v2",), (), ("--config-dir", "examples/conf")],
    "plan": [("checkpoint=here",)],
    "guidance": [("checkpoint=here",)],
}
# Settings of a sweeper that is not installed here.
NO_SETTINGS = ("hydra/sweeper=optuna",)

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """The page without blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def code_words(page: Path) -> list[str]:
    """What stands between backticks in the text."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def command_lines(page: Path) -> list[list[str]]:
    """Every ``diffplan`` command of a page, from its verb on, placeholders replaced by something that can be read."""
    lines = "\n".join(blocks(page, "bash")).splitlines() + code_words(page)
    lines = [re.split(r"\s#\s", line)[0] for line in lines]
    commands = [part for line in lines for part in re.split(r" && |; ", line)]
    found = []
    for command in commands:
        words = re.sub(r"<[^>]+>", "here", command.replace("…", "0"))
        # `.venv/bin/diffplan-train` and `examples/own_environment.py train` are other ways to type `diffplan train`.
        words = re.sub(r".*\bdiffplan[ -](?=[a-z])|.*\bown_environment\.py (?!record)", "diffplan ", words)
        if words.startswith("diffplan "):
            found.append(shlex.split(words)[1:])
    return found


@cache
def composes(verb: str, overrides: tuple[str, ...]) -> str | None:
    """Composes the config of a command line; returns why it cannot be."""
    register_resolvers()
    words = expand_sweep([word for word in overrides if word not in ("--dry", "--help")], verb)
    folders = [words[index + 1] for index, word in enumerate(words) if word == "--config-dir"]
    words = [word for word in words if word not in ("-m", "--multirun", "--config-dir", *folders)]
    words = [re.sub(r"^([\w./@]+)=([^\[{'\"]*?),.*", r"\1=\2", word) for word in words]
    words += [f"hydra.searchpath=[file://{ROOT / folder}]" for folder in folders]
    named = any(word.startswith("planner=") for word in words) or verb == "train"
    reasons = []
    for extra in [[]] if named else [[f"planner={planner}"] for planner in PLANNERS]:
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                compose(verb, overrides=[*extra, *words], return_hydra_config=True)
            return None
        except (HydraException, OmegaConfBaseException) as error:
            reasons.append(str(error))
    return reasons[-1]


def is_parsed(verb: str, words: list[str]) -> str | None:
    """Parses a command line without running it; returns why it cannot be."""
    if not words and verb in app:
        return None  # the text speaks of the command
    try:
        app.parse_args(with_options([verb, *words]), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return str(error)
    return None


@by_page
def test_every_path_a_page_names_is_there(page):
    tops = r"(?:diffplan|conf|sweeps|docs|examples|notebooks|results|tests)/"
    paths = {word for word in code_words(page) if re.fullmatch(rf"{tops}[\w./-]*|\.importlinter", word)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@by_page
def test_every_link_and_picture_of_a_page_is_there(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose(page))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@by_page
def test_every_command_of_a_page_composes(page):
    wrong = {}
    for verb, *words in command_lines(page):
        if verb in HYDRA:
            reason = composes(verb, tuple(words))
        else:
            reason = is_parsed(verb, words)
        if reason:
            wrong[" ".join([verb, *words])] = reason
    assert wrong == {}


@by_page
def test_every_setting_a_page_names_exists(page):
    """Settings between backticks without a command: ``planner.ranking=last_input``, ``source=maze2d_source``."""
    wrong = {}
    for text in code_words(page):
        words = re.sub(r"<[^>]+>", "here", text.replace("…", "0")).split()
        if not all(re.fullmatch(r"[a-z_]+(/[a-z_]+)?(\.[a-z_]+)*=[^=()\"]+", word) for word in words):
            continue
        if any(word.startswith(NO_SETTINGS) for word in words):
            continue
        lines = ((verb, (*base, *words)) for verb, bases in BASES.items() for base in bases)
        if not any(composes(*line) is None for line in lines):
            wrong[text] = composes("train", tuple(words))
    assert wrong == {}


@by_page
def test_the_python_of_a_page_runs(page):
    """Blocks that are not part of a tested example."""
    own = [block for block in blocks(page, "python") if "--8<--" not in block]
    if own:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", "\n".join(own)]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
        assert result.returncode == 0, result.stderr


def test_the_site_builds_in_strict_mode_and_fetches_nothing(tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    pages = [path.read_text() for path in tmp_path.rglob("*.html")]
    assert len(pages) >= len(PAGES) - 2
    fetched = re.compile(
        r'<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="https?:'
    )
    assert [match for page in pages for match in fetched.findall(page)] == []


def logged_keys() -> set[str]:
    """Keys that stand in the code as they are logged; ``*`` for what is put in. The examples' tests see the others."""
    patterns = set()
    for path in (ROOT / "diffplan").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".log") and node.args:
                patterns.add(pattern(node.args[0]))
        if any(isinstance(node, ast.ClassDef) and node.name == "Evaluation" for node in tree.body):
            patterns |= {f"eval/<protocol>/{name}" for name in evaluation_numbers(tree)}
    return {key for key in patterns if "/" in key and key != "*/*"}


def pattern(node: ast.expr) -> str:
    """The text of a key, with ``*`` for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return ""


def evaluation_numbers(tree: ast.Module) -> set[str]:
    """The last part of the key of every number of an evaluation."""
    names = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and ast.unparse(function.returns or tree) == "dict[str, float]":
            for node in ast.walk(function):
                keys = node.keys if isinstance(node, ast.Dict) else [getattr(node, "slice", None)]
                names |= {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return names


def table_keys() -> set[str]:
    return set(re.findall(r"`((?:train|critic|eval)/[^`]+)`", (ROOT / "docs" / "metrics.md").read_text()))


def test_every_key_that_is_logged_has_its_row():
    logged, rows = logged_keys(), table_keys()
    assert "*/steps_per_second" in logged
    assert {f"eval/<protocol>/{name}" for name in ("return_mean", "success_rate", "value_bias")} <= logged
    assert [key for key in sorted(logged) if not matching(key, rows)] == []


def matching(key: str, rows: set[str]) -> list[str]:
    wanted = re.compile(re.escape(key).replace(r"\*", r"\w+"))
    return [row for row in rows if wanted.fullmatch(row)]


def test_every_row_is_something_that_the_code_names():
    """A key may be put together: ``critic/prediction_mean`` of ``prediction`` and ``mean``."""
    code = "\n".join(path.read_text() for path in (ROOT / "diffplan").rglob("*.py"))
    names = {row.rpartition("/")[2] for row in table_keys()}
    unknown = [name for name in names if not all(f'"{part}"' in code for part in parts_of(name, code))]
    assert sorted(unknown) == []


def parts_of(name: str, code: str) -> list[str]:
    is_whole = f'"{name}"' in code or f'/{name}"' in code
    return [] if is_whole else list(name.rpartition("_")[::2])


def test_the_script_that_draws_the_pictures_draws_each_of_them():
    script = (ROOT / "docs" / "make_pictures.py").read_text()
    pictures = {path.stem for path in (ROOT / "docs" / "pictures").iterdir()}
    assert pictures == set(re.findall(r'save\(figure, "(\w+)"\)', script))
    # Importing it finds every name it uses of the package.
    command = [sys.executable, "-c", "import make_pictures"]
    result = subprocess.run(command, cwd=ROOT / "docs", capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr


def test_the_modules_that_the_changelog_sends_readers_to_are_there():
    rows = re.findall(r"^ *\| `diffplan.*? \| (.*) \|$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(diffplan[\w.]*)`", row)}
    places = [ROOT / name.replace(".", "/") for name in sorted(names)]
    assert len(places) > 20
    assert [place for place in places if not place.is_dir() and not place.with_suffix(".py").is_file()] == []
