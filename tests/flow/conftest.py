import pytest

import gh


@pytest.fixture
def upstream():
    with gh.Upstream() as u:
        yield u


@pytest.fixture
def served(upstream):
    """A gateway whose every request goes to `upstream`."""
    with gh.Gateway(gh.simple_files(upstream)) as g:
        g.upstream = upstream
        yield g
