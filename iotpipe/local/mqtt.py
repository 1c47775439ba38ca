"""The MQTT listener of the embedded AWS: ministack's broker, on loopback, for clients with a certificate only."""

from __future__ import annotations

import asyncio
import random
import socket
import sys

from iotpipe.errors import IotpipeError

PORTS = range(20_000, 30_000)
"""The ports to choose from. No system hands them out to outgoing connections, so one of these rarely takes a port."""

_ATTEMPTS = 100


class Listener:
    """Accepts clients and hands them to ministack, which is loaded for the first of them."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self, recorded: int) -> None:
        """Accept connections on the recorded port, or on a free one if none is recorded.

        Raises IotpipeError if there is no free port, or if the recorded one is taken and devices depend on it.
        """
        listening = _listening_socket(recorded, has_certificates())
        self.port = listening.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(_protocol, sock=listening)

    def close(self) -> None:
        """Accept no more connections; the present ones end when ministack shuts down."""
        if self._server:
            self._server.close()


def _protocol() -> asyncio.Protocol:
    from ministack import app

    protocol: asyncio.Protocol = app._get_module("iot")._MtlsAcceptor()
    return protocol


def has_certificates() -> bool:
    """Whether a certificate is registered, in whatever region. Call it after ministack has restored its state."""
    # ministack imports the module, which takes 0.1 s, only if there is a state to restore.
    iot = sys.modules.get("ministack.services.iot")
    return iot is not None and bool(iot._certificates._data)


def _listening_socket(recorded: int, has_certificates: bool) -> socket.socket:
    if recorded:
        try:
            return _bound(recorded)
        except OSError as error:
            if has_certificates:
                raise IotpipeError(
                    f"port {recorded}, to which the devices connect by MQTT, cannot be used: {error.strerror}",
                    "End the program that uses it and start again, or delete the devices and everything else with "
                    "`iotpipe local reset`",
                ) from error
    reasons = set()
    for port in random.sample(PORTS, _ATTEMPTS):
        try:
            return _bound(port)
        except OSError as error:
            reasons.add(str(error.strerror))
    tried = f"tried {_ATTEMPTS} of {PORTS.start} to {PORTS.stop - 1}: {', '.join(sorted(reasons))}"
    raise IotpipeError(f"no port for MQTT is free: {tried}", "End the programs that use them and start again")


def _bound(port: int) -> socket.socket:
    """Return a listening socket on loopback. Raises OSError."""
    listening = socket.socket()
    try:
        # Without it, a port cannot be used again for a minute after an engine with connections was killed.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
