#!/usr/bin/perl
# A worker of handoff: pass, with Socket::MsgHdr (Debian: libsocket-msghdr-perl). It takes connections out of the queue,
# which is descriptor 3, and serves one after the other: here the client gets to read who it is, and then its own lines back.
use strict;
use warnings;

use IO::Handle;
use Socket qw(SOL_SOCKET);
use Socket::MsgHdr;

use constant SCM_RIGHTS => 1;

open my $queue, '+<&=', 3 or die "worker: descriptor 3: $!\n";
$SIG{PIPE} = 'IGNORE';

while (1) {
        my $message = Socket::MsgHdr->new(buflen => 65536, controllen => 64);
        my $size = recvmsg($queue, $message, 0);

        if (!defined $size) {
                next if $!{EINTR};
                die "worker: $!\n";
        }
        last if $size == 0;    # the broker wants this worker to end
        my %about = map { split /=/, $_, 2 } split /\n/, $message->buf;
        my ($level, $type, $data) = $message->cmsghdr;
        next if !defined $level || $level != SOL_SOCKET || $type != SCM_RIGHTS;
        open my $client, '+<&=', unpack 'i', $data or next;
        serve($client, \%about);
        close $client;
}

sub serve {
        my ($client, $about) = @_;

        $client->autoflush(1);
        printf {$client} "hello %s %s\n", $about->{REMOTE_ADDR} // 'a local client', $about->{REMOTE_PORT} // '' or return;
        while (my $line = <$client>) {
                print {$client} $line or return;
        }
        return;
}
