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


PLACES = set(re.findall(r"`((?:diffplan|conf)/[\w/.]+)`", README))


@pytest.mark.parametrize("path", sorted(PLACES))
def test_every_place_the_readme_names_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("picture", re.findall(r"!\[[^]]*\]\(([^)]+)\)", README))
def test_every_picture_is_there(picture):
    assert (ROOT / picture).is_file()


def test_every_metric_that_is_logged_has_its_row():
    table = README.split("## Metrics")[1].split("##")[0]
    sources = "\n".join(path.read_text() for path in (ROOT / "diffplan").rglob("*.py"))
    logged = set(re.findall(r'log\("(train/\w+)"', sources))
    assert logged
    assert [key for key in sorted(logged) if key not in table] == []
