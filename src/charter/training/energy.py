"""The energy that a fit takes, as the machine's own counters tell it; an estimate is no measurement, and none is made.

Processors: the kernel's powercap tree shows RAPL's counters of each package, and of the memory beside it. NVIDIA's GPUs: NVML, by
the library nvidia-ml-py. Both count what the whole device takes, whatever else runs on it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
APART = 5.0
"""Counters are read at most so often, in seconds; they wrap round after some minutes of full power at the earliest."""
RAPL, NVML = "RAPL, processor packages and their memory", "NVML, NVIDIA GPUs"
NO_COUNTER = "this machine shows no energy counter"
UNREADABLE = "this machine's energy counters can be read by its administrator only"
NO_LIBRARY = (
    'the GPU\'s counter is read by nvidia-ml-py, which is not installed: pip install "charter[energy]"'
)
IN_PART = "it was learned in parts, and not each of them was measured by the same counters"
NO_GPU_COUNTER = "the GPU has no energy counter that NVML could read"


@dataclass(frozen=True)
class Energy:
    """joules: what was taken, None where it was not measured, and `because` why. sources: what counted."""

    joules: float | None
    sources: tuple[str, ...] = ()
    because: str = ""


@dataclass
class Counter:
    """A counter of joules that starts anew after `wraps` of them; None: it does not."""

    read: Callable[[], float]
    wraps: float | None
    last: float = 0.0

    def taken(self) -> float:
        """Joules since the last call."""
        now = self.read()
        grown, self.last = now - self.last, now
        return grown if grown >= 0 or self.wraps is None else grown + self.wraps


class Meter:
    """Adds up what a machine's counters tell, from when it is made. counters: none where nothing can be measured, and `because` why."""

    def __init__(self, counters: list[Counter], sources: tuple[str, ...], because: str = "") -> None:
        self.sources, self.because = sources, because
        self._counters = counters
        self._joules, self._read_at = 0.0, time.monotonic()
        try:
            for one in counters:
                one.last = one.read()
        except OSError:
            self._lost()

    def read(self, *, at_once: bool = True) -> float:
        """Joules since it was made; unless at once, of a moment ago."""
        if at_once or time.monotonic() - self._read_at > APART:
            self._read_at = time.monotonic()
            try:
                self._joules += sum(one.taken() for one in self._counters)
            except OSError:
                self._lost()
        return self._joules

    def _lost(self) -> None:
        self._counters, self.sources, self.because = [], (), UNREADABLE


def meter_of(gpus: Sequence[int]) -> Meter:
    """What can be measured on this machine. gpus: the numbers of those that compute; none: the processor does.

    Of a fit on a GPU nothing is told where the GPU can't be measured; of its processor what can be read.
    """
    counters, sources, because = [], [], ""
    if gpus:
        try:
            counters += _gpus(gpus)
        except _CannotReadError as told:
            return Meter([], (), str(told))
        sources.append(NVML)
    try:
        packages = list(_packages())
    except PermissionError:
        packages, because = [], UNREADABLE
    except (OSError, ValueError):
        packages = []
    if packages:
        counters += packages
        sources.append(RAPL)
    if not counters:
        return Meter([], (), because or NO_COUNTER)
    return Meter(counters, tuple(sources))


class _CannotReadError(Exception):
    """Why a GPU's counter can't be read."""


def _packages() -> Iterator[Counter]:
    """RAPL's packages and their memory. `psys`, the whole platform, holds the packages, so it is left out."""
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):
        name = (zone / "name").read_text(encoding="ascii").strip()
        inside = zone.name.count(":") > 1  # intel-rapl:0:1 is a part of package 0: cores, graphics, memory
        if name.startswith("package") or (inside and name == "dram"):
            wraps = float((zone / "max_energy_range_uj").read_text(encoding="ascii"))
            yield Counter(_joules_of(zone / "energy_uj"), wraps / 1e6)


def _joules_of(path: Path) -> Callable[[], float]:
    path.read_bytes()
    return lambda: float(path.read_text(encoding="ascii")) / 1e6


def _gpus(places: Sequence[int]) -> list[Counter]:
    """GPUs by torch's numbers, which are not always NVML's (`CUDA_VISIBLE_DEVICES`)."""
    import torch

    try:
        import pynvml
    except ImportError:
        raise _CannotReadError(NO_LIBRARY) from None
    try:
        pynvml.nvmlInit()
        names = [_name_of(torch.cuda.get_device_properties(at)) for at in places]
        handles = [pynvml.nvmlDeviceGetHandleByUUID(name) for name in names]
        for one in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(one)
    except (pynvml.NVMLError, AttributeError):
        raise _CannotReadError(NO_GPU_COUNTER) from None
    return [Counter(_gpu_joules(pynvml, one), None) for one in handles]


def _name_of(properties: Any) -> str:
    return f"GPU-{properties.uuid}"


def _gpu_joules(pynvml: Any, handle: Any) -> Callable[[], float]:
    def read() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from None

    return read


class Consumption:
    """The energy of a fit over all of its sessions. It is told only where the same counters measured every one of them."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._before, self._lacks = meter, 0.0, ""

    def go_on(self, saved: Mapping[str, Any]) -> None:
        """Add what an earlier session, whose `facts` these are, has measured."""
        self._before = float(saved["joules"])
        apart = tuple(saved["sources"]) != self._meter.sources
        self._lacks = saved["lacks"] or (IN_PART if apart else "")

    def note(self) -> None:
        """An update was made: counters that wrap round must not be left alone for long."""
        self._meter.read(at_once=False)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        joules = self._before + self._meter.read()
        return {"joules": joules, "sources": list(self._meter.sources), "lacks": self._lacks}

    def told(self) -> Energy:
        """What was measured, or why that is not known."""
        joules, because = self._before + self._meter.read(), self._lacks or self._meter.because
        return Energy(None, (), because) if because else Energy(joules, self._meter.sources)
