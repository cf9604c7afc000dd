#!/usr/bin/perl
# The broker becomes the binary on disk: whoever is being served, waits or comes at that moment notices nothing, and a
# binary that cannot take over is refused while the old one goes on.
use strict;
use warnings;
use BrokerTest;
use Files qw(slurp);
use IO::Socket::IP;
use FindBin qw($RealBin);
use IO::Select;
use Part;
use POSIX ();
use Test::More;
use UpgradeTest;

# It takes ten seconds to be given up, so it goes on beside everything else.
my $hanging = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
my $tried = $hanging->dir . '/tried';
POSIX::mkfifo($tried, 0600) or die "mkfifo: $!";
install_script($hanging, "echo >$tried; exec sleep 100");
my $hung = verb_beside($hanging, 'upgrade');
{ open my $fh, '<', $tried or die "$tried: $!"; readline $fh }
ok(!upgrade($hanging), 'no second upgrade while one is under way');
like($hanging->{said}, qr/under way already/, '... for that reason');

sub refused_with {
        my ($t, $pattern, $what) = @_;
        my $pid = $t->{main_pid};

        my ($status, $out, $err) = $t->verb('upgrade');
        is($status, 1, "$what is refused");
        like($err, $pattern, '... with the reason');
        like(outcome($t)->{message}, $pattern, '... which is in the log, too');
        is($t->ask('echo', "still\n"), "still\n", '... and the old one goes on');
        return;
}

# Everything the broker has been told up to now has been dealt with.
sub settle {
        my ($t, $service) = @_;

        return ($t->statistics($service), $t->statistics($service))[1];
}

part 'connections and servers go on' => sub {
        my $t = new_broker(<<'Y');
echo: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 2, per_source: 2}
web: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve]}
env: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}
talk: {listen: "%DIR%/talk.sock", wait: no, command: [sh, -c, "printf half >&2; echo go; read x; echo ' whole' >&2"]}
Y
        my $pid = $t->{main_pid};
        my $client = $t->connect('echo');
        my $talk = $t->connect('talk');
        my $before = $t->ask_probe('env');

        is(line($client, 'one'), "one\n", 'a client is served');
        is(BrokerTest::read_line($talk), "go\n", 'another one, whose program has begun a line of the log');
        my ($server) = $t->ask('web', "hi\n") =~ /pid=(\d+)/;
        settle($t, 'talk');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text);
        is(outcome($t)->{upgrades}, 1, '... for the first time');
        is(readlink("/proc/$pid/exe"), $t->dir . '/broker', '... in the same process');
        is(line($client, 'two'), "two\n", 'the connection goes on');
        my ($again) = $t->ask('web', "hi\n") =~ /pid=(\d+)/;
        is($again, $server, 'the server is the same');
        my $n = $t->statistics('echo');
        is_deeply([@{$n}{qw(accepted connections processes state)}], [1, 1, 1, 'listening'], 'the counters go on');
        syswrite $talk, "\n";
        ok($t->wait_message('half whole', service => 'talk', stream => 'stderr'), 'a line of the log is whole');
        my $second = $t->served('echo');
        is($t->statistics('echo')->{state}, 'full', 'one more fills it');
        close $client;
        ok($t->wait_message('connection ended', service => 'echo', status => 'exit:0'), 'the first one ends properly');
        my $third = $t->served('echo');
        ok($third, '... and leaves its place to another');
        my $after = $t->ask_probe('env');
        delete @{$_->{env}}{qw(REMOTE_PORT TCPREMOTEPORT SO_COOKIE)} for $before, $after;
        is_deeply($after->{env}, $before->{env}, 'programs see the same environment');
        is_deeply([map { $_->{fd} } @{ $after->{fds} }], [map { $_->{fd} } @{ $before->{fds} }], '... and the same descriptors');
        ok(-S $t->dir . '/talk.sock', 'the path of a socket stays');
        ok(upgrade($t), 'once more');
        is(outcome($t)->{upgrades}, 2, '... is the second time');
        my $path = $t->dir . '/talk.sock';
        close $_ for $second, $third, $talk;
        $t->signal('TERM');
        $t->wait_exit;
        ok(!-e $path, 'the path is removed in the end');
        $t->stop(ended => 1);
};

