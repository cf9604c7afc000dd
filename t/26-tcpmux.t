#!/usr/bin/perl
# tcpmux (RFC 1078): services that are asked for by name at another one's port: who answers, what the program gets, limits of
# both, what is no request, slow and half-open clients, orders, reloads, an upgrade, and the privileges of what is started.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::IP;
use Socket qw(SHUT_WR SOL_SOCKET SO_LINGER);
use Test::More;

my $TIMEOUT = $BrokerTest::TIMEOUT;

# Sends REQUEST to the tcpmux service and returns all that comes.
sub mux {
        my ($t, $request, %arg) = @_;
        my $c = $t->connect('mux');

        syswrite $c, $request;
        shutdown $c, SHUT_WR unless $arg{open};
        return BrokerTest::read_all($c);
}

sub wait_zero {
        my ($t, $service) = @_;

        1 while $t->statistics($service)->{connections} > 0;
}

{
        my $t = BrokerTest->new(services => <<'Y');
mux: {listen: 127.0.0.1:0, builtin: tcpmux, banner_success: "mux\n"}
Cat: {tcpmux: yes, wait: no, command: [cat]}
own: {tcpmux: plain, wait: no, command: [sh, -c, "echo +mine; cat"]}
both: {listen: 127.0.0.1:0, tcpmux: yes, wait: no, command: [cat], banner: "b\n"}
probe: {tcpmux: yes, wait: no, command: [sh, -c, 'echo "$REMOTE_ADDR $SERVER_PORT"']}
clock: {tcpmux: yes, builtin: daytime}
hidden: {listen: 127.0.0.1:0, wait: no, command: [cat]}
closed: {tcpmux: yes, wait: no, command: [cat], no_access: 127.0.0.0/8, banner_fail: "away\n"}
missing: {tcpmux: yes, wait: no, command: [/nowhere/at/all]}
Y
        my $before = keys %{ $t->fds };

        is(mux($t, "help\r\n"), "mux\nCat\r\nown\r\nboth\r\nprobe\r\nclock\r\nclosed\r\nmissing\r\n", 'HELP lists the services, in whatever case');
        is(mux($t, "HELP\n"), mux($t, "help\r\n"), 'and by whatever end of the line');
        is(mux($t, "Cat\r\nhello\n"), "mux\n+Go\r\nhello\n", 'a name, and what stands behind it is the program\'s');
        is(mux($t, "cAT\nhello\n"), "mux\n+Go\r\nhello\n", 'in whatever case');
        is(mux($t, "own\r\nx\n"), "mux\n+mine\nx\n", 'tcpmux: plain leaves the answer to the program');
        is(mux($t, "both\r\nx\n"), "mux\n+Go\r\nb\nx\n", 'the banner comes behind the answer');
        is($t->ask('both', "direct\n"), "b\ndirect\n", 'at its own port it is as ever');
        like(mux($t, "clock\r\n"), qr/^mux\n\+Go\r\n\w{3} \w{3} .*\r\n\z/, 'a built-in by name');
        like(mux($t, "$_\r\n"), qr/^mux\n-.*\r\n\z/, "no service '$_'") for 'hidden', 'mux', 'none', 'cat ', '../Cat', "a\x1b[2J";
        like(mux($t, "closed\r\n"), qr/^mux\n-.*\r\naway\n\z/, 'a refusal has the sign of one, and the service\'s banner');
        like(mux($t, $_), qr/^mux\n-.*\r\n\z/, 'no request') for "\r\n", "\n", "x" x 300 . "\n", "x" x 100_000, "Ca\0t\r\n", "\xff\xfe" x 130, "Cat";
        is(mux($t, ''), "mux\n", 'nothing at all');

        is(mux($t, "probe\r\n"), "mux\n+Go\r\n127.0.0.1 " . $t->port('mux') . "\n", 'the program is told of the client');
        my $c = $t->connect('mux');
        for my $part (split //, "Cat\r\nslow\n") {
                syswrite $c, $part;
                $t->statistics('mux');
        }
        shutdown $c, SHUT_WR;
        is(BrokerTest::read_all($c), "mux\n+Go\r\nslow\n", 'a name in many pieces');

        my $record = $t->wait_message('connection goes to the service that was asked for', -from => 0);
        is($record->{to}, 'Cat', 'the log says who went where');
        is($t->statistics('mux')->{refused_tcpmux} > 3, 1, 'unknown names are counted');
        my $n = $t->statistics('Cat')->{accepted};
        is($n, $t->statistics('Cat')->{ended}, 'the service counts its clients') if wait_ended($t, 'Cat', $n);

        for my $how ('close', 'reset', 'partial') {
                for (1 .. 20) {
                        my $c = $t->connect('mux');
                        syswrite $c, $how eq 'partial' ? 'Ca' : "Cat\r\n" if $how ne 'close';
                        setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $how eq 'reset';
                        close $c;
                }
        }
        is(mux($t, "Cat\r\nstill\n"), "mux\n+Go\r\nstill\n", 'after clients that went away in every manner');

        is(mux($t, "missing\r\n"), "mux\n-Service not available\r\n", 'a program that is missing');
        ok($t->wait_message(qr/cannot start/, service => 'missing', -from => 0), 'pauses its service');
        is(mux($t, "missing\r\n"), "mux\n-Service not available\r\n", 'which cannot be had meanwhile');
        is(mux($t, "Cat\r\nx\n"), "mux\n+Go\r\nx\n", 'unlike others');
        ok(($t->verb('kill', 'missing'))[0] == 0, 'kill');
        $t->write_conf(<<'Y');
mux: {listen: 127.0.0.1:0, builtin: tcpmux}
Cat: {tcpmux: no, listen: 127.0.0.1:0, wait: no, command: [cat]}
New: {tcpmux: yes, wait: no, command: [cat]}
Y
        ok($t->reload, 'reload');
        is(mux($t, "help\r\n"), "New\r\n", 'changes what there is');
        is(mux($t, "new\r\nx\n"), "+Go\r\nx\n", 'and who serves');
        {
                local $ENV{BROKER_CONTROL} = $t->control;
                like(scalar `$BrokerTest::ACTIVATE --claim=New -w --now -- true 2>&1`, qr/service 'New' has no sockets/, 'there is nothing to claim');
        }
        is(($t->verb('stop', 'New'))[0], 0, 'a service that is stopped');
        like(mux($t, "new\r\n"), qr/^-/, 'cannot be asked for');
        is(($t->verb('start', 'New'))[0], 0, 'until it is started');
        is(mux($t, "new\r\nx\n"), "+Go\r\nx\n", 'again');
        wait_zero($t, $_) for 'mux', 'New', 'Cat';
        $t->stop;
}

