"""Which device to compute on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device() -> "torch.device":
    """A CUDA device where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
