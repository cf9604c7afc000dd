#!/usr/bin/perl
# proxy: bytes both ways, ends and resets passed on, clients held until the target takes them, servers on demand.
use strict;
use warnings;
use BrokerTest;
use Ends;
use Errno qw(EPIPE);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(:DEFAULT SHUT_WR SHUT_RD SOL_SOCKET SO_RCVBUF SO_SNDBUF MSG_OOB SOCK_STREAM SOMAXCONN);
use Test::More;
use Time::HiRes qw(time);

# Targets are sockets of this script, so that both sides of a relay are in its hands.
sub listener { return IO::Socket::IP->new(Listen => 128, LocalHost => '127.0.0.1', LocalPort => $_[0] // 0, ReuseAddr => 1) // die "listen: $@" }

# A port that nobody listens on, until somebody does.
sub closed_port {
        my $socket = listener();
        return $socket->sockport;
}

my $target = listener();
my $late = closed_port();
my $t = BrokerTest->new(later => 1);
my $dir = $t->dir;
my $unix = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/target", Listen => 10) or die "unix: $!";
my $port = $target->sockport;
my $services = <<"Y";
plain: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}
unix: {listen: [127.0.0.1:0, "%DIR%/front"], proxy: "%DIR%/target"}
late: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$late}
latepath: {listen: 127.0.0.1:0, proxy: "%DIR%/late"}
never: {listen: 127.0.0.1:0, proxy: "%DIR%/never", start_timeout: 300ms}
quiet: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, connection_timeout: 400ms}
few: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, instances: 2}
demand: {listen: 127.0.0.1:0, proxy: "%DIR%/demand", command: [socat, "UNIX-LISTEN:%DIR%/demand,fork,unlink-early", PIPE], idle_stop: 200ms, kill_mode: group}
deaf: {listen: 127.0.0.1:0, proxy: "%DIR%/deaf", command: [sleep, 1000], start_timeout: 300ms}
dies: {listen: 127.0.0.1:0, proxy: "%DIR%/dies", command: ["sh", -c, "test -e %DIR%/may && exec socat UNIX-LISTEN:%DIR%/dies,fork,unlink-early PIPE; exit 3"], restart_delay: 20ms, restart_delay_max: 80ms}
boot: {listen: 127.0.0.1:0, proxy: "%DIR%/boot", command: [socat, "UNIX-LISTEN:%DIR%/boot,fork,unlink-early", PIPE], start: boot, restart: always, restart_delay: 10ms}
v1: {listen: 127.0.0.1:0, proxy: "%DIR%/reader", send_proxy_protocol: v1}
v2: {listen: ["127.0.0.1:0", "%DIR%/v2"], proxy: "%DIR%/reader", send_proxy_protocol: v2}
reader: {listen: "%DIR%/reader", wait: no, command: ["%PROBE%", --out=stdout, --echo], proxy_protocol: require, proxy_protocol_from: "unix:"}
Y
$t->write_conf($services);
$t->start;

