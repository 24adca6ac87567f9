import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import diffplan
import diffplan.data.download as transfer
from diffplan.data.download import download
from diffplan.errors import DownloadError, LockedError

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEPT = 24 * transfer.CHUNK_BYTES
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(diffplan.__file__).parents[1]), "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def url(server):
    server.files["/data.hdf5"] = CONTENT
    return f"{server.url}/data.hdf5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "data.hdf5"


def fetch(url, path, **overrides):
    published = {"num_bytes": len(CONTENT), "sha256": SHA256}
    return download(url, path, **(published | {"progress": False, "backoff_seconds": 0.0} | overrides))


def leftovers(path):
    return sorted(item.name for item in path.parent.iterdir() if item.name not in (path.name, f".{path.name}.lock"))


def interrupt(server, url, path, monkeypatch, after=KEPT, **overrides):
    """Leaves a partial download behind, as a process does that gives up."""
    server.drop_after = [after] + [0] * 9
    with monkeypatch.context() as context:
        context.setattr(transfer, "RETRIES", 0)
        with pytest.raises(DownloadError, match="rerun the same command to resume"):
            fetch(url, path, **overrides)
    server.drop_after = []
    server.ranges.clear()


def test_a_file_arrives_whole_and_alone(url, path):
    assert fetch(url, path) == SHA256
    assert path.read_bytes() == CONTENT
    assert leftovers(path) == []


