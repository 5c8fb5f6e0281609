"""The socket on which the gate answers calls: one that a supervisor passed, or one of its own."""

import socket

from agi_gate.settings import GateSettings
from compliance.listening import CannotListen, reserve
from compliance.passed_sockets import bind_of, passed_sockets


def calls_socket(settings: GateSettings) -> tuple[GateSettings, socket.socket]:
    """Return the non-blocking socket for calls, and the settings with its address. Raises CannotListen.

    A socket of the gate's own does not listen yet.
    """
    passed = passed_sockets()
    if len(passed) > 1:
        names = ", ".join(name for name, _ in passed)
        raise CannotListen(f"LISTEN_FDS: the gate takes one socket, for calls, not {len(passed)} ({names})")
    if passed:
        _, listener = passed[0]
        # Whoever may connect depends on the real address: see `GateSettings.require_peers`.
        return settings.model_copy(update={"agi_bind": bind_of(listener)}), listener
    reserved = reserve("DNC_AGI_BIND", settings.agi_bind)
    reserved.setblocking(False)
    return settings, reserved
