#!/usr/bin/perl
# Running out: descriptors, processes, the program itself. The service pauses and recovers; nothing accepted is lost,
# nothing spins, every slot comes back.
use strict;
use warnings;
use BrokerTest;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

# RLIMIT_NOFILE (7) and RLIMIT_NPROC (6) by prlimit(1): Perl has no setrlimit.
my $have_prlimit = system('prlimit --version >/dev/null 2>&1') == 0;

SKIP: {
        skip 'prlimit(1) is not installed', 8 unless $have_prlimit;
        my $t = BrokerTest->new(wrap => ['prlimit', '--nofile=40:40'], services => <<'Y');
few: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: unlimited}
Y
        my @clients = map { $t->connect('few') } 1 .. 60;
        syswrite $_, "hello\n" for @clients;
        my $short = $t->wait_message(qr/^paused, clients wait/, service => 'few');
        like($short->{message}, qr/open files/, 'out of descriptors: the log says which limit');
        my $ticks = $t->cpu_ticks;
        is(BrokerTest::read_line($clients[-1], 1), undef, 'the last client waits');
        cmp_ok($t->cpu_ticks - $ticks, '<', 15, 'without spinning');
        my $answered = 0;
        for my $c (@clients) {
                $answered++ if (BrokerTest::read_line($c) // '') eq "hello\n";
                close $c;
        }
        is($answered, 60, 'everybody is served in the end');
        is(scalar(grep { ($_->{message} // '') =~ /^paused/ } @{ $t->{log} }) <= 3, 1, 'and the log is not flooded');
        is($t->statistics('few')->{connections}, 0, 'no slot is left') if waits_for_end($t, 60);
        $t->stop;
}

sub waits_for_end {
        my ($t, $n) = @_;
        my $seen = 0;

        delete $t->{seen};
        while ($seen < $n) {
                $t->wait_message('connection ended') or return 0;
                $seen++;
        }
        return 1;
}

SKIP: {
        skip 'only root can run as a user nobody else uses', 9 unless $> == 0;
        skip 'prlimit(1) is not installed', 9 unless $have_prlimit;
        # The limit of processes counts those of the uid, so the broker runs as one that has no others.
        my $t = BrokerTest->new(later => 1);
        $t->write_conf(<<'Y');
few: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: unlimited}
Y
        my $uid = 54321;
        chown $uid, $uid, $t->dir, $t->dir . '/conf', glob($t->dir . '/conf/*');
        SKIP: {
                skip 'the programs cannot be reached by another user', 9
                        if system('setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups', 'test', '-x', $BrokerTest::BROKER) != 0;
                $t->start(wrap => ['setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups', 'prlimit', '--nproc=10:10']);
                my @clients = map { $t->connect('few') } 1 .. 25;
                syswrite $_, "hello\n" for @clients;
                my $short = $t->wait_message(qr/^paused, clients wait/, service => 'few');
                like($short->{message}, qr/limit of processes/, 'out of processes: the log says which limit');
                my $answered = 0;
                for my $c (@clients) {
                        $answered++ if (BrokerTest::read_line($c) // '') eq "hello\n";
                        close $c;
                }
                is($answered, 25, 'whoever was accepted meanwhile is served too');
                waits_for_end($t, 25);

                # Accepted, held for want of a process, and then the service becomes one whose server accepts.
                my ($held, @served);
                while (!$held) {
                        my $c = $t->connect('few');
                        my $record = $t->wait_log(sub { ($_->{message} // '') eq 'connection accepted' || ($_->{to} // '') eq 'paused' });
                        $record->{to} ? $held = $c : push @served, $c;
                }
                is($t->statistics('few')->{connections}, @served + 1, 'a connection that is held has a slot');
                $t->write_conf("few: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve]}\n");
                chown $uid, $uid, glob($t->dir . '/conf/*');
                ok($t->reload, 'its service becomes wait: yes');
                is(BrokerTest::read_all($held), '', 'nobody can serve it any more: it is closed');
                is($t->statistics('few')->{connections}, scalar @served, 'its slot is given back');
                close $_ for @served;
                waits_for_end($t, 25 + @served);
                my $c = $t->connect('few');
                syswrite $c, "x\n";
                like(BrokerTest::read_line($c), qr/^pid=\d+ /, 'the server takes the next one');
                $t->stop;
        }
}

# The program is missing at first, there later, broken at last.
my $t = BrokerTest->new(services => <<'Y');
late: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/late], restart_delay_max: 200ms}
server: {listen: 127.0.0.1:0, wait: yes, command: [%DIR%/server], restart_delay_max: 200ms}
Y
for my $name (qw(late server)) {
        my $c = $t->connect($name);
        my $pause = $t->wait_message(qr/^paused, clients wait: cannot start/, service => $name);
        like($pause->{message}, qr/No such file/, "$name: a missing program pauses its service");
        $t->write_file($name, "#!/bin/sh\necho it is there\n");
        chmod 0755, $t->dir . "/$name";
        if ($name eq 'late') {
                is(BrokerTest::read_all($c), "it is there\n", 'the client waited for it');
        } else {
                ok($t->wait_message('it is there', service => $name), 'the server starts as soon as it is there');
        }
        close $c;
}
unlink $t->dir . '/late';
is($t->ask('late'), '', 'a program that went away: that connection ends');
my $failed = $t->wait_message('connection ended', service => 'late', failed => qr/executing/);
is($failed->{error}, 'No such file or directory', 'and the log says why');
is($failed->{status}, 'exit:127', 'with the status of a shell');
ok($t->wait_message(qr/^paused, clients wait: cannot start/, service => 'late'), 'the service pauses');
$t->write_file('late', "not a program\n");
chmod 0755, $t->dir . '/late';
$t->ask('late');
$failed = $t->wait_message('connection ended', service => 'late', failed => qr/executing/);
is($failed->{status}, 'exit:126', 'what cannot be executed ends with 126');
$t->stop;

# Ten thousand connections that end in every way.
my $n = $ENV{BROKER_TEST_CONNECTIONS} // 10_000;
my $m = BrokerTest->new(head => "broker: {log: {format: json, level: info}}\n", services => <<'Y');
fine: {listen: 127.0.0.1:0, wait: no, command: ["true"], instances: 20, per_source: 18, stderr: "null"}
crash: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --kill=SEGV], instances: 5, when_full: refuse, stderr: "null"}
slow: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 20, max_runtime: 50ms, stop_grace_period: 50ms}
closed: {listen: 127.0.0.1:0, wait: no, command: [cat], no_access: 127.0.0.0/8, banner_fail: "no\n"}
proxied: {listen: 127.0.0.1:0, wait: no, command: ["true"], instances: 40, proxy_protocol: require, proxy_protocol_from: 127.0.0.1, per_source: 2, stderr: "null"}
Y
my %port = map { $_ => $m->port($_) } qw(fine crash slow closed proxied);
my @headers = ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP4 nonsense\r\n", 'PROXY TC', '');
# Who waits until the broker ends him, beside the others: one after the other they would take minutes.
my (@slow, @late);
my $late_max = 15;
my ($ended, $left_open) = (0, 0);
my ($fds_before, $memory_before);

# What was allocated. The stacks that programs are started on (proc/launch.c) are not among it: how many of the 64 there
# are in use depends on how busy the machine is.
sub memory {
        open my $fh, '<', "/proc/$m->{main_pid}/smaps" or return 0;
        my $in_heap = 0;
        while (<$fh>) {
                $in_heap = /\[heap\]/ if /^[0-9a-f]+-/;
                return $1 if $in_heap && /^Private_Dirty:\s+(\d+)/;
        }
        return 0;
}

# How many descriptors of each kind.
sub open_kinds {
        my %kinds;

        $kinds{ s/\d+//gr }++ for values %{ $m->fds };
        return \%kinds;
}

# Statistics are logged when the loop comes to them: by then the ends that came before are through. A client that has
# already gone may still stand in the backlog, so it takes two quiet rounds, without a process.
sub all_ended {
        my $quiet = 0;

        my $until = time + $BrokerTest::TIMEOUT;
        while (time < $until) {
                my %left = map { $_ => $m->statistics($_)->{connections} } keys %port;
                $quiet = (grep { $_ } values %left) || (grep { /pidfd/ } keys %{ open_kinds() }) ? 0 : $quiet + 1;
                return 1 if $quiet == 2;
        }
        return 0;
}

sub wait_for_end {
        my ($c) = @_;

        defined BrokerTest::read_all($c) ? $ended++ : $left_open++;
        close $c;
        return;
}

my @names = (('fine') x 5, ('crash') x 3, ('closed') x 2, ('proxied') x 3, 'slow');
for my $i (1 .. $n) {
        my $name = $names[$i % @names];
        my $c = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port{$name}) or die "connection $i: $@";
        syswrite $c, $headers[$i % @headers] if $name eq 'proxied';
        # Some leave with a reset, some at once, some wait for the end; a few only of those who have not said it all, as
        # they wait for five seconds.
        my $says_half = $name eq 'proxied' && $i % @headers >= 3;
        if ($says_half && @late < $late_max) { push @late, $c; next }
        if ($i % 7 == 0) { setsockopt $c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) }
        elsif ($i % 3 == 0 && $name eq 'slow') { push @slow, $c }
        elsif ($i % 3 == 0 && !$says_half) { BrokerTest::read_all($c) }
        close $c if !@slow || $slow[-1] != $c;
        wait_for_end(shift @slow) if @slow > 10;
        1 while $m->read_log(0);
        @{ $m->{log} } = @{ $m->{log} }[0 .. 10] if @{ $m->{log} } > 2000;
        if ($i == int($n / 10)) {
                wait_for_end($_) for splice(@slow), splice(@late);
                ok(all_ended(), "after $i connections no slot is taken");
                ($fds_before, $memory_before) = (open_kinds(), memory());
        }
}
wait_for_end($_) for @slow, @late;
cmp_ok($ended, '>', 0, 'who does not end by himself is ended');
is($left_open, 0, 'each of them');
ok(all_ended(), "after $n connections no slot is taken");
is_deeply(open_kinds(), $fds_before, 'the same descriptors are open');
SKIP: {
        skip 'sanitizers keep freed memory for a while', 1 if $ENV{BROKER_SANITIZED};
        cmp_ok(memory(), '<=', $memory_before + 256, 'and no more memory is used (KiB)');
}
$m->stop;
done_testing;
