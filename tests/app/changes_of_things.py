"""Changes to organizations, workspaces, keys, invitations and documents."""

from __future__ import annotations

from uuid import uuid4

from tests.app.api_processes import Ask
from tests.app.callers import TEXT, Home, World
from tests.app.visible_changes import (
    EDITOR,
    OPERATOR,
    Change,
    Reading,
    Shows,
    changes,
    counts,
    get,
    key,
    limits_key_to,
    lists,
    lists_not,
    me,
    session,
    status,
    tells,
    tells_any,
    thing,
    with_key,
)


@changes("PATCH /v1/organization")
async def organization(world: World, home: Home) -> Change:
    owner, other = await key(world, home), await session(world, home, EDITOR)
    return Change(
        Ask("PATCH", "/v1/organization", owner, {"json": {"name": "Renamed"}}),
        [
            me(owner, tells("Renamed", "organization", "name")),
            me(other, tells("Renamed", "organization", "name")),
            Reading(get("/v1/organization", other), tells("Renamed", "name")),
        ],
    )


# --- workspaces and invitations -----------------------------------------------------------------


@changes("POST /v1/workspaces")
async def create_workspace(world: World, home: Home) -> Change:
    owner = await key(world, home)
    return Change(
        Ask("POST", "/v1/workspaces", owner, {"json": {"name": "New"}}),
        [Reading(get("/v1/workspaces", owner), lists("New", "name"))],
    )


@changes("PATCH /v1/workspaces/{workspace_id}")
async def rename_workspace(world: World, home: Home) -> Change:
    owner, path = await key(world, home), f"/v1/workspaces/{home.first}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"name": "Renamed"}}),
        [
            Reading(get("/v1/workspaces", owner), lists("Renamed", "name")),
            Reading(get(path, owner), tells("Renamed", "name")),
        ],
    )


@changes("DELETE /v1/workspaces/{workspace_id}")
async def delete_workspace(world: World, home: Home) -> Change:
    owner, limited = await key(world, home), await key(world, home, first_only=True)
    path = f"/v1/workspaces/{home.first}"
    return Change(
        Ask("DELETE", path, owner),
        [
            me(limited, status(401)),
            Reading(get("/v1/workspaces", owner), lists_not(str(home.first))),
            Reading(get(path, owner), status(404)),
        ],
    )


@changes("POST /v1/invitations")
async def invite(world: World, home: Home) -> Change:
    owner = await key(world, home)
    invited = {"email": f"{uuid4()}@example.com", "role": "viewer"}
    return Change(
        Ask("POST", "/v1/invitations", owner, {"json": invited}),
        [Reading(get("/v1/invitations", owner), lists())],
    )


@changes("DELETE /v1/invitations/{invitation_id}")
async def revoke_invitation(world: World, home: Home) -> Change:
    owner = await key(world, home)
    invitation_id, _token = await world.invitation(home)
    return Change(
        Ask("DELETE", f"/v1/invitations/{invitation_id}", owner),
        [Reading(get("/v1/invitations", owner), lists_not(str(invitation_id)))],
    )


# --- keys ----------------------------------------------------------------------------------------


@changes("POST /v1/api-keys")
async def create_key(world: World, home: Home) -> Change:
    owner = await key(world, home)
    wanted = {"name": "new", "role": "viewer"}
    return Change(
        Ask("POST", "/v1/api-keys", owner, {"json": wanted}),
        [Reading(get("/v1/api-keys", owner), lists()), Reading(with_key, status(200))],
    )


@changes("PATCH /v1/api-keys/{api_key_id}")
async def change_key(world: World, home: Home) -> Change:
    owner = await key(world, home)
    api_key_id, holder = await thing(world, home)
    path = f"/v1/api-keys/{api_key_id}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"name": "renamed", "requests_per_minute": 77}}),
        [
            me(holder, limits_key_to(77)),
            Reading(get("/v1/api-keys", owner), lists("renamed", "name")),
            Reading(get(path, owner), tells("renamed", "name")),
        ],
    )


@changes("DELETE /v1/api-keys/{api_key_id}")
async def revoke_key(world: World, home: Home) -> Change:
    owner = await key(world, home)
    api_key_id, holder = await thing(world, home)
    path = f"/v1/api-keys/{api_key_id}"
    return Change(
        Ask("DELETE", path, owner),
        [
            me(holder, status(401)),
            Reading(get(path, owner), tells_any("revoked_at")),
        ],
    )


@changes("POST /v1/api-keys/{api_key_id}/rotate")
async def rotate_key(world: World, home: Home) -> Change:
    owner = await key(world, home)
    api_key_id, holder = await thing(world, home)
    return Change(
        Ask("POST", f"/v1/api-keys/{api_key_id}/rotate", owner, {"json": {}}),
        [
            me(holder, status(401)),
            Reading(with_key, status(200)),
            Reading(get("/v1/api-keys", owner), lists()),
        ],
    )


# --- documents -----------------------------------------------------------------------------------


@changes("POST /v1/documents")
async def upload(world: World, home: Home) -> Change:
    owner = await key(world, home)
    files = {"files": [("files", ("apples.txt", TEXT))]}
    return Change(
        Ask("POST", "/v1/documents", owner, files),
        [
            Reading(get("/v1/documents", owner), counts(1)),
            Reading(get("/v1/usage", owner), tells(1, "documents")),
            Reading(get("/v1/jobs", owner), counts(1)),
        ],
    )


