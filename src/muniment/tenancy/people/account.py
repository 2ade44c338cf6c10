"""What people change about their own account: name, password, where they are signed in."""

from __future__ import annotations

from uuid import UUID

from muniment.db import OrgId, load_statements
from muniment.tenancy.audit.record import record
from muniment.tenancy.people.errors import WrongPassword
from muniment.tenancy.people.people import People
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.schemas import ChangePassword
from muniment.tenancy.people.scopes import tell, work_in, work_of
from muniment.tenancy.people.sessions import end_all_sessions, end_session, move_session
from muniment.tenancy.people.users import rename_user

_statements = load_statements("muniment.tenancy.people")


async def change_password(people: People, person: Person, wanted: ChangePassword) -> None:
    """Set another password, and sign the person out everywhere else.

    Raises:
        TooManyAttempts: the current password was guessed at too often.
        WrongPassword: the current password is another, or there is none.
        UnfitPassword: the new one is not acceptable.
        SignInBusy: too many wait to have a password hashed.
    """
    await people.throttle.attempt_on(person.email)
    async with people.database.person(person.user_id) as work:
        kept = await _statements.password_of_user(work, user_id=person.user_id)
    if not await people.passwords.verify(kept, wanted.current_password):
        raise WrongPassword
    await people.throttle.succeeded_on(person.email)
    fresh = await people.passwords.hash_chosen(
        wanted.new_password, known=[person.email, person.name], pointer="#/new_password"
    )
    async with work_of(people.database, person) as work:
        if not await _statements.replace_password(
            work, user_id=person.user_id, password_hash=fresh, old_hash=kept
        ):
            raise WrongPassword("The password was changed by somebody else a moment ago.")
        await _statements.delete_resets(work, user_id=person.user_id)
        await end_all_sessions(work, person.user_id, keep=person.session_id)
        await tell(work, person, "password.changed", target_type="member", target_id=person.user_id)


async def change_name(people: People, person: Person, name: str) -> None:
    """Give the person another name, in every organization."""
    async with people.database.person(person.user_id) as work:
        await rename_user(work, person.user_id, name.strip())


async def switch_organization(people: People, person: Person, org_id: OrgId) -> None:
    """Let the person's session work in another of their organizations.

    Raises:
        OrganizationNotFound: the person is not its member, or the session has ended.
    """
    async with work_in(people.database, person.user_id, org_id, person.address) as work:
        await move_session(work, person.user_id, person.session_id, org_id)
        await record(
            work, "session.started", target_type="session", target_id=str(person.session_id)
        )


async def sign_out(people: People, person: Person, session_id: UUID) -> None:
    """End one of the person's sessions.

    Raises:
        SessionNotFound: the person has no such session.
    """
    async with work_of(people.database, person) as work:
        await end_session(work, person.user_id, session_id)
        await tell(work, person, "session.ended", target_type="session", target_id=session_id)


async def sign_out_everywhere(people: People, person: Person) -> None:
    """End all of the person's sessions, this one as well."""
    async with work_of(people.database, person) as work:
        await end_all_sessions(work, person.user_id)
        await tell(work, person, "session.ended", target_type="member", target_id=person.user_id)
