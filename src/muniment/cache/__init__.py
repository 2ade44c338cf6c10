"""What is kept in memory: cached values and counts of requests, shared through Redis or not."""

from muniment.cache.cache import Cache
from muniment.cache.memory import EVERYTHING
from muniment.cache.namespace import Namespace
from muniment.cache.opening import open_cache
from muniment.cache.statistics import CacheStatistics, NamespaceStatistics
from muniment.cache.warming import WarmValue

__all__ = [
    "EVERYTHING",
    "Cache",
    "CacheStatistics",
    "Namespace",
    "NamespaceStatistics",
    "WarmValue",
    "open_cache",
]