part 'states of services' => sub {
        my $t = new_broker(<<'Y');
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
full: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 1}
missing: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/nothing], restart_delay_max: 1h}
ends: {listen: "127.0.0.1:0", wait: yes, command: ["false"], start: boot, restart: always, restart_delay: 1h, restart_delay_max: 1h}
gone: {listen: 127.0.0.1:0, wait: no, command: [cat]}
changed: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        $t->wait_message('server will be started again', service => 'ends');
        my $held = $t->connect('missing');
        $t->wait_message(qr/^paused, clients wait: cannot start/, service => 'missing');
        my $first = $t->served('full');
        my $waits = $t->connect('full');
        my $gone = $t->served('gone');
        my $changed = $t->served('changed');
        my %now = map { $_ => $t->address($_) } qw(echo full missing ends changed);
        $t->write_conf(<<'Y');
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
full: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 1}
missing: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/nothing], restart_delay_max: 1h}
ends: {listen: "127.0.0.1:0", wait: yes, command: ["false"], start: boot, restart: always, restart_delay: 1h, restart_delay_max: 1h}
changed: {listen: 127.0.0.1:0, wait: no, command: [cat, -n]}
Y
        ok($t->reload, 'definitions change');
        my %state = map { $_ => $t->statistics($_) } keys %now;
        ok(upgrade($t), 'the broker is upgraded') or diag($t->log_text);
        for my $name (sort keys %now) {
                my $n = $t->statistics($name);
                is($n->{state}, $state{$name}{state}, "$name is $n->{state} still");
                is($n->{listen}, $state{$name}{listen}, '... at the same address');
                cmp_ok($n->{since}, '>=', $state{$name}{since}, '... since then');
        }
        is(line($gone, 'on'), "on\n", 'a connection of a service that was removed goes on');
        is(line($changed, 'on'), "on\n", '... and one of an older generation');
        is(line($first, 'on'), "on\n", '... and one that takes the last place');
        ok($t->reload, 'nothing changes in a reload afterwards');
        my ($last) = grep { ($_->{message} // '') eq 'reloaded' } reverse @{ $t->{log} };
        is_deeply([@{$last}{qw(added changed removed kept)}], [0, 0, 0, 5], '... nothing at all');
        close $first;
        is(line($waits, 'next'), "next\n", 'who has waited in the backlog is served');
        close $gone;
        ok($t->wait_message('connection ended', service => 'gone'), 'the removed service ends with its connection');
        $t->write_file('nothing', "#!/bin/sh\necho found\n");
        chmod 0755, $t->dir . '/nothing';
        close $_ for $held, $waits, $changed;
        $t->stop;
};

part 'what was found out at load' => sub {
        my $t = BrokerTest->new(later => 1, services => <<'Y');
trap: {listen: 127.0.0.1:0, wait: no, sensor: 1h}
late: {listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.1, only_from: 192.0.2.0/24}
show: {listen: 127.0.0.1:0, wait: no, command: [sh, -c, 'echo "$GREETING"'], env_file: "%DIR%/vars", banner: "file:%DIR%/banner"}
echo: {listen: 127.0.0.1:0, wait: no, command: [cat], per_source: 1}
Y
        $t->write_file('vars', "GREETING=from the file\n");
        $t->write_file('banner', "a banner\n");
        install($t, $BrokerTest::BROKER);
        $t->start(program => $t->dir . '/broker');
        my $late = $t->connect('late');
        syswrite $late, 'PROXY TCP4 192.0.2.1';
        my $one = $t->served('echo');
        settle($t, 'late');
        unlink $t->dir . "/$_" for qw(vars banner);
        ok(upgrade($t), 'the broker is upgraded, though files are gone') or diag($t->log_text);
        is($t->ask('show'), "a banner\nfrom the file\n", 'what they said stays');
        syswrite $late, " 192.0.2.2 1 2\r\nhello\n";
        is(BrokerTest::read_line($late), "hello\n", 'a header that came in two halves, before and after');
        ok(!$t->served('echo'), 'the tickets of a source are still taken');
        close $one;
        $t->wait_message('connection ended', service => 'echo');
        ok($t->served('echo'), '... until its connection ends');
        ok(!$t->reload, 'a reload does look for the files');
        $t->ask('trap', 'x');
        ok(upgrade($t), 'once more');
        is($t->ask('echo', 'x') // 'closed', '', 'who has touched a sensor is refused still');
        is($t->statistics('echo')->{refused_sensor}, 1, '... and counted so');
        close $late;
        $t->stop;
};

part 'inherited sockets' => sub {
        my $t = new_broker("in: {listen: 'fd:web', wait: no, command: [cat]}\necho: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n",
                head => "broker: {log: {format: json, level: debug}, metrics: 'fd:mon'}\n",
                wrap => [$BrokerTest::ACTIVATE, qw(--wait --now -l 127.0.0.1:0 -l 127.0.0.1:0 --fdname=web:mon --)]);
        my $metrics = $t->wait_message('metrics can be asked for', -from => 0)->{address};
        ok(upgrade($t), 'the broker is upgraded');
        my $asks = BrokerTest::connect_to($metrics);
        syswrite $asks, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        like(BrokerTest::read_all($asks), qr{^HTTP/1.1 200}, 'one of them serves metrics');
        is($t->ask('in', "a\n"), "a\n", 'its inherited socket is served');
        ok($t->reload, 'a reload finds it');
        is($t->ask('in', "b\n"), "b\n", '... by its name');
        $t->stop;
};

part 'a binary that cannot take over' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $client = $t->served('echo');

        install_script($t, 'echo "not today" >&2; exit 1');
        refused_with($t, qr/cannot take over \(exit:1\): not today$/, 'one that says no');
        install_script($t, 'kill -SEGV $$');
        refused_with($t, qr/cannot take over \((?:core|signal):SEGV\)/, 'one that crashes');
        install($t, '/bin/true');
        refused_with($t, qr/is no broker, or does not know how to take over/, 'one that is no broker');
        install_script($t, "echo broker-state-ok 12345678901234567890123456789012");
        refused_with($t, qr/is no broker/, 'one that guesses');
        open my $fh, '>', $t->dir . '/broker.new' or die;
        print $fh "\177ELF\n" x 100;
        close $fh;
        rename $t->dir . '/broker.new', $t->dir . '/broker';
        refused_with($t, qr/cannot be executed/, 'one that is no program');
        chmod 0755, $t->dir . '/broker';
        refused_with($t, qr/cannot be executed/, '... even with the right mode');
        unlink $t->dir . '/broker';
        refused_with($t, qr/there is no new binary/, 'none at all');
        is(line($client, 'on'), "on\n", 'a connection has gone on all the while');
        install($t, $BrokerTest::BROKER);
        ok(upgrade($t), 'a good one is taken afterwards');
        is(outcome($t)->{upgrades}, 1, '... as the first');
        is(line($client, 'on'), "on\n", '... and serves on');
        close $client;
        $t->stop;
};

part 'an end that has begun' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $client = $t->served('echo');

        $t->signal('TERM');
        $t->wait_message(qr/^SIGTERM/);
        ok(!upgrade($t), 'no upgrade then');
        like($t->{said}, qr/about to end/, '... for that reason');
        close $client;
        $t->stop(ended => 1);
};

