"""Whether the server is there, of the right version, bounded in time, and large enough."""

from __future__ import annotations

from muniment.db.doctor import Examination, Fault, Needs, Severity, doctor_check, plural, quoted
from muniment.db.installation import expected_revision
from muniment.db.statements import load_statements

_statements = load_statements("muniment.db.checks")

OLDEST_SERVER = 15
EXTENSIONS = {"vector": (0, 8), "unaccent": (), "pg_trgm": ()}
"""What the schema needs, with the least version."""
SESSION_TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout")
LONGEST = {
    "api_statement_timeout": 60.0,
    "worker_statement_timeout": 600.0,
    "pool_acquire_timeout": 60.0,
}
"""Seconds above which a time-out of the settings is as good as none."""
SKEW_SECONDS, WRONG_SECONDS = 2.0, 60.0
OWN_CONNECTIONS = 2
"""Connections of a process beside its pools: it listens, and holds a sign of life."""
FEWEST_PROCESSES = 3
"""`muniment up` runs so many."""
BUSY_SHARE = 0.8
LEAST_PAGES = 1_000_000
LEAST_HITS = 0.8
OLD_SECONDS = 1800.0


@doctor_check(
    "db.reachable",
    "The database answers as muniment_app and as muniment_operator.",
    Severity.ERROR,
    needs=Needs.NOTHING,
)
async def reachable(examination: Examination) -> list[Fault]:
    """Begin a transaction as each role; what fails is told by the runner."""
    async with examination.database.system() as work:
        await _statements.clock(work)
    async with examination.database.operator() as work:
        await _statements.clock(work)
    return []


@doctor_check("db.migrations", "No migration is pending.", Severity.ERROR, needs=Needs.DATABASE)
async def migrations(examination: Examination) -> list[Fault]:
    """Compare the revision of the schema with that of this version."""
    wanted = expected_revision()
    async with examination.database.operator() as work:
        there = await _statements.has_revisions(work)
        found = await _statements.revision(work) if there else None
    if found == wanted:
        return []
    if found is not None and found > wanted:
        return [
            Fault(
                title="The schema is newer than this version of Muniment.",
                evidence=f"The schema is at revision {found}, this version knows {wanted}.",
                remedy="Install the version of Muniment that upgraded it.",
            )
        ]
    return [
        Fault(
            title="Migrations are pending.",
            evidence=f"The schema is at revision {found or 'none'}, this version needs {wanted}.",
            remedy="Stop the processes, upgrade the schema, start them.",
            command="muniment db upgrade",
        )
    ]


@doctor_check(
    "db.versions",
    f"Postgres is at least {OLDEST_SERVER} and has the extensions that the schema needs.",
    Severity.ERROR,
    needs=Needs.DATABASE,
)
async def versions(examination: Examination) -> list[Fault]:
    """Compare the versions of server and extensions with the oldest that will do."""
    async with examination.database.operator() as work:
        server = await _statements.server_version(work) // 10_000
        rows = await _statements.extensions(work, names=[*EXTENSIONS])
    faults = []
    if server < OLDEST_SERVER:
        faults.append(
            Fault(
                title=f"Postgres {server} is too old.",
                evidence=f"The server is of version {server}; Muniment needs {OLDEST_SERVER}.",
                remedy="Upgrade the server.",
            )
        )
    found = {row["name"]: row["version"] for row in rows}
    for name, least in EXTENSIONS.items():
        needed = ".".join(map(str, least))
        if name not in found:
            faults.append(
                Fault(
                    title=f"The extension {name} is missing.",
                    evidence="It is not installed in this database.",
                    remedy="Install it; the server must carry it.",
                    sql=(f"CREATE EXTENSION {name} WITH SCHEMA public",),
                )
            )
        elif _version(found[name]) < least:
            faults.append(
                Fault(
                    title=f"The extension {name} is too old.",
                    evidence=f"It is of version {found[name]}; Muniment needs {needed}.",
                    remedy="Update it; the server must carry the new version.",
                    sql=(f"ALTER EXTENSION {name} UPDATE",),
                )
            )
    return faults


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


