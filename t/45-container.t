#!/usr/bin/perl
# As the entrypoint of a container: PID 1, orphans, draining, inherited sockets, the word to its own supervisor.
use strict;
use warnings;
use BrokerTest;
use IO::Socket::IP;
use Test::More;
use Time::HiRes qw(time);

my @pid1 = ('unshare', '--pid', '--fork', '--mount-proc', '--kill-child');
my $pid1_works = system("@pid1 true 2>/dev/null") == 0;

SKIP: {
        skip 'pid namespaces are not permitted here', 12 unless $pid1_works;
        my $t = BrokerTest->new(wrap => \@pid1, services => <<'Y');
orphan: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout, --orphan, --orphan-ms=50]}
fds: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, --out=fd:3]}
server: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, "--out=file:%DIR%/server.json", --serve]}
echo: {listen: 127.0.0.1:0, wait: no, command: [cat], stop_grace_period: 5s}
Y
        my $p = $t->ask_probe('orphan');
        is($p->{ppid}, 1, 'the broker is PID 1');
        ok($t->wait_message('orphan reaped'), 'an orphan is reaped');
        my @zombies = grep { my $stat = ''; if (open my $fh, '<', $_) { $stat = <$fh> // '' } $stat =~ /\) Z / } glob '/proc/[0-9]*/stat';
        is(scalar(grep { my ($pid) = m{(\d+)}; (readlink("/proc/$pid/ns/pid") // '') eq (readlink("/proc/$t->{main_pid}/ns/pid") // 'x') } @zombies), 0, 'no zombie is left');
        $p = $t->ask_probe('fds');
        is($p->{env}{LISTEN_PID}, $p->{pid}, 'LISTEN_PID is the pid in its own namespace');
        cmp_ok($p->{pid}, '<', 1000, 'which is a small one');
        my $c = $t->connect('server');
        syswrite $c, "x\n";
        like(BrokerTest::read_line($c), qr/^pid=\d+ fd=3/, 'a server trusts it');

        my $busy = $t->connect('echo');
        syswrite $busy, "x\n";
        is(BrokerTest::read_line($busy), "x\n", 'a connection is being served');
        $t->signal('TERM');
        $t->wait_message(qr/^SIGTERM/);
        is($t->connect('echo', may_fail => 1), undef, 'no new connections');
        syswrite $busy, "still here\n";
        is(BrokerTest::read_line($busy), "still here\n", 'who is being served goes on');
        my $begin = time;
        close $busy;
        ok(defined $t->wait_exit, 'it ends when the last has gone');
        cmp_ok(time - $begin, '<', 3, 'at once');
        is($t->{exit}, 0, 'with 0');
        $t->stop(ended => 1);
}

for my $signal ('TERM', 'INT') {
        my $t = BrokerTest->new(services => <<'Y');
stubborn: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --ignore-term, --serve], stop_grace_period: 300ms}
talker: {listen: 127.0.0.1:0, wait: no, command: [cat], stop_grace_period: 200ms}
Y
        my $c = $t->connect('talker');
        syswrite $c, "x\n";
        BrokerTest::read_line($c);
        # The server has said that it ignores TERM once it answers.
        my $s = $t->connect('stubborn');
        syswrite $s, "x\n";
        BrokerTest::read_line($s);
        my $begin = time;
        $t->signal($signal);
        ok(defined $t->wait_exit, "SIG$signal: it ends");
        cmp_ok(time - $begin, '<', 5, "SIG$signal: not much after the grace period");
        is($t->{exit}, 0, "SIG$signal: with 0");
        ok($t->wait_message('server ended', service => 'stubborn', status => 'signal:KILL', -from => 0), 'what ignores the stop signal is killed');
        $t->stop(ended => 1);
}

{
        my $t = BrokerTest->new(services => <<'Y');
long: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --ignore-term, --echo], stop_grace_period: 1h}
Y
        my $c = $t->connect('long');
        syswrite $c, "x\n";
        BrokerTest::read_line($c);
        $t->signal('TERM');
        my $stopping = $t->notify_message;
        is($stopping->{STOPPING}, 1, 'STOPPING=1 to the supervisor');
        ok($stopping->{STATUS}, 'with a STATUS');
        is(BrokerTest::read_line($c, 0.3), undef, 'a long connection keeps it');
        $t->signal('TERM');
        ok(defined $t->wait_exit(5), 'a second signal kills');
        is(BrokerTest::read_all($c), '', 'the connection too');
        $t->stop(ended => 1, status => 1);
}

# Sockets from whoever started us.
{
        my @listeners = map { IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 5) } 1 .. 3;
        my @ports = map { $_->sockport } @listeners;
        my $t = BrokerTest->new(
                services => <<'Y',
web: {listen: "fd:http", wait: yes, command: [%PROBE%, "--out=file:%DIR%/web.json", --serve]}
echo: {listen: "fd:echo", wait: no, command: [cat]}
Y
                setup => sub {
                        # Out of the way first: they are to become 3, 4 and 5.
                        my @high = map { POSIX::dup2(fileno($listeners[$_]), 200 + $_); 200 + $_ } 0 .. 2;
                        for my $i (0 .. 2) {
                                POSIX::dup2($high[$i], 3 + $i);
                                POSIX::close($high[$i]);
                        }
                        $ENV{LISTEN_FDS} = 3;
                        $ENV{LISTEN_PID} = $$;
                        $ENV{LISTEN_FDNAMES} = 'http:echo:http';
                },
        );
        for my $i (0, 2) {
                my $c = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $ports[$i]) or die;
                syswrite $c, "x\n";
                like(BrokerTest::read_line($c), qr/ fd=@{[$i ? 4 : 3]} /, "inherited socket $i is handed on");
        }
        is(BrokerTest::read_all(do { my $c = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $ports[1]); syswrite $c, 'hello'; shutdown $c, 1; $c }), 'hello', 'and accepted from');
        open my $fh, '<', $t->dir . '/web.json';
        my $p = JSON::PP::decode_json(<$fh>);
        is($p->{env}{LISTEN_FDNAMES}, 'http:http', 'under its own name');
        is($p->{env}{LISTEN_FDS}, 2, 'all sockets of that name');
        $t->stop;
        ok(IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $ports[1]), 'the sockets outlive the broker');

        my $bad = BrokerTest->new(later => 1);
        $bad->write_conf("web: {listen: \"fd:none\", wait: yes, command: [cat]}\n");
        $bad->start(ready => 0);
        is($bad->wait_exit >> 8, 1, 'a name that was not given is a failure');
        like($bad->log_text, qr/web\.listen\[0\]: the broker was not started with a socket of that name/, 'and says so');
        $bad->stop(ended => 1, status => 1);
}

# The broker dies.
{
        my $t = BrokerTest->new(services => <<'Y');
server: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        my ($s, $c) = ($t->connect('server'), $t->connect('echo'));
        syswrite $_, "x\n" for $s, $c;
        BrokerTest::read_line($_) for $s, $c;
        my $port = $t->port('server');
        my $held = $t->connect('server');
        $t->signal('KILL');
        $t->wait_exit;
        syswrite $c, "y\n";
        is(BrokerTest::read_line($c), "y\n", 'who serves a connection finishes it');
        # Its listening socket has the lowest number, so it is closed before the connection is.
        ok(defined BrokerTest::read_all($held), 'a server ends');
        ok(!IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port), 'and its socket is free again');
        close $c;
        $t->{stopped} = 1;
        File::Path::remove_tree($t->dir);
}
done_testing;
