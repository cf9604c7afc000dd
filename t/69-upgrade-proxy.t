#!/usr/bin/perl
# Relayed connections over upgrades of the broker: what is on its way arrives, in both directions, and ends are passed on.
use strict;
use warnings;
use BrokerTest;
use Digest::SHA qw(sha1_hex);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Part;
use Socket qw(SHUT_WR);
use Test::More;
use UpgradeTest;

my $target = IO::Socket::IP->new(Listen => 128, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@";
my $port = $target->sockport;

sub accept_target {
        IO::Select->new($target)->can_read($BrokerTest::TIMEOUT) or die "nobody came to the target\n";
        return scalar $target->accept;
}

sub relayed {
        my ($t, $service) = @_;
        my $client = $t->connect($service);

        return ($client, accept_target());
}

# Sends as much as goes without anybody reading, until nothing more does.
sub fill {
        my ($socket, $sum) = @_;
        my ($sent, $data) = (0, join '', map { pack 'N', $_ } 1 .. 16384);

        $socket->blocking(0);
        while (IO::Select->new($socket)->can_write(0.3)) {
                my $n = syswrite $socket, $data;
                last if !defined $n;
                $$sum .= substr $data, 0, $n;
        }
        $socket->blocking(1);
        return;
}

part 'bytes on their way' => sub {
        my $t = new_broker(<<"Y");
px: {listen: 127.0.0.1:0, wait: no, proxy: "127.0.0.1:$port", connection_timeout: 1h}
Y
        my ($client, $server) = relayed($t, 'px');
        my ($there, $back) = ('', '');

        fill($client, \$there);
        fill($server, \$back);
        cmp_ok(length $there, '>', 65536, 'more is on its way than sockets alone would hold');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text) for 1 .. 3;
        my $n = $t->statistics('px');
        is_deeply([@{$n}{qw(accepted connections)}], [1, 1], 'the connection is counted');
        syswrite $client, 'end';
        shutdown $client, SHUT_WR;
        is(sha1_hex(BrokerTest::read_all($server)), sha1_hex("${there}end"), 'everything arrives at the target, and its end');
        syswrite $server, 'over';
        ok(upgrade($t), 'once more, while one direction has ended');
        close $server;
        is(sha1_hex(BrokerTest::read_all($client)), sha1_hex("${back}over"), '... and at the client');
        my $ended = $t->wait_message('connection ended', service => 'px');
        ok($ended, 'the end is noticed');
        is($t->statistics('px')->{connections}, 0, '... and its place is free');
        my ($next, $for_next) = relayed($t, 'px');
        syswrite $next, "hello\n";
        is(BrokerTest::read_line($for_next), "hello\n", 'the next one is relayed');
        close $_ for $next, $for_next;
        $t->stop;
};

part 'a target that is not there yet' => sub {
        my $t = new_broker(<<'Y');
px: {listen: 127.0.0.1:0, wait: no, proxy: "%DIR%/target.sock", start_timeout: 1min}
srv: {listen: 127.0.0.1:0, wait: no, proxy: "%DIR%/srv.sock", start_timeout: 1min, idle_stop: 300ms, command: [socat, "UNIX-LISTEN:%DIR%/srv.sock,fork,unlink-early", PIPE]}
Y
        my $client = $t->connect('px');

        syswrite $client, "hello\n";
        ok(upgrade($t), 'the broker is upgraded while a client waits for the target');
        my $late = IO::Socket::UNIX->new(Listen => 8, Local => $t->dir . '/target.sock') or die "listen: $!";
        IO::Select->new($late)->can_read($BrokerTest::TIMEOUT);
        my $server = $late->accept;
        is(BrokerTest::read_line($server), "hello\n", '... and it gets there');
        close $_ for $client, $server;
        if (grep { -x "$_/socat" } split /:/, $ENV{PATH}) {
                my $to = $t->connect('srv');
                is(line($to, 'a'), "a\n", 'a target with a server');
                my ($pid) = map { $_->{pid} } grep { ($_->{message} // '') eq 'server started' } @{ $t->{log} };
                ok(upgrade($t), 'the broker is upgraded');
                is(line($to, 'b'), "b\n", '... and it serves');
                close $to;
                ok($t->wait_message('server ended', service => 'srv'), '... until nobody is connected to it');
                is($t->ask('srv', "c\n"), "c\n", '... and is started again');
        }
        $t->stop;
};

part 'retired relays' => sub {
        my $t = new_broker("px: {listen: '%DIR%/px.sock', wait: no, proxy: '127.0.0.1:$port'}\ngone: {listen: 127.0.0.1:0, wait: no, proxy: '127.0.0.1:$port'}\n");
        my ($client, $server) = relayed($t, 'px');
        my ($other, $for_other) = relayed($t, 'gone');

        $t->write_conf("px: {listen: '%DIR%/px.sock', wait: no, command: [cat]}\n");
        ok($t->reload, 'a proxy becomes something else, another goes');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text);
        for ([$client, $server], [$other, $for_other]) {
                syswrite $_->[0], "on\n";
                is(BrokerTest::read_line($_->[1]), "on\n", 'its relay goes on');
        }
        is($t->ask('px', "new\n"), "new\n", 'what it has become serves');
        close $_ for $client, $server, $other, $for_other;
        ok($t->wait_message('connection ended', service => $_, -from => 0), "$_: the end of its relay") for qw(px gone);
        $t->stop;
};

done_testing;