@doctor_check(
    "db.timeouts",
    "Every statement and every idle transaction has a time-out.",
    Severity.WARNING,
    needs=Needs.DATABASE,
)
async def timeouts(examination: Examination) -> list[Fault]:
    """Look at what a new session of each role gets, and at our own settings.

    Transactions of ours bring their own limits; what is looked at here holds for statements
    outside of one and for whoever else connects with these roles.
    """
    faults = []
    for role, lend in (
        ("muniment_app", examination.database.system),
        ("muniment_operator", examination.database.operator),
    ):
        async with lend() as work:
            name = await _statements.current_database(work)
            rows = await _statements.settings(work, names=[*SESSION_TIMEOUTS])
        faults += [
            Fault(
                title=f"{setting} is off for {role}.",
                evidence=f"A new session of {role} gets {setting} = 0.",
                remedy="Set it; new connections have it at once.",
                sql=(f"ALTER ROLE {role} IN DATABASE {quoted(name)} SET {setting} = '60s'",),
            )
            for setting in sorted(row["name"] for row in rows if row["value"] == "0")
        ]
    for setting, longest in LONGEST.items():
        seconds = getattr(examination.settings, setting)
        default = type(examination.settings).model_fields[setting].default
        if seconds > longest:
            variable = f"MUNIMENT_{setting.upper()}"
            faults.append(
                Fault(
                    title=f"{variable} is too long.",
                    evidence=f"It is {seconds:,.0f} s; above {longest:,.0f} s it protects nobody.",
                    remedy="Shorten it and restart the processes.",
                    settings={variable: f"{default:g}"},
                )
            )
    return faults


