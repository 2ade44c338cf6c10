"""For each route one request that succeeds for whoever may make it.

A route of the application that is missing here fails tests/app/test_permissions.py.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from muniment.db import Role, new_id
from tests.app.callers import PASSWORD, TEXT, Home, Present, World
from tests.app.valid_calls import Call, Valid, sends
from tests.app.valid_reconcile_requests import RECONCILE
from tests.app.valid_review_requests import REVIEW


def member(status: int, **body: Any) -> Valid:
    async def make(world: World, home: Home, _who: Present) -> Call:
        return Call({"user_id": await world.member(home)}, body)

    return Valid(status, make, names="organization")


def api_key(status: int, **body: Any) -> Valid:
    async def make(world: World, home: Home, _who: Present) -> Call:
        return Call({"api_key_id": await world.key(home)}, body)

    return Valid(status, make, names="organization")


async def _empty_workspace(world: World, home: Home, _who: Present) -> Call:
    ids = {"workspace_id": await world.workspace(home)}
    return Call(ids, {"json": {"name": f"workspace {uuid4()}"}})


def document(status: int, there: Role | None = None) -> Valid:
    async def make(world: World, home: Home, _who: Present) -> Call:
        return Call({"document_id": await world.document(home)})

    return Valid(status, make, names="workspace", there=there)


def organization(status: int, **body: Any) -> Valid:
    """For the operator, to whom none is foreign."""

    async def make(world: World, _home: Home, _who: Present) -> Call:
        return Call({"org_id": await world.organization()}, body)

    return Valid(status, make)


async def _first_workspace(_world: World, home: Home, _who: Present) -> Call:
    return Call({"workspace_id": home.first})


async def _member_there(world: World, home: Home, _who: Present) -> Call:
    ids = {"workspace_id": home.first, "user_id": await world.member(home)}
    return Call(ids, {"json": {"role": "viewer"}})


async def _narrowed_member(world: World, home: Home, _who: Present) -> Call:
    user_id = await world.member(home)
    await world.narrow(home, user_id, Role.VIEWER)
    return Call({"workspace_id": home.first, "user_id": user_id})


async def _invitation(world: World, home: Home, _who: Present) -> Call:
    return Call({"invitation_id": (await world.invitation(home))[0]})


async def _new_invitation(_world: World, _home: Home, _who: Present) -> Call:
    return Call(body={"json": {"email": f"{new_id()}@example.com", "role": "viewer"}})


async def _new_key(_world: World, home: Home, _who: Present) -> Call:
    wanted = {"name": "new", "role": "viewer", "workspace_id": str(home.first)}
    return Call(body={"json": wanted})


async def _new_workspace(_world: World, _home: Home, _who: Present) -> Call:
    return Call(body={"json": {"name": f"workspace {uuid4()}"}})


async def _some_documents(world: World, home: Home, _who: Present) -> Call:
    return Call(body={"json": {"ids": [str(await world.document(home))]}})


async def _upload(_world: World, home: Home, _who: Present) -> Call:
    files = [("files", ("apples.txt", TEXT))]
    return Call(body={"files": files, "data": {"workspace_id": str(home.first)}})


async def _question(_world: World, home: Home, _who: Present) -> Call:
    asked = {"query": "apples", "mode": "lexical", "workspace_id": str(home.first)}
    return Call(body={"json": asked})


async def _schedule(world: World, home: Home, _who: Present) -> Call:
    return Call({"schedule_id": await world.schedule(home)})


async def _changed_schedule(world: World, home: Home, _who: Present) -> Call:
    return Call({"schedule_id": await world.schedule(home)}, {"json": {"cron": "0 4 * * *"}})


async def _job(world: World, home: Home, _who: Present) -> Call:
    return Call({"job_id": await world.job(home)})


async def _ended_job(world: World, home: Home, _who: Present) -> Call:
    return Call({"job_id": await world.ended_job(home)})


async def _lane(_world: World, _home: Home, _who: Present) -> Call:
    return Call({"lane": "embed"})


async def _other_organization(_world: World, home: Home, _who: Present) -> Call:
    return Call(body={"json": {"organization_id": str(home.org_id)}})


async def _own_session(world: World, home: Home, who: Present) -> Call:
    user_id = who.user_id
    if user_id is None or home.org_id != who.org_id:
        user_id, _email = await world.person()
    return Call({"session_id": await world.session(user_id, None, str(uuid4()))})


async def _offered(world: World, home: Home, who: Present) -> Call:
    email = who.email if home.org_id == who.org_id else None
    elsewhere = world.homes["elsewhere"]
    return Call({"invitation_id": (await world.invitation(elsewhere, email))[0]})


async def _accepted(world: World, _home: Home, who: Present) -> Call:
    _id, token = await world.invitation(world.homes["elsewhere"], who.email)
    return Call(body={"json": {"token": token, "name": "Somebody", "password": PASSWORD}})


async def _new_user(_world: World, _home: Home, _who: Present) -> Call:
    names = {"name": "Somebody", "organization": "New"}
    return Call(body={"json": names | {"email": f"{new_id()}@example.com", "password": PASSWORD}})


async def _known_user(world: World, _home: Home, _who: Present) -> Call:
    _user_id, email = await world.person()
    return Call(body={"json": {"email": email, "password": PASSWORD}})


async def _forgotten(_world: World, _home: Home, _who: Present) -> Call:
    return Call(body={"json": {"email": f"{new_id()}@example.com"}})


async def _completed_reset(world: World, _home: Home, _who: Present) -> Call:
    token = await world.reset()
    return Call(body={"json": {"token": token, "password": "another quiet archive"}})


_PASSWORDS = {"current_password": PASSWORD, "new_password": "another quiet archive"}

VALID: dict[str, Valid] = {
    # The process, and pages that are the same for everybody.
    "GET /": sends(302),
    "GET /docs": sends(200),
    "GET /docs/page.css": sends(200),
    "GET /healthz": sends(200),
    "GET /metrics": sends(200),
    "GET /readyz": sends(200),
    "GET /schema": sends(200),
    "GET /accept-invitation": sends(200),
    "GET /account": sends(200),
    "GET /forgot-password": sends(200),
    "GET /reset-password": sends(200),
    "GET /sign-in": sends(200),
    "GET /sign-up": sends(200),
    # Anyone
    "POST /v1/invitations/accept": Valid(200, _accepted),
    "POST /v1/password-resets": Valid(202, _forgotten),
    "POST /v1/password-resets/complete": Valid(204, _completed_reset),
    "POST /v1/sign-in": Valid(200, _known_user),
    "GET /v1/sign-in/methods": sends(200),
    # No identity provider is set up here; tests/tenancy/people tests single sign-on.
    "GET /v1/sign-in/oidc": sends(404),
    "GET /v1/sign-in/oidc/callback": sends(404),
    "POST /v1/sign-up": Valid(201, _new_user),
    # People
    "POST /v1/organizations": sends(201, json={"name": "Founded"}),
    "POST /v1/password": sends(204, json=_PASSWORDS),
    "GET /v1/session": sends(200),
    "PATCH /v1/session": Valid(200, _other_organization, names="person"),
    "GET /v1/sessions": sends(200),
    "DELETE /v1/sessions/{session_id:uuid}": Valid(204, _own_session, names="person"),
    "POST /v1/sign-out": sends(204),
    "POST /v1/sign-out-everywhere": sends(204),
    "PATCH /v1/user": sends(200, json={"name": "Somebody else"}),
    "GET /v1/user/invitations": sends(200),
    "POST /v1/user/invitations/{invitation_id:uuid}/accept": Valid(200, _offered, names="person"),
    # Members and keys
    "GET /v1/me": sends(200),
    "GET /v1/organization": sends(200),
    "PATCH /v1/organization": sends(200, json={"name": "Renamed"}),
    "GET /v1/organization/members": sends(200),
    "DELETE /v1/organization/members/me": Valid(204, sends(0).make, people_only=True),
    "GET /v1/organization/members/{user_id:uuid}": member(200),
    "PATCH /v1/organization/members/{user_id:uuid}": member(200, json={"role": "viewer"}),
    "DELETE /v1/organization/members/{user_id:uuid}": member(204),
    "GET /v1/invitations": sends(200),
    "POST /v1/invitations": Valid(201, _new_invitation),
    "DELETE /v1/invitations/{invitation_id:uuid}": Valid(204, _invitation, names="organization"),
    "GET /v1/workspaces": sends(200),
    "POST /v1/workspaces": Valid(201, _new_workspace),
    "GET /v1/workspaces/{workspace_id:uuid}": Valid(200, _first_workspace, names="workspace"),
    "PATCH /v1/workspaces/{workspace_id:uuid}": Valid(200, _empty_workspace, names="organization"),
    "DELETE /v1/workspaces/{workspace_id:uuid}": Valid(204, _empty_workspace, names="organization"),
    "PUT /v1/workspaces/{workspace_id:uuid}/members/{user_id:uuid}": Valid(
        200, _member_there, names="organization"
    ),
    "DELETE /v1/workspaces/{workspace_id:uuid}/members/{user_id:uuid}": Valid(
        204, _narrowed_member, names="organization", there=Role.EDITOR
    ),
    "GET /v1/api-keys": sends(200),
    "POST /v1/api-keys": Valid(201, _new_key, names="organization"),
    "GET /v1/api-keys/{api_key_id:uuid}": api_key(200),
    "PATCH /v1/api-keys/{api_key_id:uuid}": api_key(200, json={"name": "renamed"}),
    "DELETE /v1/api-keys/{api_key_id:uuid}": api_key(204),
    "POST /v1/api-keys/{api_key_id:uuid}/rotate": api_key(201, json={}),
    "GET /v1/usage": sends(200),
    "GET /v1/audit-log": sends(200),
    "GET /v1/audit-log/export": sends(200),
    "GET /v1/documents": sends(200),
    "POST /v1/documents": Valid(202, _upload, names="workspace", there=Role.EDITOR),
    "POST /v1/documents/fetch": Valid(200, _some_documents, names="workspace", leaves_out=True),
    "GET /v1/documents/{document_id:uuid}": document(200),
    "GET /v1/documents/{document_id:uuid}/chunks": document(200),
    "GET /v1/documents/{document_id:uuid}/content": document(200),
    "GET /v1/documents/{document_id:uuid}/original": document(200),
    "DELETE /v1/documents/{document_id:uuid}": document(204, there=Role.EDITOR),
    "POST /v1/search": Valid(200, _question, names="workspace"),
    "GET /v1/jobs": sends(200),
    "GET /v1/jobs/stats": sends(200),
    "GET /v1/jobs/timeseries": sends(200),
    "GET /v1/jobs/{job_id:uuid}": Valid(200, _job, names="workspace"),
    "POST /v1/jobs/{job_id:uuid}/cancel": Valid(202, _job, names="workspace", there=Role.EDITOR),
    # Of one that has ended, so that the stream ends too.
    "GET /v1/jobs/{job_id:uuid}/events": Valid(200, _ended_job, names="workspace"),
    "POST /v1/jobs/{job_id:uuid}/retry": Valid(
        202, _ended_job, names="workspace", there=Role.EDITOR
    ),
    "GET /v1/schedules": sends(200),
    "PATCH /v1/schedules/{schedule_id:uuid}": Valid(200, _changed_schedule, names="organization"),
    "DELETE /v1/schedules/{schedule_id:uuid}": Valid(204, _schedule, names="organization"),
    # Operators
    "GET /v1/admin/lanes": sends(200),
    "POST /v1/admin/lanes/{lane:str}/pause": Valid(200, _lane),
    "POST /v1/admin/lanes/{lane:str}/resume": Valid(200, _lane),
    "GET /v1/admin/organizations": sends(200),
    "POST /v1/admin/organizations": sends(201, json={"name": "Made"}),
    "GET /v1/admin/organizations/{org_id:uuid}": organization(200),
    "PATCH /v1/admin/organizations/{org_id:uuid}": organization(200, json={"tier": "pro"}),
    "POST /v1/admin/organizations/{org_id:uuid}/suspend": organization(200, json={"reason": "x"}),
    "POST /v1/admin/organizations/{org_id:uuid}/resume": organization(200),
    "GET /v1/objectives": sends(200),
    "GET /v1/doctor": sends(200),
    **RECONCILE,
    **REVIEW,
}