@changes("DELETE /v1/documents/{document_id}")
async def delete_document(world: World, home: Home) -> Change:
    owner = await key(world, home)
    document_id = await world.document(home)
    path = f"/v1/documents/{document_id}"
    return Change(
        Ask("DELETE", path, owner),
        [
            Reading(get(path, owner), status(404)),
            Reading(get("/v1/documents", owner), counts(0)),
            Reading(get("/v1/usage", owner), tells(0, "documents")),
        ],
    )


# --- schedules ----------------------------------------------------------------------------------


@changes("PATCH /v1/schedules/{schedule_id}")
async def change_schedule(world: World, home: Home) -> Change:
    owner, path = await key(world, home), f"/v1/schedules/{await world.schedule(home)}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"cron": "0 4 * * *"}}),
        [Reading(get("/v1/schedules", owner), lists("0 4 * * *", "cron"))],
    )


@changes("DELETE /v1/schedules/{schedule_id}")
async def remove_schedule(world: World, home: Home) -> Change:
    schedule_id, owner = await world.schedule(home), await key(world, home)
    return Change(
        Ask("DELETE", f"/v1/schedules/{schedule_id}", owner),
        [Reading(get("/v1/schedules", owner), lists_not(str(schedule_id)))],
    )


# --- jobs ----------------------------------------------------------------------------------------


@changes("POST /v1/jobs/{job_id}/cancel")
async def cancel_job(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/jobs/{await world.job(home)}"
    return Change(
        Ask("POST", f"{path}/cancel", owner),
        [Reading(get(path, owner), tells("cancelled", "status"))],
    )


@changes("POST /v1/jobs/{job_id}/retry")
async def retry_job(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/jobs/{await world.ended_job(home)}"
    return Change(
        Ask("POST", f"{path}/retry", owner), [Reading(get(path, owner), tells("queued", "status"))]
    )


# --- operators -----------------------------------------------------------------------------------


@changes("POST /v1/admin/organizations")
async def make_organization(world: World, _home: Home) -> Change:
    operator = await world.come(OPERATOR)
    name = f"Made {uuid4()}"
    named = Ask("GET", "/v1/admin/organizations", operator, {"params": {"name": name}})
    return Change(
        Ask("POST", "/v1/admin/organizations", operator, {"json": {"name": name}}),
        [
            Reading(named, counts(1)),
            Reading(lambda answer: with_key(answer, "api_key"), status(200)),
        ],
    )


@changes("POST /v1/admin/lanes/{lane}/pause")
async def pause_lane(world: World, _home: Home) -> Change:
    operator = await world.come(OPERATOR)
    await world._run("DELETE FROM queue.paused_lanes")
    return Change(
        Ask("POST", "/v1/admin/lanes/embed/pause", operator),
        [Reading(get("/v1/admin/lanes", operator), paused("embed"))],
    )


@changes("POST /v1/admin/lanes/{lane}/resume")
async def resume_lane(world: World, _home: Home) -> Change:
    operator = await world.come(OPERATOR)
    await world._run("INSERT INTO queue.paused_lanes (lane, paused_by) VALUES ('fast', 'test')")
    return Change(
        Ask("POST", "/v1/admin/lanes/fast/resume", operator),
        [Reading(get("/v1/admin/lanes", operator), paused("fast", wanted=False))],
    )


def paused(lane: str, *, wanted: bool = True) -> Shows:
    """The lane is paused, or is not."""
    return lambda _, reading: any(
        item["lane"] == lane and (item["paused_at"] is not None) is wanted
        for item in reading.json()["items"]
    )


@changes("PATCH /v1/admin/organizations/{org_id}")
async def change_tier(world: World, home: Home) -> Change:
    operator, owner = await world.come(OPERATOR), await key(world, home)
    path = f"/v1/admin/organizations/{home.org_id}"
    return Change(
        Ask("PATCH", path, operator, {"json": {"tier": "pro", "name": "Renamed"}}),
        [
            me(owner, tells("pro", "organization", "tier")),
            me(owner, tells("Renamed", "organization", "name")),
            Reading(get("/v1/usage", owner), tells("pro", "tier")),
            Reading(get(path, operator), tells("pro", "tier")),
        ],
    )


@changes("POST /v1/admin/organizations/{org_id}/suspend")
async def suspend(world: World, home: Home) -> Change:
    operator, owner = await world.come(OPERATOR), await key(world, home)
    who = await session(world, home)
    path = f"/v1/admin/organizations/{home.org_id}"
    return Change(
        Ask("POST", f"{path}/suspend", operator, {"json": {"reason": "unpaid"}}),
        [
            me(owner, status(403)),
            me(who, status(403)),
            Reading(get(path, operator), tells("unpaid", "suspended_because")),
        ],
    )


@changes("POST /v1/admin/organizations/{org_id}/resume")
async def resume(world: World, home: Home) -> Change:
    operator, owner = await world.come(OPERATOR), await key(world, home)
    await world._run("UPDATE organizations SET suspended_at = now() WHERE org_id = $1", home.org_id)
    path = f"/v1/admin/organizations/{home.org_id}"
    return Change(
        Ask("POST", f"{path}/resume", operator),
        [me(owner, status(200)), Reading(get(path, operator), tells(None, "suspended_at"))],
    )
