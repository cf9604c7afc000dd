#!/usr/bin/python3
"""A server that speaks with its supervisor (sd_notify(3)) as its clients tell it to, one order a line.

Its words: ready (say READY=1 at the start), late (only when told to), deaf (SIGTERM is ignored), graceful (SIGTERM ends
it with its last client).
"""
import array
import os
import select
import signal
import socket
import sys

words = sys.argv[1:]


def notify(text, fds=(), barrier=True):
    """Sends one message, and waits until the supervisor has dealt with it."""
    name = os.environ['NOTIFY_SOCKET']
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect('\0' + name[1:] if name[0] == '@' else name)
    s.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])
    if barrier:
        r, w = os.pipe()
        s.sendmsg([b'BARRIER=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])
        os.close(w)
        os.read(r, 1)
        os.close(r)
    s.close()


def in_child(code, wait=True):
    """Runs CODE in a child; returns its pid."""
    pid = os.fork()
    if pid == 0:
        code()
        os._exit(0)
    if wait:
        os.waitpid(pid, 0)
    return pid


def stranger(text):
    """A process that has nothing to do with us any more: another session, and no parent of ours."""
    r, w = os.pipe()

    def middle():
        os.setsid()
        parent = os.getpid()
        if os.fork() == 0:
            # Until our parent has gone we would still be its descendant.
            try:
                select.select([os.pidfd_open(parent)], [], [])
            except ProcessLookupError:
                pass
            notify(text)
            os.write(w, b'x')
            os._exit(0)
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        middle()
    os.waitpid(pid, 0)
    os.read(r, 1)
    for fd in (r, w):
        os.close(fd)


def new_main(leave):
    """A child takes over as main process; the old one ends, when it is to LEAVE."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(r, 1)
        return 'pid=%d' % os.getpid()
    notify('MAINPID=%d' % pid)
    os.write(w, b'x')
    if leave:
        os._exit(3)
    os.waitpid(pid, 0)
    os._exit(4)


def fds_text():
    names = os.environ.get('LISTEN_FDNAMES', '').split(':')
    stored = []
    for i in range(sockets, int(os.environ['LISTEN_FDS'])):
        try:
            stored.append('%s=%s' % (names[i], os.pread(3 + i, 100, 0).decode()))
        except OSError:
            stored.append('%s is a pipe' % names[i])
    return ' '.join(stored)


def obey(line):
    verb, _, rest = line.partition(' ')
    rest = rest.replace('|', '\n')
    if verb == 'who':
        return 'pid=%d %s' % (os.getpid(), os.environ.get('GENERATION', ''))
    if verb == 'stored':
        return fds_text()
    if verb == 'say':
        notify(rest)
    elif verb == 'child':
        in_child(lambda: notify(rest))
    elif verb == 'gone':
        in_child(lambda: notify(rest, barrier=False))
    elif verb == 'stranger':
        stranger(rest)
    elif verb == 'daemon':
        return new_main(True)
    elif verb == 'adopt':
        return new_main(False)
    elif verb == 'store':
        name, _, text = rest.partition(' ')
        fd = os.memfd_create(name)
        os.write(fd, text.encode())
        notify('FDSTORE=1\nFDNAME=%s' % name, [fd])
        os.close(fd)
    elif verb in ('pipe', 'unpolled'):
        r, w = os.pipe()
        notify('FDSTORE=1\nFDNAME=%s%s' % (rest, '\nFDPOLL=0' if verb == 'unpolled' else ''), [r])
        os.close(w)
        os.close(r)
        notify('X=1')
    elif verb == 'last':
        fd = os.memfd_create('last')
        os.write(fd, b'words')
        notify('STATUS=bye\nFDSTORE=1\nFDNAME=last', [fd], barrier=False)
        os._exit(0)
    elif verb == 'flood':
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect('\0' + os.environ['NOTIFY_SOCKET'][1:])
        for i in range(int(rest)):
            s.send(b'STATUS=%d' % i if i % 2 else b'\xff\x00garbage' * 300)
    elif verb == 'exit':
        os._exit(int(rest))
    elif verb == 'term':
        os.kill(os.getpid(), signal.SIGTERM)
    return 'ok'


sockets = int(os.environ['LISTEN_FDS']) - os.environ.get('LISTEN_FDNAMES', '').split(':').count('last') \
    - os.environ.get('LISTEN_FDNAMES', '').split(':').count('kept')
listener = socket.socket(fileno=3)
clients = {}
ending = []
if 'deaf' in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if 'graceful' in words:
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
wake_r, wake_w = os.pipe2(os.O_NONBLOCK) if hasattr(os, 'pipe2') else os.pipe()
signal.set_wakeup_fd(wake_w)
if 'ready' in words:
    notify('READY=1\nSTATUS=up')
while not (ending and not clients):
    readable, _, _ = select.select(([] if ending else [listener]) + list(clients) + [wake_r], [], [])
    for s in readable:
        if s is wake_r:
            os.read(wake_r, 16)
        elif s is listener:
            try:
                c, _ = listener.accept()
            except BlockingIOError:
                continue
            clients[c] = b''
        else:
            data = s.recv(4096)
            if not data:
                del clients[s]
                s.close()
                continue
            clients[s] += data
            while b'\n' in clients[s]:
                line, clients[s] = clients[s].split(b'\n', 1)
                s.sendall((obey(line.decode()) + '\n').encode())
