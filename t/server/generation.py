#!/usr/bin/python3
"""A server that asks a file, when it is started, what it is to be like; so each generation can be another.

The file's words: ready (say READY=1 at the start), brief (wait for a writer to the FIFO FILE.go, then say READY=1 and end
with 3), sulky (say READY=1 when told to end, and go on), pings (say WATCHDOG=1 often), slow (when told to
end ask for a minute, and end with 7 after one second).
Its clients' orders, one a line: who, blocking (whether the listening socket is), nonblock (it is not, from now on),
say TEXT, silence (no more pings), end, heir (a grandchild goes on, whose parent stays; when somebody has written to the
FIFO FILE.go that one is the main process, and we end), daemon (a child in a session of its own is the main process, and we end when
somebody has written to that FIFO).
"""
import os
import select
import signal
import socket
import sys
import time

with open(sys.argv[1]) as f:
    words = f.read().split()


def notify(text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect('\0' + os.environ['NOTIFY_SOCKET'][1:])
    s.send(text.encode())
    s.close()


def become_daemon():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        return True
    notify('MAINPID=%d' % pid)
    with open(sys.argv[1] + '.go') as f:
        f.read()
    os._exit(0)


def become_heir():
    r, w = os.pipe()
    alive_r, alive_w = os.pipe()
    if os.fork() == 0:
        pid = os.fork()
        if pid == 0:
            return True
        os.write(w, b'%8d' % pid)
        os.close(alive_w)
        os.read(alive_r, 1)
        os._exit(0)
    pid = int(os.read(r, 8))
    with open(sys.argv[1] + '.go') as f:
        f.read()
    notify('MAINPID=%d' % pid)
    os._exit(0)


def obey(line):
    verb, _, rest = line.partition(' ')
    if verb == 'blocking':
        return str(os.get_blocking(3))
    if verb == 'nonblock':
        os.set_blocking(3, False)
    elif verb == 'silence':
        words.remove('pings')
    elif verb == 'daemon' and become_daemon():
        return obey('who')
    elif verb == 'heir' and become_heir():
        return obey('who')
    elif verb == 'end':
        os._exit(0)
    elif verb == 'say':
        notify(rest.replace('|', '\n'))
    return 'pid=%d %s' % (os.getpid(), ' '.join(words))


if 'sulky' in words:
    signal.signal(signal.SIGTERM, lambda *_: notify('READY=1'))
if 'slow' in words:
    signal.signal(signal.SIGTERM, lambda *_: (notify('EXTEND_TIMEOUT_USEC=60000000'), time.sleep(1), os._exit(7)))
if 'brief' in words:
    with open(sys.argv[1] + '.go') as f:
        f.read()
    notify('READY=1')
    os._exit(3)
if 'ready' in words:
    notify('READY=1')
listener = socket.socket(fileno=3)
clients = {}
while True:
    readable, _, _ = select.select([listener] + list(clients), [], [], 0.02 if 'pings' in words else None)
    if 'pings' in words:
        notify('WATCHDOG=1')
    for s in readable:
        if s is listener:
            try:
                c, _ = listener.accept()
            except BlockingIOError:
                continue
            clients[c] = b''
            continue
        data = s.recv(4096)
        if not data:
            del clients[s]
            s.close()
            continue
        clients[s] += data
        while b'\n' in clients[s]:
            line, clients[s] = clients[s].split(b'\n', 1)
            s.sendall((obey(line.decode()) + '\n').encode())
