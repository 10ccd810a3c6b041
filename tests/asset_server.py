"""A local HTTP server that misbehaves as told, for tests of the downloader."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """How one request is answered.

    `range_shift` begins a part that many bytes from where it was asked for; `cut_after` and `stall_after` count bytes of this answer's body; `piece_bytes` sends the
    body in pieces with a short pause after each.
    """

    body: bytes = b""
    status: int = 200
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    range_shift: int = 0
    length: bool = True
    cut_after: int | None = None
    stall_after: int | None = None
    piece_bytes: int | None = None


@dataclass
class AssetServer:
    """What to answer (the last answer repeats) and what was asked: the headers of every request."""

    address: str
    answers: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def next_answer(self, headers):
        self.requests.append(dict(headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def ranges_asked(self):
        return [headers.get("Range") for headers in self.requests]


@contextmanager
def running_server():
    """An AssetServer at a free port of this machine, gone at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            respond(self, server, server.next_answer(self.headers))

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = AssetServer(f"http://127.0.0.1:{http.server_port}/tiny.bin")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        thread.join()
        http.server_close()


def respond(handler, server, answer):
    start = first_byte(handler.headers, answer)
    if start and start >= len(answer.body):
        handler.send_error(416)
        return
    body = answer.body[start:]
    handler.send_response(206 if start else answer.status)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}")
    if answer.length:
        handler.send_header("Content-Length", str(len(body)))
    for name, value in (("ETag", answer.etag), ("Last-Modified", answer.modified)):
        if value:
            handler.send_header(name, value)
    handler.end_headers()
    send(handler, server, answer, body)


def first_byte(headers, answer):
    """Where the answer begins: what Range asks for, unless If-Range names another version."""
    wanted = headers.get("Range")
    if not wanted or not answer.ranges or answer.status != 200:
        return 0
    version = headers.get("If-Range")
    if version and version not in (answer.etag, answer.modified):
        return 0
    return int(wanted.removeprefix("bytes=").rstrip("-")) + answer.range_shift


def send(handler, server, answer, body):
    stop = answer.cut_after if answer.cut_after is not None else answer.stall_after
    for at in range(0, len(body[:stop]), answer.piece_bytes or len(body) or 1):
        handler.wfile.write(body[:stop][at : at + (answer.piece_bytes or len(body))])
        if answer.piece_bytes:
            server.closing.wait(0.05)
    handler.wfile.flush()
    if answer.stall_after is not None:
        server.closing.wait(60)
    handler.close_connection = True
