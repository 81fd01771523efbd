"""Which operations are affine, and in which of their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

LINEAR: Final = {
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "_to_copy",
    "adaptive_avg_pool1d",
    "add",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "cat",
    "channel_shuffle",
    "clone",
    "col2im",
    "constant_pad_nd",
    "copy",
    "cumsum",
    "diagonal_scatter",
    "fill",
    "flip",
    "im2col",
    "mean",
    "neg",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "repeat",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
    "roll",
    "rsub",
    "select_scatter",
    "slice_scatter",
    "stack",
    "sub",
    "sum",
    "upsample_bicubic2d",
    "upsample_bilinear2d",
    "upsample_linear1d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "upsample_trilinear3d",
    "zero",
}
"""Affine in all tensors that they take, together."""
FACTORS: Final = {
    "addbmm": {"batch1", "batch2"},
    "addcmul": {"tensor1", "tensor2"},
    "addmm": {"mat1", "mat2"},
    "addmv": {"mat", "vec"},
    "baddbmm": {"batch1", "batch2"},
    "bmm": {"self", "mat2"},
    "convolution": {"input", "weight"},
    "dot": {"self", "tensor"},
    "linear": {"input", "weight"},
    "mm": {"self", "mat2"},
    "mul": {"self", "other"},
    "mv": {"self", "vec"},
}
"""Affine where only one of these depends on the input."""
FIXED: Final = {
    "div": {"other"},
    "gather": {"index"},
    "index": {"indices"},
    "index_select": {"index"},
    "lerp": {"weight"},
    "masked_fill": {"mask"},
    "where": {"condition"},
    "native_batch_norm": {"weight", "bias", "running_mean", "running_var"},
    "cudnn_batch_norm": {"weight", "bias", "running_mean", "running_var"},
    "miopen_batch_norm": {"weight", "bias", "running_mean", "running_var"},
    "_native_batch_norm_legit_no_training": {"weight", "bias", "running_mean", "running_var"},
}
"""Affine where none of these does."""
WITH_WHOLE_NUMBERS: Final = {"gather", "index", "index_select", "masked_fill", "where"}
"""Of these, those that take masks and places."""
TRAINING: Final = {"native_batch_norm": 5, "cudnn_batch_norm": 5, "miopen_batch_norm": 5}
"""Place of the argument that says that statistics are those of the batch."""


def is_affine_step(
    name: str,  # as "mul_.Tensor"
    depends: Sequence[str],  # argument of each tensor that depends on the input
    args: tuple[Any, ...],
    *,
    floating: bool,  # whether all that goes in and comes out are real numbers
) -> bool:
    """Whether an operation is affine in those of its arguments that depend on the input."""
    base, _, overload = name.partition(".")
    base = base if base.startswith("_") else base.rstrip("_")
    if base in TRAINING and args[TRAINING[base]] is not False:
        return False
    if base in FACTORS:
        return floating and sum(argument in FACTORS[base] for argument in depends) <= 1
    if base in FIXED:
        whole = floating or base in WITH_WHOLE_NUMBERS
        return whole and "mode" not in overload and not FIXED[base] & {*depends}
    return floating and base in LINEAR
