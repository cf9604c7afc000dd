#!/usr/bin/env node
// A server that takes its sockets by LISTEN_FDS. Clients of a stream socket are told its name; datagrams are sent back.
'use strict';

const dgram = require('dgram');
const net = require('net');

if (Number(process.env.LISTEN_PID) !== process.pid) {
        console.error('server: not socket-activated');
        process.exit(1);
}
const names = (process.env.LISTEN_FDNAMES || '').split(':');

for (let i = 0; i < Number(process.env.LISTEN_FDS); i++) {
        // Node does not say what kind of socket a descriptor is: the name does.
        if (names[i] === 'datagrams') {
                const socket = dgram.createSocket('udp4');
                socket.on('message', (text, peer) => socket.send(text, peer.port, peer.address));
                socket.bind({ fd: 3 + i });
        } else {
                const server = net.createServer((client) => {
                        client.on('error', () => client.destroy());
                        client.end(`${names[i]}: served by Node, process ${process.pid}\n`);
                });
                server.listen({ fd: 3 + i });
        }
}
