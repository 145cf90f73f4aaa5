"""A proxy before PostgreSQL that knows where one statement ends and the next begins.

It counts the statements that a run sends, over all of its connections ("lines"), and does something
at one of them: before the server gets it, while the server is at it, or when the server has done it
and the client does not know yet. A line can then be cut, hang for good, or swallow the answers.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from psycopg import conninfo

Phase = Literal["before", "during", "after"]

_STARTUP, _CANCEL, _ENCRYPT = 196608, 80877102, (80877103, 80877104)
# Query, Sync and CopyDone: what the server answers. The others are sent along with them.
_ENDS = b"QSc"
# ReadyForQuery, and the invitation to copy.
_ANSWERED = b"ZG"
# Lines on which something is said when it is time: they would shift the numbers of what comes later.
_BY_CLOCK = ("runner lease", "runner watch", "runner question")
_STEP = re.compile(rb"runner \w+/(\w+) ")


@dataclass(frozen=True)
class Boundary:
    """The place of a statement among those of a run: its number from 1, whose line it is on, its step and its words."""

    number: int
    line: str
    step: str
    text: str

    def __str__(self) -> str:
        return f"{self.number} {self.line}{' ' + self.step if self.step else ''}: {self.text[:60]}"


@dataclass(frozen=True)
class _Trap:
    """What is to happen at the first boundary that `fits`, or at each."""

    fits: Callable[[Boundary], bool]
    phase: Phase
    act: Callable[[Line, Boundary], None]
    always: bool


class Proxy:
    """Listens on 127.0.0.1 and forwards to the server of `dsn`, unless it is to `refuse`. A context manager."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._parts = conninfo.conninfo_to_dict(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._guard = threading.Lock()
        self._trap: _Trap | None = None
        self.seen: list[Boundary] = []
        self.sprung: Boundary | None = None
        self.refuse = False
        self.lines: list[Line] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would not wake whoever waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    @property
    def dsn(self) -> str:
        """The connection string of the same database through the proxy."""
        parts = {key: value for key, value in self._parts.items() if key in ("user", "password", "dbname")}
        port = self._listener.getsockname()[1]
        return conninfo.make_conninfo("", **parts, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    @property
    def upstream(self) -> str:
        """The connection string of the database itself."""
        return self._dsn

    def trap(
        self,
        fits: Callable[[Boundary], bool],
        phase: Phase,
        act: Callable[[Line, Boundary], None],
        *,
        always: bool = False,
    ) -> None:
        """Call `act` at the first boundary that fits, or at each."""
        self._trap = _Trap(fits, phase, act, always)

    def disarm(self) -> None:
        """Spring no trap from now on."""
        with self._guard:
            self._trap = None

    def cut(self) -> None:
        """End all lines, in both directions."""
        for line in self.lines:
            line.cut()

    def hang(self) -> None:
        """Stop forwarding on all lines, and tell neither end when the other one closes."""
        for line in self.lines:
            line.hang()

    def dial(self) -> socket.socket:
        """Connect to the server."""
        host, port = str(self._parts["host"]), int(self._parts.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        dialled = socket.socket(socket.AF_UNIX)
        try:
            dialled.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            dialled.close()
            raise
        return dialled

    def reach(self, line: Line, text: str) -> tuple[_Trap, Boundary] | None:
        """Count a boundary, but for those that come by the clock; return the trap that it springs."""
        if line.name in _BY_CLOCK:
            return None
        with self._guard:
            boundary = Boundary(len(self.seen) + 1, line.name, line.step, text)
            self.seen.append(boundary)
            trap = self._trap
            if trap is None or not trap.fits(boundary):
                return None
            self._trap, self.sprung = trap if trap.always else None, boundary
            return trap, boundary

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            line = Line(self, client)
            self.lines.append(line)
            threading.Thread(target=line.forward, daemon=True).start()


class Line:
    """A client's connection and the one to the server that belongs to it; `backend` is its process there."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        # Else an answer of several messages waits for an acknowledgement that is delayed.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._server: socket.socket | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._hanging = False
        self._deaf = False
        self._held: tuple[_Trap, Boundary] | None = None
        self.name = self.step = ""
        self.backend = 0

    def cut(self) -> None:
        """End both connections at once."""
        self._hanging = False
        self._flowing.set()
        for end in (self._client, self._server):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_client(self) -> None:
        """End the client's connection alone."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def hang(self) -> None:
        """Forward nothing more, in neither direction; neither end learns of the other's."""
        self._hanging = True
        self._flowing.clear()

    def pause(self) -> None:
        """Forward nothing until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def deafen(self) -> None:
        """Forward what the client says, and none of the answers."""
        self._deaf = True

    def forward(self) -> None:
        """Forward from the client to the server until either ends."""
        answering = False
        try:
            if self._begin():
                threading.Thread(target=self._answer, daemon=True).start()
                answering = True
                self._speak()
        except OSError:
            pass
        finally:
            self._end(self._server)
            self._end(self._client)
            self._client.close()
            if self._server is not None and not answering:
                self._server.close()

    def _end(self, other: socket.socket | None) -> None:
        """Tell the other end that this one is gone, unless the line hangs."""
        if other is not None and not self._hanging:
            with suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)

    def _begin(self) -> bool:
        """Pass on how the client introduces itself; False where there is nothing to forward."""
        while True:
            head = _read(self._client, 8)
            size, code = struct.unpack("!ii", head)
            body = _read(self._client, size - 8)
            if code not in _ENCRYPT:
                break
            self._client.sendall(b"N")
        words = body.split(b"\0")
        told = dict(zip(words[::2], words[1::2], strict=False))
        self.name = told.get(b"application_name", b"").decode()
        sprung = self._proxy.reach(self, "connect") if code == _STARTUP else None
        if sprung and sprung[0].phase == "before":
            sprung[0].act(self, sprung[1])
        self._server = self._proxy.dial()
        if sprung and sprung[0].phase == "after":
            self._held = sprung
        self._server.sendall(head + body)
        if sprung and sprung[0].phase == "during":
            sprung[0].act(self, sprung[1])
        return code != _CANCEL

    def _speak(self) -> None:
        assert self._server is not None
        group, text = b"", ""
        while True:
            kind, message = _message(self._client)
            group += message
            if kind in b"QP":
                words = message[5:].split(b"\0")
                text = " ".join((words[0] or words[1]).decode(errors="replace").split())
            if kind == b"B" and (found := _STEP.search(message)):
                self.step = found[1].decode()
            if kind == b"d" or kind == b"X":
                self._send(group)
                group = b""
            elif kind in _ENDS:
                said = "end of copy" if kind == b"c" else text
                sprung = self._proxy.reach(self, said)
                if sprung is None:
                    self._send(group)
                else:
                    self._spring(sprung, group)
                if text.lower() in ("commit", "rollback"):
                    self.step = ""
                group = b""

    def _spring(self, sprung: tuple[_Trap, Boundary], group: bytes) -> None:
        trap, boundary = sprung
        if trap.phase == "before":
            trap.act(self, boundary)
        elif trap.phase == "after":
            self._held = sprung
        self._send(group)
        if trap.phase == "during":
            trap.act(self, boundary)

    def _send(self, data: bytes) -> None:
        self._flowing.wait()
        assert self._server is not None
        self._server.sendall(data)

    def _answer(self) -> None:
        """Forward from the server to the client until either ends."""
        assert self._server is not None
        held = b""
        try:
            while True:
                kind, message = _message(self._server)
                if kind == b"K":
                    self.backend = struct.unpack("!i", message[5:9])[0]
                if self._held is not None:
                    held += message
                    if kind not in _ANSWERED:
                        continue
                    trap, boundary = self._held
                    self._held = None
                    trap.act(self, boundary)
                    message, held = held, b""
                self._flowing.wait()
                if not self._deaf:
                    self._client.sendall(message)
        except OSError:
            pass
        finally:
            if held:
                with suppress(OSError):
                    self._client.sendall(held)
            self._end(self._client)
            self._server.close()


def numbered(number: int) -> Callable[[Boundary], bool]:
    """Fit the boundary of this number."""
    return lambda boundary: boundary.number == number


def saying(text: str, step: str = "", line: str = "", nth: int = 1) -> Callable[[Boundary], bool]:
    """Fit the nth statement that begins like this, in a step, on a line whose name begins like that."""
    left = [nth]

    def fits(boundary: Boundary) -> bool:
        found = boundary.text.lower().startswith(text) and boundary.line.startswith(line)
        left[0] -= found and step in ("", boundary.step)
        return found and step in ("", boundary.step) and left[0] == 0

    return fits


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    """Return a message's kind, and all of it."""
    head = _read(source, 5)
    return head[:1], head + _read(source, struct.unpack("!i", head[1:])[0] - 4)


def _read(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return bytes(data)
