"""The limit of open files, and how many connections fit below it."""

import resource

OTHER_FILES = 256
"""Files that a program needs besides the connections of its clients."""

LEAST_CONNECTIONS = 64


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard limit."""
    # The usual soft limit of 1,024 is below what a busy office, or a busy PBX, may need.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for(connections: int) -> int:
    """Return how many of some connections leave enough files for everything else that the program opens."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        connections if soft == resource.RLIM_INFINITY else min(connections, max(LEAST_CONNECTIONS, soft - OTHER_FILES))
    )
