"""A connection of a client: reads from it until a deadline, and notices when the client has closed it."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from typing import Any


def is_closed(connection: socket.socket) -> bool:
    """Whether the client has closed the connection. Changes its timeout."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


class DeadlineReader(io.RawIOBase):
    """A socket as a stream, so that a client that sends slowly cannot hold it for long.

    Seconds: `idle` to the first byte of a request, `request` from there to its last. A socket's own timeout begins anew
    with each byte. Reading raises TimeoutError after the deadline.
    """

    def __init__(
        self, connection: socket.socket, idle: float, request: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection, self._idle, self._request, self._clock = connection, idle, request, clock
        self.expect_request()

    def expect_request(self) -> None:
        """Wait for the next request of the connection."""
        self._deadline = self._clock() + self._idle
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the request was not sent in time")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        if not self._begun:
            self._begun = True
            self._deadline = self._clock() + self._request
        return count