# A client of SERVICE and what the target sees of it.
sub pair {
        my ($service, %arg) = @_;
        my $client = $t->connect($service, %arg);
        my $server = accept_from($arg{target} // $target) // die "nobody came to the target\n";

        return ($client, $server);
}

# The same, when the broker knows both.
sub met {
        my ($client, $server) = pair(@_);

        syswrite $server, "hello\n";
        BrokerTest::read_line($client);
        return ($client, $server);
}

sub say_to { my ($socket, $text) = @_; syswrite $socket, $text }

# Both ways, and each end by itself.
for my $case ([plain => $target, 0], [unix => $unix, 0], [unix => $unix, 1]) {
        my ($service, $listener, $index) = @$case;
        my ($client, $server) = pair($service, target => $listener, index => $index);

        say_to($client, "to the target\n");
        is(BrokerTest::read_line($server), "to the target\n", "$service $index: to the target");
        say_to($server, "to the client\n");
        is(BrokerTest::read_line($client), "to the client\n", "$service $index: to the client");
        shutdown $client, SHUT_WR;
        is(BrokerTest::read_all($server), '', "$service $index: the client's end is passed on");
        say_to($server, "still there\n");
        is(BrokerTest::read_line($client), "still there\n", "$service $index: the other way goes on");
        close $server;
        is(ending($client), 'end', "$service $index: the target's end, too");
        my $record = $t->wait_message('connection ended', service => $service);
        is_deeply([@$record{qw(from_client from_target)}, exists $record->{reason}], [14, 26, ''], "$service $index: what has moved is in the log");
}
{
        my ($client, $server) = pair('plain');

        shutdown $server, SHUT_WR;
        is(BrokerTest::read_all($client), '', 'the target ends first');
        say_to($client, "still there\n");
        is(BrokerTest::read_line($server), "still there\n", 'and still reads');
        close $client;
        is(ending($server), 'end', 'until the client ends as well');
}

# Resets.
{
        my ($client, $server) = met('plain');

        reset_it($client);
        is(ending($server), 'reset', "the client's reset is passed on");
        ok($t->wait_message('connection ended', service => 'plain', reason => 'reset'), 'and logged as one');
        ($client, $server) = met('plain');
        reset_it($server);
        is(ending($client), 'reset', "the target's, too");
        # One that has ended its own direction already, and is not read from any more.
        $t->wait_message('connection ended', service => 'plain', reason => 'reset');
        ($client, $server) = met('plain');
        shutdown $client, SHUT_WR;
        is(BrokerTest::read_all($server), '', 'half closed');
        reset_it($client);
        ok($t->wait_message('connection ended', service => 'plain', reason => 'reset'), 'then reset');
        ok(!defined syswrite($server, 'x') && $! == EPIPE, 'passed on');
        # Last words before a reset for what was not read.
        ($client, $server) = pair('plain');
        say_to($client, 'x' x 1000);
        IO::Select->new($server)->can_read($BrokerTest::TIMEOUT);
        say_to($server, "too much\n");
        is(BrokerTest::read_line($client), "too much\n", 'last words come through');
        close $server;
        like(ending($client) // '', qr/^(reset|end)$/, 'then it is over');
}

# Urgent data, at which splice(2) stops for ever, is a byte among others.
{
        my ($client, $server) = pair('plain');

        say_to($client, 'before ');
        send $client, '!', MSG_OOB;
        say_to($client, " after\n");
        is(BrokerTest::read_line($server), "before ! after\n", 'urgent data');
        say_to($client, "and on\n");
        is(BrokerTest::read_line($server), "and on\n", 'and what follows');
}

# A slow reader: the sender is held back, the broker keeps what is in one pipe, and not a byte is lost.
sub rss {
        open my $fh, '<', "/proc/$t->{main_pid}/status" or die "status: $!";
        return (map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}
sub push_all {
        my ($from, $to, $what) = @_;
        my $total = 50 << 20;
        my $block = join '', map { pack 'N', $_ } 1 .. 16384;
        my ($sent, $got, $same, $stalled, $before) = (0, 0, 1, 0, rss());

        $_->blocking(0) for $from, $to;
        # First nobody reads.
        while (IO::Select->new($from)->can_write(0.3)) {
                my $n = syswrite($from, $block, 65536 - $sent % 65536, $sent % 65536) // 0;
                $sent += $n;
                last if $sent >= $total;
        }
        cmp_ok($sent, '<', $total, "$what: who sends is held back ($sent bytes)");
        while ($got < $total) {
                while ($sent < $total) {
                        my $room = $total - $sent;
                        my $length = 65536 - $sent % 65536;
                        my $n = syswrite($from, $block, $room < $length ? $room : $length, $sent % 65536) // last;
                        $sent += $n;
                }
                IO::Select->new($to)->can_read($BrokerTest::TIMEOUT) or last;
                my $n = sysread $to, my $data, 65536 - $got % 65536;
                last if !$n;
                $same &&= $data eq substr $block, $got % 65536, $n;
                $got += $n;
        }
        is($got, $total, "$what: 50 MB have arrived");
        ok($same, "$what: unchanged");
        cmp_ok(rss() - $before, '<', 2048, "$what: and are not in the broker's memory");
}
{
        my ($client, $server) = pair('plain');
        push_all($client, $server, 'to the target');
        push_all($server, $client, 'to the client');
        ($client, $server) = pair('unix', target => $unix, index => 1);
        push_all($client, $server, 'to an AF_UNIX target');
        push_all($server, $client, 'to an AF_UNIX client');
}

# Clients are held until the target is there.
{
        my @clients = map { $t->connect('late') } 1 .. 5;
        my $early = $t->connect('latepath');

        say_to($_, "hello\n") for @clients, $early;
        shutdown $early, SHUT_WR;
        reset_it(pop @clients);
        ok($t->wait_message('connection ended', service => 'late', reason => qr/^the client left/), 'a client that goes meanwhile is noticed');
        my $listener = listener($late);
        for my $client (@clients) {
                my $server = accept_from($listener);
                is(BrokerTest::read_line($server), "hello\n", 'a held client comes through');
        }
        my $path = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/late", Listen => 10);
        my $server = accept_from($path);
        is(BrokerTest::read_all($server), "hello\n", 'with its end');
        say_to($server, "answer\n");
        is(BrokerTest::read_line($early), "answer\n", 'and gets its answer');
        my $client = $t->connect('never');
        is(ending($client), 'end', 'after start_timeout it is closed');
        my $record = $t->wait_message('connection ended', service => 'never');
        like("$record->{reason}: $record->{error}", qr/^the target has not taken it: No such file/, 'with the reason in the log');
        is($t->statistics('never')->{failed}, 1, 'and counted');
}

# Nothing moves.
{
        my ($client, $server) = pair('quiet');
        my $began = time;

        is(ending($client), 'end', 'connection_timeout: the client is closed');
        is(ending($server), 'end', 'and the target');
        cmp_ok(time - $began, '>=', 0.4, 'not before its time');
        is($t->wait_message('connection ended', service => 'quiet')->{reason}, 'connection_timeout', 'the log says so');
}

# Places.
{
        my @pairs = map { [pair('few')] } 1, 2;
        my $third = $t->connect('few');

        ok($t->wait_log(sub { ($_->{message} // '') eq 'state' && $_->{service} eq 'few' && $_->{to} eq 'full' }), 'instances: the third waits in the backlog');
        ok(!IO::Select->new($target)->can_read(0), 'the target does not hear of it');
        close $pairs[0][0];
        close $pairs[0][1];
        say_to($third, "my turn\n");
        my $server = accept_from($target);
        is(BrokerTest::read_line($server), "my turn\n", 'until one has ended');
        is($t->statistics('few')->{connections}, 2, 'two are served');
}

# A server on demand.
{
        my $client = $t->served('demand');
        ok($client, 'the first client starts the server and is held until it is there');
        my $pid = $t->wait_message('server started', service => 'demand')->{pid};
        ok($t->served('demand'), 'others use the same');
        is(scalar(grep { ($_->{message} // '') eq 'server started' && $_->{service} eq 'demand' } @{ $t->{log} }), 1, 'there is one');
        open my $environ, '<', "/proc/$pid/environ" or die "environ: $!";
        unlike(join('', <$environ>), qr/LISTEN_FDS|REMOTE_ADDR/, 'it gets no socket');
        say_to($client, "x\n");
        is(BrokerTest::read_line($client), "x\n", 'a connection keeps it');
        close $client;
        my $record = $t->wait_message('server ended', service => 'demand');
        is("$record->{pid} $record->{reason}", "$pid idle_stop", 'idle_stop ends it');
        ok($t->served('demand'), 'the next client starts it again');
        $pid = $t->wait_message('server started', service => 'demand')->{pid};
        kill 'KILL', -$pid;
        ok($t->wait_message('server ended', service => 'demand'), 'it dies');
        ok($t->served('demand'), 'and is started by the next client');
        # Around the moment of stopping nobody is lost.
        my $lost = 0;
        for (1 .. 15) {
                $lost++ if !$t->served('demand');
                $t->wait_message('server ended', service => 'demand') if $_ % 5 == 0;
                select undef, undef, undef, 0.19 + 0.002 * $_ if $_ % 5;
        }
        is($lost, 0, 'nobody is lost around idle_stop');
}
{
        my $client = $t->connect('deaf');
        is(ending($client), 'end', 'a server that never listens: closed after start_timeout');
        like($t->wait_message('connection ended', service => 'deaf')->{error}, qr/No such file/, 'with the reason');
        $client = $t->connect('dies');
        say_to($client, "x\n");
        ok($t->wait_message('server ended', service => 'dies', status => 'exit:3'), 'a server that dies at once') for 1 .. 3;
        $t->write_file('may', '');
        is(BrokerTest::read_line($client), "x\n", 'its client waits until one stays');
}
{
        my $pid = $t->wait_message('server started', service => 'boot', -from => 0)->{pid};
        ok($pid, 'start: boot starts the server with the broker');
        ok($t->served('boot'), 'it serves');
        kill 'KILL', -$pid;
        ok($t->wait_message('server ended', service => 'boot'), 'it dies');
        ok($t->wait_message('server started', service => 'boot'), 'restart: always starts it again by itself');
}

# PROXY headers, as another service of the broker reads them.
for my $version (qw(v1 v2)) {
        my $client = $t->connect($version);
        my ($host, $client_port) = ($client->sockhost, $client->sockport);

        say_to($client, 'the rest');
        shutdown $client, SHUT_WR;
        my ($first, $rest) = split /\n/, BrokerTest::read_all($client), 2;
        my $env = JSON::PP::decode_json($first)->{env};
        is("$env->{REMOTE_ADDR} $env->{REMOTE_PORT} $env->{SERVER_PORT}", "$host $client_port " . $t->port($version), "$version: the target knows the client");
        is($rest, 'the rest', "$version: and gets the rest");
}
{
        my $answer = $t->ask('v2', 'the rest', index => 1);
        my ($first, $rest) = split /\n/, $answer, 2;
        is(JSON::PP::decode_json($first)->{env}{PROTO}, 'IPC', 'v2: an AF_UNIX client is one');
        is($rest, 'the rest', 'v2: and gets the rest');
}

# A reload: relays of a service that stays are not touched, those of one that changes may end.
{
        my ($kept, $kept_server) = pair('plain');
        my ($old, $old_server) = pair('unix', target => $unix);
        my $other = listener();
        my $other_port = $other->sockport;

        unlink "$dir/never";
        (my $changed = $services) =~ s{proxy: "%DIR%/target"}{proxy: 127.0.0.1:$other_port};
        $changed =~ s{proxy: "%DIR%/never", start_timeout: 300ms}{proxy: 127.0.0.1:$other_port};
        $t->write_conf($services =~ s{start_timeout: 300ms\}\nquiet}{start_timeout: 1min\}\nquiet}r);
        ok($t->reload, 'a longer start_timeout');
        my $waiting = $t->connect('never');
        say_to($waiting, "patience\n");
        # What is logged of a connection comes with its end; that it was taken shows in the statistics.
        my $until = time + $BrokerTest::TIMEOUT;
        1 until $t->statistics('never')->{connections} == 1 || time > $until;
        $t->write_conf($changed);
        ok($t->reload, 'other targets');
        for my $pair ([$kept, $kept_server, 'kept'], [$old, $old_server, 'changed']) {
                say_to($pair->[0], "on\n");
                is(BrokerTest::read_line($pair->[1]), "on\n", "a relay of a service that is $pair->[2] goes on");
        }
        my $server = accept_from($other);
        is(BrokerTest::read_line($server), "patience\n", 'a client that was waiting goes to the new target');
        my $new = $t->connect('unix');
        $server = accept_from($other);
        say_to($new, "new\n");
        is(BrokerTest::read_line($server), "new\n", 'new ones, too');
        close $old;
        is(ending($old_server), 'end', 'the old one ends as it would have');

        # Stopping: who is in may finish.
        $t->signal('TERM');
        $t->wait_message(qr/^SIGTERM: no new connections/);
        say_to($kept, "finish\n");
        is(BrokerTest::read_line($kept_server), "finish\n", 'SIGTERM: relays go on');
        undef $_ for $kept, $kept_server, $new, $server, $waiting;
}
$t->stop(ended => 1);

# The end: a server is stopped when its last relay has ended; who stays longer than stop_grace_period is cut off.
{
        my $d = BrokerTest->new(services => <<'Y');
p: {listen: 127.0.0.1:0, proxy: "%DIR%/s", command: [socat, "UNIX-LISTEN:%DIR%/s,fork,unlink-early", PIPE]}
Y
        my $client = $d->served('p');
        $d->signal('TERM');
        $d->wait_message(qr/^SIGTERM: no new connections/);
        say_to($client, "x\n");
        is(BrokerTest::read_line($client), "x\n", 'its server is there for who is in');
        close $client;
        is($d->wait_message('server ended', service => 'p')->{reason}, 'stopped', 'and ends after the last');
        $d->stop(ended => 1);
        $d = BrokerTest->new(services => "p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, stop_grace_period: 100ms}\n");
        $client = $d->connect('p');
        my $server = accept_from($target);
        $d->signal('TERM');
        ok(ending($client), 'stop_grace_period is over: the client is cut off');
        ok(ending($server), 'and the target');
        $d->stop(ended => 1);
}

# Times may change under who is in: nobody is ended for what was before.
{
        my $d = BrokerTest->new(services => "p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}\n");
        my $client = $d->connect('p');
        my $server = accept_from($target);

        say_to($server, "x\n");
        BrokerTest::read_line($client);
        select undef, undef, undef, 0.3;
        my $began = time;
        $d->write_conf("p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, connection_timeout: 250ms}\n");
        ok($d->reload, 'a connection_timeout where there was none');
        is(ending($client), 'end', 'holds for who is in already');
        cmp_ok(time - $began, '>=', 0.25, 'from then on');
        $d->stop;
}

# All descriptors in use: clients wait, and go on when others end.
{
        my $few = BrokerTest->new(services => "p: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}\n", wrap => ['sh', '-c', 'ulimit -n 60 && exec "$@"', 'sh']);
        my $room = 60 - keys %{ $few->fds };
        my @clients = map { $few->connect('p') } 1 .. $room;
        my $ticks;

        say_to($clients[$_], "$_\n") for 0 .. $#clients;
        ok($few->wait_message(qr/^paused, clients wait: /), 'out of descriptors: the service pauses');
        $ticks = $few->cpu_ticks;
        my %seen;
        my ($done, $wrong) = (0, 0);
        while ($done < @clients) {
                my $server = accept_from($target) // last;
                my $line = BrokerTest::read_line($server) // last;
                say_to($server, $line);
                $wrong++ if $seen{$line}++ || BrokerTest::read_line($clients[$line]) ne $line;
                close $server;
                close $clients[$line];
                $done++;
        }
        is("$done $wrong", "$room 0", 'all have been served in the end');
        cmp_ok($few->cpu_ticks - $ticks, '<', 100, 'without a spin');
        $few->stop;
}

# Many idle relays: no CPU, little memory, no pipe.
SKIP: {
        my $limit = `sh -c 'ulimit -n \$(ulimit -Hn) 2>/dev/null; ulimit -n'`;
        chomp $limit;
        my $count = $limit eq 'unlimited' || $limit > 10500 ? 5000 : int(($limit - 500) / 2);
        skip "5,000 relays are too many for a limit of $limit descriptors", 3 if $count < 200;
        my $many = BrokerTest->new(services => <<"Y", head => "broker: {log: {format: json, level: warning}}\n");
p: {listen: "%DIR%/many", proxy: "%DIR%/sink", instances: unlimited, connection_timeout: 1h}
Y
        my $memory = sub {
                open my $fh, '<', "/proc/$many->{main_pid}/smaps_rollup" or return 0;
                return (map { /^Private_Dirty:\s+(\d+)/ ? $1 : () } <$fh>)[0];
        };
        # Clients and target in one helper with a limit of its own.
        my $before = $memory->();
        pipe my $read, my $write;
        my $pid = fork // die;
        if (!$pid) {
                my $sink = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$many->{dir}/sink", Listen => 4096) or POSIX::_exit(1);
                my @all;
                for (1 .. $count) {
                        my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$many->{dir}/many") // last;
                        my $server = $sink->accept // last;
                        push @all, $client, $server;
                        syswrite $client, 'x';
                        sysread $server, my $data, 1;
                }
                syswrite $write, @all / 2 . "\n";
                # All of them stay open until it is killed.
                POSIX::pause();
                POSIX::_exit(0);
        }
        close $write;
        my $made = BrokerTest::read_line($read, 120) // 0;
        chomp $made;
        skip "no more than $made relays could be made here", 3 if $made < 200;
        my $per = ($memory->() - $before) / $made;
        SKIP: {
                skip 'the sanitizer has memory of its own', 1 if $ENV{BROKER_SANITIZED};
                cmp_ok($per, '<', 4, sprintf '%d idle relays: %.2f KiB of memory each', $made, $per);
        }
        my $pipes = grep { /^pipe:/ } values %{ $many->fds };
        cmp_ok($pipes, '<', 80, "and $pipes pipes for all of them");
        my $ticks = $many->cpu_ticks;
        # Time that passes, not an event that is waited for.
        select undef, undef, undef, 1.5;
        is($many->cpu_ticks - $ticks, 0, 'no CPU');
        kill 'KILL', $pid;
        waitpid $pid, 0;
        $many->stop;
}
done_testing;
