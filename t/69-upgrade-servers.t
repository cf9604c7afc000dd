#!/usr/bin/perl
# What servers have with the broker survives its upgrades: their notify sockets, stored descriptors, timers and orders;
# and so does what it says of them: status, metrics.
use strict;
use warnings;
use BrokerTest;
use FindBin qw($RealBin);
use IPC::Open2 qw(open2);
use JSON::PP qw(decode_json);
use Part;
use POSIX ();
use Test::More;
use UpgradeTest;

my $server = "$RealBin/server/supervised.py";

# One client of a service: an order, and the answer.
sub client {
        my ($t, $name) = @_;
        my $c = $t->connect($name);

        return sub {
                my ($order) = @_;

                syswrite $c, "$order\n";
                my $answer = BrokerTest::read_line($c);
                chomp $answer if defined $answer;
                return $answer;
        };
}

sub state_of {
        my ($t, $name) = @_;

        return $t->statistics($name)->{state};
}

part 'servers that speak with the broker' => sub {
        my $t = new_broker(<<"Y");
plain: {listen: 127.0.0.1:0, wait: yes, ready: notify, watchdog: 1min, fd_store: 3, command: [python3, $server, ready]}
late: {listen: 127.0.0.1:0, wait: yes, ready: notify, start_timeout: 1min, command: [python3, $server]}
silent: {listen: 127.0.0.1:0, wait: yes, watchdog: 4s, command: [python3, $server]}
overdue: {listen: 127.0.0.1:0, wait: yes, ready: notify, start_timeout: 4s, command: [python3, $server]}
long: {listen: 127.0.0.1:0, wait: yes, max_runtime: 4s, command: [python3, $server]}
Y
        my %client = map { $_ => client($t, $_) } qw(plain late silent overdue long);
        my %pid = map { $_ => $client{$_}->('who') =~ /pid=(\d+)/ } keys %client;

        is($client{plain}->('store kept one'), 'ok', 'a descriptor is stored');
        ($pid{plain}) = $client{plain}->('daemon') =~ /pid=(\d+)/;
        ok($t->wait_message('server has a new main process', service => 'plain', pid => $pid{plain}), 'a daemon');
        is(state_of($t, 'late'), 'starting', 'a server that is not ready');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text);
        is($client{plain}->('who'), "pid=$pid{plain} ", 'the daemon goes on');
        is($client{plain}->('say STATUS=after'), 'ok', '... and is heard');
        my ($status, $json) = $t->verb('status', 'plain', '--json');
        my ($service) = $status == 0 ? decode_json($json) : {};
        like($json, qr/"after"/, '... as the status shows');
        is($client{plain}->('store kept two'), 'ok', 'another descriptor is stored');
        is(state_of($t, 'late'), 'starting', 'the other server is still not ready');
        is($client{late}->('say READY=1'), 'ok', '... and says that it is');
        ok($t->wait_message('server is ready', service => 'late', -from => 0), '... which is heard');
        is(state_of($t, 'late'), 'running', '... and makes it running');
        ok(upgrade($t), 'once more');
        $client{plain}->('exit 7');
        is($t->wait_message('server ended', service => 'plain', -from => 0)->{pid}, $pid{plain}, 'the end of the daemon is seen');
        like(client($t, 'plain')->('stored'), qr/^kept=one kept=two$/, 'the next server gets what was stored');
        like($t->wait_message(qr/^server has been silent/, service => 'silent', -from => 0)->{pid}, qr/^$pid{silent}$/,
                'a watchdog that was running bites');
        ok($t->wait_message('server ended', service => 'overdue', pid => $pid{overdue}, -from => 0), 'start_timeout goes on');
        ok($t->wait_message('server ended', service => 'long', pid => $pid{long}, -from => 0), 'max_runtime goes on');
        $t->stop;
};

part 'orders and changes' => sub {
        my $t = new_broker(my $services = <<"Y");
off: {listen: "%DIR%/off.sock", wait: yes, command: [%PROBE%, --serve]}
swap: {listen: 127.0.0.1:0, wait: yes, start: boot, ready: notify, on_change: replace, command: [python3, $server, ready]}
nap: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}
Y
        my $swap = client($t, 'swap');
        my $old = $swap->('who');

        ($t->verb('stop', 'off'))[0] == 0 or die 'stop';
        $t->ask('nap', "hi\n");
        $services =~ s/(swap:.*)command:.*/$1command: [sh, -c, "read x <%DIR%\/go; exec python3 $server ready"]}/;
        POSIX::mkfifo($t->dir . '/go', 0600);
        $t->write_conf($services);
        ok($t->reload, 'a server is to be replaced');
        is(state_of($t, 'swap'), 'replacing', '... once its successor is ready');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text);
        is(state_of($t, 'swap'), 'replacing', '... in between');
        is($swap->('who'), $old, '... and the old server serves');
        $t->write_file('go', "\n");
        ok($t->wait_message('state', service => 'swap', from => 'replacing', to => 'running', -from => 0), 'the new one becomes ready');
        isnt(client($t, 'swap')->('who'), $old, '... and serves from then on');
        is(state_of($t, 'off'), 'stopped', 'a service that was stopped stays so');
        is(($t->verb('start', 'off'))[0], 0, '... until it is started');
        like($t->ask('off', "hi\n"), qr/^pid=/, '... and serves');
        ok($t->wait_message('server ended', service => 'nap', -from => 0), 'idle_stop goes on');
        like($t->ask('nap', "hi\n"), qr/^pid=/, '... and the next connection starts the next server');
        undef $swap;
        $t->stop;
};

