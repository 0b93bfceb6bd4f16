"""The worlds of the tests of API and edge, for requests that nobody wrote by hand."""

from tests.api.conftest import world
from tests.edge.conftest import make_world

__all__ = ["make_world", "world"]
