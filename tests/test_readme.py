"""The front door: short, and true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GATE = (ROOT / ".ci" / "run").read_text()


def test_the_gate_runs_the_readme_s_test_command():
    commands = re.findall(r"```bash\n(.+?)\n```", README)
    assert len(commands) == 2
    assert commands[1] in GATE


def test_the_readme_is_read_in_a_minute():
    assert len(README.splitlines()) <= 130


def test_the_gate_builds_the_documentation_and_checks_types():
    assert "mkdocs build --strict" in GATE
    assert ".venv/bin/mypy\n" in GATE


def test_the_workflow_and_the_hooks_run_what_is_installed_here():
    assert "run: bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "repo: local" in (ROOT / ".pre-commit-config.yaml").read_text()


@pytest.mark.parametrize("room", sorted(path.name for path in (ROOT / "diffplan").iterdir() if path.is_dir()))
def test_every_room_is_on_the_map(room):
    if room != "__pycache__":
        assert f"`diffplan/{room}`" in README
        assert f"`diffplan/{room}`" in (ROOT / "docs" / "map.md").read_text()
