"""Datagrams between the workers of one host: the only file that opens sockets.

Each is a small JSON object, signed with a key derived from the secret: who may write into the
folder may not therefore give orders.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from .envelope import Keyring, seal_message, unseal_message
from .errors import RejectedError, StoreError

SEND_S = 0.2  # a full socket buffer: its owner is stopped
ANSWER_S = 1.0  # who leads has one buffer for all answers, which holds ten: it reads them as soon as it can
WORKER, FOLLOWER = ".sock", ".follow"  # how the names end of those who serve, and of those who don't
LONGEST_PATH = 100  # of a unix socket; 107 on Linux, 103 on macOS
LONGEST_MESSAGE = 64 * 1024
log = logging.getLogger("flask_habanero")

Message = dict[str, Any]


class Post:
    """A named datagram socket among those of one folder."""

    def __init__(self, folder: Path, name: str, keys: Keyring) -> None:
        self.name = name
        self._folder, self._keys = folder, keys
        self._fd = -1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(self._address(name))
        except OSError as error:
            self.close()
            raise StoreError(f"no socket in {folder}: {error}") from error

    def _address(self, name: str) -> str:
        path = str(self._folder / name)
        if len(os.fsencode(path)) <= LONGEST_PATH:
            return path
        if self._fd < 0:  # Linux reaches the folder through its descriptor, however long its name is
            self._fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._fd}/{name}"

    def send(self, to: str, message: Message, patience_s: float = SEND_S) -> bool:
        """Send a message. Returns whether there is somebody; a dead worker's socket is removed."""
        data = seal_message({**message, "from": self.name}, self._keys.first)
        self._socket.settimeout(patience_s)
        try:
            self._socket.sendto(data, self._address(to))
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(OSError):
                (self._folder / to).unlink()
            return False
        except (
            OSError
        ) as error:  # its buffer is full, or ours: it is there, and will be missed in the answers
            log.warning("no message to worker %s: %s", to, error)
        return True

    def reaches(self, to: str) -> bool:
        """Whether there is somebody, as `send` finds out, but without a message: a busy worker holds ten."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self._address(to))
            except (ConnectionRefusedError, FileNotFoundError):
                with suppress(OSError):
                    (self._folder / to).unlink()
                return False
            except OSError as error:
                log.warning("worker %s can't be asked for: %s", to, error)
        return True

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message that one of ours sent; None when there is none in time."""
        self._socket.settimeout(max(timeout_s, 0.001))  # 0 would mean: not blocking, another exception
        try:
            return unseal_message(self._socket.recv(LONGEST_MESSAGE), self._keys)
        except TimeoutError:
            return None
        except RejectedError:
            log.warning("a message that none of ours sent lay in %s", self.name)
            return {}

    def others(self, kind: str) -> list[str]:
        """Return the names of the sockets of a kind in the folder, but not our own."""
        return [p.name for p in self._folder.glob(f"*{kind}") if p.name != self.name]

    def close(self) -> None:
        """Close the socket and take its name away."""
        self._socket.close()
        if self._fd >= 0:
            os.close(self._fd)
        with suppress(OSError):
            (self._folder / self.name).unlink()


def pid_of(name: str) -> int:
    """Return the process that bound a worker's socket."""
    return int(name.partition("-")[0])


def label(name: str) -> str:
    """Return how people know a worker: host/pid; or, if no worker is named, the host."""
    host, _, own = name.rpartition("/")
    host = host or socket.gethostname()
    return f"{host}/{pid_of(own)}" if own else host
