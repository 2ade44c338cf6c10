"""What keeping organizations apart costs: row-level security, authentication, the operator's list.

- A page of 50 documents as `muniment_app` under the policies, and the same statement as a role
  that bypasses them with the organization written out; in turns, in a library of 100,000
  documents of 1,000 organizations.
- `GET /v1/me` with a key whose caller is cached, against `GET /healthz` of the same process,
  through the server and one connection on loopback, rate limits on; in turns.
- A page of 100 of 1,000 organizations with their usage, as the operator asks for it.

    python -m benchmarks.tenancy [--json] [--organizations 1000] [--documents 100]
        [--rounds 3000] [--requests 2000]

One table, then one JSON line. Milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from muniment.db import Database, OrgId, Role, TenantScope, load_statements
from muniment.db.installation import Installation, installation, upgrade
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.operators.keys import create_operator_key

PAGE = 50
NEWEST = UUID(int=2**128 - 1)
LARGEST_LIBRARY = 5000
"""Documents of the organization whose page is timed."""
_COUNTED = re.compile(
    r'^muniment_db_statement_duration_seconds_count\{statement="(.+)"\} (.+)$', re.MULTILINE
)


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder))
        with installation(settings) as target:
            upgrade(target)
            figures = uvloop.run(_in_database(settings, target, arguments))
            keys = figures.pop("keys")
            figures |= _through_http(folder, keys, arguments)
    _report(figures, arguments)


async def _in_database(
    settings: Settings, target: Installation, arguments: argparse.Namespace
) -> dict[str, Any]:
    async with target.open(settings, statement_timeout=600) as database:
        scope = await _fill(database, arguments.organizations, arguments.documents)
        owner = await asyncpg.connect(target.owner_dsn)
        await owner.execute("VACUUM ANALYZE")
        await owner.close()
        async with database.unit_of_work(scope) as work:
            key = (await create_api_key(work, "benchmark", Role.OWNER)).key
        async with database.operator() as work:
            operator_key = await create_operator_key(work, "benchmark")
        figures = await _policies(database, scope, arguments.rounds)
        async with database.operator() as work:
            figures["documents"] = await work.connection.fetchval("SELECT count(*) FROM documents")
            figures["postgres"] = await work.connection.fetchval("SHOW server_version")
    return figures | {"keys": (key, operator_key)}


async def _fill(database: Database, organizations: int, documents: int) -> TenantScope:
    """Make organizations with members, keys and documents; return the scope of a large one."""
    async with database.operator() as work:
        run = work.connection.execute
        await run(
            "INSERT INTO organizations (org_id, name, tier)"
            " SELECT uuidv7(), 'Organization ' || n, 'enterprise' FROM generate_series(1, $1) n",
            organizations,
        )
        await run(
            "INSERT INTO workspaces (org_id, workspace_id, name)"
            " SELECT org_id, uuidv7(), 'default' FROM organizations"
        )
        await run(
            "INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)"
            " SELECT org_id, uuidv7(), workspace_id, 'upload', 'Uploads', '' FROM workspaces"
        )
        await run(
            "INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role, last_used_at)"
            " SELECT org_id, uuidv7(), 'key', 'mun_', sha256(uuidv7()::text::bytea), 'viewer',"
            " now() FROM organizations, generate_series(1, 3)"
        )
        await run(
            "INSERT INTO users (user_id, email, name)"
            " SELECT uuidv7(), 'person' || n || '@example.com', 'Person'"
            " FROM generate_series(1, $1 * 5) n",
            organizations,
        )
        await run(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " SELECT org.org_id, person.user_id, person.email, person.name, 'owner'"
            " FROM (SELECT org_id, row_number() OVER () AS n FROM organizations) AS org"
            " JOIN (SELECT *, row_number() OVER () AS n FROM users) AS person"
            " ON person.n % $1 = org.n % $1",
            organizations,
        )
    org_id = await _documents(database, documents)
    return TenantScope(OrgId(org_id), None, "benchmark", Role.OWNER)


async def _documents(database: Database, documents: int) -> UUID:
    async with database.operator() as work:
        org_id: UUID = await work.connection.fetchval("SELECT org_id FROM organizations LIMIT 1")
        # Written turn by turn, so that the rows of an organization do not lie side by side.
        await work.connection.execute(
            "INSERT INTO documents (org_id, document_id, workspace_id, source_id, external_id,"
            " title, url, media_type, size_bytes, content_hash, status, page_count, chunk_count)"
            " SELECT org_id, uuidv7(), workspace_id, source_id, 'file ' || n || '.pdf',"
            " 'Report on matter ' || n, '/v1/documents/' || n, 'application/pdf', 12345,"
            " sha256(n::text::bytea), 'embedded', 12, 34"
            " FROM generate_series(1, $1) n, sources WHERE n <= $2 OR org_id = $3",
            max(documents, LARGEST_LIBRARY),
            documents,
            org_id,
        )
    return org_id


async def _policies(database: Database, scope: TenantScope, rounds: int) -> dict[str, Any]:
    """Time the same page under the policies and without them, one after the other."""
    under: str = load_statements("muniment.documents").list_documents.sql
    past = under.replace("current_org_id()", "$6")
    given = (NEWEST, None, None, None, PAGE)
    times: dict[str, list[float]] = {"policies": [], "none": []}
    async with database.unit_of_work(scope) as ours, database.operator() as all_of_them:
        app, operator = ours.connection, all_of_them.connection
        for number in range(rounds + 100):
            for name, connection, sql, values in (
                ("policies", app, under, given),
                ("none", operator, past, (*given, scope.org_id)),
            ):
                start = time.perf_counter()
                rows = await connection.fetch(sql, *values)
                taken = (time.perf_counter() - start) * 1000
                assert len(rows) == PAGE
                if number >= 100:
                    times[name].append(taken)
        plans = {
            "policies": await _plan(app, under, given),
            "none": await _plan(operator, past, (*given, scope.org_id)),
        }
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {
        "page_under_policies_ms": medians["policies"],
        "page_without_ms": medians["none"],
        "policies_ratio": medians["policies"] / medians["none"],
        "plans": plans,
    }


async def _plan(connection: Any, sql: str, values: tuple[Any, ...]) -> str:
    """Return the steps of a plan, without their figures."""
    lines = await connection.fetch(f"EXPLAIN (COSTS OFF) {sql}", *values)
    return "; ".join(line[0].strip() for line in lines)


def _through_http(
    folder: str, keys: tuple[str, str], arguments: argparse.Namespace
) -> dict[str, Any]:
    key, operator_key = keys
    with _server(folder) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for path, sent in (("/healthz", None), ("/v1/me", key)):
            for _ in range(200):
                _ask(connection, path, sent)
        times: dict[str, list[float]] = {"healthz": [], "me": [], "operator": []}
        before = _statements(connection)
        for _ in range(arguments.requests):
            times["healthz"].append(_ask(connection, "/healthz", None))
            times["me"].append(_ask(connection, "/v1/me", key))
        ran = _statements(connection)
        ran = {name: count - before.get(name, 0) for name, count in ran.items()}
        for _ in range(100):
            path = "/v1/admin/organizations?limit=100"
            times["operator"].append(_ask(connection, path, operator_key))
        connection.close()
    figures: dict[str, Any] = {
        f"{name}_p{percentile}_ms": statistics.quantiles(taken, n=100)[percentile - 1]
        for name, taken in times.items()
        for percentile in (50, 95)
    }
    for percentile in (50, 95):
        figures[f"authentication_p{percentile}_ms"] = (
            figures[f"me_p{percentile}_ms"] - figures[f"healthz_p{percentile}_ms"]
        )
    # A key's time of use is written once a minute, which is not on the way of a request.
    figures["tenancy_statements"] = sum(
        count for name, count in ran.items() if name.startswith("tenancy") and "touch" not in name
    )
    figures["statements"] = {name: count for name, count in ran.items() if count}
    return figures


@contextmanager
def _server(folder: str) -> Iterator[int]:
    """Run the API on the data of a folder, as it is run in earnest, and give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MUNIMENT_DATA_DIR": folder,
        "MUNIMENT_LOG_LEVEL": "warning",
        "MUNIMENT_TIERS__ENTERPRISE__REQUESTS_PER_MINUTE": "10000000",
    }
    command = [sys.executable, "-m", "muniment", "api", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            sys.exit("The API did not start; its messages are above.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("The API did not start within a minute.")


def _ask(connection: http.client.HTTPConnection, path: str, key: str | None) -> float:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    start = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    taken = (time.perf_counter() - start) * 1000
    if answer.status != 200:
        sys.exit(f"{path} answered {answer.status}: {body.decode()}")
    return taken


def _statements(connection: http.client.HTTPConnection) -> dict[str, int]:
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {name: int(float(count)) for name, count in _COUNTED.findall(text)}


def _report(figures: dict[str, Any], arguments: argparse.Namespace) -> None:
    rows = [
        ("page of 50 documents, policies", "page_under_policies_ms", ""),
        ("page of 50 documents, none", "page_without_ms", ""),
        ("ratio", "policies_ratio", "< 1.10"),
        ("GET /healthz p50", "healthz_p50_ms", ""),
        ("GET /v1/me p50, cached", "me_p50_ms", ""),
        ("authentication p50", "authentication_p50_ms", "< 1"),
        ("authentication p95", "authentication_p95_ms", "< 1"),
        ("tenancy statements, all requests", "tenancy_statements", "0"),
        ("operator's page p50", "operator_p50_ms", "< 100"),
        ("operator's page p95", "operator_p95_ms", "< 100"),
    ]
    if not arguments.json:
        for label, name, wanted in rows:
            print(f"{label:<36}{figures[name]:>10.3f}  {wanted}")
        for name, plan in figures["plans"].items():
            print(f"plan, {name}: {plan}")
    report = {
        "benchmark": "tenancy",
        "organizations": arguments.organizations,
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        **{name: round(x, 4) if isinstance(x, float) else x for name, x in figures.items()},
        "repeat_with": " ".join(["python -m benchmarks.tenancy", *sys.argv[1:]]),
    }
    print(json.dumps(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.tenancy", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--organizations", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=100, help="of each organization")
    parser.add_argument("--rounds", type=int, default=3000, help="pages of documents")
    parser.add_argument("--requests", type=int, default=2000, help="of each kind")
    return parser.parse_args()


if __name__ == "__main__":
    main()