part 'as PID 1' => sub {
        my @unshare = ('unshare', $> ? '--map-root-user' : (), '--pid', '--fork', '--mount-proc', '--kill-child');
        skip_part 'no pid namespace can be made here' if system('sh', '-c', '"$@" true >/dev/null 2>&1', 'sh', @unshare);
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\norphan: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --orphan]}\n",
                wrap => \@unshare);
        my $client = $t->served('echo');
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}) for 1 .. 2;
        is(line($client, 'on'), "on\n", 'its connection goes on');
        is($t->ask('echo', "new\n"), "new\n", '... and it serves others');
        $t->ask('orphan');
        ok($t->wait_message('orphan reaped'), 'it reaps orphans as before');
        close $client;
        $t->stop;
};

# Asks SERVICE again and again, one that is to be idle with pauses, until UNTIL, a pipe, is closed; tells TO what came of it.
sub be_client {
        my ($service, $port, $until, $to) = @_;
        my $pause = $service eq 'nap' ? 0.15 : 0;
        my %outcome;

        until (IO::Select->new($until)->can_read($pause)) {
                my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port);
                syswrite $socket, "hi\n" if $socket;
                my $n = $socket ? sysread $socket, my $answer, 10 : undef;
                $outcome{ $n ? 'served' : defined $n ? 'closed' : "$!" }++;
        }
        print $to "$service: ", join(', ', map { "$_ $outcome{$_}" } sort keys %outcome), "\n";
        close $to;
        POSIX::_exit(0);
}

