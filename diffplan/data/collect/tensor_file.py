"""Tensors read from PyTorch's files, and nothing but tensors."""

import io
import pickle
import zipfile

import torch


def load_tensors(content: bytes) -> dict[str, object]:
    """Reads what ``torch.save`` made of a dictionary of tensors, numbers and dictionaries of them.

    Objects of any other kind are refused before they are made, so that no code in a file is run.

    Args:
        content: The whole file.

    Raises:
        ValueError: It is not such a file, is damaged, or holds other objects.
    """
    buffer = io.BytesIO(content)
    # PyTorch's format before 1.6 is a bare pickle, which breaks in more ways than can be told apart.
    if not zipfile.is_zipfile(buffer):
        raise ValueError("Not a file that torch.save made.")
    buffer.seek(0)
    try:
        loaded = torch.load(buffer, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, LookupError, AttributeError, TypeError, EOFError) as error:
        raise ValueError("Not a file of tensors, or damaged.") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"Must hold a dictionary, got {type(loaded).__name__}.")
    return dict(loaded)
