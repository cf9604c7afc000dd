#!/usr/bin/python3
"""A web server that takes its socket by LISTEN_FDS, says when it is ready, and finishes what it has when told to end.
It answers with the name of its release, the directory it is in."""
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE = os.path.basename(os.path.dirname(os.path.realpath(__file__)))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{RELEASE}, process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # the end waits for those who are being served


def notify(message):
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(message.encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)


if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
    raise SystemExit("not socket-activated")
server = Server(("", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
# shutdown() waits for the loop that the signal has interrupted.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
notify("READY=1\nSTATUS=serving " + RELEASE)
server.serve_forever(poll_interval=0.1)
server.server_close()
