# A D-Bus peer made by hand, for what no library would do: it authenticates, or does not, and sends what it is told.
package Bus;

use strict;
use warnings;

use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);

# A stream to the control socket at PATH, or undef.
sub connect {
        my ($path) = @_;

        return IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path);
}

# The same, authenticated as whoever we are.
sub open {
        my ($path) = @_;
        my $socket = Bus::connect($path) // return;

        syswrite $socket, "\0AUTH EXTERNAL " . unpack('H*', $>) . "\r\n";
        my $line = BrokerTest::read_line($socket) // '';
        return if $line !~ /^OK /;
        syswrite $socket, "BEGIN\r\n";
        return $socket;
}

sub field {
        my ($code, $signature, $text) = @_;
        my $length = $signature eq 'g' ? pack('C', length $text) : pack('V', length $text);

        return pack('CCa*x', $code, 1, $signature) . $length . "$text\0";
}

sub pad8 { my ($data) = @_; return $data . "\0" x (-length($data) % 8) }

# A method call without arguments, or with one string, as bytes.
sub call {
        my ($serial, $method, $argument) = @_;
        my $body = defined $argument ? pack('V', length $argument) . "$argument\0" : '';
        my $fields = '';

        $fields = pad8($fields) . field(@$_) for [1, 'o', '/org/sockbroker'], [2, 's', 'org.sockbroker.Manager'],
                [3, 's', $method], [6, 's', 'org.sockbroker'], defined $argument ? [8, 'g', 's'] : ();
        return pad8(pack('a C C C V V V a*', 'l', 1, 0, 1, length $body, $serial, length $fields, $fields)) . $body;
}

1;
