"""Signals that end a run."""

from __future__ import annotations

import signal

import pytest

from runner.signals import Terminated, terminating


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_run_once(number: signal.Signals) -> None:
    """It is raised where the run is; what rolls back then is not interrupted by its echo, and all is as before."""
    before = signal.getsignal(number)
    with terminating():
        with pytest.raises(Terminated) as raised:
            signal.raise_signal(number)
        signal.raise_signal(number)
    assert raised.value.signal == number
    assert isinstance(raised.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before


def test_nohup() -> None:
    """What was told to be ignored stays so: a run under nohup outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminating():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
