"""Stages of a story stay in one worker, which not every pytest's names allow."""

import pytest


@pytest.mark.xdist_group("held-together")
def test_tests_of_a_group_are_held_together(request: pytest.FixtureRequest) -> None:
    grouped = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@held-together") == bool(grouped)
