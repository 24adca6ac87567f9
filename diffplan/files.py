"""Writes a file so that a reader sees the old content or the new one, never half of it, and locks files."""

import errno
import glob
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from diffplan.errors import ConfigError, DataError, DataNotFoundError, LockedError, ResultError

# The ending of files that are being written. They lie hidden beside the file whose name they will take.
PARTIAL = ".partial"
# The lock of a folder in which one process at a time works.
LOCK = ".lock"

logger = logging.getLogger(__name__)


@contextmanager
def new_file(path: Path, durable: bool = False) -> Iterator[IO[bytes]]:
    """Opens a temporary neighbour of a file, which takes the file's name when it has been written whole.

    Args:
        path: File to write; missing parent folders are made.
        durable: Waits until the content is on the disk before the file takes its name, and until the name is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115
        dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL, delete=False
    )
    try:
        with file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_atomically(path: Path, content: bytes, durable: bool = False) -> None:
    """Writes a file through a temporary neighbour that then takes its name.

    Args:
        path: File to write; missing parent folders are made.
        content: The whole new content.
        durable: Waits until the content is on the disk before the file takes its name.
    """
    with new_file(path, durable) as file:
        file.write(content)


def keep_as(path: Path, name: Path) -> None:
    """Gives a file, which is only ever replaced whole, a second name that keeps its present content.

    Args:
        path: An existing file.
        name: The second name in the same folder; the file that had it is replaced.
    """
    partial = name.with_name(f".{name.name}{PARTIAL}")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:  # Some file systems have no links.
        shutil.copyfile(path, partial)
    os.replace(partial, name)
    # Renaming one name of a file to another name of the same file does nothing.
    partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the file system can tell.

    Args:
        folder: An existing folder.
    """
    with suppress(OSError):
        sync(folder)


def sync(path: Path) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk.

    Args:
        path: An existing file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_partials_of(path: Path) -> None:
    """Removes what killed processes left half-written of one file.

    Args:
        path: A file that this process has locked.
    """
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def sweep_partials(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder and below it.

    Args:
        folder: A folder that this process has locked; folders in it that have locks of their own are left alone.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for name in names:
            if name.startswith(".") and name.endswith(PARTIAL):
                Path(place, name).unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file through a temporary neighbour that then takes its name; what was there stays until then.

    Args:
        path: File to write; missing parent folders are made.
        content: The whole new content.

    Raises:
        DataError: The folder cannot be written or the disk is full; nothing half-written is left.
    """
    try:
        write_atomically(path, content, durable=True)
    except OSError as error:
        raise DataError(cannot_write(path, error, "set another data folder")) from error


@contextmanager
def exclusive(path: Path, activity: str, wait: bool = True) -> Iterator[None]:
    """Keeps other processes from doing the same work on a file at the same time.

    Args:
        path: The file. The lock is a hidden file beside it, whose folder must exist.
        activity: What is done to the file, for messages: ``downloading``.
        wait: Wait for the other process, and say so in the log, instead of raising.

    Raises:
        LockedError: Another process holds the lock and ``wait`` is False.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if not wait:
            raise LockedError(f"Another process is {activity} {path}; wait until it has finished.") from error
        logger.info("Another process is %s %s; waiting for it.", activity, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cannot_write(path: Path, error: OSError, elsewhere: str) -> str:
    """Says in one sentence why a file cannot be written, and what helps against this reason.

    Args:
        path: The file.
        error: What the operating system said.
        elsewhere: How to name another place, for instance ``set another data folder``.
    """
    remedies = {
        errno.ENOSPC: f"free some space or {elsewhere}",
        errno.EFBIG: f"free some space or {elsewhere}",
        errno.EDQUOT: f"free some of your quota or {elsewhere}",
        errno.ENAMETOOLONG: f"{elsewhere} with a shorter name",
    }
    remedy = remedies.get(error.errno or 0, elsewhere)
    return f"{path} cannot be written: {error.strerror or error}; {remedy}, then rerun the same command to resume."


def user_path(text: str | Path) -> Path:
    """Makes a path of what a user wrote; ``~`` is the home folder.

    Raises:
        ConfigError: It names the home folder of an unknown user, or holds a character that no path may hold.
    """
    if "\0" in str(text):
        raise ConfigError(f"'{text}' is no path: it holds a null character.")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"'{text}' names the home folder of a user that this machine does not know.") from error


def status_of(path: Path) -> os.stat_result | None:
    """Returns the status of a file or folder; None if there certainly is none.

    Raises:
        DataError: The system does not tell, because a folder on the way may not be read or the name is too long.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DataError(f"{path} cannot be read: no path holds a null character.") from error
    except OSError as error:
        remedies = {errno.ENAMETOOLONG: "give a shorter name", errno.ELOOP: "its links lead in a circle"}
        remedy = remedies.get(error.errno or 0, "check the permissions of the file and of its folders")
        raise DataError(f"{path} cannot be read: {error.strerror}; {remedy}.") from error


def check_file(path: Path, kind: str) -> int:
    """Checks that there is a file that can be read, without opening a pipe or a device, which may wait for ever.

    Args:
        path: The file.
        kind: What it must be, for messages: ``an HDF5 file``.

    Returns:
        Its size in bytes.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is a folder, a pipe, a socket or a device, or may not be read.
    """
    status = status_of(path)
    if status is None:
        raise DataNotFoundError(f"There is no file {path}; give the path of {kind}.")
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} must be {kind} but is a folder; name the file inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} must be {kind} but is a pipe, a socket or a device.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; check the file's permissions.") from error
    return status.st_size


def read_whole(path: Path, most_bytes: int) -> bytes:
    """Reads an ordinary file of a bounded size; waits for nothing.

    Args:
        path: The file. A pipe, a device and a folder are refused.
        most_bytes: Its largest size.

    Raises:
        ResultError: it is no ordinary file, or is larger.
        OSError: it cannot be read.
    """
    # Opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ResultError("is no ordinary file")
    with open(descriptor, "rb") as file:
        if status.st_size > most_bytes:
            raise ResultError(f"has {status.st_size} bytes, and at most {most_bytes} are read")
        return file.read(most_bytes)


def read_yaml(path: Path, most_bytes: int = 10**6) -> Any:
    """Reads a YAML file of plain values.

    Args:
        path: The file.
        most_bytes: Its largest size.

    Raises:
        ResultError: it is no YAML that can be read, or uses aliases, with which a few lines mean endless values.
        OSError: it cannot be read.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ResultError("has aliases such as *name, which are not read")
            return super().compose_node(parent, index)

    try:
        return yaml.load(read_whole(path, most_bytes), PlainLoader)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ResultError(f"is not YAML: {(str(error) or type(error).__name__).splitlines()[0]}") from error
