#!/usr/bin/env node
// A worker of handoff: pass. Node cannot receive descriptors by itself: queue.c beside this file is to be compiled to
// queue.node. It serves many clients at a time: each gets to read who it is, and then its own lines back.
'use strict';

const net = require('net');
const queue = require('./queue.node');

queue.watch(3, (fd, text) => {
        // The broker wants this worker to end: once nobody is served any more, nothing keeps the process.
        if (fd < 0) return;
        const about = Object.fromEntries(text.trim().split('\n').map((line) => {
                const at = line.indexOf('=');
                return [line.slice(0, at), line.slice(at + 1)];
        }));
        const client = new net.Socket({ fd, readable: true, writable: true });
        client.on('error', () => client.destroy());
        client.write(`hello ${'REMOTE_ADDR' in about ? `${about.REMOTE_ADDR} ${about.REMOTE_PORT}` : 'a local client'}\n`);
        client.pipe(client);
});
