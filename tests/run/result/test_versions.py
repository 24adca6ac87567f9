import subprocess

import diffplan
from diffplan.run.versions import _commit, versions


def git(folder, *words):
    command = ["git", "-C", str(folder), "-c", "user.name=me", "-c", "user.email=me@example.org", *words]
    subprocess.run(command, check=True, capture_output=True)


def checkout(folder):
    package = folder / "diffplan"
    package.mkdir(parents=True)
    (package / "code.py").write_text("one")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return package


def test_code_and_libraries_are_named():
    assert versions()["diffplan"] == diffplan.__version__
    assert versions()["torch"].startswith("2.")


def test_a_checkout_is_known_by_its_commit(tmp_path):
    package = checkout(tmp_path)
    commit = _commit(package)
    assert len(commit) == 12
    (package / "code.py").write_text("two")
    assert _commit(package) == f"{commit}+changes"


def test_a_package_installed_inside_anothers_checkout_has_no_commit(tmp_path):
    checkout(tmp_path)
    installed = tmp_path / "venv" / "diffplan"
    installed.mkdir(parents=True)
    assert _commit(installed) == ""


def test_a_package_outside_of_any_checkout_has_no_commit(tmp_path):
    assert _commit(tmp_path) == ""
