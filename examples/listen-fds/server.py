#!/usr/bin/python3
"""A server that takes its sockets by LISTEN_FDS. Clients of a stream socket are told its name; datagrams are sent back."""
import os
import selectors
import socket


def listen_fds():
    """The sockets that this process was started with, as (name, socket)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise SystemExit("server: not socket-activated")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    sockets = [socket.socket(fileno=3 + i) for i in range(int(os.environ["LISTEN_FDS"]))]
    for number in sockets:
        number.set_inheritable(False)
    return list(zip(names, sockets))


def serve_client(listener, name):
    client, _ = listener.accept()
    with client:
        client.sendall(f"{name}: served by Python, process {os.getpid()}\n".encode())


def send_back(datagrams, name):
    text, peer = datagrams.recvfrom(65536)
    datagrams.sendto(text, peer)


selector = selectors.DefaultSelector()
for name, listener in listen_fds():
    action = send_back if listener.type == socket.SOCK_DGRAM else serve_client
    selector.register(listener, selectors.EVENT_READ, (action, name))
while True:
    for key, _ in selector.select():
        action, name = key.data
        try:
            action(key.fileobj, name)
        except OSError as error:  # the client has gone
            print("server:", error)
