"""Hand-made D4RL files and a web server that misbehaves on request."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest


@pytest.fixture
def five_episodes() -> dict[str, np.ndarray]:
    """12 rows: terminal after 3, timeout after 2, both after 2, terminal after 1, and 4 rows without an end."""
    rows = 12
    observations = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    terminals = np.zeros(rows, dtype=bool)
    timeouts = np.zeros(rows, dtype=bool)
    terminals[[2, 6, 7]] = True
    timeouts[[4, 6]] = True
    return {
        "observations": observations,
        "actions": -observations[:, :2],
        "rewards": np.arange(rows, dtype=np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
    }


@pytest.fixture
def write_hdf5(tmp_path: Path) -> Callable[..., Path]:
    """Writes arrays (and attributes) to an HDF5 file."""

    def write(arrays: dict[str, object], name: str = "data.hdf5", **attributes: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
            file.attrs.update(attributes)
        return path

    return write


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` below ``url``; how well is set by the other attributes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.supports_range = True
        self.etag: str | None = '"first"'
        self.statuses: list[int] = []  # Answered to the next requests instead of the file.
        self.drop_after: list[int] = []  # The next responses end after so many bytes.
        self.announced: int | None = None  # The Content-Length sent instead of the true one.
        self.stall_after: int | None = None  # Responses wait for ``go_on`` after so many bytes.
        self.go_on = threading.Event()
        self.ranges: list[str | None] = []  # What each request asked for.

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = self._start()
        if start is not None and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        body = content[start or 0 :]
        self.send_response(200 if start is None else 206)
        self.send_header("Content-Length", str(len(body) if server.announced is None else server.announced))
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if server.stall_after is not None:
            self.wfile.write(body[: server.stall_after])
            server.go_on.wait(30)
            return
        self.wfile.write(body[: server.drop_after.pop(0)] if server.drop_after else body)

    def _start(self) -> int | None:
        """First byte asked for; None if the whole file is to be sent."""
        asked = self.headers.get("Range")
        if asked is None or not self.server.supports_range:
            return None
        if self.headers.get("If-Range") not in (None, self.server.etag):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A web server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
