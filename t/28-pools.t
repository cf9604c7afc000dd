#!/usr/bin/perl
# What the two kinds of pools, handoff: pass and handoff: request, have in common: processes and descriptors that run out,
# users other than root, what D-Bus and metrics show, and what is left of a dismissal that nobody was there to hear.
use strict;
use warnings;
use BrokerTest;
use File::Copy qw(copy);
use IO::Select;
use JSON::PP qw(decode_json);
use Part;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $worker = "$ENV{BROKER_BUILD}/t/server/worker";

# Both kinds of workers, in the broker's directory, which all users can reach.
sub broker_with {
        my ($services, %arg) = @_;
        my $t = BrokerTest->new(%arg, later => 1);

        copy($worker, $t->dir . '/worker') or die "$worker: $!";
        chmod 0755, $t->dir . '/worker', $t->write_file('echo', "#!/usr/bin/perl\n\$| = 1; while (<STDIN>) { print qq(\$\$ \$_) }\n");
        $t->write_conf($services =~ s/%(WORKER|ECHO)%/'%DIR%\/' . lc $1/ger, %arg);
        $t->start(%arg) unless $arg{later};
        return $t;
}

sub as_user { return ('setpriv', "--reuid=$_[0]", "--regid=$_[0]", '--clear-groups') }

# A broker of a user who has no other processes, through the command in WRAP.
sub broker_of_user {
        my ($uid, $services, @wrap) = @_;
        my @as = as_user($uid);

        skip_part('only root can run as a user nobody else uses') if $> != 0;
        skip_part('prlimit(1) or setpriv(1) is not installed')
                if system('prlimit --version >/dev/null 2>&1 && setpriv --version >/dev/null 2>&1') != 0;
        skip_part('the programs cannot be reached by another user') if system(@as, 'test', '-x', $BrokerTest::BROKER) != 0;
        my $t = broker_with($services, later => 1);
        chown $uid, $uid, $t->dir, $t->dir . '/conf', glob($t->dir . '/conf/*');
        $t->start(wrap => [@as, @wrap]);
        return $t;
}