@doctor_check(
    "db.pools",
    "The pools of all processes fit into the connections that the server allows.",
    Severity.ERROR,
    needs=Needs.DATABASE,
)
async def pools(examination: Examination) -> list[Fault]:
    """Add up the pools of the API processes that are connected, and of two workers."""
    settings = examination.settings
    available, clients, listeners = await _connections(examination)
    processes = max(FEWEST_PROCESSES, listeners + FEWEST_PROCESSES - 1)
    beside = settings.operator_pool_size + OWN_CONNECTIONS
    needed = settings.pool_size + beside
    faults = []
    if needed * processes > available:
        fitting = max(2, available // processes - beside)
        faults.append(
            Fault(
                title="The pools are larger than the server allows.",
                evidence=f"{plural(processes, 'process', 'processes')} with up to {needed} "
                f"connections each ({settings.pool_size} of the application, "
                f"{settings.operator_pool_size} of the operator, {OWN_CONNECTIONS} of their own) "
                f"need {needed * processes}; the server has {available} to give.",
                remedy="Make the pools smaller, or raise max_connections and restart the server.",
                settings={"MUNIMENT_POOL_SIZE": str(fitting)},
                severity=Severity.ERROR if needed > available else Severity.WARNING,
            )
        )
    if clients >= BUSY_SHARE * available:
        faults.append(
            Fault(
                title="Nearly all connections of the server are taken.",
                evidence=f"{clients} of {available} are in use, by all databases together.",
                remedy="Find out who holds them in pg_stat_activity; raise max_connections and "
                "restart the server, or put PgBouncer before it.",
                severity=Severity.WARNING,
            )
        )
    return faults


async def _connections(examination: Examination) -> tuple[int, int, int]:
    """Return how many connections there may be, how many there are, and listening processes."""
    names = ["max_connections", "superuser_reserved_connections", "reserved_connections"]
    async with examination.database.operator() as work:
        rows = await _statements.settings(work, names=names)
        row = await _statements.connections(work)
    most = {each["name"]: int(each["value"]) for each in rows}
    available = most.pop("max_connections") - sum(most.values())
    return available, row["clients"], row["listeners"]


@doctor_check(
    "db.durability",
    "The server writes what it says is written.",
    Severity.ERROR,
    needs=Needs.DATABASE,
)
async def durability(examination: Examination) -> list[Fault]:
    """Look for settings that trade data for speed."""
    wanted = {"fsync": Severity.ERROR, "full_page_writes": Severity.ERROR}
    async with examination.database.operator() as work:
        rows = await _statements.settings(work, names=[*wanted, "synchronous_commit"])
    faults = [
        Fault(
            title=f"{row['name']} is off.",
            evidence="A crash of the machine or of its power can damage the database for good.",
            remedy="Switch it on; then restore from a backup if there was a crash meanwhile.",
            sql=(f"ALTER SYSTEM SET {row['name']} = on", "SELECT pg_reload_conf()"),
            severity=wanted.get(row["name"], Severity.WARNING),
        )
        for row in rows
        if row["value"] == "off"
    ]
    return sorted(faults, key=lambda fault: fault.title)


@doctor_check(
    "db.clock",
    "The clocks of this machine and of the database agree.",
    Severity.ERROR,
    needs=Needs.DATABASE,
)
async def clock(examination: Examination) -> list[Fault]:
    """Compare the clocks; how long the answer took is allowed for."""
    async with examination.database.operator() as work:
        before = examination.now()
        theirs = await _statements.clock(work)
        after = examination.now()
    skew = (theirs - (before + (after - before) / 2)).total_seconds()
    if abs(skew) - (after - before).total_seconds() / 2 < SKEW_SECONDS:
        return []
    return [
        Fault(
            title="The clocks of this machine and of the database differ.",
            evidence=f"That of the database is {abs(skew):,.1f} s "
            f"{'ahead' if skew > 0 else 'behind'}; sessions, keys and jobs begin and end by it.",
            remedy="Let both machines keep time by NTP (chrony, systemd-timesyncd).",
            severity=Severity.ERROR if abs(skew) >= WRONG_SECONDS else Severity.WARNING,
        )
    ]


@doctor_check(
    "db.buffers",
    "The server finds most of what it reads in its memory.",
    Severity.WARNING,
    needs=Needs.DATABASE,
)
async def buffers(examination: Examination) -> list[Fault]:
    """Look at the share of pages found in memory, once there were enough to judge by."""
    async with examination.database.operator() as work:
        row = await _statements.buffers(work)
    pages = row["hits"] + row["reads"]
    if pages < LEAST_PAGES or row["hits"] >= LEAST_HITS * pages:
        return []
    return [
        Fault(
            title="The server reads much from its disk.",
            evidence=f"Of {pages:,} pages {row['hits'] / pages:.0%} were in its memory; from "
            f"{LEAST_HITS:.0%} on it is well.",
            remedy="Raise shared_buffers (a quarter of the machine's memory is usual) with ALTER "
            "SYSTEM and restart the server; `SELECT pg_stat_reset()` begins to count anew.",
        )
    ]


@doctor_check("db.old_transactions", "No transaction is open for long.", Severity.WARNING)
async def old_transactions(examination: Examination) -> list[Fault]:
    """Find transactions that keep vacuum from removing anything newer."""
    async with examination.database.operator() as work:
        rows = await _statements.old_transactions(work, seconds=OLD_SECONDS)
    return [
        Fault(
            title=f"A transaction of {row['role']} is open for long.",
            evidence=f"The session {row['pid']} ({row['application'] or 'no name'}, "
            f"{row['state']}) began it {row['seconds'] / 60:,.0f} minutes ago.",
            remedy="Let it end, or end its session; what it has not committed is lost.",
            sql=(f"SELECT pg_terminate_backend({row['pid']})",),
        )
        for row in rows
    ]


checks = [
    reachable,
    migrations,
    versions,
    timeouts,
    pools,
    durability,
    clock,
    buffers,
    old_transactions,
]
