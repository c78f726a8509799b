"""Pass TCP connections on through a path that has latency, or a limit for each connection.

    python -I -S network_path.py [--rate BYTES_PER_SECOND] [--rtt SECONDS] LISTEN:TARGET...

Ports are of 127.0.0.1. TLS goes through untouched. The rate holds for what the server sends
on one connection, as a token bucket that never saves up more than BURST_S: nginx's own
`limit_rate` lets every request burst for a second, which is how segmented clients escape it.
Half of the round trip is added in each direction; the handshake of TCP itself costs nothing.

One thread and one `select`, whose timeout counts in microseconds where `epoll` has
milliseconds: every chunk waits in a queue for the instant at which it is due.
"""

import argparse
import contextlib
import select
import socket
import time
from collections import deque

BURST_S = 0.05
"""What an idle connection may send at once, as seconds of its rate."""

CHUNK_BYTES = 128 * 1024
QUEUE_BYTES = 4 * 1024 * 1024
"""Bytes on their way in one direction; from there on the sender is made to wait."""


class Flow:
    """One direction of a connection: what was read waits here until it is due."""

    def __init__(
        self, source: socket.socket, target: socket.socket, *, rate: float, delay: float
    ) -> None:
        self.source = source
        self.target = target
        self.blocked = False
        self._rate = rate
        self._delay = delay
        self._free_at = 0.0
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._bytes = 0
        self._limit = max(CHUNK_BYTES, int(rate * BURST_S)) if rate else QUEUE_BYTES
        self._ended = False
        self.over = False

    @property
    def hungry(self) -> bool:
        """Whether more may be read."""
        return not self._ended and self._bytes < self._limit

    @property
    def due(self) -> float | None:
        """When there is something to send; None if nothing waits but the peer."""
        return self._queue[0][0] if self._queue and not self.blocked else None

    def read(self, now: float) -> None:
        """Take what came. An end travels like everything else."""
        try:
            data = self.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._ended = not data
        due = now + self._delay
        if self._rate:
            self._free_at = max(self._free_at, now - BURST_S) + len(data) / self._rate
            due = max(due, self._free_at + self._delay)
        self._queue.append((due, memoryview(data)))
        self._bytes += len(data)

    def send(self, now: float) -> None:
        """Hand on what is due."""
        self.blocked = False
        while self._queue and self._queue[0][0] <= now:
            due, data = self._queue.popleft()
            if not data:
                self.over = True
                with contextlib.suppress(OSError):
                    self.target.shutdown(socket.SHUT_WR)
                return
            try:
                count = self.target.send(data)
            except BlockingIOError:
                count = 0
            except OSError:
                self.over = self._ended = True
                self._queue.clear()
                return
            self._bytes -= count
            if count < len(data):
                self._queue.appendleft((due, data[count:]))
                self.blocked = True
                return


def main() -> None:
    """Pass connections on until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--rtt", type=float, default=0.0)
    parser.add_argument("ports", nargs="+")
    choice = parser.parse_args()
    listeners: dict[socket.socket, int] = {}
    for pair in choice.ports:
        listen, target = map(int, pair.split(":"))
        listeners[socket.create_server(("127.0.0.1", listen), backlog=256)] = target
    pass_on(listeners, rate=choice.rate, delay=choice.rtt / 2)


def pass_on(listeners: dict[socket.socket, int], *, rate: float, delay: float) -> None:
    """Serve for ever; `listeners` map to the ports that they lead to."""
    pairs: list[tuple[Flow, Flow]] = []
    while True:
        flows = [flow for pair in pairs for flow in pair if not flow.over]
        readers = {flow.source: flow for flow in flows if flow.hungry}
        writers = {flow.target: flow for flow in flows if flow.blocked}
        dues = [due for flow in flows if (due := flow.due) is not None]
        wait = max(0.0, min(dues) - time.monotonic()) if dues else None
        readable, writable, _ = select.select([*listeners, *readers], [*writers], [], wait)
        now = time.monotonic()
        for sock in readable:
            if sock in listeners:
                pairs.append(_accept(sock, listeners[sock], rate=rate, delay=delay))
            else:
                readers[sock].read(now)
        for sock in writable:
            writers[sock].send(now)
        for flow in flows:
            if (due := flow.due) is not None and due <= now:
                flow.send(now)
        for pair in [each for each in pairs if each[0].over and each[1].over]:
            pairs.remove(pair)
            pair[0].source.close()
            pair[0].target.close()


def _accept(listener: socket.socket, port: int, *, rate: float, delay: float) -> tuple[Flow, Flow]:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", port))
    for sock in (client, server):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (
        Flow(client, server, rate=0.0, delay=delay),
        Flow(server, client, rate=rate, delay=delay),
    )


if __name__ == "__main__":
    main()
