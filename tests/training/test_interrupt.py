"""What a signal does to training: the first is remembered, a second one interrupts at once; torchrun's copies are the same one."""

import os
import signal
import threading

import pytest

from charter.training.interrupt import held_back


@pytest.fixture(params=[None, "torchrun"])
def started_by(request, monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if request.param:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    return request.param


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_held_back_and_its_handler_put_back(started_by, number):
    before = signal.getsignal(number)
    with held_back() as interrupt:
        os.kill(os.getpid(), number)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts_at_once_unless_torchrun_only_passed_on_the_first(started_by):
    with held_back() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        if started_by:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not interrupt.forced
        else:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
            assert interrupt.forced


def test_under_torchrun_a_later_signal_still_interrupts_at_once(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    monkeypatch.setattr("charter.training.interrupt.PASSED_ON", 0.0)
    with held_back() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.forced


def test_a_process_that_follows_another_is_never_forced():
    with held_back(forcible=False) as interrupt:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    assert not interrupt.forced


def test_outside_the_main_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def inside():
        with held_back():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
