"""The energy of a fit: a made-up powercap tree and a made-up NVML, since few machines show their counters."""

import sys
from types import SimpleNamespace

import pytest

from charter.release.report.sentences import translated
from charter.training import energy
from charter.training.energy import (
    IN_PART,
    NO_COUNTER,
    NO_LIBRARY,
    NVML,
    RAPL,
    UNREADABLE,
    Consumption,
    meter_of,
)

WRAPS = 262_143_328_850


@pytest.fixture
def zones(tmp_path, monkeypatch):
    """Two packages, one with memory and cores, and the whole platform, each at 1 J; a function that sets one of them."""
    names = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
    }
    for zone, name in names.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text(f"{WRAPS}\n")

    def set_to(zone, joules):
        (tmp_path / zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n")

    for zone in names:
        set_to(zone, 1)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return set_to


def test_packages_and_memory_are_added_up_and_nothing_is_counted_twice(zones):
    meter = meter_of(())
    for zone, joules in (("0", 11), ("0:0", 7), ("0:1", 4), ("1", 21), ("2", 99)):
        zones(f"intel-rapl:{zone}", joules)
    assert meter.read() == pytest.approx(10 + 3 + 20)
    assert meter.sources == (RAPL,)


def test_a_counter_that_wrapped_round_goes_on(zones):
    zones("intel-rapl:1", WRAPS / 1e6 - 5)
    meter = meter_of(())
    zones("intel-rapl:1", 3)
    assert meter.read() == pytest.approx(8)


def test_counters_are_read_now_and_then_while_it_learns(zones, monkeypatch):
    clock = iter([0.0, 1.0, 7.0, 7.0])
    monkeypatch.setattr(energy.time, "monotonic", lambda: next(clock))
    meter = meter_of(())
    zones("intel-rapl:1", 5)
    assert meter.read(at_once=False) == 0
    assert meter.read(at_once=False) == pytest.approx(4)


def test_a_machine_without_counters_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "none")
    told = Consumption(meter_of(())).told()
    assert (told.joules, told.because) == (None, NO_COUNTER)
    assert translated(told.because) is not None


def test_counters_that_only_the_administrator_may_read_are_told(zones, monkeypatch):
    def refused(path):
        raise PermissionError(path)

    monkeypatch.setattr(energy, "_joules_of", refused)
    assert Consumption(meter_of(())).told().because == UNREADABLE


def test_a_counter_that_goes_away_leaves_no_half_of_a_figure(zones, tmp_path):
    meter = meter_of(())
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    told = Consumption(meter).told()
    assert told.joules is None and told.because == UNREADABLE


def test_the_parts_of_a_resumed_run_are_added_up(zones):
    first = Consumption(meter_of(()))
    zones("intel-rapl:1", 11)
    saved = first.facts()
    zones("intel-rapl:1", 500)  # while it did not learn
    second = Consumption(meter_of(()))
    second.go_on(saved)
    zones("intel-rapl:1", 507)
    assert second.told().joules == pytest.approx(10 + 7)


def test_a_run_of_which_a_part_was_not_measured_has_no_figure(zones, tmp_path, monkeypatch):
    saved = Consumption(meter_of(())).facts()
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "none")
    elsewhere = Consumption(meter_of(()))
    elsewhere.go_on(saved)
    assert elsewhere.told().because == IN_PART
    again = Consumption(meter_of(()))
    again.go_on(elsewhere.facts())
    assert again.told().because == IN_PART


class _Nvml(SimpleNamespace):
    """As much of pynvml as is asked for."""

    class NVMLError(Exception):
        pass


def gpu(monkeypatch, read):
    import torch

    properties = {0: SimpleNamespace(uuid="a"), 1: SimpleNamespace(uuid="b")}
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    library = _Nvml(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetTotalEnergyConsumption=read,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_a_gpu_is_counted_by_its_own_name_beside_the_processor(zones, monkeypatch):
    counts = {"GPU-a": 1000, "GPU-b": 5000}
    gpu(monkeypatch, counts.__getitem__)
    meter = meter_of((1,))
    counts["GPU-a"], counts["GPU-b"] = 9000, 8000
    assert meter.read() == pytest.approx(3)
    assert meter.sources == (NVML, RAPL)


def test_without_the_gpus_counter_the_processors_alone_is_no_figure(zones, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    told = Consumption(meter_of((0,))).told()
    assert (told.joules, told.because) == (None, NO_LIBRARY)
    assert translated(told.because) is not None

    def refused(handle):
        raise _Nvml.NVMLError("Not Supported")

    gpu(monkeypatch, refused)
    assert Consumption(meter_of((0,))).told().because == energy.NO_GPU_COUNTER
