"""What the users of `load` do; run by Locust in an environment of its own.

    locust -f load_peer.py --headless --host URL --csv PREFIX

LOAD_KEYS holds the API keys, LOAD_STEPS pairs of seconds and users, as JSON. Each user asks about
once a second, mostly for what people look at most: searches, lists, details.
"""

from __future__ import annotations

import json
import os
import random
from uuid import uuid4

from locust import FastHttpUser, LoadTestShape, between, events, task

KEYS = json.loads(os.environ["LOAD_KEYS"])
STEPS = json.loads(os.environ["LOAD_STEPS"])
QUERIES = (
    "How much did the new generator cost?",
    "salt on the radar antenna",
    "Why did the spare gauge not take over in the storm?",
    "who keeps the tide gauges",
    "maintenance of instruments in winter",
    "minutes of the meeting in March",
)
MODES = ("hybrid", "hybrid", "hybrid", "lexical", "semantic")


class Ramp(LoadTestShape):
    """So many users for so many seconds, one step after the other."""

    def tick(self) -> tuple[int, float] | None:
        passed = self.get_run_time()
        for seconds, users in STEPS:
            if passed < seconds:
                return users, users / 2
            passed -= seconds
        return None


class Member(FastHttpUser):
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.headers = {"Authorization": f"Bearer {random.choice(KEYS)}"}
        self.documents: list[str] = []

    def ask(self, method: str, path: str, name: str | None = None, **body: object) -> object:
        with self.client.request(
            method, path, name=name or path, headers=self.headers, catch_response=True, **body
        ) as answer:
            if answer.status_code >= 400 or answer.status_code == 0:
                answer.failure(f"{answer.status_code} {answer.text}")
                return None
            return answer.json() if answer.text.startswith(("{", "[")) else answer.text

    @task(12)
    def search(self) -> None:
        words = f"{random.choice(QUERIES)} {random.randint(1, 10_000)}"
        body = {"query": words, "mode": random.choice(MODES), "limit": 10}
        self.ask("POST", "/v1/search", json=body)

    @task(8)
    def list_documents(self) -> None:
        page = self.ask("GET", "/v1/documents?limit=50", "/v1/documents")
        if isinstance(page, dict):
            self.documents = [item["id"] for item in page["items"]]

    @task(8)
    def show_document(self) -> None:
        if self.documents:
            document = random.choice(self.documents)
            self.ask("GET", f"/v1/documents/{document}", "/v1/documents/{id}")

    @task(3)
    def read_document(self) -> None:
        if self.documents:
            document = random.choice(self.documents)
            what = random.choice(("chunks", "content"))
            self.ask("GET", f"/v1/documents/{document}/{what}", f"/v1/documents/{{id}}/{what}")

    @task(2)
    def fetch_documents(self) -> None:
        if self.documents:
            wanted = {"ids": random.sample(self.documents, min(10, len(self.documents)))}
            self.ask("POST", "/v1/documents/fetch", json=wanted)

    @task(5)
    def list_jobs(self) -> None:
        status = random.choice(("", "&status=succeeded", "&status=failed"))
        page = self.ask("GET", f"/v1/jobs?limit=50{status}", "/v1/jobs")
        if isinstance(page, dict) and page["items"]:
            job = random.choice(page["items"])["id"]
            self.ask("GET", f"/v1/jobs/{job}", "/v1/jobs/{id}")

    @task(2)
    def watch_jobs(self) -> None:
        self.ask("GET", "/v1/jobs/stats")
        self.ask("GET", "/v1/jobs/timeseries")

    @task(6)
    def look_around(self) -> None:
        places = ("me", "organization", "workspaces", "usage", "organization/members", "schedules")
        self.ask("GET", f"/v1/{random.choice(places)}")

    @task(2)
    def administer(self) -> None:
        self.ask("GET", f"/v1/{random.choice(('audit-log', 'api-keys', 'invitations'))}")

    @task(1)
    def change_a_key(self) -> None:
        made = self.ask("POST", "/v1/api-keys", json={"name": "load", "role": "viewer"})
        if isinstance(made, dict):
            self.ask("DELETE", f"/v1/api-keys/{made['id']}", "/v1/api-keys/{id}")

    @task(1)
    def upload(self) -> None:
        text = f"# Note {uuid4()}\n\n{random.choice(QUERIES)}\n".encode()
        file = ("note.md", text, "text/markdown")
        self.ask("POST", "/v1/documents", files={"files": file})


@events.quitting.add_listener
def _succeed(environment: object, **_: object) -> None:
    environment.process_exit_code = 0  # the share of errors is part of what is measured
