"""A valve between a program and a server: what the program says can be held back."""

from __future__ import annotations

import contextlib
import socket
import threading


class Valve:
    """Passes everything both ways; closed, only what the server says still passes."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self._is_gone = False
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Hold back what the program says from now on."""
        self._open.clear()

    def remove(self) -> None:
        """Be gone, with every connection and all that was held back."""
        self._is_gone = True
        self._open.set()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                program, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [program, server]
                for source, drain, held in ((program, server, True), (server, program, False)):
                    arguments = (source, drain, held)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, drain: socket.socket, held: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if held:
                    self._open.wait()
                if self._is_gone:
                    return
                drain.sendall(data)
