import os
import random
import zipfile
from pathlib import Path

import pytest
import torch

from diffplan.config.archive import open_archive, verify_checksums
from diffplan.errors import CheckpointError, DiffplanError


@pytest.fixture
def path(tmp_path) -> Path:
    torch.save({"weights": torch.arange(1000.0), "more": torch.ones(3)}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def verify(path: Path) -> None:
    with open_archive(path) as archive:
        verify_checksums(archive, path)


def test_what_torch_saves_is_whole(path):
    verify(path)


def test_every_flipped_bit_of_a_tensor_is_found_and_its_entry_named(path):
    content = path.read_bytes()
    start = content.index(torch.arange(1000.0).numpy().tobytes())
    for place in (start, start + 1999, start + 3999):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"is damaged: its entry 'last/data/0' differs from the checksum"):
            verify(path)


def test_a_flipped_bit_anywhere_changes_nothing_or_is_found(path):
    content, rng = path.read_bytes(), random.Random(0)
    found = 0
    for _ in range(300):
        place = rng.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        try:
            verify(path)
        except CheckpointError:
            found += 1
    # The rest lies between entries, where nothing is read.
    assert found > 150


def test_compressed_repeated_and_overlapping_entries_are_refused(tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("last/data.pkl", bytes(10**7))
    with pytest.raises(CheckpointError, match="compressed, repeated or overlapping"):
        verify(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("last/data.pkl", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("last/data.pkl", b"two")
    with pytest.raises(CheckpointError, match="compressed, repeated or overlapping"):
        verify(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("last/one", bytes(10**6))
        for number in range(50):
            entry = zipfile.ZipInfo(f"last/{number}")
            entry.file_size = entry.compress_size = 10**6
            entry.header_offset, entry.CRC = archive.infolist()[0].header_offset, archive.infolist()[0].CRC
            archive.filelist.append(entry)
    with pytest.raises(CheckpointError, match="compressed, repeated or overlapping"):
        verify(path)


@pytest.mark.timeout(20)
def test_a_pipe_a_device_and_a_folder_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "none", tmp_path / "pipe" / "below"):
        with pytest.raises(CheckpointError, match="there is no checkpoint at"):
            verify(place)


def test_a_file_that_may_not_be_read_is_not_called_truncated(path):
    path.chmod(0)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)
    try:
        with pytest.raises(DiffplanError, match=r"cannot be read: Permission denied"):
            verify(path)
    finally:
        if as_root:
            os.seteuid(0)