sub start_clients {
        my ($t, @services) = @_;

        pipe my $read, my $write or die "pipe: $!";
        pipe my $until, my $stop or die "pipe: $!";
        my @pids;
        for my $service (@services) {
                push @pids, fork // die "fork: $!";
                next if $pids[-1];
                close $stop;
                be_client($service, $t->port($service), $until, $write);
        }
        return { read => $read, stop => $stop, pids => \@pids };
}

sub end_clients {
        my ($clients) = @_;
        my $read = $clients->{read};

        close $clients->{stop};
        my @told = map { scalar readline $read } @{ $clients->{pids} };
        waitpid $_, 0 for @{ $clients->{pids} };
        return @told;
}

part 'a hundred upgrades in a row, under load' => sub {
        my $services = <<'Y';
echo: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 1000}
web: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve]}
short: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve, --count=5], trigger_limit: 100000/1s}
nap: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve], idle_stop: 100ms, trigger_limit: 100000/1s}
talk: {listen: 127.0.0.1:0, wait: yes, ready: notify, watchdog: 1h, fd_store: 2, command: [python3, %SERVER%, ready]}
Y
        $services =~ s/%SERVER%/$RealBin\/server\/supervised.py/;
        my $t = new_broker($services, head => "broker: {log: {format: json, level: info}}\n");
        my $client = $t->served('echo');
        my ($server) = $t->ask('web', "hi\n") =~ /pid=(\d+)/;
        my $talk = $t->connect('talk');
        is(line($talk, 'store kept words'), "ok\n", 'a server stores a descriptor');
        my $clients = start_clients($t, qw(echo echo web short nap));
        my ($failed, $unheard) = (0, 0);

        ok(upgrade($t), 'the first of them');
        my $memory = memory($t);
        for (2 .. 100) {
                $failed++ unless upgrade($t);
                $unheard++ if line($talk, "say STATUS=$_") ne "ok\n";
        }
        is($failed, 0, 'all the others, too');
        is($unheard, 0, 'the server is heard after each');
        my @told = end_clients($clients);
        like($_, qr/^\w+: served \d+$/, 'a client is served each time') for @told;
        is(line($client, 'on'), "on\n", 'a connection has gone on all the while');
        my ($again) = $t->ask('web', "hi\n") =~ /pid=(\d+)/;
        is($again, $server, '... and so has a server');
        is(outcome($t)->{upgrades}, 100, 'they were counted');
        my $served = 1;
        /^echo: served (\d+)/ and $served += $1 for @told;
        is($t->statistics('echo')->{accepted}, $served, 'and so was every connection');
        syswrite $talk, "exit 0\n";
        $t->wait_message('server ended', service => 'talk');
        $talk = $t->connect('talk');
        is(line($talk, 'stored'), "kept=words\n", 'what was stored is still there');
        wait_for_processes($t, 'echo', 1);
        my $fds = keys %{ $t->settled_fds };
        ok(upgrade($t), 'one more, without load');
        cmp_ok(scalar keys %{ $t->settled_fds }, '<=', $fds, 'no descriptor more than before');
        is(zombies($t), 0, 'no process that has ended is left');
        cmp_ok(memory($t), '<', $memory + 4096, 'no more memory than after the first (KiB)');
        close $_ for $client, $talk;
        $t->stop;
};

# Until no more than NUMBER of its processes are left.
sub wait_for_processes {
        my ($t, $service, $number) = @_;

        for (1 .. 1000) {
                last if $t->statistics($service)->{processes} <= $number;
        }
        return;
}

part 'a binary that hangs' => sub {
        is($hanging->ask('echo', "on\n"), "on\n", 'the broker serves all the while');
        my ($status, $said) = $hung->();
        is($status, 1, 'a binary that hangs is refused');
        like($said, qr/did not answer within 10 seconds/, '... with the reason');
        is($hanging->ask('echo', "on\n"), "on\n", 'the old one goes on');
        $hanging->stop;
};

sub zombies {
        my ($t) = @_;

        return scalar grep { (slurp("/proc/$_/stat") // '') =~ /\) Z / } split ' ',
                slurp("/proc/$t->{main_pid}/task/$t->{main_pid}/children") // '';
}

sub memory {
        my ($t) = @_;

        return (slurp("/proc/$t->{main_pid}/status") // '') =~ /^VmRSS:\s*(\d+)/m ? $1 : 0;
}

done_testing;