sub wait_ended {
        my ($t, $service, $count) = @_;

        1 while $t->statistics($service)->{ended} < $count;
        return 1;
}

# More names than fit into a socket at once.
{
        my @names = map { "a-service-with-a-name-that-is-rather-long-$_-" . 'x' x 16 } 1 .. 5000;
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: info}}\n",
                services => join '', qq(mux: {listen: "%DIR%/mux", builtin: tcpmux}\n), map { "$_: {tcpmux: yes, builtin: echo}\n" } @names);

        my $c = $t->connect('mux');
        syswrite $c, "help\r\n";
        # One who asks later is answered later: by then the list is in the socket.
        like(mux($t, "none\r\n"), qr/^-/, 'another client');
        ok(BrokerTest::read_all($c) eq join('', map { "$_\r\n" } @names), 'HELP with many names is all of them');
        $t->stop;
}

# What cannot be reached.
{
        my $t = BrokerTest->new(later => 1, services => "lost: {tcpmux: yes, wait: no, command: [cat]}\nboth: {listen: 127.0.0.1:0, tcpmux: yes, wait: no, command: [cat]}");
        my $check = sub { return scalar `$BrokerTest::BROKER check -c @{[$t->dir]}/conf 2>&1` };

        like($check->(), qr/:3:3: services\.lost\.tcpmux: warning: nobody can ask for it; write a service with builtin: tcpmux, or listen here\n(?!.*both)/, 'a warning');
        $t->write_conf("mux: {listen: 127.0.0.1:0, builtin: tcpmux}\n", file => 'mux.yaml');
        unlike($check->(), qr/warning: /, 'and none when there is a tcpmux, in whatever file');
}

# Limits, of both.
{
        my $t = BrokerTest->new(services => <<'Y');
mux: {listen: 127.0.0.1:0, builtin: tcpmux, instances: 3, when_full: refuse, connection_timeout: 300ms}
one: {tcpmux: yes, wait: no, command: [cat], instances: 1}
seldom: {tcpmux: yes, wait: no, command: [cat], cps: 1/1h}
Y
        my @asking = map { $t->connect('mux') } 1 .. 3;
        1 while $t->statistics('mux')->{connections} < 3;
        is(BrokerTest::read_all($t->connect('mux')), '', 'who does not say what he wants has a place');
        is(BrokerTest::read_all($_), '', 'but not for long') for @asking;
        ok($t->wait_message('connection ended', service => 'mux', reason => 'connection_timeout', -from => 0), 'and the log says so');

        my $c = $t->connect('mux');
        syswrite $c, "one\r\nin\n";
        is(BrokerTest::read_line($c), "+Go\r\n", 'the one who has its place');
        is(BrokerTest::read_line($c), "in\n", 'is served');
        is($t->statistics('mux')->{connections}, 0, 'and has none at the tcpmux service any more');
        like(mux($t, "one\r\n"), qr/^-Service refused\r\n\z/, 'the next is refused: there is no queue for him');
        is($t->statistics('one')->{refused_instances}, 1, 'and counted by the service that he asked for');
        close $c;
        wait_zero($t, 'one');
        is(mux($t, "one\r\nx"), "+Go\r\nx", 'later there is a place again');
        is(mux($t, "seldom\r\nx"), "+Go\r\nx", 'cps: the first');
        like(mux($t, "seldom\r\nx"), qr/^-Service refused/, 'and the second');

        my $left = $t->connect('mux');
        syswrite $left, 'o';
        $t->signal('TERM');
        is($t->wait_exit, 0, 'the broker ends, whoever is still asking');
        $t->stop;
}

# Who runs the program.
SKIP: {
        skip 'only root can start programs as somebody else', 4 if $> != 0;
        my $t = BrokerTest->new(services => <<'Y');
mux: {listen: 127.0.0.1:0, builtin: tcpmux}
who: {tcpmux: yes, wait: no, user: nobody, command: [sh, -c, "id -u; grep CapEff /proc/self/status"]}
Y
        my $nobody = getpwnam 'nobody';

        my ($go, $uid, $caps) = split /\r?\n/, mux($t, "who\r\n");
        is($uid, $nobody, 'a program that was asked for by name runs as its user');
        like($caps, qr/\b0+$/, 'without any capability');
        $t->stop;
}
done_testing;
