"""What holds for all tests: long sweeps run only where they are asked for by their marker."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `sweep`, unless `-m` speaks of it."""
    if "sweep" in config.getoption("markexpr"):
        return
    sweeps = [item for item in items if item.get_closest_marker("sweep")]
    if sweeps:
        config.hook.pytest_deselected(items=sweeps)
        items[:] = [item for item in items if item not in sweeps]
