#!/usr/bin/python3
"""A worker of handoff: pass. It takes connections out of the queue, which is descriptor 3, and serves one after the other:
here the client gets to read who it is, and then its own lines back."""
import signal
import socket
import sys


def serve(connection, about):
    name = about.get("REMOTE_ADDR", "a local client")
    connection.sendall(f"hello {name} {about.get('REMOTE_PORT', '')}\n".encode())
    # Bytes, and for reading only: a text stream for both forgets what it has read ahead when it writes.
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(line)


def main():
    queue = socket.socket(fileno=3)
    stopping = []

    def stop(number, frame):
        # In the middle of a connection it is finished first; else there is nothing to wait for.
        stopping.append(number)
        if not serving:
            sys.exit(0)

    serving = []
    signal.signal(signal.SIGTERM, stop)
    while not stopping:
        text, descriptors, flags, address = socket.recv_fds(queue, 65536, 1)
        if not text:
            return  # the broker wants this worker to end
        about = dict(line.split("=", 1) for line in text.decode("utf-8", "surrogateescape").splitlines())
        serving.append(True)
        try:
            with socket.socket(fileno=descriptors[0]) as connection:
                serve(connection, about)
        except OSError as error:
            print("worker:", error, file=sys.stderr)
        serving.clear()


main()
