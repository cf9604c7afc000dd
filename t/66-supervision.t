#!/usr/bin/perl
# Servers that speak with the broker (sd_notify(3)): what they are told.
use strict;
use warnings;

use BrokerTest;
use FindBin qw($RealBin);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

# As a supervisor would have it: none of it is for the programs.
local $ENV{WATCHDOG_USEC} = 7;
local $ENV{WATCHDOG_PID} = 7;

my $t = BrokerTest->new(services => <<'Y');
watched: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, "--out=file:%DIR%/watched.json", --serve], watchdog: 90s, start_timeout: 1min}
stdio: {listen: 127.0.0.1:0, wait: yes, handoff: stdio, command: [%PROBE%, "--out=file:%DIR%/stdio.json", --serve-stdio], watchdog: 1500ms}
plain: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, "--out=file:%DIR%/plain.json", --serve]}
store:
  listen: [{address: 127.0.0.1:0, name: first}, {address: 127.0.0.1:0, name: second}]
  wait: yes
  command: [%PROBE%, "--out=file:%DIR%/store.json", --serve]
  ready: exec
  fd_store: 4
Y

# Starts the server of a service by a connection; returns what it says it was given.
sub served_by {
    my ($name) = @_;
    my $c = $t->connect($name);

    syswrite $c, "hi\n";
    like(BrokerTest::read_line($c), qr/^pid=/, "$name: served");
    open my $fh, '<', $t->dir . "/$name.json" or die "$name.json: $!";
    return decode_json(scalar <$fh>);
}

my $watched = served_by('watched');
is($watched->{env}{WATCHDOG_USEC}, 90_000_000, 'WATCHDOG_USEC');
is($watched->{env}{WATCHDOG_PID}, $watched->{pid}, 'WATCHDOG_PID');
is($watched->{env}{LISTEN_FDS}, 1, 'LISTEN_FDS beside it');

my $stdio = served_by('stdio');
is($stdio->{env}{WATCHDOG_USEC}, 1_500_000, 'a watchdog of less than two seconds, for an inetd server');
is($stdio->{env}{WATCHDOG_PID}, $stdio->{pid}, 'WATCHDOG_PID of it');
ok(!exists $stdio->{env}{LISTEN_FDS}, 'and no LISTEN_FDS');

my $plain = served_by('plain');
ok(!exists $plain->{env}{$_}, "without supervision no $_") for qw(NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID);

my $store = served_by('store');
is($store->{env}{LISTEN_FDS}, 2, 'an empty store: the sockets');
is($store->{env}{LISTEN_FDNAMES}, 'first:second', 'their names');
is($store->{env}{LISTEN_PID}, $store->{pid}, 'LISTEN_PID');
ok(!exists $store->{env}{WATCHDOG_USEC}, 'no watchdog where there is none');


# A server in Python, which does as its clients say.
my $server = "$RealBin/server/supervised.py";
my $u = BrokerTest->new(services => <<"Y");
plain: {listen: 127.0.0.1:0, wait: yes, ready: notify, watchdog: 1min, fd_store: 3, command: [python3, $server, ready]}
path: {listen: %DIR%/path, wait: yes, ready: notify, fd_store: 3, command: [python3, $server, ready]}
late: {listen: 127.0.0.1:0, wait: yes, ready: notify, start_timeout: 200ms, command: [python3, $server]}
extended: {listen: 127.0.0.1:0, wait: yes, ready: notify, start_timeout: 30s, command: [python3, $server]}
silent: {listen: 127.0.0.1:0, wait: yes, watchdog: 1min, stop_grace_period: 200ms, command: [python3, $server, deaf]}
again: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: on-failure, restart_delay: 20ms, restart_delay_max: 100ms, command: [sh, -c, 'test -p %DIR%/long && read x <%DIR%/long && exit 7; exit 1']}
tick: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: on-failure, restart_delay: 200ms, restart_delay_max: 200ms, command: ["false"]}
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: on-failure, restart_delay: 10ms, ready: notify, command: [python3, $server, ready]}
shell: {listen: 127.0.0.1:0, wait: yes, start: boot, ready: notify, command: [sh, -c, "systemd-notify --ready --status='by a helper'; read x <&3; exec sleep infinity"]}
Y

