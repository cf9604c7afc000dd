#!/usr/bin/perl
# A server that takes its sockets by LISTEN_FDS. Clients of a stream socket are told its name; datagrams are sent back.
use strict;
use warnings;

use IO::Select;
use Socket qw(SOL_SOCKET SO_TYPE SOCK_DGRAM);

die "server: not socket-activated\n" unless ($ENV{LISTEN_PID} // 0) == $$;
$SIG{PIPE} = 'IGNORE';

# Descriptors 3 and following: as many as LISTEN_FDS says, called as LISTEN_FDNAMES says.
my @names = split /:/, $ENV{LISTEN_FDNAMES} // '';
my %name;
my $select = IO::Select->new;
for my $i (0 .. $ENV{LISTEN_FDS} - 1) {
        open my $socket, '+<&=', 3 + $i or die 'server: descriptor ', 3 + $i, ": $!\n";
        $name{ fileno $socket } = $names[$i] // 'unknown';
        $select->add($socket);
}

while (1) {
        for my $socket ($select->can_read) {
                if (unpack('i', getsockopt $socket, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM) {
                        my $peer = recv $socket, my $text, 65536, 0;
                        send $socket, $text, 0, $peer if defined $peer;
                } elsif (accept my $client, $socket) {
                        syswrite $client, $name{ fileno $socket } . ": served by Perl, process $$\n";
                }
        }
}
