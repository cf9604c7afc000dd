#!/usr/bin/perl
# idle_exit: the broker ends when nothing has been alive for that long, and whoever gave it its sockets finds them as they
# were, with who has come meanwhile.
use strict;
use warnings;
use BrokerTest;
use Fcntl qw(F_GETFL F_SETFD F_SETFL O_NONBLOCK);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw(SOMAXCONN);
use Test::More;
use Time::HiRes qw(sleep);

# As a service manager does it: the sockets are ours, the broker gets them as fd 3 and up, called web.
my $GIVE = 'use POSIX; my $n = shift; my @fds = splice @ARGV, 0, $n; '
        . 'my @high = map { POSIX::dup2($_, $_ + 100); $_ + 100 } @fds; '
        . 'POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high; POSIX::close($_) for @high; '
        . '@ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)} = ($n, $$, join ":", ("web") x $n); exec @ARGV or die';

sub given {
        my (@sockets) = @_;

        return (
                setup => sub { fcntl $_, F_SETFD, 0 for @sockets },
                wrap => [$^X, '-e', $GIVE, scalar @sockets, map { fileno $_ } @sockets],
        );
}

my $HEAD = "broker: {idle_exit: 200ms, log: {format: json, level: debug}}\n";

sub tcp {
        return IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => SOMAXCONN) // die "listen: $@";
}

sub address {
        my ($socket) = @_;

        return '127.0.0.1:' . $socket->sockport;
}

sub greet {
        my ($client) = @_;

        syswrite $client, "hello\n" or return "write: $!";
        return BrokerTest::read_line($client) // "nothing: $!";
}

sub ends_idle {
        my ($t, $what) = @_;

        ok($t->wait_message('nothing has been alive for idle_exit'), "$what: it says so");
        $t->stop(ended => 1);
}

# A connection keeps it, however silent; then it hands back what it was given.
my ($blocking, $non_blocking) = (tcp(), tcp());
fcntl $non_blocking, F_SETFL, fcntl($non_blocking, F_GETFL, 0) | O_NONBLOCK;
my $flags = join ' ', map { fcntl $_, F_GETFL, 0 } $blocking, $non_blocking;
my $t = BrokerTest->new(services => "web: {listen: \"fd:web\", wait: no, command: [cat]}\n", head => $HEAD,
        given($blocking, $non_blocking));
my $client = BrokerTest::connect_to(address($blocking));
is(greet($client), "hello\n", 'served');
isnt(join(' ', map { fcntl $_, F_GETFL, 0 } $blocking, $non_blocking), $flags, 'the broker needs them another way');
ok($t->wait_message('something is alive, idle_exit begins anew'), "a silent connection keeps it, time $_") for 1 .. 3;
close $client;
ends_idle($t, 'connections');
is(join(' ', map { fcntl $_, F_GETFL, 0 } $blocking, $non_blocking), $flags, 'the flags of both sockets are what they were');

# Who comes when nobody is there is served by the next one.
my @clients = map { BrokerTest::connect_to(address($_)) } $blocking, $non_blocking;
syswrite $_, "early\n" for @clients;
$t = BrokerTest->new(services => "web: {listen: \"fd:web\", wait: no, command: [cat]}\n", head => $HEAD,
        given($blocking, $non_blocking));
is(BrokerTest::read_line($_), "early\n", 'who came in between is served by the next broker') for @clients;
close $_ for @clients;
$t->wait_message('connection ended') for 1 .. 2;
# However it ends.
$t->stop;
is(join(' ', map { fcntl $_, F_GETFL, 0 } $blocking, $non_blocking), $flags, 'the flags after SIGTERM');

# A server that is stopped by idle_stop first, on a path that is not the broker's to remove.
my $path = "/tmp/broker-idle-exit-$$";
my $local = IO::Socket::UNIX->new(Local => $path, Listen => 5) // die "$path: $!";
$t = BrokerTest->new(
        services => "web: {listen: \"fd:web\", wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}\n",
        head => $HEAD, given($local));
