#!/usr/bin/perl
# PROXY protocol: who may speak for others, and that what he says is the client for everything after.
use strict;
use warnings;
use BrokerTest;
use Socket qw(SHUT_WR inet_aton inet_pton AF_INET6);
use Test::More;
use Time::HiRes qw(time);

my $t = BrokerTest->new(services => <<'Y');
require: {listen: 127.0.0.1:0, wait: no, command: ["%PROBE%", --out=stdout, --echo], proxy_protocol: require, proxy_protocol_from: 127.0.0.1}
accept: {listen: 127.0.0.1:0, wait: no, command: ["%PROBE%", --out=stdout, --echo], proxy_protocol: accept, proxy_protocol_from: 127.0.0.1}
speaks: {listen: 127.0.0.1:0, wait: no, command: [echo, ready], proxy_protocol: accept, proxy_protocol_from: 127.0.0.1}
unix: {listen: %DIR%/u, wait: no, command: ["%PROBE%", --out=stdout, --echo], proxy_protocol: require, proxy_protocol_from: "unix:"}
only: {listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.0/8, only_from: 192.0.2.0/24}
source: {listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.1, per_source: 1}
prefix: {listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.1, per_source: 1, source_prefix: {ipv6: 56}}
few: {listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.1, instances: 2}
Y

my $SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

