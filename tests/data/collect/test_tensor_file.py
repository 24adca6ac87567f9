import io
import pickle
from pathlib import Path

import pytest
import torch

from diffplan.data.collect.tensor_file import load_tensors


class Intruder:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "I was here"))


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_tensors_are_read_as_they_were_saved():
    loaded = load_tensors(saved({"weights": torch.arange(3), "optimizer": {"step": 2.0, "groups": [1]}}))
    assert torch.equal(loaded["weights"], torch.arange(3))
    assert loaded["optimizer"] == {"step": 2.0, "groups": [1]}


@pytest.mark.parametrize("save", [saved, pickle.dumps])
def test_code_in_a_file_is_never_run(tmp_path, save):
    trace = tmp_path / "trace"
    with pytest.raises(ValueError, match="Not a file"):
        load_tensors(save({"weights": Intruder(trace)}))
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"broken", b"PK\x03\x04", saved({"weights": torch.ones(99)})[:-200]])
def test_damaged_bytes_are_refused(content):
    with pytest.raises(ValueError, match="Not a file"):
        load_tensors(content)


def test_a_bare_tensor_is_refused():
    with pytest.raises(ValueError, match="Must hold a dictionary, got Tensor"):
        load_tensors(saved(torch.ones(1)))
