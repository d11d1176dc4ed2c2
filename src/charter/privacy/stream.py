"""The secret stream: what private training draws its samples and its noise from.

A cipher in counter mode (AES-256-CTR, NIST SP 800-38A) keyed by the operating system, so that who sees the model can't guess
what was drawn. Each use has a stream of its own by its purpose and the update's number, so an interrupted training draws
the same again when it goes on, whatever was drawn since. The key lies in the unfinished checkpoint only.
"""

import math
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

KEY_BYTES = 32
AT_ONCE = 1 << 17
"""Draws that are made at once."""
FEW = 256
"""Shares below so many steps of 2^-31 are drawn finer: with whole steps a normal distribution would end at 6.7."""
SAMPLING, NOISE, COUNTS, DROPOUT, ROWS, TAILS = 1, 2, 3, 4, 5, 6
"""Purposes; a stream of one says nothing of another's."""


@dataclass(frozen=True)
class SecretStream:
    """Random draws that depend on the key, the purpose and the number only. The key is never shown."""

    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> "SecretStream":
        """A stream with a key that nobody knows, from the operating system."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def reproducible(cls, seed: int) -> "SecretStream":
        """A stream that whoever knows the seed can repeat: what is drawn from it protects nobody."""
        return cls(np.random.default_rng([seed, KEY_BYTES]).bytes(KEY_BYTES))

    def uniform(self, count: int, purpose: int, number: int) -> NDArray[np.float64]:
        """(count,) in [0, 1), multiples of 2^-53."""
        drawn = np.frombuffer(self._cipher(purpose, number).update(bytes(8 * count)), dtype="<u8")
        return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def seed(self, purpose: int, number: int, place: int) -> int:
        """63 bits to seed another generator with. place: tells several of one number apart."""
        drawn = self._cipher(purpose, number, place).update(bytes(8))
        return int.from_bytes(drawn) >> 1

    def normal(self, purpose: int, number: int) -> float:
        """One draw of a standard normal distribution (Box and Muller 1958)."""
        first, second = self.uniform(2, purpose, number)
        return float(math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second))

    def add_normal(self, to: "Tensor", scale: float, number: int, *, first: int = 0) -> None:
        """Add `scale` times draws of a standard normal distribution to each entry of a contiguous tensor, in place.

        scale: what a negative one adds takes back what the same positive one added. first: tells tensors of one update apart.
        Box and Muller (1958), on 32 bits for each angle and 31 for each radius; a radius among
        the 2^-23 largest has 53 bits more, so that none is left out: the largest is 10.8 times `scale`.
        """
        import torch

        flat = to.view(-1)
        cipher, tail = self._cipher(NOISE, number, first), self._cipher(TAILS, number, first)
        half = AT_ONCE // 2
        nothing, drawn = bytes(4 * AT_ONCE), bytearray(4 * AT_ONCE + 16)
        bits = torch.frombuffer(drawn, dtype=torch.int32, count=AT_ONCE)
        # buffers that are written again and again: they stay in the processor's cache
        shares, turns, waves = torch.empty(AT_ONCE), torch.empty(half), torch.empty(half)
        radius, angle = shares[:half], shares[half:]
        for start in range(0, len(flat), AT_ONCE):
            cipher.update_into(nothing, drawn)
            whole = bits[:half].bitwise_and_(2**31 - 1)
            shares.copy_(bits)
            radius.add_(0.5).mul_(2.0**-31)
            _refine(radius, whole, tail)
            radius.log_().mul_(-2.0 * scale * scale).sqrt_()
            if scale < 0:
                radius.neg_()
            angle.mul_(2.0 * math.pi * 2.0**-32)
            part = flat[start : start + AT_ONCE]
            for place, wave in ((part[:half], torch.cos), (part[half:], torch.sin)):
                wave(angle, out=turns)
                torch.mul(radius, turns, out=waves)
                place.add_(waves[: len(place)].to(place.device))

    def _cipher(self, purpose: int, number: int, part: int = 0) -> Any:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        # 12 bytes tell the streams apart, 4 count their blocks of 16 bytes: 64 GB of each
        counter = purpose.to_bytes(1) + number.to_bytes(6) + part.to_bytes(5) + bytes(4)
        return Cipher(algorithms.AES(self.key), modes.CTR(counter)).encryptor()


def _refine(shares: "Tensor", whole: "Tensor", tail: Any) -> None:
    """Draw the smallest shares (rows,) finer: between the step `whole` and the next, in 2^-53 of it. tail: the cipher it is drawn from."""
    few = (whole < FEW).nonzero().flatten()
    if not len(few):
        return
    drawn = np.frombuffer(tail.update(bytes(8 * len(few))), dtype="<u8")
    within = ((drawn >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    finer = (whole[few].double() + _tensor(within)) * 2.0**-31
    shares[few] = finer.to(shares.dtype)


def _tensor(values: NDArray[np.float64]) -> "Tensor":
    import torch

    return torch.from_numpy(values)
