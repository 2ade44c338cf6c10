"""Founding an organization as a person who is signed in already."""

from __future__ import annotations

from muniment.db import OrgId, Role, new_id
from muniment.tenancy.audit.record import record
from muniment.tenancy.first_start import create_organization
from muniment.tenancy.people.errors import SignUpClosed
from muniment.tenancy.people.people import People
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.scopes import scope_of_user
from muniment.tenancy.people.sessions import move_session
from muniment.tenancy.people.sign_up import join


async def found_organization(people: People, person: Person, name: str) -> None:
    """Create an organization that the person owns; their session works in it then.

    Raises:
        SignUpClosed: the setting `sign_up` is off.
        TooManyAttempts: too many were founded from this address.
    """
    if not people.settings.sign_up:
        raise SignUpClosed("Nobody can create an organization here; ask for an invitation.")
    await people.throttle.attempt_from(person.address)
    org_id = OrgId(new_id())
    scope = scope_of_user(person.user_id, org_id, Role.OWNER, person.address)
    async with people.database.unit_of_work(scope) as work:
        await create_organization(work, name.strip(), tier=people.settings.sign_up_tier)
        await join(work, person.user_id, person.email, person.name, Role.OWNER)
        await move_session(work, person.user_id, person.session_id, org_id)
        await record(
            work, "organization.created", target_type="organization", target_id=str(org_id)
        )
        await record(work, "member.joined", target_type="member", target_id=str(person.user_id))
