"""Layers of trained networks, made for planning: one length, constant weights, input gradients alone."""

from diffplan.backbone.frozen.frozen_attention import FrozenAttention
from diffplan.backbone.frozen.frozen_convolution import FrozenConvolution
from diffplan.backbone.frozen.frozen_convolution_block import FrozenConvolutionBlock
from diffplan.backbone.frozen.frozen_residual_block import FrozenResidualBlock

__all__ = ["FrozenAttention", "FrozenConvolution", "FrozenConvolutionBlock", "FrozenResidualBlock"]
