"""Values that JSON, YAML and W&B take, made from whatever a metric or config may hold."""

import math
from collections.abc import Mapping
from typing import Any


def plain_value(value: Any) -> Any:
    """Returns a value as plain Python: containers become dict and list, scalars of arrays and tensors numbers.

    Args:
        value: Anything. Numbers that are not finite become None, other objects their text.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, tensors
        return plain_value(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