# One client of a service: an order, and the answer.
sub client {
    my ($name) = @_;
    my $c = $u->connect($name);

    return sub {
        my ($order) = @_;

        syswrite $c, "$order\n";
        my $answer = BrokerTest::read_line($c);
        chomp $answer if defined $answer;
        return $answer;
    };
}

my $plain2 = client('plain');
my ($pid) = $plain2->('who') =~ /pid=(\d+)/;
ok($u->wait_message('server is ready', service => 'plain'), 'READY=1');
is($plain2->("say STATUS=all \x1b[31mred\x07"), 'ok', 'a status that would colour a terminal');
is($plain2->('child STATUS=from a child'), 'ok', 'a child speaks for its server');
$plain2->('stranger STATUS=from a stranger');
ok($u->wait_message(qr/no process of this service/, service => 'plain'), 'a process outside its family does not');
$u->signal('STOP');
$plain2->('gone STATUS=gone');
$u->signal('CONT');
ok($u->wait_message(qr/ended meanwhile.*BARRIER/, service => 'plain'), 'nor one that has gone: what helps is said');
$plain2->('say MAINPID=1');
ok($u->wait_message(qr/MAINPID is no process/, service => 'plain', pid => 1), 'nor is just any process its main one');

# Stored descriptors outlive their server.
$plain2->('store kept one');
$plain2->('pipe gone');
$plain2->('last');
ok($u->wait_message('server ended', service => 'plain', pid => $pid), 'the server ends with a word');
$plain2 = client('plain');
is($plain2->('stored'), 'kept=one last=words', 'the next one gets them back, last words too; not the pipe whose end was closed');
$plain2->("store kept two");
$plain2->('store kept three');
ok($u->wait_message(qr/fd_store allows no more/, service => 'plain'), 'no more than fd_store');
$plain2->("say FDSTOREREMOVE=1|FDNAME=kept");
$plain2->('exit 0');
$plain2 = client('plain');
is($plain2->('stored'), 'last=words', 'removed by name');

my $path = client('path');
$path->('store kept one');
is(($u->verb('restart', 'path'))[0], 0, 'broker restart');
$path = client('path');
is($path->('stored'), 'kept=one', 'keeps what is stored');
is(($u->verb('stop', 'path'))[0], 0, 'broker stop');
is(($u->verb('start', 'path'))[0], 0, 'broker start');
$path = client('path');
is($path->('stored'), '', 'forgets it');
$path->('unpolled kept');
$path->('pipe gone');
is(($u->verb('restart', 'path'))[0], 0, 'broker restart');
$path = client('path');
is($path->('stored'), 'kept is a pipe', 'FDPOLL=0: kept although its other end was closed');