def test_a_file_that_is_there_is_kept(server, url, path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    assert fetch(url, path) == hashlib.sha256(b"mine").hexdigest()
    assert path.read_bytes() == b"mine"
    assert server.ranges == []


def test_a_file_that_is_there_is_replaced_on_request(url, path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    fetch(url, path, replace=True)
    assert path.read_bytes() == CONTENT


def test_a_dropped_connection_is_continued_where_it_stopped(server, url, path):
    server.drop_after = [KEPT, KEPT]
    fetch(url, path)
    assert server.ranges == [None, f"bytes={KEPT}-", f"bytes={2 * KEPT}-"]
    assert path.read_bytes() == CONTENT


def test_the_next_command_continues_an_interrupted_download(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    assert not path.exists()
    fetch(url, path)
    assert server.ranges == [f"bytes={KEPT}-"]
    assert path.read_bytes() == CONTENT
    assert leftovers(path) == []


def test_a_complete_partial_file_is_verified_without_fetching_it_again(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    path.with_name("data.hdf5.part").write_bytes(CONTENT)
    fetch(url, path)
    assert server.ranges == ["bytes=1000000-"]
    assert path.read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_the_whole_file(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    server.supports_range = False
    fetch(url, path)
    assert path.read_bytes() == CONTENT


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    changed = CONTENT[::-1]
    server.files["/data.hdf5"] = changed
    server.etag = '"second"'
    fetch(url, path, sha256=hashlib.sha256(changed).hexdigest())
    assert path.read_bytes() == changed


def test_a_range_of_another_version_is_not_joined(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    changed = CONTENT[::-1]
    server.files["/data.hdf5"] = changed
    server.etag = '"second"'
    # A server that ignores If-Range, and sends a part of the new file.
    path.with_name("data.hdf5.part.json").write_text(f'{{"url": "{url}", "etag": "W/weak", "last_modified": null}}')
    fetch(url, path, sha256=hashlib.sha256(changed).hexdigest())
    assert server.ranges == [f"bytes={KEPT}-", None]
    assert path.read_bytes() == changed


def test_bytes_without_a_version_are_continued_only_under_a_published_hash(
    server, url, path, monkeypatch, write_hdf5, five_episodes
):
    server.etag = None
    interrupt(server, url, path, monkeypatch)
    fetch(url, path)
    assert server.ranges == [f"bytes={KEPT}-"]

    large = {key: np.repeat(array, 2000, axis=0) for key, array in five_episodes.items()}
    server.files["/data.hdf5"] = write_hdf5(large).read_bytes()
    path.unlink()
    interrupt(server, url, path, monkeypatch, num_bytes=None, sha256=None)
    assert path.with_name("data.hdf5.part").stat().st_size == KEPT
    fetch(url, path, num_bytes=None, sha256=None)
    assert server.ranges == [None]


def test_a_damaged_partial_file_is_dropped_and_the_file_fetched_anew(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    path.with_name("data.hdf5.part").write_bytes(bytes(KEPT))
    fetch(url, path)
    assert server.ranges == [f"bytes={KEPT}-", None]
    assert path.read_bytes() == CONTENT


def test_bytes_of_another_address_are_not_continued(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    server.files["/mirror.hdf5"] = CONTENT
    fetch(f"{server.url}/mirror.hdf5", path)
    assert server.ranges == [None]


def test_a_partial_file_longer_than_the_file_is_dropped(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    path.with_name("data.hdf5.part").write_bytes(CONTENT + b"more")
    fetch(url, path)
    assert path.read_bytes() == CONTENT


def test_a_body_that_always_ends_early_is_reported_and_kept_for_later(server, url, path, monkeypatch):
    interrupt(server, url, path, monkeypatch)
    assert leftovers(path) == ["data.hdf5.part", "data.hdf5.part.json"]
    assert path.with_name("data.hdf5.part").read_bytes() == CONTENT[:KEPT]


def test_a_wrong_hash_is_reported_and_nothing_stays(url, path):
    with pytest.raises(DownloadError, match=f"published SHA-256 {'0' * 64}, got {SHA256}"):
        fetch(url, path, sha256="0" * 64)
    assert not path.exists()
    assert leftovers(path) == []


def test_a_failed_replacement_leaves_the_old_file(server, url, path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError):
        fetch(url, path, sha256="0" * 64, replace=True)
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/absent.hdf5", path, replace=True)
    assert path.read_bytes() == b"mine"


def test_a_size_that_is_not_the_published_one_is_reported_before_anything_is_stored(url, path):
    with pytest.raises(DownloadError, match="must be 999,999 bytes long as published, the server offers 1,000,000"):
        fetch(url, path, num_bytes=999_999)
    assert leftovers(path) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_reported_after_one_request(server, url, path, status):
    server.statuses = [status] * 9
    with pytest.raises(DownloadError, match=f"the server answered {status} .*D4RL_BASE_URL"):
        fetch(url, path)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_of_the_server_is_retried(server, url, path, status):
    server.statuses = [status, status]
    fetch(url, path)
    assert path.read_bytes() == CONTENT


def test_an_address_that_nobody_answers_is_reported(path):
    with pytest.raises(DownloadError, match=r"Connection refused \(6 attempts\)"):
        fetch("http://127.0.0.1:9/data.hdf5", path)


def test_an_address_that_is_none_is_reported(path):
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        fetch("not an address", path)


def test_without_a_published_hash_the_file_must_hold_its_keys(server, path, write_hdf5, five_episodes, caplog):
    content = write_hdf5(five_episodes).read_bytes()
    server.files["/data.hdf5"] = content
    url = f"{server.url}/data.hdf5"
    with pytest.raises(DownloadError, match=r"did not deliver a D4RL file: .* lacks the key 'infos/goal'"):
        fetch(url, path, num_bytes=None, sha256=None, keys=("observations", "infos/goal"))
    assert leftovers(path) == []
    with caplog.at_level("INFO"):
        digest = fetch(url, path, num_bytes=None, sha256=None, keys=tuple(five_episodes))
    assert digest == hashlib.sha256(content).hexdigest()
    assert digest in caplog.text


def test_an_error_page_in_the_place_of_a_file_is_not_stored(server, path):
    server.files["/data.hdf5"] = b"<html>Please log in</html>"
    with pytest.raises(DownloadError, match="is not an HDF5 file"):
        fetch(f"{server.url}/data.hdf5", path, num_bytes=None, sha256=None)
    assert not path.exists()
    assert leftovers(path) == []


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(server, url, path):
    server.announced = 10**18
    with pytest.raises(DownloadError, match=r"needs 1,000,000,000,000,000,000 more bytes but only .* are free"):
        fetch(url, path, num_bytes=None, sha256=None)
    assert leftovers(path) == ["data.hdf5.part", "data.hdf5.part.json"]


def test_a_folder_that_cannot_be_made_is_reported(url, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(DownloadError, match="cannot be written: "):
        fetch(url, tmp_path / "cache" / "data.hdf5")


def python(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


FETCH = """
import sys
from pathlib import Path
from diffplan.data.download import download
from diffplan.errors import DiffplanError
try:
    download(sys.argv[1], Path(sys.argv[2]), num_bytes=int(sys.argv[3]), sha256=sys.argv[4], progress=False)
except DiffplanError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_disk_that_fills_up_is_reported_and_the_download_goes_on_with_room(server, url, path):
    # A limit on the size of files makes write() fail half-way, as a full disk does.
    process = python(
        FETCH,
        *(url, path, len(CONTENT), SHA256),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("DownloadError: ")
    assert "cannot be written: File too large" in errors
    assert errors.count("\n") == 1
    assert not path.exists()
    server.ranges.clear()
    fetch(url, path)
    assert server.ranges == ["bytes=300000-"]
    assert path.read_bytes() == CONTENT


def test_a_killed_process_leaves_what_the_next_one_continues(server, url, path):
    server.stall_after = 500_000
    process = python(FETCH, url, path, len(CONTENT), SHA256)
    part = path.with_name("data.hdf5.part")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size >= 250_000):
        time.sleep(0.01)
    with pytest.raises(LockedError, match=r"Another process is downloading .*data\.hdf5"):
        fetch(url, path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.go_on.set()
    size = part.stat().st_size
    assert 250_000 <= size < len(CONTENT)
    server.stall_after = None
    server.ranges.clear()
    fetch(url, path)
    assert server.ranges == [f"bytes={size}-"]
    assert path.read_bytes() == CONTENT


def test_a_process_may_wait_for_another_one_that_fetches_the_same_file(server, url, path):
    path.parent.mkdir()
    holder = python(
        "import sys; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('locked', flush=True); sys.stdin.readline()",
        path.with_name(".data.hdf5.lock"),
        stdin=subprocess.PIPE,
    )
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(LockedError):
        fetch(url, path)
    timer = threading.Timer(0.2, lambda: holder.communicate("go\n"))
    timer.start()
    fetch(url, path, wait=True)
    timer.join()
    assert path.read_bytes() == CONTENT


def test_the_progress_bar_is_on_stderr_and_only_on_a_terminal(url, path, capfd, monkeypatch):
    fetch(url, path, progress=True)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal.
    fetch(url, path, progress=True, replace=True)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "data.hdf5" in captured.err
