"""Connections to Redis: one server, one behind Sentinel, or a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from muniment.settings import InvalidSetting

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    RedisClient = Redis | RedisCluster

CONNECT_SECONDS = 5.0
"""Longest wait for a connection to be made."""
ANSWER_SECONDS = 1.0
"""Longest wait for an answer: a cache that is slower than what it saves is of no use."""
MAX_CONNECTIONS = 64
"""Most connections of one process to one server."""
MAX_CLUSTER_CONNECTIONS = 1024
"""Most connections of one process to one node of a cluster."""

_SETTING = "MUNIMENT_REDIS_URL"
_FORMS = (
    "redis://host:port/db, rediss://host:port/db, unix:///path?db=0, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}
_REDIS_PORT = 6379
_SENTINEL_PORT = 26379


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[RedisClient]:
    """Open a client for an address; nothing is asked of the server until a command is.

    Connections are checked after 30 idle seconds and a command whose connection is lost is
    tried once more, at once. All waits are bounded, so that whoever can do without Redis need
    not wait for it. Answers are bytes.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` as redis-py takes them;
            `redis+sentinel://user:password@host:port,host:port/service/db`, where
            `?sentinel_username=…&sentinel_password=…` are for the Sentinels themselves;
            `redis+cluster://user:password@host:port,host:port`. `rediss+sentinel` and
            `rediss+cluster` are the same with TLS.

    Raises:
        InvalidSetting: the address cannot be understood, or the package is not installed.
    """
    client, others = _client(url)
    try:
        yield client
    finally:
        await client.aclose()
        for other in others:
            await other.aclose()


def redis_failures() -> tuple[type[Exception], ...]:
    """Return what a client raises when Redis cannot be used at the moment.

    Besides the errors that redis-py documents, that is what escapes from it (8.1) when a
    connection is closed while another task writes to it: AttributeError and TypeError, see
    its issues 3835 and 4287. The errors of a cluster as a whole are no RedisError either.
    """
    from redis.exceptions import RedisClusterException, RedisError

    return RedisError, RedisClusterException, OSError, TimeoutError, AttributeError, TypeError


def _client(url: str) -> tuple[RedisClient, list[Any]]:
    """Return a client, and what has to be closed with it."""
    try:
        import redis.asyncio
    except ImportError as error:
        raise InvalidSetting(
            f"{_SETTING} is set, but the package redis is missing: pip install 'muniment[redis]'."
        ) from error
    try:
        return _open(redis.asyncio, url)
    except (TypeError, ValueError) as error:
        # The address itself is not repeated: it may hold a password.
        raise InvalidSetting(
            f"{_SETTING} cannot be used ({error}); it looks like {_FORMS}."
        ) from error


def _open(library: Any, url: str) -> tuple[RedisClient, list[Any]]:
    address = urlsplit(url)
    match address.scheme:
        case "redis" | "rediss" | "unix":
            return _single(library, url, address), []
        case "redis+sentinel" | "rediss+sentinel":
            return _behind_sentinel(library, address)
        case "redis+cluster" | "rediss+cluster":
            return _cluster(library, address), []
    raise ValueError("it begins with none of the known schemes")


def _single(library: Any, url: str, address: SplitResult) -> Redis:
    if address.scheme != "unix":
        if not address.hostname:
            raise ValueError("it names no host")
        _database(address.path.strip("/"))
    # A pool that waits: under load a request should queue for a connection, not fail.
    pool = library.BlockingConnectionPool.from_url(
        url, max_connections=MAX_CONNECTIONS, timeout=ANSWER_SECONDS, **_bounds(address.scheme)
    )
    # Options in the address that do not exist are noticed here instead of at the first command.
    pool.connection_class(**pool.connection_kwargs)
    client: Redis = library.Redis.from_pool(pool)
    return client


def _behind_sentinel(library: Any, address: SplitResult) -> tuple[Redis, list[Any]]:
    service, _, database = address.path.strip("/").partition("/")
    if not service:
        raise ValueError("it names no service after the Sentinels")
    bounds = _bounds("redis")
    options = dict(parse_qsl(address.query, strict_parsing=bool(address.query)))
    if unknown := options.keys() - _SENTINEL_OPTIONS.keys():
        raise ValueError(f"the option {min(unknown)} is unknown")
    of_sentinels = {_SENTINEL_OPTIONS[name]: value for name, value in options.items()}
    tls = {"ssl": True} if address.scheme.startswith("rediss") else {}
    sentinel = library.Sentinel(
        _hosts(address, _SENTINEL_PORT),
        sentinel_kwargs=bounds | of_sentinels | tls,
        **(bounds | _credentials(address) | tls),
    )

    # The library is loaded when it is needed, so the type checker does not see these classes.
    class WaitingPool(
        library.sentinel.SentinelConnectionPool,  # type: ignore[misc]
        library.BlockingConnectionPool,  # type: ignore[misc]
    ):
        """Connections to the current master, for which requests queue as for one server's."""

    client: Redis = sentinel.master_for(
        service,
        connection_pool_class=WaitingPool,
        db=_database(database),
        max_connections=MAX_CONNECTIONS,
        timeout=ANSWER_SECONDS,
    )
    return client, [sentinel]


def _cluster(library: Any, address: SplitResult) -> RedisCluster:
    if address.path.strip("/") or address.query:
        raise ValueError("a cluster has neither databases nor options")
    client: RedisCluster = library.RedisCluster(
        startup_nodes=[
            library.cluster.ClusterNode(host, port) for host, port in _hosts(address, _REDIS_PORT)
        ],
        # A cluster's client fails instead of waiting when all its connections are in use.
        max_connections=MAX_CLUSTER_CONNECTIONS,
        # A part of the cluster that is down must not take the rest with it.
        require_full_coverage=False,
        ssl=address.scheme.startswith("rediss"),
        **(_bounds("redis") | _credentials(address)),
    )
    return client


def _bounds(scheme: str) -> dict[str, Any]:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    bounds: dict[str, Any] = {
        "socket_timeout": ANSWER_SECONDS,
        "health_check_interval": 30,
        "retry": Retry(NoBackoff(), 1),
    }
    if scheme != "unix":
        bounds |= {"socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}
    return bounds


def _credentials(address: SplitResult) -> dict[str, str]:
    found = {"username": address.username, "password": address.password}
    return {name: unquote(value) for name, value in found.items() if value}


def _hosts(address: SplitResult, default_port: int) -> list[tuple[str, int]]:
    """Read `host:port,host:port`; an IPv6 address stands in brackets."""
    hosts = []
    for part in address.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{part}")
        if not one.hostname:
            raise ValueError("it names no host")
        hosts.append((one.hostname, one.port or default_port))
    return hosts


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(f"the database must be a number, not {text!r}")
    return int(text or 0)
