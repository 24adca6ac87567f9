"""Servers that misbehave in every known way while a file is fetched, and places that cannot take the file."""

import contextlib
import gzip
import hashlib
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from fault import Fault, Inputs

from diffplan.data.catalog import catalog

GROUP = "downloads"

# No size and no hash is published for this data set, so that nothing but the file itself tells what is right.
_NAME = "kitchen-complete-v0"
_HASHED = "hopper-medium-v2"

Writer = Callable[[socket.socket, bytes, int | None], object]
_OK = "HTTP/1.1 200 OK\r\n"


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields every behaviour for a new file and for one that is there, then behaviours by chance."""
    content = _kitchen_file(place.parent / "kitchen.hdf5")
    server = _Server(content)
    for name, behave in _BEHAVIOURS.items():
        for is_there in (False, True):
            yield _fault(f"{name}{', replacing' if is_there else ''}", server, behave, place, is_there)
    yield from _places(server, place)
    for number in itertools.count():
        behave = _by_chance(rng.randrange(1 << 30))
        yield _fault(f"chance {number}", server, behave, place, rng.random() < 0.5)


def _fault(name: str, server: "_Server", behave: Writer, place: Path, is_there: bool) -> Fault:
    server.behave, server.asked = behave, 0
    cache = place / "cache"
    cache.mkdir()
    entry = catalog()[_HASHED if "published hash" in name else _NAME]
    file = cache / entry.file_name
    if is_there:
        file.write_bytes(server.content)
    words = ["data", "fetch", entry.name, "--base-url", server.url, *(["--force"] if is_there else [])]
    expected = "accepted" if name.startswith("good") else "refused"
    environment = {"D4RL_DATASET_DIR": str(cache), "NO_PROXY": "127.0.0.1"}
    protects = [] if expected == "accepted" else [file]
    return Fault(name, words, expected, protects, environment, hook=_short_waits(place))  # type: ignore[arg-type]


def _short_waits(place: Path) -> Path:
    """Returns a hook without which the worst server is given up after six times 30 seconds."""
    hook = place.parent / "short_waits.py"
    hook.write_text(
        "import diffplan.data.download as download\n"
        "download.TIMEOUT_SECONDS, download.LONGEST_BACKOFF_SECONDS = 1.0, 0.05\n"
        "download.LARGEST_BYTES = 10_000_000\n"
    )
    return hook


class _Server:
    """Answers every request as ``behave`` does; counts the requests."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.behave: Writer = _send
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(1 << 16) or b"\r\n\r\n"
            self.asked += 1
            first = None
            for line in request.decode("latin-1").split("\r\n"):
                if line.lower().startswith("range: bytes="):
                    first = int(line.partition("=")[2].rstrip("-"))
            self.behave(connection, self.content, first)


