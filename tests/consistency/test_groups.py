"""How the tests are shared out among processes."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("together")
def test_tests_that_share_a_server_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist goes by the group behind a test's name; without one it would run two of them at the same time."""
    in_parallel = bool(request.config.getoption("loadgroup", default=False))
    assert request.node.nodeid.endswith("@together") == in_parallel
