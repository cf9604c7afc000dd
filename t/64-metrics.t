#!/usr/bin/perl
# broker: {metrics: ADDRESS}: what is served, that it is right and well-formed, and that nobody who asks can hold the broker.
use strict;
use warnings;

use BrokerTest;
use FindBin qw($RealBin);
use IO::Select;
use IO::Socket::IP;
use Socket qw(SOCK_STREAM SHUT_WR);
use JSON::PP qw(decode_json);
use Test::More;

my $server = "$RealBin/server/supervised.py";
my $head = "broker: {metrics: '%s', log: {format: json, level: debug}}\n";

sub head {
        my ($address) = @_;

        return sprintf $head, $address;
}

# Where it is served: as the log says, which knows the port.
sub metrics_address {
        my ($t, %arg) = @_;

        return ($t->wait_message('metrics can be asked for', -from => 0, %arg) // die "no metrics\n")->{address};
}

# Sends TEXT and returns status, headers and body of the answer.
sub answer_to {
        my ($socket, $text) = @_;

        syswrite $socket, $text;
        my $answer = BrokerTest::read_all($socket) // return;
        my ($line, $headers, $body) = $answer =~ m{\A(HTTP/1\.\d (?:\d+)[^\r]*)\r\n(.*?)\r\n\r\n(.*)\z}s or return;
        return { status => $line =~ /^\S+ (\d+)/, body => $body, map { /^([^:]+): (.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $headers };
}

sub ask {
        my ($address, $path, %arg) = @_;
        my $method = $arg{method} // 'GET';
        my $accept = $arg{accept} ? "Accept: $arg{accept}\r\n" : '';

        return answer_to(BrokerTest::connect_to($address), "$method $path HTTP/1.1\r\nHost: x\r\n$accept\r\n");
}

# The samples, "name{labels}" => value, after everything that is wrong with the text was reported.
sub parse {
        my ($text, $what) = @_;
        my (%sample, %type, %over, @wrong, $family);
        my %endings = (counter => ['_total'], gauge => [''], histogram => [qw(_bucket _count _sum)], info => ['_info'], stateset => ['']);

        push @wrong, 'no # EOF at its end' unless $text =~ s/# EOF\n\z//;
        for my $line (split /\n/, $text) {
                if ($line =~ /^# HELP (\S+) \S/) {
                        push @wrong, "$1 comes twice" if $over{$1}++;
                        $family = $1;
                } elsif ($line =~ /^# TYPE (\S+) (\S+)$/) {
                        push @wrong, $line unless $1 eq $family && $endings{$2};
                        $type{$1} = $2;
                } elsif ($line =~ /^# UNIT (\S+) (\S+)$/) {
                        push @wrong, $line unless $1 eq $family && $family =~ /_$2$/;
                } elsif ($line =~ /^([a-z_]+)((?:\{(?:[a-z_]+="(?:[^"\\]|\\[n"\\])*",?)*\})?) (\d+(?:\.\d+)?)$/) {
                        my ($name, $labels, $value) = ($1, $2, $3);
                        push @wrong, "$line: not in $family" unless grep { "$family$_" eq $name } @{ $endings{ $type{$family} } };
                        push @wrong, "$line: twice" if exists $sample{"$name$labels"};
                        $sample{"$name$labels"} = $value;
                } else {
                        push @wrong, $line;
                }
        }
        for (grep { /_count/ } keys %sample) {
                my ($name, $labels) = /^(\w+)_count\{(.*)\}$/ or next;
                my @buckets = map { [$_->[0], $sample{ $_->[1] }] } sort { $a->[0] <=> $b->[0] }
                        map { /^\Q${name}_bucket{$labels\E,le="([^"]+)"\}$/ ? [$1 eq '+Inf' ? 9**9**9 : $1, $_] : () } keys %sample;
                push @wrong, "$_: 16 buckets" unless @buckets == 16;
                push @wrong, "$_ is not its last bucket" unless $buckets[-1][1] == $sample{$_};
                $buckets[$_][1] >= $buckets[$_ - 1][1] or push @wrong, "$name: bucket $_" for 1 .. $#buckets;
        }
        ok(!@wrong, "$what: well-formed") or diag(join "\n", @wrong);
        return \%sample;
}

sub scrape {
        my ($address, $what) = @_;
        my $answer = ask($address, '/metrics');

        return parse($answer->{body} // '', $what);
}

my %seen; # names of families

# What is counted.
{
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => <<"Y");
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
fail: {listen: 127.0.0.1:0, wait: no, command: ["false"]}
shot: {listen: 127.0.0.1:0, wait: no, command: [sh, -c, 'kill -9 \$\$\$\$']}
long: {listen: 127.0.0.1:0, wait: no, max_runtime: 100ms, command: [sleep, "1000"]}
shut: {listen: 127.0.0.1:0, wait: no, no_access: 127.0.0.0/8, command: [cat]}
one: {listen: 127.0.0.1:0, wait: no, instances: 1, command: [cat]}
local: {listen: ['%DIR%/local', '\@metrics%DIR%'], wait: no, instances: 1, command: [cat]}
web: {listen: {address: 127.0.0.1:0, reuse_port: yes}, wait: yes, start: boot, workers: 2, command: [sleep, "1000"]}
again: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: always, restart_delay: 1ms, restart_delay_max: 1ms, command: ["true"]}
told: {listen: 127.0.0.1:0, wait: yes, start: boot, ready: notify, command: [python3, $server, ready]}
never: {listen: 127.0.0.1:0, wait: no, command: [cat]}
none: {listen: 127.0.0.1:0, wait: no, working_dir: /no/such/directory, command: [cat]}
Y
        my $address = metrics_address($t);
        my $m = scrape($address, 'before any client');
        is($m->{'sockbroker_services'}, 12, 'services');
        is($m->{'sockbroker_connections_accepted_total{service="echo"}'}, 0, 'none accepted');
        ok(!(grep { /duration.*echo/ } keys %$m), 'no histogram of what has not happened');

        for my $service (qw(echo echo fail shot long none)) {
                my $client = $t->connect($service);
                shutdown $client, SHUT_WR;
                BrokerTest::read_all($client);
                $t->wait_message('connection ended', service => $service);
        }
        BrokerTest::read_all($t->connect('shut'));
        my $busy = $t->served('one');
        my @waiting = map { $t->connect('one') } 1, 2;
        my $local = $t->served('local');
        push @waiting, map { BrokerTest::connect_to($_) } $t->dir . '/local', ('@metrics' . $t->dir) x 2;
        $t->wait_message('server will be started again', service => 'again');
        $t->wait_message('server started', service => 'again');
        $t->wait_message('server is ready', service => 'told', -from => 0);
        my $answer = ask($address, '/metrics');
        is($answer->{status}, 200, '/metrics');
        is($answer->{'content-type'}, 'application/openmetrics-text; version=1.0.0; charset=utf-8', 'its type');
        $m = parse($answer->{body}, 'with clients');
        is($m->{'sockbroker_connections_accepted_total{service="echo"}'}, 2, 'accepted');
        is($m->{'sockbroker_connections_ended_total{service="echo",outcome="ok"}'}, 2, 'ended well');
        is($m->{'sockbroker_connections_ended_total{service="fail",outcome="failed"}'}, 1, 'failed');
        is($m->{'sockbroker_connections_ended_total{service="shot",outcome="signal"}'}, 1, 'killed by a signal');
        is($m->{'sockbroker_connections_ended_total{service="none",outcome="launch_failed"}'}, 1, 'never became the program');
        my $none = decode_json(($t->verb('status', 'none', '--json'))[1])->{services}[0];
        is($none->{failed}, 1, 'and broker status counts it as failed');
        is($m->{'sockbroker_connections_ended_total{service="long",outcome="overran"}'}, 1, 'longer than max_runtime');
        is($m->{'sockbroker_connections_refused_total{service="shut",reason="only_from"}'}, 1, 'refused');
        is($m->{'sockbroker_connection_duration_seconds_count{service="echo"}'}, 2, 'durations');
        cmp_ok($m->{'sockbroker_connection_duration_seconds_sum{service="long"}'}, '>=', 0.1, 'their sum');
        is($m->{'sockbroker_connection_duration_seconds_bucket{service="long",le="0.05"}'}, 0, 'their classes');
        is($m->{'sockbroker_connection_start_latency_seconds_count{service="one"}'}, 1, 'start latencies');
        is($m->{'sockbroker_server_start_latency_seconds_count{service="told"}'}, 1, 'and of a server that says when it is ready');
        is($m->{'sockbroker_connections_active{service="one"}'}, 1, 'active');
        is($m->{'sockbroker_queue_length{service="one"}'}, 2, 'who waits in the backlog');
        is($m->{'sockbroker_queue_length{service="local"}'}, 3, 'in AF_UNIX sockets too');
        is($m->{'sockbroker_service_state{service="one",sockbroker_service_state="full"}'}, 1, 'the state');
        is($m->{'sockbroker_service_state{service="one",sockbroker_service_state="listening"}'}, 0, 'and what it is not');
        is($m->{'sockbroker_service_processes{service="one"}'}, 1, 'processes');
        is($m->{"sockbroker_service_processes{service=\"web\",worker=\"$_\"}"}, 1, "worker $_") for 1, 2;
        cmp_ok($m->{'sockbroker_server_restarts_total{service="again"}'}, '>=', 1, 'restarts');
        cmp_ok($m->{'sockbroker_servers_ended_total{service="again",outcome="ok"}'}, '>=', 1, 'ends of servers');
        cmp_ok($m->{'sockbroker_server_starts_total{service="again"}'}, '>=', 2, 'starts');
        is($m->{'sockbroker_service_up{service="one"}'}, 1, 'up');
        cmp_ok($m->{sockbroker_max_fds}, '>', 0, 'descriptors');
        $seen{$1} = 1 while $answer->{body} =~ /^# TYPE (\S+) /mg;

        # Over a reload, and one that fails.
        $t->write_conf(<<'Y', head => head('127.0.0.1:0'));
echo: {listen: 127.0.0.1:0, wait: no, command: [cat, -u]}
Y
        ok($t->reload, 'another definition');
        $t->write_conf("echo: {listen: 1.2.3.4.5, wait: no, command: [cat]}\n", head => head('127.0.0.1:0'));
        ok(!$t->reload, 'and one that is wrong');
        $m = scrape($address, 'after reloads, at the same address');
        is($m->{'sockbroker_connections_accepted_total{service="echo"}'}, 2, 'what was counted stays');
        is($m->{"sockbroker_reloads_total{result=\"$_\"}"}, 1, "reloads: $_") for qw(ok failed);
        is($m->{sockbroker_services}, 1, 'one service is left');
        undef $_ for $busy, $local, @waiting;
        $t->stop;
}

# The older format, and the tool that reads it.
{
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => <<'Y');
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
shut: {listen: 127.0.0.1:0, wait: no, no_access: 127.0.0.0/8, command: [cat]}
gone: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/not-there]}
web: {listen: {address: 127.0.0.1:0, reuse_port: yes}, wait: yes, start: boot, workers: 2, command: [sleep, "1000"]}
Y
        my $address = metrics_address($t);
        my $client = $t->served('echo');
        undef $client;
        $t->wait_message('connection ended', service => 'echo');
        BrokerTest::read_all($t->connect('shut'));
        my $waiting = $t->connect('gone');
        $t->wait_message(qr/^paused/, service => 'gone');
        my $answer = ask($address, '/metrics', accept => 'text/plain');
        is($answer->{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'the older format for who wants it');
        is(ask($address, '/metrics', accept => $_->[0])->{'content-type'}, $_->[1], "Accept: $_->[0]")
                for ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2', 'application/openmetrics-text; version=1.0.0; charset=utf-8'],
                ['*/*', 'application/openmetrics-text; version=1.0.0; charset=utf-8'];
        like($answer->{body}, qr/^# TYPE sockbroker_connections_accepted_total counter$/m, 'with its names');
        unlike($answer->{body}, qr/^# (EOF|UNIT)/m, 'and without what it does not have');
        like($answer->{body}, qr/^sockbroker_service_paused\{service="gone",reason="program"\} 1$/m, 'a paused service, and why');
        like($answer->{body}, qr/^sockbroker_service_up\{service="gone"\} 0$/m, 'is not up');
SKIP: {
                skip 'promtool (Debian: prometheus) is not installed', 1 unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
                my $file = $t->write_file('metrics', $answer->{body});
                is(`promtool check metrics < $file 2>&1`, '', 'promtool has nothing to say');
        }
        undef $waiting;
        $t->stop;
}

# Every name is in the manual.
{
        open my $fh, '<', 'docs/broker.8.scd' or die $!;
        my $page = do { local $/; <$fh> } =~ s/\\//gr;
        my @missing = grep { $page !~ /^\*\Q$_\E(?:_total|_info)?\* \(/m } sort keys %seen;
        ok(keys %seen > 15, 'there are names');
        ok(!@missing, 'all of them in broker(8)') or diag("@missing");
        my @old = grep { !$seen{ s/_(total|info)$//r } } $page =~ /^\*(sockbroker_\w+)\* \(/mg;
        ok(!@old, 'and no others') or diag("@old");
}

# Health, readiness, and what is none of them.
{
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => <<'Y');
hold: {listen: 127.0.0.1:0, wait: no, command: [cat]}
gone: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/not-there]}
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: always, restart_delay: 1000, restart_delay_max: 1000, command: [sh, -c, 'read x < %DIR%/fifo']}
Y
        require POSIX;
        my $address = metrics_address($t);
        # The server cannot open what is not there, and ends.
        $t->wait_message('server will be started again', service => 'boot');
        my $ready = ask($address, '/readyz');
        is($ready->{status}, 503, 'a server that is not running');
        is($ready->{body}, "boot: its server does not run: restarting\n", 'is named');
        my $waiting = $t->connect('gone');
        $t->wait_message(qr/^paused/, service => 'gone');
        $ready = ask($address, '/readyz');
        is($ready->{body}, "gone: its program cannot be started: No such file or directory\nboot: its server does not run: restarting\n",
                'a line for each');
        is(ask($address, '/healthz')->{status}, 200, 'healthy all the same');
        undef $waiting;
        $t->write_conf("hold: {listen: 127.0.0.1:0, wait: no, stop_grace_period: 1000, command: [cat]}\n", head => head('127.0.0.1:0'));
        ok($t->reload, 'without them');
        $ready = ask($address, '/readyz');
        is("$ready->{status} $ready->{body}", "200 ok\n", 'it is ready');

        my $answer = ask($address, '/healthz', method => 'HEAD');
        is("$answer->{status} $answer->{'content-length'} $answer->{body}", '200 3 ', 'HEAD');
        $answer = ask($address, '/metrics', method => 'DELETE');
        is("$answer->{status} $answer->{allow}", '405 GET, HEAD', 'other methods');
        is(ask($address, $_)->{status}, 404, $_) for qw(/ /metricsx /metrics/ /../metrics);
        is(ask($address, '/healthz?verbose')->{status}, 200, 'a question');
        is(ask($address, '/' . 'x' x 20_000)->{status}, 414, 'a path that is too long');
        is(answer_to(BrokerTest::connect_to($address), "\x16\x03\x01 nonsense\r\n\r\n")->{status}, 400, 'no HTTP');

        my $client = $t->served('hold');
        $t->signal('TERM');
        $t->wait_message(qr/^SIGTERM/);
        $ready = ask($address, '/readyz');
        is("$ready->{status} $ready->{body}", "503 draining: no new connections, waiting for what runs\n", 'draining');
        is(ask($address, '/healthz')->{status}, 200, 'and healthy');
        undef $client;
        $t->stop(ended => 1);
}

# Processes beside the sockets: workers, and the server behind a proxy.
{
        my $fast = 'wait: no, restart_delay: 1000, restart_delay_max: 1000';
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => <<"Y");
workers: {listen: 127.0.0.1:0, wait: no, handoff: request, start: boot, command: [cat]}
taker: {listen: 127.0.0.1:0, wait: no, handoff: pass, start: boot, command: [sleep, 1000]}
proxy: {listen: 127.0.0.1:0, proxy: 127.0.0.1:9, start: boot, command: [sleep, 1000]}
idle: {listen: 127.0.0.1:0, wait: yes, start: boot, idle_stop: 100ms, command: [sleep, 1000]}
status: {listen: 127.0.0.1:0, builtin: status}
pass: {listen: 127.0.0.1:0, $fast, handoff: pass, command: ['false']}
request: {listen: 127.0.0.1:0, $fast, handoff: request, command: ['false']}
front: {listen: 127.0.0.1:0, proxy: 127.0.0.1:9, restart_delay: 1000, restart_delay_max: 1000, command: ['false']}
Y
        my $address = metrics_address($t);
        $t->wait_message('worker started', service => $_, -from => 0) for 'workers', 'taker';
        $t->wait_message('server started', service => 'proxy', -from => 0);
        $t->wait_message('server ended', service => 'idle', -from => 0);
        my $ready = ask($address, '/readyz');
        is("$ready->{status} $ready->{body}", "200 ok\n", 'start: boot: workers, a proxy, and a server that was idle');
        is(BrokerTest::read_all($t->connect('status')), "ok\n", 'and builtin: status');

        my @clients = map { $t->connect($_) } 'pass', 'request', 'front';
        $t->wait_message('worker ended', service => $_, -from => 0) for 'pass', 'request';
        $t->wait_message('server ended', service => 'front', -from => 0);
        my @failing = ('pass: its workers end as soon as they are started', 'request: its workers end as soon as they are started',
                'front: its server ends as soon as it is started');
        $ready = ask($address, '/readyz');
        is("$ready->{status} $ready->{body}", join("\n", "503 $failing[0]", @failing[1, 2], ''), 'those that end at once are named');
        is(BrokerTest::read_all($t->connect('status')), 'failed: ' . join(';', @failing) . "\n", 'by builtin: status too');
        my ($status, $out) = $t->verb('status', 'pass');
        like($out, qr/^\s*Reason:? +its workers end as soon as they are started$/m, 'and by broker status');
        is(($t->verb('stop', 'workers'))[0], 0, 'an order');
        like(ask($address, '/readyz')->{body}, qr/^workers: its workers do not run: stopped$/m, 'is no reason to be ready');
        undef @clients;
        $t->stop;
}

