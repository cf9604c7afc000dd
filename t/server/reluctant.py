#!/usr/bin/python3
"""A server whose process group cannot be held still: one of its processes waits for a child of another session to become
a program (vfork(2)), which signals do not interrupt, and that one waits for somebody who reads the FIFO that is its
argument."""
import os
import socket
import sys

if os.fork() == 0:
    os.posix_spawn('/bin/true', ['true'], {}, setsid=True, file_actions=[(os.POSIX_SPAWN_OPEN, 9, sys.argv[1], os.O_WRONLY, 0)])
    os._exit(0)
listener = socket.socket(fileno=3)
while True:
    client = listener.accept()[0]
    client.recv(100)
    client.sendall(b'pid=%d\n' % os.getpid())
    client.close()
