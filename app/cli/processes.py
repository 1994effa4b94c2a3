"""The processes below ``serve`` and ``demo``: started, watched and ended in order.

Children are in a process group of their own, so that Ctrl-C reaches only the parent, which ends them one by one. Each
child's standard input is a pipe that the parent holds: when the parent dies, however it dies, the pipe closes and the
child ends itself (``--until-stdin-closes``).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from app.cli.base import note

_STOP_SECONDS = {"web": 10.0, "worker": 40.0}  # a worker waits up to 30 s for a model to notice
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0  # a child that has run this long may be restarted without a pause again


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    process: "subprocess.Popen[bytes]"
    started: float
    pause: float = 0.0


@dataclass
class Processes:
    """Children by name. ``run`` watches them until a signal, or until one that must live has died."""

    environment: Mapping[str, str]
    _children: dict[str, _Child] = field(default_factory=dict)
    # SimpleQueue, because a signal handler may put into it while the same thread waits on it.
    _events: "SimpleQueue[tuple[str, int]]" = field(default_factory=SimpleQueue)
    _stopping: bool = False

    def start(self, name: str, *arguments: str) -> None:
        """Start ``linecall <arguments>`` under a name."""
        command = [sys.executable, "-m", "app.cli", *arguments, "--until-stdin-closes"]
        self._children[name] = _Child(name, command, self._spawn(name, command), time.monotonic())

    def _spawn(self, name: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own commands
            command, env=dict(self.environment), stdin=subprocess.PIPE, process_group=0
        )

        def watch() -> None:
            self._events.put((name, process.wait()))

        threading.Thread(target=watch, name=f"watch-{name}", daemon=True).start()
        return process

    def alive(self, name: str) -> bool:
        return self._children[name].process.poll() is None

    def handle_signals(self) -> None:
        """From now on SIGINT and SIGTERM end ``run``; a second one ends the children at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stopping:
            for child in self._children.values():
                child.process.kill()
        self._stopping = True
        self._events.put(("signal", number))

    @property
    def stopping(self) -> bool:
        return self._stopping

    def run(self, *, restart: Sequence[str] = ()) -> int:
        """Wait. Children in ``restart`` are started again when they die, after a pause that doubles; the death of any
        other ends everything. Returns the exit code: 0 after a signal, 1 after a death."""
        while True:
            name, code = self._events.get()
            if name == "signal" or self._stopping:
                return 0
            if name not in restart:
                note(f"The {name} process has ended ({_why(code)}).")
                return 1
            self._restart(self._children[name], code)

    def _restart(self, child: _Child, code: int) -> None:
        lived = time.monotonic() - child.started
        child.pause = 1.0 if lived > _STEADY_SECONDS else min(max(1.0, child.pause * 2), _LONGEST_PAUSE)
        note(f"The {child.name} process has ended ({_why(code)}); starting it again in {child.pause:.0f} s.")

        def later() -> None:
            if not self._stopping:
                child.process, child.started = self._spawn(child.name, child.command), time.monotonic()

        timer = threading.Timer(child.pause, later)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """End the children one after the other, in the order in which they were started."""
        self._stopping = True
        for child in self._children.values():
            process = child.process
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS.get(child.name, 10.0))
            except subprocess.TimeoutExpired:
                note(f"The {child.name} process does not end; it is killed.")
                process.kill()
                process.wait()


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def child_environment(**values: str) -> dict[str, str]:
    """This process's environment, our package's folder and ``values`` added."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, **values}


def end_with_parent(end: Callable[[], None]) -> None:
    """In a child: call ``end`` once standard input closes."""

    def wait() -> None:
        # Unbuffered, because a reader of sys.stdin would hold its lock while the interpreter ends.
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def port_is_free(host: str, port: int) -> bool:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
