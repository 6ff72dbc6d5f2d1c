"""A small Redis client for the tests: one connection, RESP2, all waits are bounded."""

import socket


class ServerError(Exception):
    """An error response of the server."""


class Client:
    def __init__(self, port, timeout=1.0, password=None, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.reader = self.socket.makefile("rb")
        if password:
            self.call("AUTH", password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def call(self, *words):
        """Sends one command and returns the response. An error response is raised."""
        answer = self.pipeline(words)[0]
        if isinstance(answer, ServerError):
            raise answer
        return answer

    def pipeline(self, *commands):
        """Sends several commands at once and returns their responses, including error responses."""
        self.socket.sendall(b"".join(encode(words) for words in commands))
        return [self._read() for _ in commands]

    def _read(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text.decode()
        if kind == b"-":
            return ServerError(text.decode())
        if kind == b":":
            return int(text)
        size = int(text)
        if size < 0:
            return None
        if kind == b"$":
            return self._read_bytes(size)
        if kind == b"*":
            return [self._read() for _ in range(size)]
        raise ValueError(f"unexpected response {line!r}")

    def _read_bytes(self, size):
        data = self.reader.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("the server closed the connection")
        try:
            return data[:-2].decode()
        except UnicodeDecodeError:
            return data[:-2]


def encode(words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def call(port, *words, timeout=1.0, password=None):
    """Sends one command on a connection of its own and returns the response."""
    with Client(port, timeout, password) as client:
        return client.call(*words)


def attempt(port, *words, timeout=1.0, password=None):
    """Like `call`, but returns None if the server is unreachable or responds with an error."""
    try:
        return call(port, *words, timeout=timeout, password=password)
    except (OSError, ServerError):
        return None


def info(port, section, timeout=1.0):
    """Returns a section of INFO as a dictionary; empty if the server is unreachable."""
    text = attempt(port, "INFO", section, timeout=timeout) or ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def times(answer):
    """Returns the scores in a response to ZRANGE WITHSCORES, which are times in whole seconds."""
    return [int(float(score)) for score in answer[1::2]]
