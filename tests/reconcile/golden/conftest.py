"""The same API as for reviews."""

from tests.reconcile.review.conftest import client

__all__ = ["client"]
