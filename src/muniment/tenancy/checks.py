"""What the doctor looks at in settings that keep others out."""

from __future__ import annotations

import asyncio
import stat

from muniment.db.doctor import DoctorCheck, Examination, Fault, Needs, Severity, doctor_check

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@doctor_check(
    "tenancy.secret_file",
    "Nobody else on this machine can read the installation's secret.",
    Severity.ERROR,
    needs=Needs.NOTHING,
)
async def secret_file(examination: Examination) -> list[Fault]:
    """Look at the permissions of the file that holds it, unless a setting does."""
    if examination.settings.secret_key is not None:
        return []
    path = examination.settings.data_dir / "secret.key"
    if not await asyncio.to_thread(path.exists):
        return []
    mode = stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode)
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return []
    return [
        Fault(
            title="The file of the installation's secret is open to others.",
            evidence=f"{path} has the mode {mode:04o}; who reads it can sign in as anybody.",
            remedy="Close it, and if others could read it make a new one: sign-ins then end.",
            command=f"chmod 600 {path}",
        )
    ]


@doctor_check(
    "tenancy.public_url",
    "People who are elsewhere reach the installation by https.",
    Severity.WARNING,
    needs=Needs.NOTHING,
)
async def public_url(examination: Examination) -> list[Fault]:
    """Look at the address for links and cookies, where the API is not for this machine alone."""
    settings = examination.settings
    address = settings.public_url or f"http://{settings.host}:{settings.port}"
    host = address.partition("://")[2].partition("/")[0].rpartition("@")[2]
    host = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    if address.startswith("https://") or host in _LOOPBACK:
        return []
    return [
        Fault(
            title="Passwords and sessions travel unencrypted.",
            evidence=f"People reach the installation under {address}.",
            remedy="Put a proxy with a certificate before it and name the address under which "
            "people reach that.",
            settings={"MUNIMENT_PUBLIC_URL": f"https://{host}"},
        )
    ]


@doctor_check(
    "tenancy.trusted_proxies",
    "Only known proxies may say where a request comes from.",
    Severity.WARNING,
    needs=Needs.NOTHING,
)
async def trusted_proxies(examination: Examination) -> list[Fault]:
    """Look for a setting that believes anybody."""
    trusted = [part.strip() for part in examination.settings.trusted_proxies.split(",")]
    if not {"*", "0.0.0.0/0", "::/0"} & set(trusted):
        return []
    return [
        Fault(
            title="Anybody may say where a request comes from.",
            evidence=f"MUNIMENT_TRUSTED_PROXIES is {', '.join(trusted)}: limits by address and "
            "addresses in the audit log are what callers make them.",
            remedy="Name the addresses of your proxies.",
            settings={"MUNIMENT_TRUSTED_PROXIES": "127.0.0.1"},
        )
    ]


checks: list[DoctorCheck] = [secret_file, public_url, trusted_proxies]
