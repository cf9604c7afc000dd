# Both ends of connections, as the tests of the proxy hold them.
package Ends;

use strict;
use warnings;

use BrokerTest;
use Errno qw(ECONNRESET);
use Exporter qw(import);
use IO::Select;
use Socket qw(SOL_SOCKET SO_LINGER);

our @EXPORT = qw(accept_from reset_it ending);

# Who connects next, or undef.
sub accept_from {
        my ($target) = @_;

        IO::Select->new($target)->can_read($BrokerTest::TIMEOUT) or return;
        return scalar $target->accept;
}

# Closes it with a reset.
sub reset_it {
        my ($socket) = @_;

        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $socket;
}

# 'end', 'reset', or undef when nothing comes.
sub ending {
        my ($socket) = @_;

        while (IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT)) {
                my $n = sysread $socket, my $data, 65536;
                return $! == ECONNRESET ? 'reset' : "error $!" if !defined $n;
                return 'end' if !$n;
        }
        return;
}

1;
