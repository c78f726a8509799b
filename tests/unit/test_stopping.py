"""When a process stops by Ctrl-Z; how it does is in the integration tests."""

import signal
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there is no Ctrl-Z of this kind", allow_module_level=True)

from civsync.cli.stopping import stop_signals


@pytest.mark.parametrize(
    ("found", "answered"),
    [
        pytest.param(signal.SIG_DFL, (signal.SIGTSTP,), id="usual"),
        pytest.param(signal.SIG_IGN, (), id="ignored by who started this"),
    ],
)
def test_a_stop_that_is_ignored_stays_ignored(
    found: signal.Handlers, answered: tuple[signal.Signals, ...]
) -> None:
    before = signal.signal(signal.SIGTSTP, found)
    try:
        assert stop_signals() == answered
    finally:
        signal.signal(signal.SIGTSTP, before)
