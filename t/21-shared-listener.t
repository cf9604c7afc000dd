#!/usr/bin/perl
# wait: yes. One server gets the listening sockets at the first traffic; the broker keeps them and listens again when it
# has gone.
use strict;
use warnings;
use BrokerTest;
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use Test::More;

my $t = BrokerTest->new(services => <<'Y');
two:
  listen:
    - {address: 127.0.0.1:0, name: first}
    - {address: %DIR%/two.sock, name: second}
    - {address: "udp:127.0.0.1:0", name: third}
  wait: yes
  command: [%PROBE%, "--out=file:%DIR%/two.json", --serve, --count=2, "${fd:second}", "${fd:third}"]
  environment: {THE_FD: "${fd:first}"}
blocking: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, "--out=file:%DIR%/blocking.json", --serve, --count=1, --nonblock-listener]}
nonblocking: {listen: 127.0.0.1:0, wait: yes, non_blocking: yes, command: [%PROBE%, "--out=file:%DIR%/nonblocking.json", --serve, --count=1]}
inetd: {listen: "udp:127.0.0.1:0", wait: yes, handoff: stdio, command: [%PROBE%, "--out=file:%DIR%/inetd.json", --serve-stdio, --idle-ms=100]}
gram: {listen: "unixgram:%DIR%/gram.sock", wait: yes, command: [%PROBE%, "--out=file:%DIR%/gram.json"], trigger_limit: 3/10s, restart_delay_max: 300ms}
fifo: {listen: "fifo:%DIR%/fifo", wait: yes, command: [%PROBE%, "--out=file:%DIR%/fifo.json"], trigger_limit: 2/30s}
crash: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --abort], trigger_limit: 4/30s, restart_delay_max: 400ms}
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/boot.json", --serve]}
again: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: on-failure, restart_delay: 20ms, restart_delay_max: 80ms, command: [%PROBE%, --serve, --count=1, --exit=1]}
done: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: on-failure, command: [%PROBE%, --serve, --count=1]}
Y

sub json {
        my ($name) = @_;

        open my $fh, '<', $t->dir . "/$name.json" or return;
        my @lines = <$fh>;
        return map { decode_json($_) } @lines;
}

sub fd {
        my ($probe, $n) = @_;

        return (grep { $_->{fd} == $n } @{ $probe->{fds} })[0];
}

