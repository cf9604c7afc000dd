#!/usr/bin/perl
# A web server that takes its listening socket from LISTEN_FDS (sd_listen_fds(3)) and leaves after ten idle seconds; the
# next client has the broker start it again.
use strict;
use warnings;

die "not socket-activated\n" unless ($ENV{LISTEN_PID} // 0) == $$ && ($ENV{LISTEN_FDS} // 0) == 1;
open my $listener, '+<&=', 3 or die "fd 3: $!\n";
while (1) {
        my $ready = '';
        vec($ready, 3, 1) = 1;
        last unless select $ready, undef, undef, 10;
        accept my $client, $listener or next;
        while (my $line = <$client>) {
                last if $line =~ /^\r?$/;
        }
        my $text = "Served by process $$ on the socket '$ENV{LISTEN_FDNAMES}'.\n";
        print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", length $text, "\r\n\r\n$text";
        close $client;
}
