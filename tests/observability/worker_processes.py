"""Workers of one installation in processes of their own, as `muniment worker` runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from muniment.db.installation import Installation
from tests.app.callers import SECRET


@asynccontextmanager
async def worker_process(
    target: Installation, folder: Path, *lanes: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker until the context ends; settings by their names in small letters."""
    project = Path(__file__).parents[2]
    environment = os.environ | {
        "MUNIMENT_DATABASE_URL": target.owner_dsn,
        "MUNIMENT_APP_DATABASE_URL": target.app_dsn,
        "MUNIMENT_WORKER_DATABASE_URL": target.worker_dsn,
        "MUNIMENT_OPERATOR_DATABASE_URL": target.operator_dsn,
        "MUNIMENT_DATA_DIR": str(folder),
        "MUNIMENT_SECRET_KEY": SECRET.decode(),
        "MUNIMENT_LOG_FORMAT": "json",
        "PYTHONPATH": str(project / "src"),
    }
    environment |= {f"MUNIMENT_{name.upper()}": value for name, value in settings.items()}
    options = [option for lane in lanes for option in ("--lane", lane)]
    with (folder / f"worker-{uuid4().hex}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "muniment", "worker", *options),
            cwd=folder,
            env=environment,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()
