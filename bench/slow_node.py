"""A proxy that puts a node some milliseconds away, and counts the requests. It runs as a process of its own.

`python -m bench.slow_node UPSTREAM MILLISECONDS` prints its port, and for each line that it reads how many requests
there were until then.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.delay = delay
        self.count = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Two small packets would wait for one another.
    wbufsize = -1
    server: _Server
    _node: http.client.HTTPConnection | None = None

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.count += 1
        time.sleep(self.server.delay)
        if self._node is None:
            self._node = http.client.HTTPConnection(self.server.upstream)
        self._node.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = self._node.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:
            # Whoever asked does not read so much at once.
            self.close_connection = True


def main() -> None:
    """Serve until standard input ends."""
    server = _Server(sys.argv[1], float(sys.argv[2]) / 1_000)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        print(server.count, flush=True)


if __name__ == "__main__":
    main()