# Reloads: the address stays, changes, goes; nothing has changed when it cannot be had.
{
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $first = metrics_address($t);
        my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1) or die;
        my $other = $taken->sockport;
        my $from = @{ $t->{log} };

        $t->write_conf("b: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n", head => head("127.0.0.1:$other"));
        ok(!$t->reload, 'an address that is in use');
        ok($t->wait_log(sub { ($_->{message} // '') =~ /test\.yaml:1:19: broker\.metrics: cannot bind 127\.0\.0\.1:$other: Address already in use/ }, from => $from), 'says where that stands');
        my $m = scrape($first, 'the old one');
        ok(exists $m->{'sockbroker_connections_accepted_total{service="a"}'}, 'goes on, and the services too');
        close $taken;
        ok($t->reload, 'once it is free');
        my $second = metrics_address($t, address => "127.0.0.1:$other");
        ok(exists scrape($second, 'the new one')->{'sockbroker_connections_accepted_total{service="b"}'}, 'is served');
        is(BrokerTest::connect_to($first, may_fail => 1), undef, 'the old one is closed');

        # All addresses instead of one, on the same port; and back.
        my $sub = sub { $t->write_conf("b: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n", head => head($_[0])); return $t->reload };
        ok($sub->("0.0.0.0:$other"), 'a wider address on the same port');
        is(ask($second, '/healthz')->{status}, 200, 'is served');
        ok($sub->("127.0.0.1:$other"), 'and the narrow one again');
        is(ask($second, '/healthz')->{status}, 200, 'is served');

        ok($sub->($t->dir . '/m.sock'), 'a path');
        is(ask($t->dir . '/m.sock', '/healthz')->{status}, 200, 'is served');
        my $open = grep { /m\.sock|socket:/ } values %{ $t->settled_fds };
        $t->write_conf("b: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        ok($t->reload, 'none');
        ok(!-e $t->dir . '/m.sock', 'and the path is gone');
        is(scalar(grep { /socket:/ } values %{ $t->settled_fds }), $open - 1, 'and its descriptor');
        $t->stop;
}

# At the start.
{
        my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1) or die;
        my $port = $taken->sockport;
        my $t = BrokerTest->new(status => 1, ready => 0, head => head("127.0.0.1:$port"), services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        $t->wait_exit;
        like($t->log_text, qr{test\.yaml:1:19: broker\.metrics: cannot bind 127\.0\.0\.1:$port}, 'an address that is in use at the start');
        $t->stop(ended => 1);
        $t = BrokerTest->new(status => 1, ready => 0, head => head('fd:nothing'), services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        $t->wait_exit;
        like($t->log_text, qr{test\.yaml:1:19: broker\.metrics: the broker was not started with a socket of that name}, 'an inherited socket that is not there');
        $t->stop(ended => 1);
}

# A socket the broker was started with; and no program gets any descriptor of all this.
{
        my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 5) or die;
        my $t = BrokerTest->new(
                head => head('fd:http'),
                services => "probe: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}\n",
                setup => sub {
                        # 3 may be the harness's own pipe, which the child has under its number 2 by then.
                        POSIX::dup2($socket->fileno, 3) if $socket->fileno != 3;
                        require Fcntl;
                        open my $fd, '<&=', 3 or POSIX::_exit(97);
                        fcntl $fd, Fcntl::F_SETFD(), 0;
                        $^F = 1000;
                        @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)} = (1, $$, 'http');
                        our @kept = $fd;
                },
        );
        my $address = '127.0.0.1:' . $socket->sockport;
        my $visitor = BrokerTest::connect_to($address);
        syswrite $visitor, "GET /healthz HTTP/1.1\r\n";
        is(ask($address, '/healthz')->{status}, 200, 'fd:NAME');
        my $p = $t->ask_probe('probe');
        is(join(' ', sort { $a <=> $b } map { $_->{fd} } @{ $p->{fds} }), '0 1 2', 'a program gets none of its descriptors');
        is((answer_to($visitor, "Host: x\r\n\r\n") // {})->{status}, 200, 'a slow request');
        $t->stop;
}

# More visitors than there are places: who comes then waits for one of them to go.
{
        my $t = BrokerTest->new(head => head('127.0.0.1:0'), services => "echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $address = metrics_address($t);
        my @silent = map { BrokerTest::connect_to($address) } 1 .. 32;
        my $late = BrokerTest::connect_to($address);
        syswrite $late, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        ok($t->served('echo'), 'services do not notice');
        ok(!IO::Select->new($late)->can_read(0), 'one more has to wait');
        shift @silent;
        like(BrokerTest::read_all($late) // '', qr/^HTTP.*200 OK/, 'until another has gone');
        undef $_ for @silent;
        # Questions come in pieces, answers are not waited for.
        for (1 .. 50) {
                my $rude = BrokerTest::connect_to($address);
                syswrite $rude, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        }
        is(ask($address, '/healthz')->{status}, 200, 'who does not read the answer does no harm');
        $t->stop;
}

# All descriptors are used up by connections.
SKIP: {
        skip 'prlimit(1) is not installed', 6 if system('prlimit --version >/dev/null 2>&1') != 0;
        my $t = BrokerTest->new(wrap => ['prlimit', '--nofile=50:50'], head => head('127.0.0.1:0'), services => <<'Y');
echo: {listen: 127.0.0.1:0, wait: no, instances: unlimited, command: [cat]}
Y
        my $address = metrics_address($t);
        my @clients = map { $t->connect('echo') } 1 .. 60;
        ok($t->wait_message(qr/^paused, clients wait/, service => 'echo'), 'no descriptors are left');
        is((ask($address, '/healthz') // {})->{status}, 200, 'health is answered') for 1, 2;
        like((ask($address, '/metrics') // {})->{body}, qr/^sockbroker_service_paused\{service="echo",reason="shortage"\} 1$/m, 'and what is wrong');
        is(($t->verb('status', 'echo'))[0], 0, 'orders are, too') for 1, 2;
        undef $_ for @clients;
        $t->stop;
}
done_testing;
