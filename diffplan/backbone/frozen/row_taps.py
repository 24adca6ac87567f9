"""A convolution over rows, written as what each of its taps reads and where it adds."""

from dataclasses import dataclass

from torch import nn

Convolution = nn.Conv1d | nn.ConvTranspose1d


@dataclass(frozen=True)
class RowTap:
    """One tap: output rows ``outputs`` receive input rows ``inputs`` times weight ``index``.

    Attributes:
        index: Place of the tap in the kernel.
        inputs: Rows read.
        outputs: Rows added to, as many as are read.
        num_rows: How many these are.
    """

    index: int
    inputs: slice
    outputs: slice
    num_rows: int


def output_length(convolution: Convolution, length: int) -> int:
    """Returns how many rows come out where ``length`` go in."""
    stride, padding, dilation = _settings(convolution)
    reach = dilation * (convolution.kernel_size[0] - 1)
    if isinstance(convolution, nn.ConvTranspose1d):
        return (length - 1) * stride - 2 * padding + reach + convolution.output_padding[0] + 1
    return (length + 2 * padding - reach - 1) // stride + 1


def row_taps(convolution: Convolution, length: int) -> list[RowTap]:
    """Lists the taps that touch at least one row; what falls on the padding is left out.

    Args:
        convolution: One group, padded with zeros.
        length: Rows in.
    """
    stride, padding, dilation = _settings(convolution)
    rows_in, rows_out = range(length), range(output_length(convolution, length))
    transposed = isinstance(convolution, nn.ConvTranspose1d)
    few, many = (rows_in, rows_out) if transposed else (rows_out, rows_in)
    taps = []
    for index in range(convolution.kernel_size[0]):
        shift = index * dilation - padding
        pairs = [(row, row * stride + shift) for row in few if row * stride + shift in many]
        if pairs:
            own = slice(pairs[0][0], pairs[-1][0] + 1, 1)
            other = slice(pairs[0][1], pairs[-1][1] + 1, stride)
            inputs, outputs = (own, other) if transposed else (other, own)
            taps.append(RowTap(index, inputs, outputs, len(pairs)))
    return taps


def _settings(convolution: Convolution) -> tuple[int, int, int]:
    """Stride, padding and dilation."""
    assert not isinstance(convolution.padding, str)
    return convolution.stride[0], convolution.padding[0], convolution.dilation[0]
