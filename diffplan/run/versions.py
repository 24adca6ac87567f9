"""Which code and libraries made a result."""

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("torch", "lightning", "diffusers", "mujoco", "gymnasium", "numpy")


@functools.cache
def versions() -> dict[str, str]:
    """Lists the versions of this package, Python and the libraries that numbers depend on, and this package's commit.

    The commit is empty for an installed package, and ends in ``+changes`` if the checkout differs from it.
    """
    return {
        "diffplan": version("diffplan"),
        "commit": _commit(Path(__file__).parents[1]),
        "python": platform.python_version(),
    } | {library: version(library) for library in _LIBRARIES}


def _commit(package: Path) -> str:
    """The commit of the checkout that holds the package; another project's checkout around it does not count."""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent.resolve():
        return ""
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ":/diffplan", ":/conf")
    return (_git(package, "rev-parse", "--short=12", "HEAD") or "") + ("+changes" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        asked = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
