"""The statement gate finds SQL without name, description or bound."""

import pytest

from tools.gates.statements import faults_in_code, faults_in_statements

GOOD = """\
-- name: list_jobs
-- The newest jobs of the organization.
SELECT job_id, status FROM jobs ORDER BY job_id DESC LIMIT :limit;

-- name: get_job^
-- One job.
SELECT job_id, status FROM jobs WHERE job_id = :job_id;

-- name: jobs_by_id
-- Several jobs.
SELECT job_id, status FROM jobs WHERE job_id = any(:ids::uuid[]);

-- name: retry_jobs
-- Make failed jobs run again.
UPDATE jobs SET status = 'waiting' WHERE status = 'failed' RETURNING job_id;

-- name: lanes
-- Lanes with their depth. Bounded by the number of lanes.
SELECT lane, depth FROM lane_depths;
"""


def test_accepts_named_described_and_bounded_statements() -> None:
    assert list(faults_in_statements(GOOD)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name: jobs\nSELECT job_id FROM jobs LIMIT 1;", "has no line that says"),
        ("-- name: jobs\n-- All.\nSELECT * FROM jobs LIMIT 1;", "selects all columns"),
        ("-- name: jobs\n-- All.\nSELECT j.* FROM jobs AS j LIMIT 1;", "selects all columns"),
        ("-- name: jobs\n-- All.\nSELECT job_id FROM jobs;", "any number of rows"),
        ("-- name: jobs\n-- All.\nWITH j AS (SELECT 1) SELECT a FROM j;", "any number of rows"),
        ("-- name: a^\n-- A.\nSELECT 1;\n-- name: a^\n-- A.\nSELECT 1;", "is there twice"),
        ("-- name: not a name\n-- A.\nSELECT 1;", "cannot be read"),
        ("-- name: empty\n-- A.\n", "cannot be read"),
        ("SELECT 1;", "holds no statement"),
    ],
)
def test_finds_a_fault(text: str, fault: str) -> None:
    assert [message for _, message in faults_in_statements(text) if fault in message]


def test_says_where_the_statement_is() -> None:
    text = GOOD + "\n-- name: all_jobs\n-- All.\nSELECT job_id FROM jobs;\n"
    line = text.splitlines().index("-- name: all_jobs") + 1
    assert [found for found, _ in faults_in_statements(text)] == [line]


@pytest.mark.parametrize(
    "code",
    [
        'connection.fetch("SELECT job_id FROM jobs")',
        'connection.fetch("select job_id\\n from jobs")',
        'connection.execute(f"delete from jobs where job_id = {job_id}")',
        'QUERY = """\n    INSERT INTO jobs (job_id) VALUES ($1)"""',
        'query = "UPDATE jobs SET status = 1"',
        'query = "WITH due AS (SELECT 1) DELETE FROM jobs"',
    ],
)
def test_finds_sql_in_code(code: str) -> None:
    assert [line for line, _ in faults_in_code(f"import asyncpg\n{code}\n")] == [2]


def test_leaves_prose_alone() -> None:
    text = '''
def run():
    """Select the jobs that are due."""
    print("Select a folder", "with a file as (an example)", "update the index")
'''
    assert list(faults_in_code(text)) == []
