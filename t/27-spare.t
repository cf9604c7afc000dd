#!/usr/bin/perl
# spare: processes that are there before their connection. A program finds nothing else than without them; what becomes
# of them under kill -9, reloads, shortages, orders and upgrades; and nothing is left of any.
use strict;
use warnings;
use BrokerTest;
use Files qw(slurp);
use File::Copy qw(copy);
use File::Temp ();
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use Part;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use UpgradeTest;

# The waiting processes of the broker, or of one service: their command line ends in the program's own.
sub spares {
        my ($t, $mark) = @_;
        my @found;

        for my $pid (children($t->{main_pid})) {
                my $words = read_file("/proc/$pid/cmdline");
                # It calls itself so once it waits.
                next unless read_file("/proc/$pid/comm") eq "broker-spare\n";
                push @found, $pid if !defined $mark || $words =~ /\0\Q$mark\E\0/;
        }
        @found = sort { $a <=> $b } @found;
        return @found;
}

sub children {
        my ($pid) = @_;

        return grep { read_file("/proc/$_/status") =~ /^PPid:\t$pid$/m } map { m{(\d+)} } glob '/proc/[0-9]*';
}

# What is gone meanwhile has nothing in it.
sub read_file { return slurp($_[0]) // '' }

# Until the condition holds, the log being read meanwhile.
sub until_true {
        my ($t, $condition) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (time < $until) {
                my $value = $condition->();
                return $value if $value;
                $t->read_log(0.02) || select undef, undef, undef, 0.005;
        }
        return;
}

# Waits for N of them.
sub wait_spares {
        my ($t, $n, $mark) = @_;
        my @pids;

        until_true($t, sub { @pids = spares($t, $mark); @pids == $n });
        return @pids;
}

sub ended {
        my ($t, @pids) = @_;

        return until_true($t, sub { !grep { read_file("/proc/$_/stat") =~ /\) [^Z]/ } @pids });
}

sub gone {
        my ($t, @pids) = @_;

        return until_true($t, sub { !grep { -d "/proc/$_" } @pids });
}

sub stopped {
        my ($t, @pids) = @_;

        return until_true($t, sub { !grep { read_file("/proc/$_/stat") !~ /\) T/ } @pids });
}

# What the kernel has about a process that is the same for each start of a program.
sub kernel_says {
        my ($text) = @_;

        return join '', grep { !/^(?:Vm|Rss|Huge|Pid|Tgid|PPid|NS|.*ctxt_switches|SigQ|Threads|State|StaBrk|Mems_allowed|Speculation|x86)/ } split /^/, $text;
}

sub status {
        my ($t, $name) = @_;
        my ($status, $out, $err) = $t->verb('status', '--json', $name);

        return $status == 0 ? decode_json($out)->{services}[0] // {} : diag($err);
}

# What a report says that is the same for each start: numbers that are not have become what they mean.
sub parts {
        my ($report, $client) = @_;
        my $pid = $report->{pid};
        my %inode;

        $_ = $_ == $pid ? 'own' : 'another' for grep { defined } @{$report}{qw(sid pgid)};
        for my $fd (@{ $report->{fds} }) {
                $fd->{target} =~ s/\[\d+\]//;
                $inode{ $fd->{inode} } //= $fd->{fd};
                $fd->{inode} = $fd->{target} =~ /^(?:socket|pipe):/ ? $inode{ $fd->{inode} } : 'any';
                delete $fd->{$_} for qw(local peer);
        }
        for my $value (values %{ $report->{env} }) { $value =~ s/\b$pid\b/PID/g }
        for my $word (@{ $report->{argv} }) { $word =~ s/$pid/PID/g }
        if ($client->can('sockport')) {
                my ($own, $its) = ($client->sockport, $client->peerport);

                s/$own/CLIENT/g, s/$its/SERVER/g for values %{ $report->{env} }, @{ $report->{argv} };
        }
        $report->{env}{$_} && ($report->{env}{$_} = $report->{env}{$_} =~ /^[1-9]\d*$/ ? 'a number' : 'none')
                for qw(SO_COOKIE LISTEN_PIDFDID);
        delete $report->{pid};
        return $report;
}

my $rights = $> == 0
        ? 'user: nobody, group_add: [daemon], cap_add: [NET_BIND_SERVICE], oom_score_adj: 100, nice: -3'
        : 'nice: 3';