sub v2 {
        my ($command, $family, $addresses, $tlvs) = @_;
        my $body = $addresses . ($tlvs // '');

        return $SIGNATURE . pack('CCn', 0x20 | $command, $family, length $body) . $body;
}

sub v2_tcp4 {
        my ($from, $from_port, $to, $to_port, $tlvs) = @_;

        return v2(1, 0x11, inet_aton($from) . inet_aton($to) . pack('nn', $from_port, $to_port), $tlvs);
}

# The environment the program sees behind HEADER, and what is left of the stream.
sub seen {
        my ($name, $header, %arg) = @_;
        my $answer = $t->ask($name, $header . 'the rest', %arg) // return { left => 'nothing in time' };
        my ($first, $left) = split /\n/, $answer, 2;

        return { left => 'refused' } unless defined $first && length $first;
        return { %{ JSON::PP::decode_json($first)->{env} }, left => $left };
}

sub is_seen {
        my ($what, $env, %want) = @_;

        is_deeply({ map { $_ => $env->{$_} } keys %want }, \%want, $what);
}

my %v4 = (REMOTE_ADDR => '192.0.2.7', REMOTE_PORT => 4711, SERVER_ADDR => '198.51.100.1', SERVER_PORT => 443,
        TCPREMOTEIP => '192.0.2.7', TCPLOCALPORT => 443, PROTO => 'TCP', left => 'the rest');
is_seen('version 1, TCP4', seen('require', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), %v4);
is_seen('version 2, TCP4', seen('require', v2_tcp4('192.0.2.7', 4711, '198.51.100.1', 443)), %v4);
is_seen('version 2, TLVs are skipped', seen('require', v2_tcp4('192.0.2.7', 4711, '198.51.100.1', 443, pack('Cna*Cn', 0x02, 11, 'example.org', 0x04, 0))), %v4);
is_seen('version 1, TCP6', seen('require', "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"),
        REMOTE_ADDR => '2001:db8::1', SERVER_ADDR => '2001:db8::2', left => 'the rest');
my %own = (REMOTE_ADDR => '127.0.0.1', SERVER_PORT => $t->port('require'), left => 'the rest');
is_seen('version 1, UNKNOWN: the connection itself', seen('require', "PROXY UNKNOWN whatever 1 2\r\n"), %own);
is_seen('version 2, LOCAL: the connection itself', seen('require', v2(0, 0, '')), %own);
is_seen('version 2, UNSPEC: the connection itself', seen('require', v2(1, 0, '', pack('Cn', 4, 0))), %own);
is_seen('version 2, AF_UNIX', seen('require', v2(1, 0x31, pack('a108a108', '/run/client', '/run/server'))),
        REMOTE_ADDR => '/run/client', SERVER_ADDR => '/run/server', PROTO => 'IPC', IPCREMOTEEUID => undef, left => 'the rest');
is_seen('over an AF_UNIX socket', seen('unix', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), %v4);
my $record = $t->wait_message('connection accepted', service => 'unix');
is($record->{peer}, '192.0.2.7:4711', 'the log names the client');
is($record->{proxy}, "uid $> pid $$", 'and the proxy');

# Byte by byte, and with the program's own data close behind.
{
        my $c = $t->connect('require');
        my $header = v2_tcp4('192.0.2.7', 4711, '198.51.100.1', 443, pack('Cna*', 2, 200, 'x' x 200));
        syswrite $c, $_ for split //, $header . 'the rest';
        shutdown $c, SHUT_WR;
        my ($first, $left) = split /\n/, BrokerTest::read_all($c), 2;
        is(JSON::PP::decode_json($first)->{env}{REMOTE_ADDR}, '192.0.2.7', 'a header byte by byte');
        is($left, 'the rest', 'not a byte more is taken');
}

for my $bad (
        ['no header', 'GET / HTTP/1.0'], ['nothing at all', undef], ['half a header', 'PROXY TCP4 192.0.2.7 '],
        ['a lone LF', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n"], ['a port too large', "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n"],
        ['a family that does not fit', "PROXY TCP4 ::1 ::2 1 2\r\n"], ['version 3', $SIGNATURE . pack('CCn', 0x31, 0x11, 12) . 'x' x 12],
        ['536 bytes and one more', v2_tcp4('192.0.2.7', 4711, '198.51.100.1', 443, pack('Cna*', 4, 506, 'x' x 506))],
        ['addresses cut short', v2(1, 0x11, 'x' x 11)],
) {
        my $before = $t->statistics('require')->{refused_proxy_protocol};
        is($t->ask('require', $bad->[1]) // 'nothing in time', '', "require: $bad->[0] is refused") if defined $bad->[1];
        is($t->ask('require', '') // 'nothing in time', '', "require: $bad->[0] is refused") if !defined $bad->[1];
        is($t->statistics('require')->{refused_proxy_protocol}, $before + 1, '... and counted');
}
is($t->ask('require', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nx", from => '127.0.0.2'), '', 'require: who may not speak for others is refused');

is_seen('accept: with a header', seen('accept', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), %v4);
is_seen('accept: without one', seen('accept', ''), REMOTE_ADDR => '127.0.0.1', left => 'the rest');
is_seen('accept: what begins like one and is none', seen('accept', 'PRO'), REMOTE_ADDR => '127.0.0.1', left => 'PROthe rest');
is_seen('accept: who may not speak for others is a client like any other', seen('accept', "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n", from => '127.0.0.2'),
        REMOTE_ADDR => '127.0.0.2', left => "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\nthe rest");
is($t->ask('accept', "PROXY TCP9 x\r\n"), '', 'accept: a broken header is refused');
is($t->ask('speaks', ''), "ready\n", 'accept: a client who says nothing and leaves is served');

is($t->ask('only', "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nx\n"), "x\n", 'only_from looks at the client');
is($t->ask('only', "PROXY TCP4 192.0.3.7 198.51.100.1 4711 443\r\nx\n"), '', 'and refuses another one through the same proxy');
my $refused = $t->wait_message('connection refused', service => 'only');
is($refused->{peer}, '192.0.3.7:4711', 'the refusal names the client');
like($refused->{proxy}, qr/^127\.0\.0\.1:/, 'and his proxy');

my $first = $t->connect('source');
syswrite $first, "PROXY TCP4 192.0.2.7 198.51.100.1 1 443\r\nx\n";
is(BrokerTest::read_line($first), "x\n", 'per_source: the first of a client');
is($t->ask('source', "PROXY TCP4 192.0.2.7 198.51.100.1 2 443\r\nx\n"), '', 'his second is refused');
is($t->ask('source', "PROXY TCP4 192.0.2.8 198.51.100.1 3 443\r\nx\n"), "x\n", "another client's is not");
close $first;

$first = $t->connect('prefix');
syswrite $first, "PROXY TCP6 2001:db8:0:100::1 2001:db8::2 1 2\r\nx\n";
is(BrokerTest::read_line($first), "x\n", 'source_prefix: the first of an IPv6 network');
is($t->ask('prefix', "PROXY TCP6 2001:db8:0:1ff::9 2001:db8::2 1 2\r\nx\n"), '', 'its second, from another end of it, is refused');
is($t->ask('prefix', "PROXY TCP6 2001:db8:0:200::1 2001:db8::2 1 2\r\nx\n"), "x\n", 'the next network has its own');
close $first;

# Those who keep their header to themselves have their place like the others, and lose it in time.
my $start = time;
my @silent = map { $t->connect('few') } 1, 2;
syswrite $silent[1], 'PROXY TCP4';
my $third = $t->connect('few');
my $slow = $t->connect('speaks');
syswrite $third, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nx\n";
is(BrokerTest::read_line($third), "x\n", 'who waited is served when the silent ones are gone');
cmp_ok(time - $start, '>', 4, 'which takes five seconds');
is(BrokerTest::read_all($_), '', 'a silent one is closed') for @silent;
close $third;
is(BrokerTest::read_line($slow), "ready\n", 'accept: after five seconds of silence a client is served without a header');

# A reload while headers are awaited.
my $c = $t->connect('require');
syswrite $c, 'PROXY TCP4 192.0.2.7 ';
$t->write_conf(<<'Y');
require: {listen: 127.0.0.1:0, wait: no, command: ["%PROBE%", --out=stdout, --echo], proxy_protocol: require, proxy_protocol_from: 127.0.0.1, umask: "027"}
Y
ok($t->reload, 'a reload while a header is half there');
syswrite $c, "198.51.100.1 4711 443\r\nthe rest";
shutdown $c, SHUT_WR;
my $answer = BrokerTest::read_all($c);
like($answer, qr/"REMOTE_ADDR":"192\.0\.2\.7"/, 'loses nothing');
my $wait = $t->connect('require');
my $until = time + $BrokerTest::TIMEOUT;
my $taken = 0;
is($t->statistics('require')->{listen}, '127.0.0.1:' . $t->port('require', 1), 'statistics say where a service listens');
$taken = $t->statistics('require')->{connections} until $taken == 1 || time > $until;
is($taken, 1, 'who waits for a header has a place');
$t->stop;
done_testing;
