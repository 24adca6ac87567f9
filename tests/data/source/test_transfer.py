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