my %case = (
        'stdio' => ['127.0.0.1:0', ''],
        'fds' => ['127.0.0.1:0', 'handoff: fds, '],
        'unix' => ['"@spare-%NAME%-%DIR%"', ''],
        'words' => ['127.0.0.1:0', 'argv0: "p${pid}", environment: {HERE: "<${remote_addr}> ${remote_port} ${pid}", PLAIN: "${pid}"}, '],
        'rights' => ['127.0.0.1:0', "$rights, umask: \"027\", working_dir: /usr, no_new_privileges: yes, ulimits: {nofile: 77, core: 0}, stderr: socket, "],
);

part 'a program finds what it finds without' => sub {
        my $services = '';

        for my $name (sort keys %case) {
                my ($listen, $keys) = @{ $case{$name} };
                my $out = $keys =~ /fds/ ? 'fd:3' : 'stdout';
                my $words = $name eq 'words' ? ', "a${remote_addr}b${remote_port}", "${remote_addr}", "${pid}:${remote_port}"' : '';
                for my $kind ('ordinary', 'ready') {
                        my $address = $listen =~ s/%NAME%/$kind/r;
                        my $spare = $kind eq 'ready' ? 'spare: 1, ' : '';
                        $services .= "$name-$kind: {listen: $address, wait: no, $spare${keys}command: [%PROBE%, --out=$out$words, -, $name]}\n" =~ s/-, $name/"$name"/r;
                }
        }
        my $t = BrokerTest->new(services => $services);
        for my $name (sort keys %case) {
                my ($pid) = wait_spares($t, 1, $name);
                my %report;

                for my $kind ('ordinary', 'ready') {
                        my $client = $t->connect("$name-$kind");
                        my $text = BrokerTest::read_all($client);
                        $report{$kind} = decode_json((split /\n/, $text // '{}')[0] // '{}');
                        is($report{$kind}{pid}, $pid, "$name: the spare has served") if $kind eq 'ready';
                        my $path = $name eq 'unix' ? $t->address("$name-$kind") : '-';
                        s/\Q$path\E/PATH/ for values %{ $report{$kind}{env} };
                        $report{$kind} = parts($report{$kind}, $client);
                }
                cmp_ok(scalar keys %{ $report{ready}{env} }, '>', 5, "$name: there is something to compare");
                is_deeply($report{ready}, $report{ordinary}, "$name: everything is the same");
        }
        $t->stop;
};

part 'the kernel says the same of it' => sub {
        my @files = grep { -r "/proc/self/$_" }
                qw(status limits cgroup sessionid loginuid oom_score_adj timerslack_ns personality coredump_filter attr/current environ mountinfo uid_map setgroups);
        my $command = 'command: [cat, ' . join(', ', map { "/proc/self/$_" } @files) . ']';
        my %keys = (
                plain => 'umask: "022"',
                rights => "$rights, no_new_privileges: yes, ulimits: {core: 0, nofile: 99}" . ($> == 0 ? ', cpuset: "0"' : ''),
                $> == 0 ? (caps => 'cap_drop: [ALL], cap_add: [CHOWN]', user => 'user: nobody', groups => 'user: nobody, groups: no') : (),
        );
        my $t = BrokerTest->new(services => join '', map {
                "$_-ordinary: {listen: 127.0.0.1:0, wait: no, $keys{$_}, $command}\n$_-ready: {listen: 127.0.0.1:0, wait: no, spare: 1, $keys{$_}, $command}\n"
        } sort keys %keys);
        my @pids = wait_spares($t, scalar keys %keys);
        for my $name (sort keys %keys) {
                my %said;

                for my $kind ('ordinary', 'ready') {
                        my $client = $t->connect("$name-$kind");
                        $said{$kind} = kernel_says(BrokerTest::read_all($client));
                        s/\0/\n/g, s/SO_COOKIE=\d+/SO_COOKIE/, s/\b@{[$client->sockport]}\b/CLIENT/g, s/\b@{[$client->peerport]}\b/SERVER/g
                                for $said{$kind};
                }
                cmp_ok(length $said{ready}, '>', 1000, "$name: there is something to compare");
                is($said{ready}, $said{ordinary}, "$name: nothing is different");
        }
        $t->wait_message('connection ended') for 1 .. 2 * keys %keys;
        my %served = map { ($_->{pid} // 0) => 1 } grep { ($_->{message} // '') eq 'connection accepted' } @{ $t->{log} };
        is(scalar(grep { $served{$_} } @pids), scalar @pids, 'the spares have served');
        $t->stop;
};

part 'what a waiting one has' => sub {
        my $t = BrokerTest->new(services => <<'Y');
stdio: {listen: [127.0.0.1:0, "%DIR%/stdio"], wait: no, spare: 1, command: [cat]}
fds: {listen: 127.0.0.1:0, wait: no, handoff: fds, spare: 1, command: [sleep, "1"]}
Y
        # Where the connection will be is free.
        my %want = (
                cat => { 1 => '/dev/null', 2 => 'pipe', 4 => 'socket' },
                sleep => { 0 => '/dev/null', 1 => 'pipe', 2 => 'pipe', 4 => 'socket' },
        );
        for my $mark (sort keys %want) {
                my ($pid) = wait_spares($t, 1, $mark);
                my %fd;

                until_true($t, sub {
                        %fd = map { m{(\d+)$} => (readlink($_) // '') =~ s/:.*//r } glob "/proc/$pid/fd/*";
                        return keys %fd == keys %{ $want{$mark} };
                });
                is_deeply(\%fd, $want{$mark}, "$mark: what it waits at, and no other descriptors than its program's");
        }
        $t->stop;
};

part 'nobody looks into one' => sub {
        skip_part('only root can be several users') if $> != 0;
        my $t = BrokerTest->new(services => 'a: {listen: 127.0.0.1:0, wait: no, spare: 1, user: nobody, command: [%PROBE%, --echo]}');
        my ($pid) = wait_spares($t, 1);
        my @as_its_user = ('setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups');
        my $look = sub { return scalar `@as_its_user readlink /proc/$pid/fd/2 2>&1` };

        skip_part('setpriv(1) is not installed') if system(@as_its_user, 'true') != 0;
        is($look->(), '', 'a process of its user finds nothing out, which it would need to take the connection');
        my $client = $t->served('a');
        like($look->(), qr/^pipe:/, 'the program is as open as any');
        close $client;
        $t->stop;
};

part 'in an empty root_dir' => sub {
        skip_part('only root can change the root directory') if $> != 0;
        my $t = BrokerTest->new(later => 1);
        my $root = $t->dir . '/root';
        mkdir $root;
        copy("$BrokerTest::BUILD/t/bench/trivial", "$root/trivial") or die "trivial: $!";
        chmod 0755, "$root/trivial";
        skip_part('trivial needs libraries on this processor') if `ldd $root/trivial 2>/dev/null` =~ /=>/;
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, spare: 1, root_dir: $root, user: nobody, command: [/trivial]}\n");
        $t->start;
        my ($pid) = wait_spares($t, 1);
        is(readlink "/proc/$pid/root", $root, 'a spare is in it');
        is($t->ask('a'), "ok\n", 'and executes what is there');
        is($t->wait_message('connection accepted')->{pid}, $pid, '... itself');
        $t->stop;
};

part 'they wait with what they are to have, and count as nothing' => sub {
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: debug}, metrics: 127.0.0.1:0}\n", services => <<'Y');
one: {listen: 127.0.0.1:0, wait: no, spare: 3, instances: 1, when_full: refuse, working_dir: /usr, command: [cat]}
limited: {listen: 127.0.0.1:0, wait: no, spare: 1, max_runtime: 100ms, command: [sleep, "1000"]}
Y
        my @pids = wait_spares($t, 3, 'cat');
        is(scalar @pids, 3, 'as many as are wanted');
        is(readlink "/proc/$pids[0]/cwd", '/usr', 'in its directory');
        my ($limited) = wait_spares($t, 1, 'sleep');

        my $status = status($t, 'one');
        is_deeply([@{$status}{qw(spare_processes process_count connections)}], [3, 0, 0], 'the status tells them from others');
        like(($t->verb('status', 'one'))[1], qr/^ +Spare: 3 processes wait for a connection$/m, '... in words, too');
        my ($metrics) = map { $_->{address} // () } $t->wait_message(qr/metrics/, -from => 0, -quiet => 1) // {};
        SKIP: {
                skip 'the log does not say where the metrics are', 1 unless $metrics;
                my $client = BrokerTest::connect_to($metrics);
                syswrite $client, "GET /metrics HTTP/1.0\r\n\r\n";
                like(BrokerTest::read_all($client), qr/^sockbroker_spare_processes\{service="one"\} 3$/m, 'and the metrics');
        }
        my $first = $t->served('one');
        ok($first, 'the one that may is served');
        is(BrokerTest::read_all($t->connect('one')), '', 'a second one is refused as ever');
        is(scalar(wait_spares($t, 3, 'cat')), 3, 'what was used is replaced');
        is($t->wait_message('connection accepted')->{pid}, $pids[0], 'the oldest comes first');
        close $first;

        # Its time begins with the connection: by now it is older than that.
        until_true($t, sub { time - (stat "/proc/$limited")[10] > 0.3 });
        my $client = $t->connect('limited');
        my $record = $t->wait_message('connection ended', service => 'limited');
        is("$record->{reason} $record->{pid}", "max_runtime $limited", 'max_runtime');
        cmp_ok($record->{duration}, '>=', 0.1, '... from the connection on');
        is(BrokerTest::read_all($client), '', '... ends it');
        my @all = spares($t);
        $t->stop;
        ok(ended($t, @all), 'with the broker they end');
};

part 'a program that cannot be executed' => sub {
        my $t = BrokerTest->new(later => 1);
        my $missing = $t->write_file('missing', "#!/bin/sh\nexec cat\n");
        my $no_right = $t->write_file('no-right', "#!/bin/sh\nexec cat\n");
        chmod 0755, $missing, $no_right;
        $t->write_conf(<<"Y");
missing: {listen: 127.0.0.1:0, wait: no, spare: 2, restart_delay: 10s, command: [%DIR%/missing]}
no-right: {listen: 127.0.0.1:0, wait: no, spare: 2, restart_delay: 10s, command: [%DIR%/no-right]}
never: {listen: 127.0.0.1:0, wait: no, spare: 2, restart_delay_max: 1s, command: [%DIR%/never]}
Y
        $t->start;
        wait_spares($t, 4);
        unlink $missing;
        chmod 0644, $no_right;
        for (['missing', 'exit:127', 'No such file or directory'], ['no-right', 'exit:126', 'Permission denied']) {
                my ($name, $exit, $error) = @$_;
                my $client = $t->connect($name);
                my $record = $t->wait_message('connection ended', service => $name);

                is_deeply([@{$record}{qw(status failed error)}], [$exit, 'executing the program', $error], "$name: said as ever");
                is(BrokerTest::read_all($client), '', '... and the client is told');
                is(status($t, $name)->{state}, 'paused', '... and the service pauses');
        }
        ok($t->wait_message('cannot make a spare process: No such file or directory', service => 'never', -from => 0), 'said once');
        is(scalar(spares($t, $t->dir . '/never')), 0, 'none is made for a program that is not there');
        my $client = $t->connect('never');
        ok($t->wait_message(qr/^paused/, service => 'never'), '... whose service pauses, too');
        $t->write_file('never', "#!/bin/sh\nexec cat\n");
        chmod 0755, $t->dir . '/never';
        syswrite $client, "at last\n";
        is(BrokerTest::read_line($client), "at last\n", 'who has waited is served when it is there');
        close $client;
        is(scalar(wait_spares($t, 2, $t->dir . '/never')), 2, '... and spares are made');
        $t->stop;
};

part 'a step before the program that fails' => sub {
        my $t = BrokerTest->new(later => 1);
        my $dir = $t->dir . '/work';
        mkdir $dir;
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, spare: 1, working_dir: $dir, command: [cat]}\n");
        $t->start;
        my ($pid) = wait_spares($t, 1);
        rmdir $dir;
        ok($t->served('a'), 'what was made before has what it needs');
        my $record = $t->wait_message('a spare process ended before it had a connection', service => 'a');
        is("$record->{failed}: $record->{error}", 'entering working_dir: No such file or directory', 'the next one has not');
        $t->wait_message('a spare process ended before it had a connection', service => 'a') for 1 .. 2;
        my @times = map { $_->{time} // $_->{timestamp} // '' } grep { ($_->{message} // '') =~ /^a spare process ended/ } @{ $t->{log} };
        cmp_ok(scalar @times, '<=', 4, 'it is tried again, but not all the time');
        mkdir $dir;
        is(scalar(wait_spares($t, 1)), 1, 'until it can be made');
        $t->stop;
};

part 'kill -9' => sub {
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: no, spare: 4, instances: unlimited, command: [cat]}\n");
        my @pids = wait_spares($t, 4);
        kill 'KILL', @pids;
        ok($t->wait_message('a spare process ended before it had a connection', status => 'signal:KILL'), 'it is said') for 1 .. 4;
        ok($t->served('a'), 'a client is served all the same');
        my @next = wait_spares($t, 4);
        is(scalar @next, 4, 'they are replaced');
        ok(gone($t, @pids), 'and nothing is left of those that were killed');
        # One that was stopped would keep its client waiting for as long.
        kill 'STOP', @next;
        ok(stopped($t, @next), 'they are stopped');
        my $client = $t->connect('a');
        syswrite $client, "x\n";
        is(BrokerTest::read_line($client), "x\n", '... and a client is served all the same');
        ok($t->wait_message('a spare process was stopped by a signal, and has been killed'), '... which is said') for 1 .. 4;
        ok(gone($t, @next), '... and they make room');
        is(scalar(wait_spares($t, 4)), 4, '... for others');
        close $client;
        $t->stop;
};

part 'reloads and orders' => sub {
        my $t = BrokerTest->new(services => <<'Y');
same: {listen: 127.0.0.1:0, wait: no, spare: 2, command: [sh, -c, "echo $$WHO", same], environment: {WHO: before}}
other: {listen: 127.0.0.1:0, wait: no, spare: 2, command: [sh, -c, "echo $$WHO", other], environment: {WHO: before}}
leaves: {listen: 127.0.0.1:0, wait: no, spare: 2, command: [sh, -c, "echo $$WHO", leaves]}
fewer: {listen: 127.0.0.1:0, wait: no, spare: 3, command: [sh, -c, "echo $$WHO", fewer]}
Y
        my %before = map { $_ => [wait_spares($t, $_ eq 'fewer' ? 3 : 2, $_)] } qw(same other leaves fewer);
        my $text = read_file($t->dir . '/conf/test.yaml');
        $text =~ s/^  leaves.*\n//m;
        $text =~ s/(other: .*WHO: )before/${1}after/;
        $text =~ s/spare: 3/spare: 0/;
        $t->write_file('conf/test.yaml', $text);
        ok($t->reload, 'reloaded');
        is_deeply([wait_spares($t, 2, 'same')], $before{same}, 'those of a definition that stays are left alone');
        ok(gone($t, map { @$_ } @before{qw(other leaves fewer)}), 'the others end');
        my @other = wait_spares($t, 2, 'other');
        is($t->ask('other'), "after\n", 'and new ones have the new definition');
        is($t->ask('fewer'), "\n", 'without spares it is served, too');
        is(scalar(spares($t, 'fewer')), 0, '... the ordinary way');

        my @same = wait_spares($t, 2, 'same');
        is(($t->verb('stop', 'same'))[0], 0, 'stop');
        ok(gone($t, @same), '... ends them');
        is(($t->verb('start', 'same'))[0], 0, 'start');
        my @started = wait_spares($t, 2, 'same');
        is(scalar @started, 2, '... makes new ones');
        is(($t->verb('restart', 'same'))[0], 0, 'restart');
        ok(gone($t, @started), '... ends those');
        my @restarted = wait_spares($t, 2, 'same');
        is(scalar @restarted, 2, '... for new ones');
        is(($t->verb('kill', 'same'))[0], 0, 'kill');
        ok(gone($t, @restarted), '... ends them');
        is($t->ask('same', undef, index => 1), "before\n", 'the next client is served');
        is(scalar(wait_spares($t, 2, 'same')), 2, '... and brings them back');
        is(($t->verb('replace', 'same'))[0], 1, 'there is no server to replace');
        $t->stop;
};

part 'an upgrade' => sub {
        my $t = new_broker("a: {listen: 127.0.0.1:0, wait: no, spare: 3, command: [cat]}\n");
        my @pids = wait_spares($t, 3);
        my $client = $t->served('a');
        ok($client, 'a client is served by a spare');
        wait_spares($t, 3);
        my @old = spares($t);
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text);
        syswrite $client, "still\n";
        is(BrokerTest::read_line($client), "still\n", 'who was being served is');
        ok(gone($t, @old), 'the old spares are gone');
        is(scalar(wait_spares($t, 3)), 3, 'and there are new ones');
        ok($t->served('a'), 'which serve');
        close $client;
        $t->stop;
};

part 'idle_exit' => sub {
        my $t = BrokerTest->new(head => "broker: {idle_exit: 200ms, log: {format: json, level: debug}}\n",
                services => "a: {listen: 127.0.0.1:0, wait: no, spare: 3, command: [cat]}\n");
        my $client = $t->served('a');
        ok($client, 'a client is served');
        # An orphan keeps the broker, a spare does not.
        close $client;
        ok($t->wait_message('nothing has been alive for idle_exit'), 'spares do not keep the broker');
        $t->stop(ended => 1);
};

part 'descriptors run out' => sub {
        skip_part('prlimit(1) is not installed') if system('prlimit --version >/dev/null 2>&1') != 0;
        my $t = BrokerTest->new(wrap => ['prlimit', '--nofile=60:60'], services => <<'Y');
a: {listen: 127.0.0.1:0, wait: no, spare: 100, instances: unlimited, command: [cat]}
Y
        my @few;
        until_true($t, sub { @few = spares($t); @few >= 5 });
        my @clients = map { $t->connect('a') } 1 .. 80;
        syswrite $_, "hello\n" for @clients;
        my $answered = 0;
        for my $c (@clients) {
                $answered++ if (BrokerTest::read_line($c) // '') eq "hello\n";
                close $c;
        }
        is($answered, 80, 'everybody is served in the end');
        cmp_ok(scalar(spares($t)), '<', 60 / 2, 'spares leave some for connections');
        until_true($t, sub { status($t, 'a')->{connections} == 0 });
        is(status($t, 'a')->{process_count}, 0, 'no process is left');
        $t->stop;
};

part 'processes run out' => sub {
        skip_part('only root can run as a user nobody else uses') if $> != 0;
        skip_part('prlimit(1) or setpriv(1) is not installed')
                if system('prlimit --version >/dev/null 2>&1 && setpriv --version >/dev/null 2>&1') != 0;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, spare: 30, instances: unlimited, command: [cat]}\n");
        my $uid = 54327;
        chown $uid, $uid, $t->dir, $t->dir . '/conf', glob($t->dir . '/conf/*');
        my @as = ('setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups');
        skip_part('the programs cannot be reached by another user') if system(@as, 'test', '-x', $BrokerTest::BROKER) != 0;
        $t->start(wrap => [@as, 'prlimit', '--nproc=10:10']);
        until_true($t, sub { spares($t) >= 5 });
        my @clients = map { $t->connect('a') } 1 .. 25;
        syswrite $_, "hello\n" for @clients;
        my $answered = 0;
        for my $c (@clients) {
                $answered++ if (BrokerTest::read_line($c) // '') eq "hello\n";
                close $c;
        }
        is($answered, 25, 'everybody is served in the end');
        $t->stop;
};

part 'activate --spare' => sub {
        my $dir = File::Temp::tempdir('spare-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        my $file = "$dir/program";
        symlink $BrokerTest::PROBE, $file or die "symlink: $!";
        for my $how (['--inetd', 'stdout'], ['--fds', 'fd:3']) {
                my ($option, $out) = @$how;
                my $path = "$dir/socket";
                pipe my $read, my $write or die "pipe: $!";
                my $pid = fork // die "fork: $!";
                if (!$pid) {
                        open STDERR, '>&', $write or POSIX::_exit(99);
                        { exec $BrokerTest::ACTIVATE, '-a', '-v', '--spare=2', $option, '-l', $path, '--', $file, "--out=$out" }
                        POSIX::_exit(98);
                }
                close $write;
                my $t = bless { main_pid => $pid, read => $read, eof => 1, log => [], partial => '', owner => 0 }, 'BrokerTest';
                my ($first) = wait_spares($t, 2);
                my $report = decode_json((split /\n/, BrokerTest::read_all(BrokerTest::connect_to($path)))[0]);
                is($report->{pid}, $first, "$option: a spare has served");
                is_deeply([map { $_->{fd} } @{ $report->{fds} }], $option eq '--fds' ? [0 .. 3] : [0 .. 2], '... with these descriptors');
                is($report->{env}{LISTEN_PID}, $option eq '--fds' ? $first : undef, '... and its pid');
                my @next = wait_spares($t, 2);
                ok(!grep({ $_ == $first } @next), '... and is replaced');
                kill 'KILL', @next;
                ok(gone($t, @next), 'those that are killed are gone');
                is(scalar(wait_spares($t, 2)), 2, '... and replaced');
                if ($option eq '--fds') {
                        unlink $file;
                        is(BrokerTest::read_all(BrokerTest::connect_to($path)), '', 'a program that is gone');
                        my $line;
                        do { $line = BrokerTest::read_line($read) // '' } until $line eq '' || $line =~ /cannot execute/;
                        like($line, qr/cannot execute '\Q$file\E'/, '... is said');
                }
                my @last = spares($t);
                kill 'TERM', $pid;
                waitpid $pid, 0;
                is($?, 0, 'told to stop it ends with 0');
                ok(ended($t, @last), '... and so do they');
                unlink $path;
        }
};

# activate with these options on a socket, what it says, and its end.
sub with_activate {
        my ($options, $do, @wrap) = @_;
        my $dir = File::Temp::tempdir('spare-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                open STDERR, '>', "$dir/said" or POSIX::_exit(99);
                { exec @wrap, $BrokerTest::ACTIVATE, '-a', @$options, '-l', "$dir/socket", '--', 'cat' }
                POSIX::_exit(98);
        }
        my $t = bless { main_pid => $pid, eof => 1, log => [], partial => '', owner => 0 }, 'BrokerTest';
        until_true($t, sub { -S "$dir/socket" });
        # Told twice, it would not wait for anybody.
        my $told = $do->($t, sub { return BrokerTest::connect_to("$dir/socket") }) // '';
        kill 'TERM', $pid if $told ne 'told';
        waitpid $pid, 0;
        is($?, 0, 'it ends with 0');
        return read_file("$dir/said");
}

sub answered {
        my ($client) = @_;

        syswrite $client, "hello\n";
        return (BrokerTest::read_line($client) // '') eq "hello\n";
}

part 'activate --spare, where they are stopped' => sub {
        with_activate(['--spare=2'], sub {
                my ($t, $connect) = @_;
                my @pids = wait_spares($t, 2);

                kill 'STOP', @pids;
                ok(stopped($t, @pids), 'they are stopped');
                my $client = $connect->();
                ok(answered($client), '... and a client is served all the same');
                ok(gone($t, @pids), '... they are killed');
                is(scalar(wait_spares($t, 2)), 2, '... and replaced');
                close $client;
        });
};

part 'activate --spare, and its end' => sub {
        with_activate(['--spare=3'], sub {
                my ($t, $connect) = @_;
                my @pids = wait_spares($t, 3);
                my $client = $connect->();

                ok(answered($client), 'a client is served');
                @pids = wait_spares($t, 3);
                kill 'TERM', $t->{main_pid};
                ok(gone($t, @pids), 'told to stop it needs none any more');
                ok(answered($client), '... and who is in goes on');
                close $client;
                return 'told';
        });
        my @pids;
        my $killed = fork // die "fork: $!";
        if (!$killed) {
                { exec $BrokerTest::ACTIVATE, '-a', '--spare=2', '-l', '@spare-killed-' . $$, '--', 'cat' }
                POSIX::_exit(98);
        }
        my $t = bless { main_pid => $killed, eof => 1, log => [], partial => '', owner => 0 }, 'BrokerTest';
        @pids = wait_spares($t, 2);
        kill 'KILL', $killed;
        waitpid $killed, 0;
        ok(ended($t, @pids), 'killed, they end by themselves');
};

part 'activate --spare, with few descriptors' => sub {
        skip_part('prlimit(1) is not installed') if system('prlimit --version >/dev/null 2>&1') != 0;
        with_activate(['--spare=50'], sub {
                my ($t, $connect) = @_;
                my @few;

                until_true($t, sub { @few = spares($t); @few >= 5 });
                my @clients = map { $connect->() } 1 .. 60;
                is(scalar(grep { answered($_) } @clients), 60, 'everybody is served');
                # What told of their start is closed, so that there are spares again although all of them are connected.
                ok(until_true($t, sub { spares($t) >= 5 }), 'and there are spares');
                cmp_ok(scalar(spares($t)), '<', 30, '... which leave some for connections');
                close $_ for @clients;
        }, 'prlimit', '--nofile=40:40');
};

part 'where nothing in memory may be executed' => sub {
        skip_part('this needs root and vm.memfd_noexec (Linux 6.3)') if $> != 0 || !-e '/proc/sys/vm/memfd_noexec';
        my @alone = ('unshare', '--pid', '--fork', '--kill-child', '--mount-proc');
        my $set = 'echo 2 >/proc/sys/vm/memfd_noexec';
        skip_part('no pid namespace can be made here') if system(@alone, 'sh', '-c', "($set) 2>/dev/null") != 0;
        my $said = with_activate(['--spare=2'], sub {
                my ($t, $connect) = @_;

                ok(answered($connect->()), 'activate serves without');
                my ($pid) = children($t->{main_pid});
                kill 'TERM', $pid;
                return 'told';
        }, @alone, 'sh', '-c', "$set && exec \"\$@\"", 'sh');
        like($said, qr/^activate: --spare: the system lets no memory file be executed .*; going on without$/m, '... and says so');

        my $t = BrokerTest->new(later => 1, services => 'a: {listen: "%DIR%/a", wait: no, spare: 2, command: [cat]}');
        my $pid = open my $log, '-|', @alone, 'sh', '-c', "$set && exec $BrokerTest::BROKER -c @{[$t->dir]}/conf 2>&1" or die "broker: $!";
        my $line;
        do { $line = BrokerTest::read_line($log) // '' } until $line eq '' || $line =~ /cannot make a spare/;
        like($line, qr/cannot make a spare process: the system lets no memory file be executed/, 'the broker says so');
        ok(answered(BrokerTest::connect_to($t->dir . '/a')), '... and serves without');
        kill 'TERM', children($pid);
        close $log;
        is($?, 0, '... and ends with 0');
};

part 'ten thousand connections, kill -9 among them' => sub {
        my $n = $ENV{BROKER_TEST_CONNECTIONS} // 10_000;
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: warning}}\n", later => 1);
        my @ports = map { IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1)->sockport } 1 .. 2;
        $t->write_conf(<<"Y", head => "broker: {log: {format: json, level: error}}\n");
good: {listen: 127.0.0.1:$ports[0], wait: no, spare: 16, instances: unlimited, command: [%PROBE%, --echo]}
bad: {listen: 127.0.0.1:$ports[1], wait: no, spare: 16, instances: unlimited, command: [%PROBE%, --exit=3]}
Y
        $t->start;
        wait_spares($t, 32);
        my $fds = keys %{ $t->fds };
        my ($wrong, $killed, $done) = (0, 0, 0);
        while ($done < $n) {
                my @open;
                for (1 .. 40) {
                        my $kind = $done++ % 4;
                        my $client = BrokerTest::connect_to('127.0.0.1:' . $ports[$kind == 1]);

                        syswrite $client, "hello\n" if $kind != 1;
                        push @open, [$kind, $client];
                }
                if ($done % 1000 == 0) {
                        my @victims = spares($t);
                        $killed += kill 'KILL', @victims[0 .. $#victims / 2] if @victims;
                }
                for (@open) {
                        my ($kind, $client) = @$_;
                        # One whose spare was killed behind its back is cut off, as with any program that is killed.
                        if ($kind == 1) { $wrong++ if !defined BrokerTest::read_all($client) }
                        elsif ($kind == 2) { close $client }
                        else { $wrong++ if (BrokerTest::read_line($client) // '') !~ /^(?:hello\n)?\z/; close $client }
                }
                1 while $t->read_log(0);
        }
        is("$done $wrong", "$n 0", "$n connections, each ends as it should ($killed spares were killed)");
        is(status($t, $_)->{accepted}, $n * ($_ eq 'bad' ? 1 : 3) / 4, "all of $_ were accepted") for qw(good bad);
        ok(until_true($t, sub { !grep { $_->{connections} || $_->{process_count} } map { status($t, $_) } qw(good bad) }), 'all places are free');
        is(scalar(wait_spares($t, 32)), 32, 'all spares are there again');
        ok(until_true($t, sub { children($t->{main_pid}) == 32 }), 'no other child is left');
        # The last of each that were used may still have its end of the link, until the next is made.
        cmp_ok(scalar(keys %{ $t->fds }), '<=', $fds + 2, 'no descriptor is left');
        $t->stop;
};

done_testing;
