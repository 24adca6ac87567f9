"""Every error a user can cause, one tree, each message one sentence: what must hold, what was got, what to do."""


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
