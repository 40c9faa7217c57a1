"""Who works: the user that the operating system has admitted, and no other claim."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Identity", "operating_system_user"]


@dataclass(frozen=True)
class Identity:
    """A user of the operating system.

    Parameters
    ----------
    name : str
        The login name.
    groups : frozenset of str
        The groups that the system's directory names the user in.
    """

    name: str
    groups: frozenset[str] = field(default_factory=frozenset)

    def is_among(self, names: Iterable[str]) -> bool:
        """Tell whether one of the names is the user's own or that of a group.

        Upper and lower case are alike, as in most directories of users.

        Examples
        --------
        >>> Identity("ada", frozenset({"methodology"})).is_among(["Methodology"])
        True
        """
        own = {name.casefold() for name in (self.name, *self.groups)}
        return any(name.casefold() in own for name in names)


def operating_system_user() -> Identity:
    """Return the user whom this process belongs to.

    The name is looked up by the process's user id (on Windows: asked of the system);
    variables of the environment such as ``USER`` are not read, because anybody can
    set them.
    """
    if os.name != "posix":
        return Identity(os.getlogin())
    import grp
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run under a number that has no name
        return Identity(f"uid-{os.getuid()}")
    groups = set()
    for number in os.getgrouplist(entry.pw_name, entry.pw_gid):
        try:
            groups.add(grp.getgrgid(number).gr_name)
        except KeyError:  # a group without a name holds no role
            continue
    return Identity(entry.pw_name, frozenset(groups))
