"""A process that has imported a program and forks it on request; see `tests/support/programs.py`."""

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1
LONGEST_REQUEST = 1 << 20
STREAMS = 3


class ForkServer:
    """Forks on request. A request has the three standard streams, and the socket that gets the exit code."""

    def __init__(self, asked: socket.socket) -> None:
        self.asked, self.pid = asked, os.getpid()
        self.running: dict[int, tuple[int, socket.socket]] = {}
        self.events = select.poll()
        self.events.register(asked, select.POLLIN)

    def serve(self) -> list[str] | None:
        """Return the words of the program in each forked process. Return None in the server when the client closes."""
        while True:
            for descriptor, _ in self.events.poll():
                if descriptor in self.running:
                    self._tell_end(descriptor)
                    continue
                request, streams, *_ = socket.recv_fds(self.asked, LONGEST_REQUEST, STREAMS + 1)
                if not request:
                    return None
                if self._forked(streams):
                    return self._become(json.loads(request), streams[:STREAMS])

    def _forked(self, descriptors: list[int]) -> bool:
        """Fork, and send the process id and a pidfd to the client. Return True in the new process."""
        pid, told = os.fork(), socket.socket(fileno=descriptors[-1])
        if pid == 0:
            told.close()
            return True
        for stream in descriptors[:STREAMS]:
            os.close(stream)
        handle = os.pidfd_open(pid)
        socket.send_fds(told, [str(pid).encode()], [handle])
        self.running[handle] = pid, told
        self.events.register(handle, select.POLLIN)
        return False

    def _tell_end(self, handle: int) -> None:
        pid, told = self.running.pop(handle)
        _, status = os.waitpid(pid, 0)
        self.events.unregister(handle)
        os.close(handle)
        with told:
            told.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _become(self, request: dict, streams: list[int]) -> list[str]:
        """Take on the request's streams, directory and environment, as `exec` would. Return the words."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.setpgid(0, 0)
        for told in (told for _, told in self.running.values()):
            told.close()
        for handle in self.running:
            os.close(handle)
        self.asked.close()
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
            os.close(stream)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        if os.getppid() != self.pid:  # The server ended before the death signal was set.
            os._exit(1)
        return request["words"]


def learn(package: str) -> None:
    """Import every module of a program except `__main__`, and exempt the imported objects from garbage collection."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def main() -> None:
    asked, package = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    learn(package)
    words = ForkServer(asked).serve()
    if words is not None:
        sys.argv[1:] = words
        runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