part 'an order that takes its time' => sub {
        my $t = new_broker("deaf: {listen: 127.0.0.1:0, wait: yes, stop_grace_period: 1h, command: [python3, $server, deaf]}\n");
        my ($pid) = client($t, 'deaf')->('who') =~ /pid=(\d+)/;
        my $stopped = verb_beside($t, 'stop', 'deaf');

        $t->wait_message('state', service => 'deaf', to => 'stopped');
        ok(!upgrade($t), 'no upgrade while somebody waits for the end of an order');
        like($t->{said}, qr/an order is still being carried out/, '... for that reason');
        kill 'KILL', $pid;
        is(($stopped->())[0], 0, 'the order is carried out');
        ok(upgrade($t), 'and then there is an upgrade');
        is(state_of($t, 'deaf'), 'stopped', '... which does not start it again');
        $t->stop;
};

# Needs signals to process groups by descriptor (Linux 6.9); without them what is left is left.
part 'what a server leaves behind' => sub {
        my ($major, $minor) = (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/;
        skip_part('the kernel cannot signal a group by its descriptor') if $major < 6 || $major == 6 && $minor < 9;
        my $t = new_broker(<<'Y');
srv: {listen: "%DIR%/srv.sock", wait: yes, stop_grace_period: 1500ms, command: [sh, -c, "(trap '' TERM; until [ -s %DIR%/left ]; do :; done; echo started >&2; exec sleep 1000) & echo $! >%DIR%/left; wait"]}
Y
        my $client = $t->connect('srv');

        ok($t->wait_message('started', service => 'srv'), 'a server with a child that does not want to end');
        my $pid = do { open my $fh, '<', $t->dir . '/left' or die "left: $!"; <$fh> + 0 };
        ok(kill(0, $pid), 'it is there');
        my $stopped = verb_beside($t, 'kill', 'srv');
        $t->wait_message('server ended', service => 'srv');
        $stopped->();
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said});
        ok($t->wait_message('orphan reaped', pid => $pid), '... until the grace period is over, for the new broker as well');
        close $client;
        $t->stop;
};

part 'a claim' => sub {
        my $t = new_broker("web: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $pid = open2(my $claimer, my $orders, "$BrokerTest::BUILD/t/server/claimer", 'web', $t->control);

        is(BrokerTest::read_line($claimer), "claimed 1\n", 'a service is claimed');
        BrokerTest::read_line($claimer);
        is(state_of($t, 'web'), 'claimed', '... as its state says');
        ok(upgrade($t), 'the broker is upgraded');
        is(BrokerTest::read_line($claimer), "over\n", 'the claimer learns that its claim is over');
        is($t->ask('web', "on\n"), "on\n", 'the broker serves again');
        close $orders;
        waitpid $pid, 0;
        $t->stop;
};

# Without what changes by the hour.
sub ageless {
        my ($data) = @_;

        return [map { ageless($_) } @$data] if ref $data eq 'ARRAY';
        return $data if ref $data ne 'HASH';
        return { map { $_ => ageless($data->{$_}) } grep { !/since|age/ } keys %$data };
}

sub metrics {
        my ($address) = @_;
        my $socket = BrokerTest::connect_to($address);

        syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        return { map { /^(\w+\{.*service="echo".*\}) (\S+)$/ ? ($1 => $2) : () } split /\n/, BrokerTest::read_all($socket) // '' };
}

part 'metrics and status' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat], only_from: 127.0.0.1}\n",
                head => "broker: {metrics: '127.0.0.1:0', log: {format: json, level: debug}}\n");
        my $address = $t->wait_message('metrics can be asked for', -from => 0)->{address};
        my $client = $t->served('echo');

        $t->ask('echo', "x\n") for 1 .. 3;
        BrokerTest::read_all($t->connect('echo', from => '127.0.0.2'));
        1 until 3 == grep { ($_->{message} // '') eq 'connection ended' } @{ $t->{log} } or !$t->read_log($BrokerTest::TIMEOUT);
        my $before = metrics($address);
        ok(keys %$before > 20, 'there are metrics of the service');
        my (undef, $json) = $t->verb('status', '--json');
        ok(upgrade($t), 'the broker is upgraded');
        is_deeply(metrics($address), $before, 'they are the same, at the same address');
        my (undef, $after) = $t->verb('status', '--json');
        is_deeply(ageless(decode_json($after)), ageless(decode_json($json)), 'the status is the same');
        is($t->statistics('echo')->{accepted}, 5, 'the sums go on');
        ok($t->reload, 'a reload changes nothing about it');
        is_deeply([sort keys %{ metrics($address) }], [sort keys %$before], '... which goes on');
        close $client;
        $t->stop;
};

done_testing;