# Who serves the client: one says so by itself, the other is asked.
sub pid_of {
        my ($client, $kind) = @_;

        syswrite $client, "who\n" if $kind eq 'request';
        my ($pid) = (BrokerTest::read_line($client) // '') =~ /^(?:worker )?(\d+)/;
        return $pid // 0;
}

sub status {
        my ($t, $service) = @_;
        my (undef, $out, $err) = $t->verb('status', '--json', $service);

        return decode_json($out)->{services}[0] // die "no status: $out$err\n";
}

# Until CODE is true of the status.
sub wait_status {
        my ($t, $service, $code) = @_;
        my $until = time + $BrokerTest::TIMEOUT;
        my $status;

        while (time < $until) {
                $status = status($t, $service);
                return $status if $code->($status);
        }
        diag(JSON::PP->new->canonical->encode($status));
        return {};
}

for my $kind (qw(pass request)) {
        my $command = { pass => '%WORKER%', request => '[%ECHO%]' }->{$kind};

        part "$kind: processes run out" => sub {
                my $t = broker_of_user(54331, <<"Y", qw(prlimit --nproc=8:40));
q: {listen: {address: 127.0.0.1:0, backlog: 100}, wait: no, handoff: $kind, command: $command, workers: {min: 0, max: 30}, restart_delay: 20ms, restart_delay_max: 50ms}
Y
                my @clients = map { $t->connect('q') } 1 .. 25;
                my $served = 0;

                for my $client (@clients) { $served++ if pid_of($client, $kind); close $client }
                is($served, 25, 'everybody is served by those that there can be');
                my $n = status($t, 'q');
                cmp_ok($n->{process_count}, '<', 8, 'which are few');
                cmp_ok($n->{process_count}, '>', 0, 'but some');
                wait_status($t, 'q', sub { $_[0]{connections} == 0 });
                $t->stop;
        };

        part "$kind: not one process" => sub {
                my $t = broker_of_user(54332, <<"Y", qw(prlimit --nproc=1:40));
q: {listen: 127.0.0.1:0, wait: no, handoff: $kind, command: $command, workers: 3, restart_delay: 20ms, restart_delay_max: 50ms}
Y
                my $client = $t->connect('q');

                like($t->wait_message(qr/^paused, clients wait/, service => 'q')->{message} // '', qr/limit of processes/, 'the log says which limit');
                my $ticks = $t->cpu_ticks;
                ok(!IO::Select->new($client)->can_read(0.5), 'nobody is served');
                cmp_ok($t->cpu_ticks - $ticks, '<=', 10, 'and it does not spin');
                is(system(as_user(54332), 'prlimit', '--pid', $t->{main_pid}, '--nproc=40:40'), 0, 'there is room for some');
                my $pid = pid_of($client, $kind);
                ok($pid, 'and the client is served');
                close $client;
                is(wait_status($t, 'q', sub { $_[0]{process_count} == 3 })->{process_count}, 3, 'there are as many as should be');
                $t->stop;
        };

        part "$kind: a user other than root" => sub {
                my $t = broker_of_user(54333, <<"Y");
q: {listen: "%DIR%/q", wait: no, handoff: $kind, command: $command, workers: {min: 1, max: 4}, idle_stop: 100ms}
Y
                my @clients = map { $t->connect('q') } 1 .. 40;
                my %pids;

                for my $client (@clients) { $pids{ pid_of($client, $kind) }++; close $client }
                ok(!$pids{0}, 'everybody is served');
                cmp_ok(scalar keys %pids, '<=', 4, 'by as many as may be');
                kill 'KILL', keys %pids;
                # Some may have ended before, for want of clients.
                $t->wait_message('worker ended', pid => $_, -from => 0) for keys %pids;
                ok(pid_of($t->connect('q'), $kind), 'the dead are replaced');
                is(wait_status($t, 'q', sub { $_[0]{process_count} == 1 })->{process_count}, 1, 'and end when there is nothing to do');
                $t->stop;
        };

        part "$kind: metrics and D-Bus" => sub {
                my $t = broker_with(<<"Y", head => "broker: {metrics: 127.0.0.1:0, log: {format: json, level: debug}}\n");
q: {listen: 127.0.0.1:0, wait: no, handoff: $kind, command: $command, workers: 2, restart_delay: 10ms}
Y
                my @clients = map { $t->connect('q') } 1, 2;
                my @pids = map { pid_of($_, $kind) } @clients;

                close $_ for @clients;
                kill 'KILL', $pids[0];
                $t->wait_message('worker ended', pid => $pids[0]);
                my $n = wait_status($t, 'q', sub { $_[0]{process_count} == 2 && $_[0]{connections} == 0 });
                is_deeply([@$n{qw(state worker accepted failed starts)}], ['listening', 1, 2, 0, 3], 'status --json');
                is(scalar @{ $n->{processes} }, 2, 'both workers are shown');
                is(join(' ', sort grep { /^request|^workers$/ } keys %$n), $kind eq 'request' ? 'request_classes request_latency requests workers' : '',
                        'and requests, where there are any');
                is_deeply([$t->verb('replace', 'q')], [1, '', "broker: workers have no sockets that others could take over from them: restart it\n"],
                        'replace is refused');
                my $socket = BrokerTest::connect_to($t->wait_message('metrics can be asked for', -from => 0)->{address});
                syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
                my $text = BrokerTest::read_all($socket);
                for ('connections_accepted_total{service="q"} 2', 'connections_active{service="q"} 0',
                        'service_processes{service="q"} 2', 'server_starts_total{service="q"} 3') {
                        like($text, qr/^sockbroker_\Q$_\E\r?$/m, "metrics: $_");
                }
                SKIP: {
                        skip 'busctl is not installed', 6 if !grep { -x "$_/busctl" } split /:/, $ENV{PATH};
                        my %want = (ProcessCount => 'u 2', Connections => 'u 0', Accepted => 't 2', Starts => 't 3', Failed => 't 0', State => 's "listening"');
                        for my $name (sort keys %want) {
                                my $answer = `timeout 20 busctl --no-pager --address=unix:path=@{[$t->control]} get-property org.sockbroker /org/sockbroker/service/q org.sockbroker.Service $name 2>&1`;
                                is($answer, "$want{$name}\n", "D-Bus: $name");
                        }
                }
                $t->stop;
        };
}

# Clients that come one after the other, several at a time, each in a process of its own. Returns what they write at last.
sub load {
        my ($address, $clients, $each, $kind) = @_;
        my @reads;

        for (1 .. $clients) {
                pipe my $read, my $write or die "pipe: $!";
                my $pid = fork // die "fork: $!";
                if (!$pid) {
                        my $odd = '';
                        for (1 .. $each) {
                                my $client = BrokerTest::connect_to($address, may_fail => 1);
                                if (!$client) { $odd .= "connect: $!; "; next }
                                syswrite $client, $kind eq 'pass' ? "x\nbye\n" : "x\n";
                                my $text = BrokerTest::read_all($client) // 'nothing';
                                $odd .= "'$text'; " if $text !~ ($kind eq 'pass' ? qr/^worker \d+\nx\n\z/ : qr/^\d+ x\n\z/);
                        }
                        syswrite $write, "over $odd";
                        POSIX::_exit(0);
                }
                push @reads, $read;
        }
        return @reads;
}

for my $kind (qw(pass request)) {
        my $command = { pass => '%WORKER%', request => '[%ECHO%]' }->{$kind};

        part "$kind: reloads and upgrades under load" => sub {
                my $head = "broker: {log: {format: json, level: info}}\n";
                my $services = sub {
                        my ($n) = @_;
                        my $count = 1 + $n % 3;
                        my $text = <<"Y";
q: {listen: {address: 127.0.0.1:0, backlog: 200}, wait: no, handoff: $kind, command: $command, workers: $count, environment: {N: @{[$n >> 1]}}}
Y
                        return $text =~ s/%(WORKER|ECHO)%/'%DIR%\/' . lc $1/ger;
                };
                my $t = broker_with($services->(0), head => $head);
                my @reads = load($t->address('q'), 4, 100, $kind);
                my ($rounds, $bad) = (0, 0);

                # One round at least; until nobody is left.
                do {
                        $rounds++;
                        if ($rounds % 8 == 0) { $bad++ if ($t->verb('upgrade'))[0] != 0 }
                        else {
                                $t->write_conf($services->($rounds), head => $head);
                                $bad++ if !$t->reload;
                        }
                } while grep { !IO::Select->new($_)->can_read(0) } @reads;
                note("$rounds rounds");
                is($bad, 0, 'all were carried out');
                is(BrokerTest::read_all($_), 'over ', 'everybody is served') for @reads;
                wait for @reads;
                $t->stop;
        };
}

part 'request: what D-Bus has of its own' => sub {
        skip_part('busctl is not installed') if !grep { -x "$_/busctl" } split /:/, $ENV{PATH};
        my $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%ECHO%], workers: 1}\n");
        my %data;

        pid_of($t->connect('q'), 'request') for 1 .. 3;
        for my $name (qw(Requests Workers RequestClasses RequestLatency)) {
                my $answer = `timeout 20 busctl --json=short --address=unix:path=@{[$t->control]} get-property org.sockbroker /org/sockbroker/service/q org.sockbroker.Service $name 2>&1`;
                $data{$name} = eval { decode_json($answer) } // die "$name: $answer";
        }
        is_deeply($data{Requests}{data}, { total => 3, replied => 3, timed_out => 0, failed => 0, dropped => 0, waiting => 0, spawns => 1,
                delayed => $data{Requests}{data}{delayed} }, 'Requests');
        is_deeply($data{Workers}{data}, { idle => 1, busy => 0, leaving => 0 }, 'Workers');
        is_deeply([sort keys %{ $data{RequestClasses}{data} }], ['0-100', '100-250', '1000-', '250-500', '500-750', '750-1000'], 'RequestClasses');
        is($data{RequestLatency}{data}[0], 3, 'RequestLatency: how many');
        is(scalar @{ $data{RequestLatency}{data}[3] }, 16, 'in fine classes');
        $t->stop;
};