# Sends a line on a connection that is kept open; the answer tells who served it.
sub serve {
        my ($name, $index) = @_;
        my $c = $t->connect($name, index => $index // 0);

        syswrite $c, "hi\n";
        return BrokerTest::read_line($c);
}

ok(!-e $t->dir . '/two.json', 'nothing is started before there is traffic');
my $answer = serve('two', 1);
like($answer, qr/^pid=\d+ fd=4 line=hi$/, 'the second socket is fd 4');
my ($p) = json('two');
is($p->{env}{LISTEN_FDS}, 3, 'LISTEN_FDS: all of them');
is($p->{env}{LISTEN_PID}, $p->{pid}, 'LISTEN_PID');
is($p->{env}{LISTEN_FDNAMES}, 'first:second:third', 'LISTEN_FDNAMES, in the order written');
is(join(',', map { $_->{fd} } @{ $p->{fds} }), '0,1,2,3,4,5', 'no other descriptor');
is(fd($p, 3)->{local}, $t->address('two', 0), 'the first is the first');
is(fd($p, 4)->{local}, $t->dir . '/two.sock', 'the second is the second');
is(fd($p, 5)->{type}, 'dgram', 'the third is the third');
ok(!fd($p, $_)->{cloexec}, "fd $_ stays open over exec") for 3 .. 5;
is_deeply([@{ $p->{argv} }[-2, -1]], [4, 5], '${fd:NAME} in arguments');
is($p->{env}{THE_FD}, 3, '${fd:NAME} in environment');
ok($p->{session_leader}, 'it leads a session');
is($p->{pdeathsig}, 15, 'it ends when the broker dies');
my ($pid) = $answer =~ /pid=(\d+)/;
like(serve('two', 0), qr/^pid=$pid fd=3 /, 'the same server takes the next connection itself');
ok($t->wait_message('server ended', service => 'two', pid => $pid), 'it ends after two');
my $inode = fd($p, 3)->{inode};
like(serve('two', 0), qr/^pid=(?!$pid)\d+ fd=3/, 'the next connection starts another one');
is(fd((json('two'))[1], 3)->{inode}, $inode, 'with the very same socket');

for my $round (1, 2) {
        like(serve('blocking'), qr/^pid=/, "round $round: served");
        $t->wait_message('server ended', service => 'blocking');
}
ok(!(grep { grep { $_ eq 'nonblock' } @{ fd($_, 3)->{flags} } } json('blocking')), 'blocking, also after a server that changed that');
like(serve('nonblocking'), qr/^pid=/, 'non_blocking: served');
ok((grep { $_ eq 'nonblock' } @{ fd((json('nonblocking'))[0], 3)->{flags} }), 'non_blocking: yes');

for my $round (1, 2) {
        my $u = $t->connect('inetd');
        syswrite $u, "ping\n";
        sysread $u, my $answer, 4096; # a datagram comes whole or not at all
        like($answer, qr/fd=0 line=ping/, "udp, round $round: answered through fd 0");
        $t->wait_message('server ended', service => 'inetd');
}
($p) = json('inetd');
is(fd($p, 0)->{inode}, fd($p, 1)->{inode}, 'stdin and stdout are the socket');
ok(!exists $p->{env}{LISTEN_FDS}, 'no LISTEN_FDS with stdio');

# It never takes its datagram.
my $g = $t->connect('gram');
syswrite $g, "unwanted\n";
my $pause = $t->wait_message(qr/^paused: its server ended without taking/, service => 'gram');
ok($pause, 'a server that leaves its traffic makes the service pause');
is(scalar(json('gram')), 3, 'after as many starts as trigger_limit says');
my $ticks = $t->cpu_ticks;
ok($t->wait_message('server started', service => 'gram'), 'then it listens again');
cmp_ok($t->cpu_ticks - $ticks, '<', 20, 'a pause costs no CPU');

open my $fifo, '>', $t->dir . '/fifo' or die $!;
syswrite $fifo, "through the pipe\n";
ok($t->wait_message("server ended", service => "fifo"), "a FIFO starts its server");
is(fd((json("fifo"))[0], 3)->{kind}, "pipe", "and is its fd 3");
close $fifo;

my $c = $t->connect('crash');
syswrite $c, "x\n";
ok($t->wait_message(qr/^paused: its server ended/, service => 'crash'), 'a server that crashes pauses');
is(scalar(grep { ($_->{message} // '') eq 'server started' && $_->{service} eq 'crash' } @{ $t->{log} }), 4, 'after four starts');
ok($t->connect('crash', may_fail => 1), 'its socket is still there');

($p) = json('boot');
like(serve('boot'), qr/^pid=$p->{pid} /, 'start: boot was started before its first client');
is(serve('again') =~ /^pid=(\d+)/ ? 1 : 0, 1, 'restart: served once');
ok($t->wait_message('server will be started again', service => 'again'), 'a failure starts it again');
ok($t->wait_message('server started', service => 'again'), 'by itself');
like(serve('done'), qr/^pid=/, 'on-failure: served');
$t->wait_message('server ended', service => 'done', status => 'exit:0');
like(serve('done'), qr/^pid=/, 'after success the next client starts it');
$t->stop;

# main: the broker ends as the server does.
for my $case (['exit', '--exit=7', 7], ['killed', '--kill=KILL', 137]) {
        my $m = BrokerTest->new(services => <<"Y");
main: {listen: 127.0.0.1:0, wait: yes, start: boot, main: yes, command: [%PROBE%, --serve, --count=1, $case->[1]]}
other: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}
Y
        my $s = $m->connect('main');
        syswrite $s, "x\n";
        BrokerTest::read_line($s);
        $m->stop(ended => 1, status => $case->[2]);
}
done_testing;
