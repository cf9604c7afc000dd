#!/usr/bin/perl
# Admission under attack: definitions that change while connections are on their way, and clients that say more of
# themselves than they should.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SHUT_WR SOCK_STREAM);
use Test::More;

my $HEADER = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

sub statistics {
        my ($t, $name) = @_;

        1 while $t->read_log(0);
        my $from = @{ $t->{log} };
        $t->signal('USR1');
        return $t->wait_message('statistics', service => $name, -from => $from);
}

# Waits until the service has accepted that many.
sub accepted {
        my ($t, $name, $count) = @_;

        for (1 .. 1000) {
                return 1 if statistics($t, $name)->{accepted} >= $count;
        }
        return 0;
}

subtest 'what is held when its service becomes a sensor' => sub {
        my $proxy = 'proxy_protocol: require, proxy_protocol_from: 127.0.0.1';
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat], $proxy}\n");
        my $held = $t->connect('a');
        ok(accepted($t, 'a', 1), 'a client is about to send its header');
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/none], $proxy}\n");
        ok($t->reload, 'its program is another one, which is missing');
        syswrite $held, $HEADER;
        ok($t->wait_message(qr/^paused/, service => 'a'), 'it has to wait');
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, sensor: 1h, $proxy}\n");
        ok($t->reload, 'the service becomes a sensor');
        is(BrokerTest::read_all($held), '', 'and the client is let go');
        is(statistics($t, 'a')->{connections}, 0, 'with its place');
        $t->stop;
};

done_testing;
