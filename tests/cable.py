"""A connection to a server that can be cut, and mended, while both ends live on."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Cable:
    """Passes on what is sent to its port to another port of this machine, as long as it is whole."""

    def __init__(self, port: int) -> None:
        self._to, self._whole, self._ends = port, True, list[socket.socket]()
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._take, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and take no other."""
        with self._lock:
            self._whole = False
            self._close()

    def mend(self) -> None:
        """Take connections again."""
        with self._lock:
            self._whole = True

    def remove(self) -> None:
        """Take it away for good."""
        self.cut()
        self._door.close()

    def _close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _take(self) -> None:
        while True:
            try:
                one = self._door.accept()[0]
            except OSError:
                return  # it was removed
            with self._lock:
                self._ends.append(one)
                if not self._whole:
                    self._close()
                    continue
                other = socket.create_connection(("127.0.0.1", self._to))
                self._ends.append(other)
            for source, target in ((one, other), (other, one)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