# A daemon: the process that was started ends, another one is the server from then on.
my ($daemon) = ($plain2->('daemon') // '') =~ /pid=(\d+)/;
ok($u->wait_message('server has a new main process', service => 'plain', pid => $daemon), 'MAINPID of its own child');
is($plain2->('who'), "pid=$daemon ", 'it goes on');
my @before = grep { ($_->{message} // '') eq 'server ended' && $_->{pid} == $daemon } @{ $u->{log} };
is(@before, 0, 'and has not ended');
$plain2->('exit 7');
like($u->wait_message('server ended', service => 'plain', pid => $daemon)->{status}, qr/7/, 'its end is the server\'s');
$plain2 = client('plain');
my ($adopted) = ($plain2->('adopt') // '') =~ /pid=(\d+)/;
ok($adopted, 'a child that is its main process while the parent lives');
$plain2->('exit 9');
like($u->wait_message('server ended', service => 'plain', pid => $adopted)->{status}, qr/unknown|4|9/, 'ends the server');

# start_timeout.
my $late = client('late');
ok($u->wait_message(qr/not ready within start_timeout/, service => 'late'), 'a server that never says so is stopped');
is($u->wait_message('server ended', service => 'late')->{reason}, 'start_timeout', 'with that reason');
$late = client('late');
ok($u->wait_message('server started', service => 'late'), 'the next client starts another');
my $extended = client('extended');
like($extended->('who'), qr/pid/, 'a server that is not ready yet can serve');
is($extended->("say EXTEND_TIMEOUT_USEC=60000000"), 'ok', 'it asks for time');
$extended->('say READY=1');
ok($u->wait_message('server is ready', service => 'extended'), 'and is ready at last');

# The watchdog.
my $silent = client('silent');
is($silent->('say WATCHDOG_USEC=100000'), 'ok', 'it promises to speak ten times a second');
ok($u->wait_message(qr/silent for longer/, service => 'silent'), 'but says nothing');
my $end = $u->wait_message('server ended', service => 'silent');
is("$end->{reason}, killed $end->{killed}", 'watchdog, killed after stop_grace_period', 'it does not listen to stop_signal: SIGKILL');
$silent = client('silent');
like($silent->('who'), qr/pid/, 'the next client starts another');
$plain2 = client('plain');
$plain2->('say WATCHDOG=trigger');
ok($u->wait_message('server said WATCHDOG=trigger, stopping it', service => 'plain'), 'WATCHDOG=trigger');
is($u->wait_message('server ended', service => 'plain')->{reason}, 'watchdog', '... has the same end');

# restart after a failure that ends with success.
my $boot = client('boot');
$u->wait_message('server is ready', service => 'boot', -from => 0);
my $from = @{ $u->{log} };
$boot->('say WATCHDOG=trigger');
ok($u->wait_message('server is ready', service => 'boot', -from => $from), 'start: boot is started again');

# The delay doubles up to its bound, and begins anew after a good run.
my @delays;
while (@delays < 5) {
    my $record = $u->wait_message('server will be started again', service => 'again', -from => @delays ? $u->{seen} : 0) or last;
    push @delays, $record->{seconds};
}
is_deeply(\@delays, [0.02, 0.04, 0.08, 0.1, 0.1], 'restart_delay doubles up to restart_delay_max');
# One that runs for two ticks of another one.
POSIX::mkfifo($u->dir . '/long', 0600);
my $runs = $u->wait_message('server started', service => 'again', -from => scalar @{ $u->{log} });
$u->wait_message('server started', service => 'tick') for 1 .. 3;
$u->write_file('long', "\n");
unlink $u->dir . '/long';
$u->wait_message('server ended', service => 'again', status => 'exit:7');
is($u->wait_message('server will be started again', service => 'again')->{seconds}, 0.02, 'and is as at first after a server that ran for longer');

# A helper that waits for the answer, as systemd-notify does.
SKIP: {
    skip 'systemd-notify is not installed', 1 unless grep { -x "$_/systemd-notify" } split /:/, $ENV{PATH};
    ok($u->wait_message('server is ready', service => 'shell', -from => 0), 'systemd-notify, as a child of the server');
}

# A flood starves nobody else.
$plain2 = client('plain');
my $flood = $u->connect('plain');
syswrite $flood, "flood 20000\n";
like(client('boot')->('who'), qr/pid/, "served while $_ floods") for 'another';
like(BrokerTest::read_line($flood), qr/ok/, 'the flood has ended');
is($plain2->('say STATUS=calm'), 'ok', 'and its service goes on');
my $noise = grep { ($_->{message} // '') =~ /ignored/ } @{ $u->{log} };
cmp_ok($noise, '<', 100, 'without filling the log');

$u->stop;
done_testing;
