"""Every setting of Muniment, read from the environment (``MUNIMENT_…``) or a ``.env`` file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from muniment.errors import MunimentError
from muniment.objective_settings import Objectives, default_objectives
from muniment.tier_settings import TierName, Tiers


def default_data_dir() -> Path:
    """Return where data goes unless told otherwise.

    Root's home is closed to others and the embedded Postgres refuses to run as root, so
    root gets the system's place for such data instead of one below its home.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/muniment")
    return platformdirs.user_data_path("muniment")


class InvalidSetting(MunimentError):
    """A setting has a value that it cannot have."""

    code = "invalid_setting"
    title = "Invalid setting"


class Settings(BaseSettings):
    """The one settings class; each field is documented in docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_prefix="MUNIMENT_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_nested_delimiter="__",
    )

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder for the embedded database, blobs and the installation's secret.",
    )
    database_url: str | None = Field(
        default=None,
        description="Postgres to use instead of the embedded one, as its administrator; "
        "the application itself connects as muniment_app.",
    )
    app_database_url: str | None = Field(
        default=None, description="Overrides the address derived for the role muniment_app."
    )
    worker_database_url: str | None = Field(
        default=None, description="Overrides the address derived for the role muniment_worker."
    )
    operator_database_url: str | None = Field(
        default=None, description="Overrides the address derived for the role muniment_operator."
    )
    secret_key: str | None = Field(
        default=None,
        description="Signs cursors and derives role passwords; made and kept in data_dir if unset.",
    )
    pool_size: int = Field(
        default=16, ge=2, description="Most application connections of one process."
    )
    operator_pool_size: int = Field(
        default=2, ge=1, description="Most operator connections of one process."
    )
    pool_acquire_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a connection before a 503."
    )
    api_statement_timeout: float = Field(
        default=10.0, gt=0, description="Seconds that one statement of a request may take."
    )
    worker_statement_timeout: float = Field(
        default=30.0, gt=0, description="Seconds that one statement of a job may take."
    )
    job_event_streams: int = Field(
        default=1000, ge=1, description="Most streams of job events that one API process serves."
    )
    url: str | None = Field(
        default=None, description="Address of a remote Muniment that the commands talk to."
    )
    api_key: str | None = Field(
        default=None, description="API key for the remote Muniment of MUNIMENT_URL."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8642, ge=0, le=65535, description="Port the API listens on.")
    max_upload_bytes: int = Field(
        default=10**9,
        gt=0,
        description="Largest file that is imported, in bytes; an organization's tier may allow "
        "less.",
    )
    fast_concurrency: int = Field(
        default=8, ge=1, description="Jobs of the lane `fast` that one worker runs at a time."
    )
    convert_concurrency: int = Field(
        default=2, ge=1, description="Jobs of the lane `convert` that one worker runs at a time."
    )
    embed_concurrency: int = Field(
        default=1, ge=1, description="Jobs of the lane `embed` that one worker runs at a time."
    )
    reconcile_concurrency: int = Field(
        default=1, ge=1, description="Jobs of the lane `reconcile` that one worker runs at a time."
    )
    jobs_keep_days: float = Field(
        default=14.0, gt=0, description="Days after which jobs that succeeded are deleted."
    )
    failed_jobs_keep_days: float = Field(
        default=60.0, gt=0, description="Days after which jobs that failed are deleted."
    )
    jobs_keep_most: int = Field(
        default=200_000,
        ge=1000,
        description="Ended jobs of an organization that are kept at most, the newest of them.",
    )
    convert_processes: int = Field(
        default=2, ge=1, description="Conversion processes of one worker."
    )
    convert_timeout: float = Field(
        default=120.0, gt=0, description="Seconds after which the conversion of a file is killed."
    )
    convert_memory_mb: int = Field(
        default=512, ge=128, description="Memory ceiling of a conversion process, in MB."
    )
    reconcile_memory_mb: int = Field(
        default=4096, ge=256, description="Memory ceiling of a run of a reconciliation, in MB."
    )
    reconcile_timeout: float = Field(
        default=3600.0, gt=0, description="Seconds after which a run of a reconciliation is killed."
    )
    reconcile_max_bytes: int = Field(
        default=4 * 10**9,
        ge=1,
        description="Largest file of records, unless the tier allows less, in bytes.",
    )
    reconcile_connections: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Databases that datasets may be queried from, as JSON: names by which the "
        "API knows them, and addresses (postgresql://...) of a user that may only read.",
    )
    reconcile_splink_backend: Literal["duckdb", "spark"] = Field(
        default="duckdb",
        description="What runs a Splink model of one's own: `spark` needs the extra `spark` and "
        "Java.",
    )
    ocr: bool = Field(
        default=True, description="Read the text of scans when the extra `ocr` is installed."
    )
    chunk_tokens: int = Field(
        default=512,
        ge=32,
        description="Most tokens in a passage, by the embedder's tokenizer; the embedder reads "
        "as many.",
    )
    embed_model: str = Field(
        default="all-MiniLM-L6-v2",
        description="Embedding model: the packaged one, or a folder with model.onnx "
        "and tokenizer.json.",
    )
    embed_threads: int = Field(
        default=2, ge=1, description="Processor threads that one process embeds with."
    )
    slow_statement_ms: float = Field(
        default=100.0,
        gt=0,
        description="Milliseconds from which a statement of a request is logged and counted as "
        "slow.",
    )
    slow_job_statement_ms: float = Field(
        default=1000.0,
        gt=0,
        description="The same for a statement of a job, which works in bulk.",
    )
    statements_per_request: int = Field(
        default=10,
        ge=1,
        description="Statements of a request above which it is logged and counted as excessive.",
    )
    same_statement_per_request: int = Field(
        default=5,
        ge=2,
        description="Runs of one statement in a request from which it is logged and counted (N+1).",
    )
    statements_per_job: int = Field(
        default=500,
        ge=1,
        description="Statements of an attempt at a job above which it is logged and counted.",
    )
    same_statement_per_job: int = Field(
        default=200,
        ge=2,
        description="Runs of one statement in an attempt from which it is logged and counted.",
    )
    development: bool = Field(
        default=False,
        description="Show, beside a slow statement and those of an excessive request or job, their "
        "SQL (never its parameters) and the line of code that ran them.",
    )
    worker_host: str = Field(
        default="127.0.0.1", description="Address that a worker listens on, see worker_port."
    )
    worker_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on which a worker serves /metrics, /healthz and /readyz; 0 for none. Of "
        "several workers of one machine, one does so for all.",
    )
    listen_database_url: str | None = Field(
        default=None,
        description="Address for connections that listen and hold locks, as muniment_app; needed "
        "where the others go through PgBouncer in transaction mode.",
    )
    replica_database_url: str | None = Field(
        default=None,
        description="Streaming replica of the database, as muniment_app: lists and searches read "
        "from it while it is recent enough.",
    )
    replica_max_lag_seconds: float = Field(
        default=5.0,
        ge=1,
        description="Seconds by which the replica may lag before the primary is read instead.",
    )
    prepared_statements: bool = Field(
        default=True,
        description="Keep statements prepared on their connections; false behind PgBouncer in "
        "transaction mode before 1.21, or without max_prepared_statements.",
    )
    pool_idle_seconds: float = Field(
        default=300.0, gt=0, description="Seconds after which an unused connection is closed."
    )
    pool_lifetime_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds after which a connection is replaced, give or take a tenth.",
    )
    redis_url: str | None = Field(
        default=None,
        description="Redis or Valkey that several processes share their cache and rate limits in: "
        "redis://, rediss://, redis+sentinel:// or redis+cluster://.",
    )
    cache_entries: int = Field(
        default=2000, ge=1, description="Most entries that one process caches for itself."
    )
    cache_mb: int = Field(
        default=64, ge=1, description="Most megabytes that one process caches for itself."
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which people reach this installation, for links in mails; "
        "http://HOST:PORT if unset.",
    )
    trusted_proxies: str = Field(
        default="127.0.0.1",
        description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed, separated by commas.",
    )
    sign_up: bool = Field(
        default=True, description="Let anybody who reaches the API create an organization."
    )
    sign_up_tier: TierName = Field(
        default="free", description="Tier of organizations that people create themselves."
    )
    tiers: Tiers = Field(
        default_factory=lambda: Tiers.model_validate({}),
        description="Limits by tier, as JSON or one by one: MUNIMENT_TIERS__FREE__MAX_DOCUMENTS.",
    )
    objectives: Objectives = Field(
        default_factory=default_objectives,
        description="What is promised about groups of routes and kinds of jobs, as JSON or one by "
        "one: MUNIMENT_OBJECTIVES__SEARCH__WITHIN_MS; `null` takes one away. See operations.md.",
    )
    rate_limits: bool = Field(
        default=True, description="Hold organizations and addresses to their number of requests."
    )
    session_idle_hours: float = Field(
        default=72.0, ge=0.25, description="Hours without a request after which a sign-in ends."
    )
    session_absolute_days: float = Field(
        default=30.0, gt=0, description="Days after which a sign-in ends in any case."
    )
    sign_in_attempts_per_account: int = Field(
        default=10, ge=1, description="Failed sign-ins of one account in 15 minutes."
    )
    sign_in_attempts_per_address: int = Field(
        default=30,
        ge=1,
        description="Attempts to sign in, sign up or reset from one address in 15 minutes.",
    )
    smtp_url: str | None = Field(
        default=None,
        description="Mail server: smtp://user:password@host:587 (STARTTLS where offered, and "
        "with a password always, unless the address ends in ?starttls=false) or smtps://. "
        "Without it, links are printed by `muniment admin`.",
    )
    mail_from: str | None = Field(default=None, description="Sender of mails.")
    oidc_issuer: str | None = Field(
        default=None, description="OpenID provider that people may sign in with."
    )
    oidc_client_id: str | None = Field(default=None, description="Our name at the provider.")
    oidc_client_secret: str | None = Field(
        default=None, description="Our secret at the provider; none for a public client."
    )
    oidc_name: str = Field(default="single sign-on", description="What people call the provider.")
    oidc_sign_up: bool = Field(
        default=True, description="Let people whom the provider knows in without an invitation."
    )
    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]",
        description="Base address of a collector that traces are sent to (OTLP over HTTP), such as "
        "http://localhost:4318; needs the extra `otel`.",
    )
    trace_sample_ratio: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the traces begun here that are sent, 0 for none at all; "
        "OTEL_TRACES_SAMPLER, or all, if unset.",
    )
    log_format: Literal["pretty", "json"] = Field(
        default="pretty", description="Log lines for people or for machines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log lines that are written."
    )


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises:
        InvalidSetting: a value is not acceptable; the message names the setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        path = "__".join(str(part) for part in fault["loc"])
        name = f"MUNIMENT_{path}".upper() if path else "The settings"
        raise InvalidSetting(f"{name}: {fault['msg']}, not {fault['input']!r}.") from error
    except SettingsError as error:
        field = str(error).partition('"')[2].partition('"')[0]
        raise InvalidSetting(
            f"MUNIMENT_{field.upper()}, or what begins with it, holds a list or an object that is "
            f"no JSON: {error.__cause__}."
        ) from error
