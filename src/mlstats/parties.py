"""Who made a version of a pilot, and who may decide on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlstats.decisions import ROLES
from mlstats.errors import RefusedError, UsageError, nearest
from mlstats.identity import Identity

__all__ = ["Parties"]


@dataclass(frozen=True)
class Parties:
    """Who made a version, and who may decide on it.

    Parameters
    ----------
    authors : tuple of str
        Login names and groups of its authors, and who registered it.
    holders : mapping of str to tuple of str
        Role -> login names and groups.
    """

    authors: tuple[str, ...]
    holders: Mapping[str, tuple[str, ...]]

    def roles(self, identity: Identity) -> tuple[str, ...]:
        """Return the roles that a user holds."""
        return tuple(
            role for role in ROLES if identity.is_among(self.holders.get(role, ()))
        )

    def approver(self, identity: Identity, role: str | None = None) -> str:
        """Return the role in which a user may approve.

        Raises
        ------
        RefusedError
            Where the user is an author or does not hold the role.
        UsageError
            Where there is no such role.
        """
        if role is not None and role not in ROLES:
            raise UsageError(
                f"There is no role {role!r}",
                expected=", ".join(ROLES),
                nearest=nearest(role, ROLES),
            )
        if identity.is_among(self.authors):
            raise RefusedError(
                f"{identity.name} is an author of this version",
                where="owner.author, or who ran the pilot",
                expected="somebody else: nobody approves their own work",
            )
        return self.holder(identity, role)

    def holder(self, identity: Identity, role: str | None = None) -> str:
        """Return a role that a user holds: the one asked for, or the first.

        Raises
        ------
        RefusedError
            Where the user holds none, or not that one.
        """
        held = self.roles(identity)
        if not held or (role is not None and role not in held):
            raise RefusedError(
                f"{identity.name} does not hold "
                + ("any role of this pilot" if role is None else f"the role {role}"),
                where="owner.roles",
                expected="a login name or a group of the operating system",
                hint="the pilot's file names who holds a role",
            )
        return role or held[0]

    def member(self, identity: Identity) -> str:
        """Return the role of anybody who has a part in a pilot, author among them.

        Raises
        ------
        RefusedError
            Where the user has none.
        """
        if identity.is_among(self.authors) and not self.roles(identity):
            return "author"
        return self.holder(identity)
