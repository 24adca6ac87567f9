"""Every result below a folder, and what lies there that could not be read."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from diffplan.errors import ResultError
from diffplan.report.stored_result import StoredResult
from diffplan.run.result import Result

# W&B's copies and Hydra's notes; a run's results are beside them.
_NOT_SEARCHED = {"wandb", ".hydra"}
_NAME = re.compile(r"results.*\.json")
_INTERIM_NAME = re.compile(r"results-step\d+\.json")


@dataclass(frozen=True)
class ResultFolder:
    """What was found.

    Attributes:
        results: In the order of their sources.
        skipped: Source and reason of what is no result that can be read.
    """

    results: list[StoredResult]
    skipped: list[tuple[str, str]]

    def __add__(self, other: "ResultFolder") -> "ResultFolder":
        """Both together; the same result found in two places is deduplicated where results are pooled."""
        return ResultFolder(self.results + other.results, self.skipped + other.skipped)


def read_results(folder: Path, final_only: bool = True) -> ResultFolder:
    """Reads every ``results*.json`` at any depth below a folder.

    Files that are broken, half-written, foreign or of another schema version are named and left out.

    Args:
        folder: Where to search; a single file is read too.
        final_only: Leaves out evaluations made while training went on.

    Raises:
        ResultError: there is no such folder, or it cannot be listed.
    """
    results, skipped = [], []
    unreadable: list[OSError] = []
    for path in _candidates(folder, final_only, unreadable):
        try:
            result = Result.parse(path.read_bytes())
        except ResultError as error:
            skipped.append((str(path), str(error)))
        except OSError as error:
            skipped.append((str(path), f"cannot be read: {error.strerror}"))
        else:
            if result.final or not final_only:
                results.append(StoredResult(result, str(path)))
    skipped += [(str(error.filename), f"cannot be listed: {error.strerror}") for error in unreadable]
    return ResultFolder(results, skipped)


def _candidates(folder: Path, final_only: bool, unreadable: list[OSError]) -> list[Path]:
    if folder.is_file():
        return [folder]
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise ResultError(f"results cannot be read from {folder}: {error.strerror}.") from None
    paths = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if name not in _NOT_SEARCHED)
        interim = _INTERIM_NAME if final_only else None
        paths += [
            Path(place, name)
            for name in sorted(names)
            if _NAME.fullmatch(name) and not (interim and interim.fullmatch(name))
        ]
    return paths