# One who is busy has not heard that somebody is to end when the next client comes, and then all are stopped.
part 'pass: dismissals' => sub {
        my $t = broker_with(<<'Y');
deaf: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: [%WORKER%, idle], start: boot, workers: {min: 1, max: 1, max_age: 20ms}}
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: [%WORKER%], workers: {min: 0, max: 1}, idle_stop: 100ms}
Y
        wait_status($t, 'deaf', sub { $_[0]{process_count} == 2 });
        my $waits = $t->connect('deaf');
        wait_status($t, 'deaf', sub { $_[0]{connections} == 1 });
        is(($t->verb('kill', 'deaf'))[0], 0, 'all are ended');
        is(BrokerTest::read_all($waits), '', 'and who waited is closed');
        $waits = $t->connect('deaf');
        is(wait_status($t, 'deaf', sub { $_[0]{connections} == 1 && $_[0]{process_count} > 0 })->{process_count}, 1, 'one client, one worker, and not two') or diag($t->log_text);

        # Each round it is told to end while it serves; the next client's worker hears it instead.
        for my $round (1 .. 5) {
                my $client = $t->connect('q');
                pid_of($client, 'pass');
                my $from = @{ $t->{log} };
                my @more = map { $t->connect('q') } 1, 2;
                close $client;
                ok(pid_of($_, 'pass'), "round $round: who waited is served") && close $_ for @more;
                is(wait_status($t, 'q', sub { $_[0]{process_count} == 0 })->{process_count}, 0, 'and nobody is left when it is over');
        }
        $t->stop;
};

done_testing;
