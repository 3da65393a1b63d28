"""The hosts of one app: what each says of itself, and the messages between them.

Each has a box for messages, and so has each push. A message is a small JSON object, signed with a key
derived from the secret, and says for which app and box it is: who may write to the shared store can't
therefore give orders.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .envelope import Keyring, seal_message, unseal_message
from .errors import RejectedError, StoreError
from .shared import SILENT_S, Shared

GONE_S = 15.0  # what is not heard of for so long is no host any more
_NAME = re.compile(r"\A[A-Za-z0-9.-]{1,80}-[0-9a-f]{6}\Z")
log = logging.getLogger("flask_habanero")

Message = dict[str, Any]


@dataclass(frozen=True)
class Beat:
    """What a host said of itself, some seconds ago.

    Attributes:
        deploy: what was deployed cold there.
        epoch: what it runs; "" while it starts.
        number: the head that it knows.
    """

    host: str
    age_s: float
    deploy: str
    epoch: str
    number: int

    @property
    def is_silent(self) -> bool:
        """Whether it should have been heard of since."""
        return self.age_s > SILENT_S


class Hosts:
    """This host among the others. Making it touches nothing; calls may raise StoreError."""

    def __init__(self, folder: Path, app: str, keys: Keyring, shared: Shared) -> None:
        self.shared = shared
        self._folder, self._app, self._keys = folder, app, keys
        self._own = ""

    @property
    def own(self) -> str:
        """This host's name: that of the machine, and six digits, which are those of its store."""
        if not self._own:
            self._own = _name_in(self._folder)
        return self._own

    def beat(self, deploy: str, epoch: str, number: int) -> None:
        """Say that this host is there, and what it runs."""
        said = {"app": self._app, "host": self.own, "deploy": deploy, "epoch": epoch, "number": number}
        self.shared.beat(self.own, seal_message(said, self._keys.first))

    def roster(self) -> dict[str, Beat]:
        """Return the hosts that were heard of, this one too. What none of ours said is no host."""
        found = {}
        for host, (age, data) in self.shared.roster().items():
            said = self._believed(data)
            if said.get("host") == host and age <= GONE_S:
                found[host] = Beat(host, age, said["deploy"], said["epoch"], said["number"])
        return found

    def leave(self) -> None:
        """Say that this host is no more."""
        self.shared.leave(self.own)

    def send(self, box: str, message: Message) -> None:
        """Put a message into a box."""
        self.shared.send(box, seal_message({**message, "app": self._app, "to": box}, self._keys.first))

    def receive(self, box: str, timeout_s: float) -> Message | None:
        """Return the next message that one of ours put into a box for it; None when there is none in time."""
        data = self.shared.receive(box, timeout_s)
        message = None if data is None else self._believed(data)
        return message if message and message.get("to") == box else None

    def _believed(self, data: bytes) -> Message:
        try:
            message = unseal_message(data, self._keys)
        except RejectedError:
            message = {}
        if message.get("app") != self._app:
            log.warning("a message that none of ours sent lay in %s", self.shared.place)
            return {}
        return message


def box_of(host: str) -> str:
    """Return the box of a host."""
    return f"host:{host}"


def _name_in(folder: Path) -> str:
    """Return the name that lies in a store. One that was copied there is another host's."""
    machine = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:80] or "host"
    try:
        fd = os.open(folder / "host", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{folder / 'host'}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        name, _, place = os.pread(fd, 200, 0).decode("ascii", "replace").strip().partition(" ")
        here = str(os.fstat(fd).st_ino)  # a copy lies elsewhere
        if not _NAME.match(name) or (name[:-7], place) != (machine, here):
            name = f"{machine}-{secrets.token_hex(3)}"
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{name} {here}\n".encode(), 0)
        return name
    except OSError as error:
        raise StoreError(f"{folder / 'host'}: {error.strerror}") from error
    finally:
        os.close(fd)