def _kitchen_file(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        for key, width in {"observations": 60, "actions": 9}.items():
            file[key] = np.ones((3000, width), "f4")
        file["rewards"], file["terminals"] = np.ones(3000, "f4"), np.arange(3000) % 100 == 99
    content = path.read_bytes()
    path.unlink()
    return content


def _headers(connection: socket.socket, *lines: str, status: str = "200 OK") -> None:
    connection.sendall("\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode("latin-1"))


def _send(connection: socket.socket, content: bytes, first: int | None) -> None:
    _headers(connection, f"Content-Length: {len(content)}")
    connection.sendall(content)


def _raw(*parts: bytes) -> Writer:
    return lambda connection, content, first: [connection.sendall(part) for part in parts]


def _status(status: str, *lines: str) -> Writer:
    return lambda connection, content, first: _headers(connection, "Content-Length: 0", *lines, status=status)


def _body(change: Callable[[bytes], bytes], *lines: str, length: int | None = None) -> Writer:
    """Sends a changed body under its own length or another one."""

    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        body = change(content)
        _headers(connection, f"Content-Length: {len(body) if length is None else length}", *lines)
        connection.sendall(body)

    return behave


def _without_length(change: Callable[[bytes], bytes]) -> Writer:
    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        _headers(connection)
        connection.sendall(change(content))

    return behave


def _drip(head: bytes, pause: float) -> Writer:
    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"a")
            time.sleep(pause)

    return behave


def _range(header: str, body: Callable[[bytes, int], bytes], etag: str = '"a"') -> Writer:
    """Breaks the first answer off half-way, and answers the next with a part."""

    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        if first is None:
            _headers(connection, f"Content-Length: {len(content)}", 'ETag: "a"')
            connection.sendall(content[: len(content) // 2])
            return
        part = body(content, first)
        said = header.format(first=first, last=len(content) - 1, total=len(content))
        _headers(connection, said, f"Content-Length: {len(part)}", f"ETag: {etag}", status="206 Partial Content")
        connection.sendall(part)

    return behave


def _chunked(parts: Callable[[bytes], list[bytes]]) -> Writer:
    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        _headers(connection, "Transfer-Encoding: chunked")
        for part in parts(content):
            connection.sendall(part)

    return behave


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def _reset(connection: socket.socket, content: bytes, first: int | None) -> None:
    _headers(connection, f"Content-Length: {len(content)}")
    connection.sendall(content[:30_000])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def _stall(connection: socket.socket, content: bytes, first: int | None) -> None:
    _headers(connection, f"Content-Length: {len(content)}")
    connection.sendall(content[:30_000])
    time.sleep(600)


def _endless_redirection(connection: socket.socket, content: bytes, first: int | None) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


_BOMB = gzip.compress(bytes(1 << 26))
_BEHAVIOURS: dict[str, Writer] = {
    "good": _send,
    "good in chunks": _chunked(lambda content: [_chunk(content), b"0\r\n\r\n"]),
    "good without a length": _without_length(lambda content: content),
    "good in two parts": _range("Content-Range: bytes {first}-{last}/{total}", lambda content, first: content[first:]),
    "short under its own length": _body(lambda content: content[:-5000]),
    "short without a length": _without_length(lambda content: content[:-5000]),
    "short in chunks that end": _chunked(lambda content: [_chunk(content[:-5000]), b"0\r\n\r\n"]),
    "chunks that do not end": _chunked(lambda content: [_chunk(content[:-5000])]),
    "chunks of no size": _chunked(lambda content: [b"zz\r\n", content]),
    "always closed half-way": _body(lambda content: content[: len(content) // 2], length=10**6),
    "closed at once": _raw(),
    "empty": _body(lambda content: b""),
    "a length of 10^18": _body(lambda content: content, length=10**18),
    "a length below zero": _raw(_OK.encode(), b"Content-Length: -5\r\n\r\nabc"),
    "a length that is no number": _raw(_OK.encode(), b"Content-Length: \xb2\r\n\r\nabc"),
    "a length of 5,000 digits": _raw(_OK.encode(), b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc"),
    "a page": _body(lambda content: b"<html>Please log in</html>", "Content-Type: text/html"),
    "zeros": _body(lambda content: bytes(len(content))),
    "rows of zeros in the middle": _body(lambda content: content[:400] + bytes(2000) + content[2400:]),
    "another HDF5 file": _body(lambda content: _other_file()),
    "compressed": _body(gzip.compress, "Content-Encoding: gzip"),
    "a gzip bomb": _body(lambda content: _BOMB, "Content-Encoding: gzip"),
    "an unknown encoding": _body(lambda content: content, "Content-Encoding: \x1b]0;owned\x07"),
    "no HTTP": _raw(b"\x00\xff\x1b]0;owned\x07\r\n\r\n"),
    "a status that is none": _raw(b"HTTP/1.1 banana \x1b]0;owned\x07\r\n\r\n"),
    "a reason that is an escape": _status("404 \x1b]0;owned\x07"),
    "a header of a megabyte": _raw(_OK.encode(), b"X: " + b"a" * (1 << 20) + b"\r\n\r\n"),
    "10,000 headers": _raw(_OK.encode(), b"X: a\r\n" * 10_000 + b"\r\n"),
    "headers that never end": _drip(b"HTTP/1.1 200 OK\r\nX: ", 0.5),
    "a byte every half second": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 0.5),
    "reset": _reset,
    "silence after the beginning": _stall,
    "redirections in a circle": _status("302 Found", "Location: /again"),
    "a redirection to a file": _status("302 Found", "Location: file:///etc/passwd"),
    "a redirection to no address": _status("302 Found", "Location: http://["),
    "a redirection to nothing": _status("302 Found", "Location: "),
    "redirections that never end": _endless_redirection,
    "a range of another place": _range("Content-Range: bytes 7-{last}/{total}", lambda content, first: content[7:]),
    "a range of another version": _range(
        "Content-Range: bytes {first}-{last}/{total}", lambda content, first: content[first:], '"b"'
    ),
    "a range of zeros": _range(
        "Content-Range: bytes {first}-{last}/{total}", lambda content, first: bytes(len(content) - first)
    ),
    "a range that says a smaller total": _range(
        "Content-Range: bytes {first}-{last}/9", lambda content, first: content[first:]
    ),
    "a range without a header": _range("X: a", lambda content, first: content[first:]),
    "a part that nobody asked for": _raw(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-7/9\r\n\r\nabc"),
    "the published hash of another file": _send,
    **{f"status {status}": _status(f"{status} No") for status in (204, 401, 403, 404, 410, 416, 429, 500, 503, 599)},
}  # fmt: skip


def _other_file() -> bytes:
    with h5py.File("other", "w", driver="core", backing_store=False) as file:
        file["images"] = np.zeros(5)
        file.flush()
        return file.id.get_file_image()


def _places(server: _Server, place: Path) -> Iterator[Fault]:
    """Caches that cannot take the file, and remains of earlier downloads."""
    name = catalog()[_NAME].file_name
    digest = hashlib.sha256(server.content).hexdigest()

    def fault(title: str, cache: str, expected: str = "refused") -> Fault:
        server.behave, words = _send, ["data", "fetch", _NAME, "--base-url", server.url]
        environment = {"D4RL_DATASET_DIR": cache, "NO_PROXY": "127.0.0.1", "DIGEST": digest}
        return Fault(title, words, expected, [], environment, hook=_short_waits(place))  # type: ignore[arg-type]

    (place / "file").write_text("in the way")
    yield fault("a file in the place of the cache", str(place / "file"))
    yield fault("a cache below a file", "/etc/passwd/cache")
    yield fault("a cache where nothing can be made", "/proc/cache")
    yield fault("a cache of an unknown user", "~nobody-has-this-name/cache")
    yield fault("a cache with a long name", str(place / ("a" * 300)))
    (place / "cache" / name).mkdir(parents=True)
    yield fault("a folder in the place of the file", str(place / "cache"))
    remains = {"a note of no JSON": b"{half", "a note of lists": b"[" * 100_000, "a note of numbers": b'{"url": 1}'}
    for title, note in remains.items():
        _remains(place / "cache", name, server.content[:9000], note)
        yield fault(title, str(place / "cache"), "accepted")
    note = {"url": f"{server.url}/kitchen/{name}", "etag": "a\r\nX: b", "last_modified": 3}
    _remains(place / "cache", name, bytes(9000), json.dumps(note).encode())
    yield fault("a note with a line break", str(place / "cache"), "accepted")
    (place / "cache" / f"{name}.part").mkdir(parents=True)
    yield fault("a folder in the place of the part", str(place / "cache"))


def _remains(cache: Path, name: str, part: bytes, note: bytes) -> None:
    cache.mkdir()
    (cache / f"{name}.part").write_bytes(part)
    (cache / f"{name}.part.json").write_bytes(note)


def _by_chance(seed: int) -> Writer:
    """Sends the file with one of its bytes or headers changed, cut anywhere; the file is never delivered whole."""

    def behave(connection: socket.socket, content: bytes, first: int | None) -> None:
        rng = random.Random(seed)
        length = rng.choice((len(content), rng.randrange(len(content) * 2), -1, 10**12))
        lines = [f"Content-Length: {length}", rng.choice(("X: a", 'ETag: "a"', "ETag: W/a", "Last-Modified: never"))]
        if rng.random() < 0.3:
            lines.append(f"Content-Range: bytes {rng.randrange(9000)}-{rng.randrange(9000)}/{rng.randrange(90_000)}")
        _headers(connection, *lines, status=rng.choice(("200 OK", "200 OK", "206 Partial Content", "500 No")))
        connection.sendall(content[: rng.randrange(400, len(content) - 100)])

    return behave
