#!/usr/bin/perl
# A proxy in operation: orders, status, metrics, idle_exit, claims, and the end of the broker.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::IP;
use Test::More;

my $target = IO::Socket::IP->new(Listen => 128, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@";
my $port = $target->sockport;
# Takes connections, by its backlog, and says nothing.
my $nobody = IO::Socket::IP->new(Listen => 128, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@";
my $silent = $nobody->sockport;
my $socat = '[socat, "UNIX-LISTEN:%DIR%/s,fork,unlink-early", PIPE]';

# A client of SERVICE and what the target has of it, when bytes have gone both ways.
sub met {
        my ($t, $service) = @_;
        my $client = $t->connect($service);

        IO::Select->new($target)->can_read($BrokerTest::TIMEOUT) or die "nobody came to the target\n";
        my $server = $target->accept;
        syswrite $server, "hello\n";
        BrokerTest::read_line($client);
        return ($client, $server);
}

# True when SOCKET has ended, in whatever way.
sub is_over {
        my ($socket) = @_;

        while (IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT)) {
                return 1 if !sysread $socket, my $data, 4096;
        }
        return 0;
}

sub metrics {
        my ($t) = @_;
        my $address = $t->wait_message('metrics can be asked for', -from => 0)->{address};
        my $socket = IO::Socket::IP->new($address) // die "metrics: $@";

        syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        return BrokerTest::read_all($socket);
}

# What counts, and where it is shown.
{
        my $t = BrokerTest->new(head => "broker: {metrics: 127.0.0.1:0, log: {format: json, level: debug}}\n", services => <<"Y");
p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}
never: {listen: 127.0.0.1:0, proxy: "%DIR%/never", start_timeout: 100ms}
quiet: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$silent, connection_timeout: 100ms}
s: {listen: 127.0.0.1:0, proxy: "%DIR%/s", command: $socat, start: boot, restart: always, restart_delay: 10ms}
Y
        my @pair = met($t, 'p');
        my ($status, $out) = $t->verb('status', 'p');
        is($status, 0, 'broker status NAME');
        like($out, qr/^\s*Connections: 1 now, 1 accepted, 0 failed$/m, 'relayed connections are connections');
        like($out, qr/^\s*Processes: 0$/m, 'and need no process');
        close $_ for @pair;
        ok($t->wait_message('connection ended', service => 'p'), 'one that ends');
        is_over($t->connect($_)) for qw(never quiet);
        $t->wait_message('connection ended', service => 'quiet', -from => 0);
        ok($t->served('s'), 'a server that was started with the broker');
        kill 'KILL', -$t->wait_message('server started', service => 's', -from => 0)->{pid};
        $t->wait_message('server ended', service => 's');
        $t->wait_message('server started', service => 's');
        my $text = metrics($t);
        for (['connections_accepted_total{service="p"} 1'], ['connections_ended_total{service="p",outcome="ok"} 1'],
                ['connections_ended_total{service="never",outcome="launch_failed"} 1'], ['connections_ended_total{service="quiet",outcome="overran"} 1'],
                ['connection_duration_seconds_count{service="p"} 1'], ['connections_active{service="p"} 0'],
                ['server_starts_total{service="s"} 2'], ['server_restarts_total{service="s"} 1'], ['service_up{service="s"} 1']) {
                like($text, qr/^sockbroker_\Q$_->[0]\E\r?$/m, "metrics: $_->[0]");
        }
        unlike($text, qr/server_starts_total\{service="p"\}/, 'a proxy without a command has no server');
        $t->stop;
}

# Orders.
{
        my $t = BrokerTest->new(services => <<"Y");
p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}
s: {listen: "%DIR%/front", proxy: "%DIR%/s", command: $socat}
b: {listen: "%DIR%/frontb", proxy: "%DIR%/b", command: [socat, "UNIX-LISTEN:%DIR%/b,fork,unlink-early", PIPE], start: boot, restart: always, restart_delay: 10ms}
Y
        my ($status, $out, $err) = $t->verb('replace', 's');
        isnt($status, 0, 'replace is refused');
        like($err, qr/one server at a time: restart it/, 'with what to do instead');

        my ($client, $server) = met($t, 'p');
        is(($t->verb('kill', 'p'))[0], 0, 'kill');
        ok(is_over($client) && is_over($server), 'breaks off relays');
        ok((met($t, 'p'))[0], 'and the next connection is served');

        my $in = $t->served('s');
        my $pid = $t->wait_message('server started', service => 's', -from => 0)->{pid};
        is(($t->verb('restart', 's'))[0], 0, 'restart');
        ok(is_over($in), 'ends who is in');
        is($t->wait_message('server ended', service => 's')->{pid}, $pid, 'and the server');
        ok($t->wait_log(sub { ($_->{message} // '') eq 'server started' && $_->{service} eq 's' && $_->{pid} != $pid }, from => 0), 'which is started again');
        ok($t->served('s'), 'and serves');
        is(($t->verb('kill', 's'))[0], 0, 'kill');
        $t->wait_message('server ended', service => 's', reason => 'stopped');
        is($t->statistics('s')->{processes}, 0, 'ends the server');
        ok($t->served('s'), 'until the next connection');

        $in = $t->served('s');
        is(($t->verb('stop', 's'))[0], 0, 'stop');
        ok(is_over($in), 'ends who is in');
        my $statistics = $t->statistics('s');
        is("@$statistics{qw(state processes connections)}", 'stopped 0 0', 'and the server');
        is(($t->verb('start', 's'))[0], 0, 'start');
        ok($t->served('s'), 'opens it again');

        $pid = $t->wait_message('server started', service => 'b', -from => 0)->{pid};
        is(($t->verb('stop', 'b'))[0], 0, 'stop, with start: boot and restart: always');
        is($t->statistics('b')->{processes}, 0, 'is not followed by a restart');
        my $from = @{ $t->{log} };
        is(($t->verb('start', 'b'))[0], 0, 'start');
        ok($t->wait_message('server started', service => 'b', -from => $from), 'starts it at once');
        $t->stop;
}

# idle_exit: who is in keeps the broker.
{
        my $t = BrokerTest->new(head => "broker: {idle_exit: 200ms, log: {format: json, level: debug}}\n",
                services => "p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}\n");
        my ($client, $server) = met($t, 'p');

        ok($t->wait_message('something is alive, idle_exit begins anew'), 'a relay keeps the broker') for 1, 2;
        syswrite $client, "still\n";
        is(BrokerTest::read_line($server), "still\n", 'and goes on');
        close $_ for $client, $server;
        is($t->wait_exit, 0, 'when it has ended the broker may end');
}

# The end: each connection has its record, also one that is cut off.
{
        my $t = BrokerTest->new(services => "p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, stop_grace_period: 100ms}\n");
        my ($client, $server) = met($t, 'p');

        $t->signal('TERM');
        ok(is_over($client) && is_over($server), 'cut off after stop_grace_period');
        is($t->wait_message('connection ended', service => 'p')->{reason}, 'stopped', 'and logged');
        is($t->wait_exit, 0, 'that is an orderly end');
}
done_testing;
