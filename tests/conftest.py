"""What holds for all tests: how many run at once and where, and that long sweeps wait."""

import compileall
import os
from pathlib import Path

import pytest

import civsync


def pytest_configure(config: pytest.Config) -> None:
    """Compile civsync as pip does: thousands of processes would otherwise each do it again.

    Python keeps what it compiled itself, but not where PYTHONDONTWRITEBYTECODE is set.
    """
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(civsync.__file__).parent, quiet=2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` means: half of the time they wait for processes."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Let idle workers take tests from busy ones: some take a minute, most a tenth of a second."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `sweep`, unless `-m` speaks of it."""
    if "sweep" in config.getoption("markexpr"):
        return
    sweeps = [item for item in items if item.get_closest_marker("sweep")]
    if sweeps:
        config.hook.pytest_deselected(items=sweeps)
        items[:] = [item for item in items if item not in sweeps]
