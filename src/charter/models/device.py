"""Which device to compute on, and in which precision."""

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FASTER = 1.2
"""bfloat16 must be this many times faster in the probe before a CPU uses it unasked."""


def pick_device() -> "torch.device":
    """A CUDA device where there is one (each process of torchrun its own), else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def pick_half(precision: str, device: "torch.device") -> bool:
    """Whether passes are computed in bfloat16, as `training.precision` asks: `float32`, `bf16` or `auto`.

    auto: on a GPU that has bfloat16 in hardware; on a CPU only with AMX, and when a timed probe shows that it pays
    (a CPU that has avx512_bf16 alone is slower with it than without).
    """
    import torch

    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return torch.cpu._is_amx_tile_supported() and half_speed_up() > FASTER


def half_speed_up(*, tokens: int = 1024, width: int = 768, repeats: int = 7) -> float:
    """How many times faster a feed-forward layer of BERT-base's size is in bfloat16 than in float32, on this CPU."""
    import torch

    def seconds(dtype: "torch.dtype") -> float:
        inputs = torch.ones(tokens, width, dtype=dtype)
        weights = torch.ones(4 * width, width, dtype=dtype)
        found = []
        for _ in range(repeats):
            start = time.perf_counter()
            torch.nn.functional.linear(inputs, weights)
            found.append(time.perf_counter() - start)
        return statistics.median(found[1:])

    with torch.inference_mode():
        return seconds(torch.float32) / seconds(torch.bfloat16)