$client = BrokerTest::connect_to($path);
like(greet($client), qr/hello/, 'a server');
close $client;
ok($t->wait_message('server ended', reason => 'idle_stop'), 'is stopped first');
ends_idle($t, 'servers');
ok(-S $path, 'the path is still there');
is(fcntl($local, F_GETFL, 0) & O_NONBLOCK, 0, 'and the socket as it was');
unlink $path;

# What a program leaves behind is alive; so is a server that waits for nobody.
$t = BrokerTest->new(services => <<'Y', head => $HEAD);
orphan: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout, --orphan, --orphan-ms=700]}
Y
$t->ask_probe('orphan');
ok($t->wait_message('connection ended'), 'a program ends');
ok($t->wait_message('something is alive, idle_exit begins anew'), 'and leaves one behind');
ends_idle($t, 'orphans');
$t = BrokerTest->new(services => <<'Y', head => $HEAD);
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}
Y
ok($t->wait_message('something is alive, idle_exit begins anew'), "a server keeps it, time $_") for 1 .. 2;
$t->write_conf(<<'Y', head => $HEAD);
other: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
ok($t->reload, 'until a reload takes it away');
ends_idle($t, 'reload');

# Whom it cannot serve now it will not leave behind.
$t = BrokerTest->new(services => <<'Y', head => $HEAD);
missing: {listen: 127.0.0.1:0, wait: no, restart_delay_max: 900ms, command: /nonexistent}
Y
$client = $t->connect('missing');
ok($t->wait_message(qr/^paused/), 'a service pauses');
ok($t->wait_message('something is alive, idle_exit begins anew'), 'its client keeps the broker');
close $client;
$t->stop;

# The moment of leaving: a manager that starts a broker when somebody comes and none is there, and clients who come as it
# ends.
my $listener = tcp();
my $dir = BrokerTest->new(services => "web: {listen: \"fd:web\", wait: no, command: [cat]}\n", later => 1,
        head => "broker: {idle_exit: 50ms}\n");
my ($rounds, $starts, $bad) = ($ENV{BROKER_TEST_ROUNDS} // 60, 0, 0);
pipe my $read, my $write or die $!;
my $clients = fork // die $!;
if (!$clients) {
        srand 1;
        for (1 .. $rounds) {
                # Nothing to wait for: these come at any time around the end of idle_exit.
                sleep 0.04 + rand 0.04;
                my $late = BrokerTest::connect_to(address($listener), may_fail => 1);
                my $answer = $late ? greet($late) : "connect: $!\n";
                syswrite $write, $answer eq "hello\n" ? '.' : $answer;
        }
        POSIX::_exit(0);
}
close $write;
my %given = given($listener);
my ($text, $pid) = ('', 0);
while (1) {
        if ($pid && waitpid($pid, POSIX::WNOHANG) > 0) {
                $bad++ if $?;
                $pid = 0;
        }
        if (!$pid && IO::Select->new($listener)->can_read(0)) {
                $starts++;
                $pid = fork // die $!;
                if (!$pid) {
                        $given{setup}->();
                        open STDERR, '>', '/dev/null';
                        { exec @{ $given{wrap} }, $BrokerTest::BROKER, 'run', '-c', $dir->dir . '/conf' }
                        POSIX::_exit(98);
                }
        }
        IO::Select->new($read)->can_read(0.002) or next;
        sysread $read, $text, 65536, length $text or last;
}
waitpid $pid, 0 if $pid;
is($text, '.' x $rounds, 'everybody was answered');
is($bad, 0, 'every broker ended with 0');
cmp_ok($starts, '>', $rounds / 10, 'and there was one after the other');
note("$starts brokers for $rounds clients");
$dir->{stopped} = 1;
File::Path::remove_tree($dir->dir);
done_testing;
