import contextlib
import gzip
import time

import pytest

import diffplan.data.download as transfer
from diffplan.data.download import PartialFile, Transfer
from diffplan.errors import DownloadError


def test_pauses_double_up_to_the_longest_one(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer.time, "sleep", pauses.append)
    monkeypatch.setattr(transfer, "LONGEST_BACKOFF_SECONDS", 5.0)
    server.statuses = [503] * 9
    part = PartialFile(tmp_path / "data.hdf5", f"{server.url}/data.hdf5")
    with pytest.raises(DownloadError, match=r"503 Service Unavailable \(6 attempts\)"):
        Transfer(part, None, hash_known=False, backoff_seconds=1.0).run(progress=False)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_silent_server_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(transfer, "RETRIES", 1)
    server.files["/data.hdf5"] = bytes(10)
    server.stall_after = 0
    part = PartialFile(tmp_path / "data.hdf5", f"{server.url}/data.hdf5")
    with pytest.raises(DownloadError, match=r"\(2 attempts\)"):
        Transfer(part, None, hash_known=False, backoff_seconds=0.0).run(progress=False)
    server.go_on.set()


def test_a_body_longer_than_announced_is_cut_at_the_announced_length(server, tmp_path):
    server.files["/data.hdf5"] = b"0123456789"
    server.announced = 4
    part = PartialFile(tmp_path / "data.hdf5", f"{server.url}/data.hdf5")
    Transfer(part, None, hash_known=False, backoff_seconds=0.0).run(progress=False)
    assert part.path.read_bytes() == b"0123"


def run_against(respond, part, **options):
    """Downloads from a server that says what ``respond`` writes into its connection."""
    import socketserver
    import threading

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            with contextlib.suppress(OSError):
                respond(self.wfile)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        part.url = f"http://127.0.0.1:{server.server_address[1]}/data.hdf5"
        try:
            Transfer(part, options.get("num_bytes"), hash_known=False, backoff_seconds=0.0).run(progress=False)
        finally:
            server.shutdown()


OK = b"HTTP/1.1 200 OK\r\n"


def drip(writer):
    writer.write(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"a")
        time.sleep(0.02)


def drip_of_headers(writer):
    writer.write(OK)
    while True:
        writer.write(b"a")
        time.sleep(0.02)


def redirect_for_ever(writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


def redirect_with_an_endless_body(writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        writer.write(bytes(1 << 16))


def redirect_to_no_address(writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n")


def redirect_to_a_file(writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n")


def gzip_bomb(writer):
    body = gzip.compress(bytes(1 << 24))
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def no_end(writer):
    writer.write(OK + b"\r\n")
    while True:
        writer.write(bytes(1 << 16))


def no_http(writer):
    writer.write(b"\x00\xff nonsense \r\n\r\n")


def a_range_of_nothing(writer):
    writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-1/3\r\nContent-Length: 3\r\n\r\nabc")


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (drip, "did not answer in time"),
        (drip_of_headers, "did not answer in time"),
        (redirect_for_ever, "redirects without end"),
        (redirect_with_an_endless_body, "redirects without end"),
        (redirect_to_no_address, "cannot be downloaded"),
        (redirect_to_a_file, "No connection adapters"),
        (gzip_bomb, "answers in the encoding gzip"),
        (no_end, "the server sent more than 1,000,000 bytes"),
        (no_http, "cannot be downloaded"),
        (a_range_of_nothing, "the file on the server changed meanwhile"),
    ],
)
def test_a_server_that_misbehaves_is_given_up_in_bounded_time(tmp_path, monkeypatch, respond, reason):
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(transfer, "RETRIES", 1)
    monkeypatch.setattr(transfer, "LARGEST_BYTES", 1_000_000)
    began = time.monotonic()
    with pytest.raises(DownloadError, match=reason) as caught:
        run_against(respond, PartialFile(tmp_path / "data.hdf5", ""))
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data.hdf5").exists()


def test_bytes_that_are_lost_again_are_no_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "RETRIES", 3)
    answers = []

    def respond(writer):
        # Each second answer is a part of another version, so that the bytes of the first are dropped.
        answers.append(1)
        if len(answers) % 2:
            writer.write(OK + b'ETag: "a"\r\nContent-Length: 100000\r\n\r\n' + bytes(50_000))
        else:
            writer.write(b'HTTP/1.1 206 Partial\r\nETag: "b"\r\nContent-Range: bytes 9-10/11\r\n\r\n')

    with pytest.raises(DownloadError, match=r"\(4 attempts\)"):
        run_against(respond, PartialFile(tmp_path / "data.hdf5", ""))
    assert len(answers) < 10
