"""Every setting of Muniment, read from the environment (``MUNIMENT_…``) or a ``.env`` file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from muniment.errors import MunimentError


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
        env_prefix="MUNIMENT_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
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
    url: str | None = Field(
        default=None, description="Address of a remote Muniment that the commands talk to."
    )
    api_key: str | None = Field(
        default=None, description="API key for the remote Muniment of MUNIMENT_URL."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8642, ge=0, le=65535, description="Port the API listens on.")
    max_upload_bytes: int = Field(
        default=100 * 1024 * 1024, gt=0, description="Largest file that is imported, in bytes."
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
    convert_processes: int = Field(
        default=2, ge=1, description="Conversion processes of one worker."
    )
    convert_timeout: float = Field(
        default=120.0, gt=0, description="Seconds after which the conversion of a file is killed."
    )
    convert_memory_mb: int = Field(
        default=512, ge=128, description="Memory ceiling of a conversion process, in MB."
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
        description="Milliseconds above which a statement of a request is logged; one of a job, "
        "which works in bulk, at ten times as much.",
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
        name = f"MUNIMENT_{fault['loc'][0]}".upper() if fault["loc"] else "The settings"
        raise InvalidSetting(f"{name}: {fault['msg']}, not {fault['input']!r}.") from error
