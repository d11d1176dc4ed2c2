"""Packing is whole or not at all: two packers take turns, a killed one leaves the old bundle or the new one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from charter.errors import BundleError
from charter.release import bundle as bundles
from charter.release.bundle import Contents, pack
from charter.release.record import read_record
from charter.release.verification import verify
from charter.runs.files import exchange

PACKER = textwrap.dedent(
    """
    import json, sys
    from pathlib import Path
    from charter.release import bundle as bundles
    from charter.release.record import read_record
    folder, fallback = Path(sys.argv[1]), sys.argv[2] == "fallback"
    if fallback:
        bundles.exchange = lambda one, two: False
    source = folder / "source"
    contents = bundles.Contents(
        read_record(source / "charter" / "record.json"), {"safetensors": folder / "model"},
        json.loads((source / "charter" / "preparation.json").read_text()), (source / "charter.yaml").read_text(), "page", None
    )
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        bundles.pack(contents, folder / "release" / "reviews-REFUSED")
    """
)


@pytest.fixture
def place(silent_run, tmp_path):
    """A folder with a packed draft to read from, and its model alone."""
    shutil.copytree(silent_run.result.bundle, tmp_path / "source")
    own = ("charter", "README.md", "charter.yaml")
    shutil.copytree(tmp_path / "source", tmp_path / "model", ignore=shutil.ignore_patterns(*own))
    return tmp_path


def contents(place):
    source = place / "source"
    preparation = json.loads((source / "charter" / "preparation.json").read_text(encoding="utf-8"))
    record = read_record(source / "charter" / "record.json")
    return Contents(
        record,
        {"safetensors": place / "model"},
        preparation,
        (source / "charter.yaml").read_text(),
        "page",
        None,
    )


def packer(place, how, times):
    """A process that packs so many times once it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", PACKER, str(place), how, str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def go(process):
    process.stdin.write(b"go\n")
    process.stdin.flush()


def names(place):
    return sorted(path.name for path in (place / "release").iterdir())


@pytest.mark.parametrize("how", ["exchange", "fallback"])
def test_a_packer_killed_at_any_moment_leaves_what_the_next_one_mends(place, how):
    target = place / "release" / "reviews-REFUSED"
    pack(contents(place), target)
    rng = random.Random(4)
    for _ in range(5):
        process = packer(place, how, 1000)
        go(process)
        time.sleep(rng.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if how == "exchange":
            assert verify(target, None).ok
    pack(contents(place), target)
    assert verify(target, None).ok
    assert names(place) == ["reviews-REFUSED"]


def test_two_packers_of_one_bundle_take_turns(place):
    both = [packer(place, how, 8) for how in ("exchange", "fallback")]
    for process in both:
        go(process)
    assert [process.communicate()[1] for process in both] == [b"", b""]
    assert verify(place / "release" / "reviews-REFUSED", None).ok
    assert names(place) == ["reviews-REFUSED"]


def test_a_bundle_that_a_killed_packer_moved_aside_is_put_back_even_if_the_next_one_fails(place, monkeypatch):
    target = place / "release" / "reviews-REFUSED"
    pack(contents(place), target)
    target.rename(target.with_name(f".{target.name}.12345-0123abcd.tmp.old"))
    (target.parent / f".{target.name}.12345-0123abcd.tmp").mkdir()
    (target.parent / f".{target.name}-other.12345-0123abcd.tmp").mkdir()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles, "_write", full)
    with pytest.raises(OSError, match="No space"):
        pack(contents(place), target)
    assert verify(target, None).ok
    assert names(place) == [".reviews-REFUSED-other.12345-0123abcd.tmp", "reviews-REFUSED"]


def test_a_link_or_a_folder_of_something_else_is_not_replaced(place):
    (place / "release").mkdir()
    (place / "release" / "link").symlink_to(place / "source")
    (place / "release" / "mine").mkdir()
    for name, said in (("link", "is a link"), ("mine", "no bundle")):
        with pytest.raises(BundleError, match=said):
            pack(contents(place), place / "release" / name)
    assert names(place) == ["link", "mine"]


def test_exchange_swaps_two_folders_or_says_that_it_cannot(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "a").write_text("1")
    assert exchange(tmp_path / "one", tmp_path / "two") == (tmp_path / "two" / "a").exists()
    if os.uname().sysname == "Linux":
        assert (tmp_path / "two" / "a").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "none", tmp_path / "two")
