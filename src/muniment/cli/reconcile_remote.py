"""A reconciliation done by the Muniment at MUNIMENT_URL: files go up, results come back."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec

from muniment.cli.reconcile_outputs import Outputs, place
from muniment.cli.reconcile_progress import WorkBar
from muniment.cli.reconcile_report import summary_of
from muniment.cli.remote import RemoteFailed, authorization, call, detail_of
from muniment.cli.remote_events import job_states
from muniment.jobs.schemas import JobDetail, JobStatus
from muniment.reconcile.results.given import FileGiven
from muniment.reconcile.results.summary import Summary, WrittenFile
from muniment.reconcile.rules import Rules
from muniment.settings import Settings

_BASE = "/v1/reconciliations"


def reconcile_remotely(
    settings: Settings,
    files: dict[str, FileGiven],
    rules: Rules,
    targets: Outputs,
    *,
    name: str | None,
    hidden: bool,
) -> Summary:
    """Match files on a server, put its results where they belong, and return the summary.

    The reconciliation is that of its name, made if there is none: its datasets are replaced, and
    what people decided of its matches holds.

    Raises:
        RemoteFailed: the server cannot be reached, refuses something, or could not do it.
        OutputUnwritable: a result cannot be written.
        KeyboardInterrupt: somebody pressed Ctrl-C; the job that ran is cancelled.
    """
    begun = time.monotonic()
    with WorkBar(hidden=hidden) as bar, tempfile.TemporaryDirectory(prefix="muniment-") as folder:
        remote = Remote(settings, bar)
        remote.open(name or " with ".join(file.path.name for file in files.values()), rules)
        remote.give(files)
        remote.set_rules(rules)
        run = remote.run("auto")
        summary = summary_of(remote.get, run)
        fetched = remote.fetch(Path(folder), duplicates="right" not in files)
        places = targets.by_name()
        replaced = place((path, places[what]) for what, path, _ in fetched)
    return msgspec.structs.replace(
        summary,
        files=[
            WrittenFile(what, str(places[what]), count, before)
            for (what, _, count), before in zip(fetched, replaced, strict=True)
        ],
        seconds=round(time.monotonic() - begun, 2),
        reconciliation_id=str(remote.id),
    )


def plan_remotely(
    settings: Settings,
    files: dict[str, FileGiven],
    rules: Rules,
    *,
    name: str | None,
    hidden: bool,
) -> Any:
    """Return the plan that a server makes for the files, as it answers it.

    Raises:
        RemoteFailed: as `reconcile_remotely`.
    """
    with WorkBar(hidden=hidden) as bar:
        remote = Remote(settings, bar)
        remote.open(name or " with ".join(file.path.name for file in files.values()), rules)
        remote.give(files)
        remote.set_rules(rules)
        return remote.run("plan")["plan"]


class JobEnded(RemoteFailed):
    """A job of the server ended without success."""


class Remote:
    """One reconciliation of a server."""

    def __init__(self, settings: Settings, bar: WorkBar) -> None:
        """Take where the server is, and what shows how far its jobs are."""
        self._settings, self._bar = settings, bar
        self.id: str = ""

    def open(self, name: str, rules: Rules) -> None:
        """Find or make the reconciliation of a name."""
        body = {"name": name, "rules": msgspec.to_builtins(rules)}
        made = call(self._settings, "POST", _BASE, json=body)
        self.id = made["id"]

    def get(self, path: str, **parameters: str) -> Any:
        """Return what the server says below the reconciliation."""
        return call(self._settings, "GET", f"{_BASE}/{self.id}{path}", params=parameters)

    def give(self, files: dict[str, FileGiven]) -> None:
        """Make the files its datasets, and remove the datasets that are not among them."""
        for dataset in self.get("/datasets")["items"]:
            if dataset["side"] not in files:
                path = f"{_BASE}/{self.id}/datasets/{dataset['side']}"
                call(self._settings, "DELETE", path)
        for side, file in files.items():
            step = f"reading {file.path.name}"
            with self._told_by(f"/datasets/{side}", file.path):
                self._follow(self._send(side, file), step)
                if file.overrides:
                    path = f"{_BASE}/{self.id}/datasets/{side}"
                    body = {"columns": msgspec.to_builtins(file.overrides)}
                    self._follow(call(self._settings, "PATCH", path, json=body)["job"], step)

    def set_rules(self, rules: Rules) -> None:
        """Set the rules, unless they are the usual ones: then those that it has stay."""
        if rules != Rules():
            body = {"rules": msgspec.to_builtins(rules)}
            call(self._settings, "PUT", f"{_BASE}/{self.id}/rules", json=body)

    def run(self, mode: str) -> dict[str, Any]:
        """Run it and return what the run found."""
        path = f"{_BASE}/{self.id}/runs"
        started = call(self._settings, "POST", path, json={"mode": mode})
        run = f"/runs/{started['run']['id']}"
        with self._told_by(run):
            self._follow(started["job"], "matching")
        found: dict[str, Any] = self.get(run)
        return found

    def fetch(self, folder: Path, *, duplicates: bool) -> list[tuple[str, Path, int]]:
        """Download the results; return what each is, where, and how many rows it has."""
        self._bar.show(0, None, "fetching the results")
        wanted = ["matches", "review"] if duplicates else ["matches", "review", "unmatched"]
        return [(what, *self._download(what, folder / f"{what}.csv")) for what in wanted]

    def _send(self, side: str, file: FileGiven) -> dict[str, Any]:
        """Upload a file, or give its query, and return the job that loads it."""
        self._bar.show(0, None, f"sending {file.path.name}")
        path = f"{_BASE}/{self.id}/datasets"
        if file.database is not None:
            query = {
                "side": side,
                "connection": file.database,
                "sql": file.path.read_text(encoding="utf-8"),
                "name": file.path.stem,
            }
            answer = call(self._settings, "POST", f"{path}/query", json=query)
        else:
            told = {
                "side": side,
                "name": file.path.stem,
                "delimiter": file.delimiter,
                "encoding": file.encoding,
                "sheet": file.sheet,
            }
            form = {field: value for field, value in told.items() if value is not None}
            with file.path.open("rb") as opened:
                parts = {"file": (file.path.name, opened, "application/octet-stream")}
                answer = call(self._settings, "POST", path, data=form, files=parts)
        job: dict[str, Any] = answer["job"]
        return job

    def _follow(self, job: dict[str, Any], step: str) -> None:
        """Show a job until it has ended.

        Raises:
            JobEnded: it did not succeed.
        """
        last: JobDetail | None = None
        try:
            for state in job_states(self._settings, UUID(job["id"])):
                last = state
                done, total = state.progress.done, state.progress.total
                self._bar.show(done, total, step)
        except KeyboardInterrupt:
            call(self._settings, "POST", f"/v1/jobs/{job['id']}/cancel")
            raise
        if last is None or last.status is JobStatus.SUCCEEDED:
            return
        if last.error is not None:
            raise JobEnded(last.error.detail)
        raise JobEnded(f"The job {job['id']} was {last.status.value} on the server.")

    @contextmanager
    def _told_by(self, path: str, file: Path | None = None) -> Iterator[None]:
        """Say what a job failed of as the thing says that it was about, and which file it was."""
        try:
            yield
        except RemoteFailed as error:
            detail = error.detail
            if isinstance(error, JobEnded):
                told = self.get(path)["error"]
                detail = detail if told is None else told["detail"]
            raise RemoteFailed(detail if file is None else f"{file}: {detail}") from error

    def _download(self, what: str, target: Path) -> tuple[Path, int]:
        url = f"{(self._settings.url or '').rstrip('/')}{_BASE}/{self.id}/export"
        headers = authorization(self._settings)
        # As the cells stand in the files, as when the work is done here.
        wanted = {"what": what, "format": "csv", "raw": "true"}
        try:
            with httpx.stream("GET", url, params=wanted, headers=headers, timeout=120) as answer:
                if not answer.is_success:
                    answer.read()
                    raise RemoteFailed(f"{self._settings.url} answered: {detail_of(answer)}")
                with target.open("wb") as file:
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
        except httpx.HTTPError as error:
            raise RemoteFailed(f"{self._settings.url} broke off: {error}") from error
        with target.open(encoding="utf-8", newline="") as file:
            return target, max(0, sum(1 for _ in csv.reader(file)) - 1)
