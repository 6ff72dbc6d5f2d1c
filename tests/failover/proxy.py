"""A TCP proxy for the tests. It can drop data without closing connections, and change its target."""

import contextlib
import socket
import threading

# Peers from this address are servers; see `Proxy.cut_off`.
SERVER_ADDRESS = "127.0.0.2"


class Link:
    """One connection through the proxy: two sockets and a thread for each direction."""

    def __init__(self, proxy, inner, outer, is_server):
        self.proxy, self.inner, self.outer, self.is_server = proxy, inner, outer, is_server
        # While it is not set, data is read and dropped, as if packets were lost.
        self.forwards = threading.Event()
        self.forwards.set()
        for source, target in ((inner, outer), (outer, inner)):
            threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source, target):
        try:
            while data := source.recv(65536):
                if self.forwards.is_set():
                    target.sendall(data)
        except OSError:
            pass
        # A connection that drops data stays open at its other end.
        if self.forwards.is_set():
            self.close()

    def close(self):
        self.proxy.links.discard(self)
        for one in (self.inner, self.outer):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Proxy:
    def __init__(self, target, port=0):
        self.target = target
        self.links = set()
        # Whether new connections of all peers, or of servers only, drop data.
        self.silent_for_all = self.silent_for_servers = False
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                inner, (address, _) = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._open, args=(inner, address), daemon=True).start()

    def _open(self, inner, address):
        is_server = address == SERVER_ADDRESS
        try:
            outer = socket.create_connection(("127.0.0.1", self.target), timeout=2)
        except OSError:
            # Resets the connection, like a closed port.
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            inner.close()
            return
        for one in (inner, outer):
            one.settimeout(None)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, inner, outer, is_server)
        self.links.add(link)
        if self.silent_for_all or (self.silent_for_servers and is_server):
            link.forwards.clear()

    def drop_silently(self):
        """Makes all open connections drop data without closing them; new connections work."""
        for link in list(self.links):
            link.forwards.clear()

    def cut_off(self, servers_only=False):
        """Makes all connections drop data, open and new ones. With `servers_only` this affects only the
        connections of other servers, which come from SERVER_ADDRESS."""
        self.silent_for_servers = True
        self.silent_for_all = not servers_only
        for link in list(self.links):
            if link.is_server or not servers_only:
                link.forwards.clear()

    def heal(self):
        """Makes new connections work again and closes those that lost data."""
        self.silent_for_all = self.silent_for_servers = False
        for link in list(self.links):
            if not link.forwards.is_set():
                link.close()

    def close(self):
        # Wakes the thread that waits in accept().
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in list(self.links):
            link.close()
