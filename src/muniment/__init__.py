"""Muniment: a self-hosted, multi-tenant knowledge backend."""

from importlib.metadata import version

__version__ = version("muniment")
