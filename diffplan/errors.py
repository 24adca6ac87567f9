"""Every error a user can cause, one tree, each message one sentence: what must hold, what was got, what to do."""

import difflib
import errno
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

_MOST_LISTED = 20
# What each refusal of the operating system means for a file, and what a user can do about it.
_REFUSALS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota of the disk is used up; free some space",
    errno.EFBIG: "the file would be larger than the system allows",
    errno.EROFS: "the disk can only be read",
    errno.EACCES: "it is not permitted",
    errno.EPERM: "it is not permitted",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "it is not there",
    errno.ENOTDIR: "a part of its path is a file and no folder",
    errno.EEXIST: "a file is in the place of a folder",
    errno.EISDIR: "it is a folder and no file",
    errno.ELOOP: "its links lead in a circle",
    errno.EIO: "the disk does not answer",
    errno.EMFILE: "too many files are open",
    errno.ENOTEMPTY: "the folder is not empty",
}
# Reading does not cause these.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EEXIST, errno.ENOTEMPTY)


def closest(word: str, options: Collection[str], cutoff: float = 0.5) -> str:
    """Ends a message about an unknown word with the most similar known one, or with all of them if they are few.

    Args:
        word: What the user wrote.
        options: What is known.
        cutoff: Least similarity of a suggestion, from 0 to 1.
    """
    close = difflib.get_close_matches(word, options, n=1, cutoff=cutoff)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(sorted(options))}." if 0 < len(options) <= _MOST_LISTED else "."


def sentence(error: BaseException) -> str:
    """Says in one sentence what a user must know of an error.

    Args:
        error: An error, which may have been caused by one of this module or of OmegaConf.
    """
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    own = next((cause for cause in causes if isinstance(cause, DiffplanError)), None)
    if own is not None:
        return str(own)
    text = re.sub(r"^\w+ (raised )?while resolving interpolation: ", "", str(error).strip())
    if missing := re.search(r"Missing mandatory value: ([\w.]+)", text):
        return f"{missing.group(1)}=... must be given."
    if "Ambiguous value for argument" in text:
        return f"{text.splitlines()[0]}; add -m to run every value, or quote a single one."
    first_line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    cause = "" if causes[-1] is error else str(causes[-1]).partition("\n")[0]
    return first_line if cause in text else f"{first_line} {cause}"


def system_refusal(error: BaseException | None, places: Mapping[str, str | Path]) -> str | None:
    """Says in one sentence which file the operating system refuses to read or write, why, and which setting names it.

    Args:
        error: Any error; one of the operating system may have caused it.
        places: Folders by the setting that names them, from the most to the least special.

    Returns:
        None if it was not a refusal of a file.
    """
    while error is not None and not (isinstance(error, OSError) and error.errno in _REFUSALS):
        error = error.__cause__ or error.__context__
    if not isinstance(error, OSError) or error.errno is None:
        return None
    # Renaming names the temporary file first.
    name = error.filename2 or error.filename
    file = Path(os.fsdecode(name)) if isinstance(name, (str, bytes)) else None
    verb = _refused_verb(error.errno, file)
    inside = [setting for setting, folder in places.items() if file is None or _is_below(file, Path(folder))]
    remedy = " or" if "free some space" in _REFUSALS[error.errno] else ";"
    advice = f"{remedy} choose another {inside[0]}" if inside and verb != "read" else ""
    named = file or (places[inside[0]] if inside else "a file")
    return f"cannot {verb} {named}: {_REFUSALS[error.errno]}{advice or '.'}"


def _refused_verb(number: int, file: Path | None) -> str:
    """Whether reading or writing was refused; ``use`` where nobody can tell."""
    if number in _OF_WRITING:
        return "write to"
    if number == errno.ENOENT:
        return "read"
    if number in (errno.EACCES, errno.EPERM) and file is not None:
        if os.path.lexists(file):
            return "write to" if os.access(file, os.R_OK) else "read"
        return "write to" if os.access(file.parent, os.X_OK) else "use"
    return "use"


def _is_below(file: Path, folder: Path) -> bool:
    try:
        return Path(os.path.abspath(file)).is_relative_to(os.path.abspath(folder))
    except (OSError, ValueError):
        return False


class DiffplanError(Exception):
    """A user's mistake or a broken input; commands print its message without a traceback and exit non-zero."""


class ConfigError(DiffplanError):
    """A key, group, value or combination of settings that cannot run."""


class HorizonError(ConfigError):
    """A planning horizon that the network cannot take."""


class TaskMismatchError(DiffplanError):
    """Task, data, checkpoint or scheduler disagree about dimensions, statistics or the noise schedule."""


class DataError(DiffplanError):
    """A dataset that is missing, truncated, malformed or holds values nobody can train on."""


class DataNotFoundError(DataError):
    """A dataset that is in none of the places where it may lie; the message names the command that gets it."""


class DownloadError(DataError):
    """A download that failed or whose size or hash is not the published one."""


class LockedError(DiffplanError):
    """Another process is working on the same file or run folder."""


class CheckpointError(DiffplanError):
    """A checkpoint that cannot be read, written or used."""


class DivergenceError(DiffplanError):
    """Training whose weights are no longer finite numbers."""


class ResultError(DiffplanError):
    """A result that cannot be read, or results that cannot be compared."""


class SweepError(DiffplanError):
    """Cells of a sweep that failed; the others are finished."""


class ClusterError(DiffplanError):
    """A cluster's scheduler that does not answer or refuses."""


class EnvironmentIdError(DiffplanError):
    """An environment id that no environment here answers to."""


class RenderingError(DiffplanError):
    """Pictures were asked for on a machine that cannot make them."""


class ActionError(DiffplanError):
    """Actions of a planner that an environment cannot execute: not finite, or of the wrong shape."""
