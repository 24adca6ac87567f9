from pathlib import Path

import numpy as np
import pytest
import torch

from diffplan.tracking.base import plain_value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(True), True),
        (torch.tensor([1.0, float("nan")]), [1.0, None]),
        ({"a": (1, {"b": Path("c")})}, {"a": [1, {"b": "c"}]}),
        (float("-inf"), None),
        (None, None),
    ],
)
def test_values_become_plain_python(value, plain):
    result = plain_value(value)
    assert result == plain
    assert type(result) is type(plain)
