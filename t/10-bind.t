#!/usr/bin/perl
# Addresses in all their forms, and what a definition can say about a socket, as the program sees it.
use strict;
use warnings;
use BrokerTest;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY IPPROTO_IP IPPROTO_IPV6);
use Test::More;

my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1, Family => Socket::AF_INET6());
my $root = $> == 0;

# A program that reports options of its fd 3: level/name pairs in its arguments, or "pipe" for how much a pipe holds.
my $reader = <<'P';
use Socket;
open my $s, "+<&=", $ENV{FD} // 3 or die;
sub option { my $v = getsockopt $s, $_[0], $_[1]; return defined $v ? (length $v == 4 ? unpack("i", $v) : $v =~ s/\0.*//sr) : "none" }
print {*STDERR} join(" ", map { $_ eq "pipe" ? fcntl($s, 1032, 0) : option(split m{/}) } @ARGV), "\n";
select undef, undef, undef, undef; # a server stays until it is told to end
P

my $t = BrokerTest->new(later => 1);
$t->write_file('options.pl', $reader);
mkdir $t->dir . '/old';
# A stale path: somebody listened here and died.
{ my $stale = IO::Socket::UNIX->new(Local => $t->dir . '/old/stale.sock', Listen => 1) or die $! }
ok(-S $t->dir . '/old/stale.sock', 'a stale socket lies about');
$t->write_conf(<<'Y' . ($ipv6 ? "v6: {listen: \"[::1]:0\", wait: no, command: [cat]}\n" : ''));
all: {listen: 0, wait: no, command: [cat]}
v4: {listen: "127.0.0.1:0", wait: no, command: [cat]}
tcp: {listen: "tcp:127.0.0.1:0", wait: no, command: [cat]}
name: {listen: "localhost:0", wait: no, command: [cat]}
several: {listen: [127.0.0.1:0, {address: 127.0.0.2:0}, "%DIR%/several.sock"], wait: no, command: [cat]}
udp: {listen: "udp:127.0.0.1:0", wait: yes, command: [%PROBE%, --serve]}
path: {listen: {address: %DIR%/deep/er/path.sock, socket_mode: "0640", directory_mode: "0711"}, wait: no, command: [cat]}
stale: {listen: %DIR%/old/stale.sock, wait: no, command: [cat]}
abstract: {listen: "@bind-%DIR%", wait: no, command: [cat]}
gram: {listen: "unixgram:%DIR%/gram.sock", wait: yes, command: [%PROBE%, --serve]}
seq: {listen: "seqpacket:%DIR%/seq.sock", wait: no, command: [cat]}
fifo: {listen: {address: "fifo:%DIR%/fifo", socket_mode: "0620", pipe_size: 4096}, wait: yes, command: [%PROBE%, --hang]}
linked: {listen: {address: %DIR%/linked.sock, symlinks: [%DIR%/link1, %DIR%/sub/link2]}, wait: no, command: [cat]}
kept: {listen: {address: %DIR%/kept.sock, remove_on_stop: no}, wait: no, command: [cat]}
options:
  listen: {address: 127.0.0.1:0, backlog: 7, keep_alive: {time: 33, interval: 11, probes: 5}, no_delay: yes, defer_accept: 3, fast_open: 9, receive_buffer: 64K, send_buffer: 96K, ip_tos: 16, ip_ttl: 42, reuse_port: yes, free_bind: yes, tcp_congestion: reno}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 1/9, 6/4, 6/5, 6/6, 6/1, 6/9, 6/23, 1/8, 1/7, 0/1, 0/2, 1/15, 0/15, 6/13]
dgram:
  listen: {address: "udp:127.0.0.1:0", pass_packet_info: yes, timestamping: ns}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 0/8, 1/35]
micro:
  listen: {address: "udp:127.0.0.1:0", timestamping: us}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 1/29, 1/35]
pipe:
  listen: {address: "fifo:%DIR%/sized-fifo", pipe_size: 8192}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, pipe]
device:
  listen: {address: "127.0.0.1:0", bind_to_device: lo, priority: 5}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 1/25, 1/12]
unix:
  listen: {address: "unixgram:%DIR%/opt.sock", pass_credentials: yes, pass_security: yes}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 1/16, 1/34]
Y
my $saved = umask 0;
$t->start;
umask $saved;

for my $name (qw(all v4 tcp name path stale abstract), $ipv6 ? 'v6' : ()) {
        my $c = $t->connect($name);
        syswrite $c, "x\n";
        is(BrokerTest::read_line($c), "x\n", "$name: " . $t->address($name));
}
like($t->address('all'), $ipv6 ? qr/^\[::\]:/ : qr/^0\.0\.0\.0:/, 'a port alone: all addresses');
if ($ipv6) {
        my $c = IO::Socket::IP->new(PeerHost => '::1', PeerPort => $t->port('all'));
        syswrite $c, "x\n";
        is(BrokerTest::read_line($c), "x\n", 'all: by IPv6 too');
} else {
        pass('there is no IPv6 here');
}
for my $i (0 .. 2) {
        my $c = $t->connect('several', index => $i);
        syswrite $c, "x\n";
        is(BrokerTest::read_line($c), "x\n", 'several: ' . $t->address('several', $i));
}
for my $name (qw(udp gram)) {
        my $path = $t->dir . "/client-$name";
        my $c = $name eq 'udp' ? $t->connect('udp') : IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path, Peer => $t->dir . '/gram.sock');
        syswrite $c, "x\n";
        sysread $c, my $answer, 4096;
        like($answer, qr/^pid=\d+ fd=3 line=x$/, "$name: answered");
}
{
        my $c = $t->connect('seq');
        syswrite $c, "packet";
        sysread $c, my $answer, 4096;
        is($answer, 'packet', 'seq: answered');
}

sub mode {
        return sprintf '%04o', (stat "$_[0]{dir}/$_[1]")[2] & 07777;
}
is(mode($t, 'deep/er/path.sock'), '0640', 'socket_mode');
is(mode($t, 'deep/er'), '0711', 'directory_mode');
is(mode($t, 'old/stale.sock'), '0666', 'the default of socket_mode');
is(mode($t, 'fifo'), '0620', 'a FIFO has its mode too');
is(readlink($t->dir . '/link1'), $t->dir . '/linked.sock', 'symlinks');
is(readlink($t->dir . '/sub/link2'), $t->dir . '/linked.sock', 'with their directories');

my $line = $t->wait_message(qr/^1 /, service => 'options')->{message};
my @v = split ' ', $line;
is($v[0], 1, 'keep_alive');
is(join(' ', @v[1 .. 3]), '33 11 5', 'keep_alive: time, interval, probes');
is($v[4], 1, 'no_delay');
cmp_ok($v[5], '>=', 3, 'defer_accept');
is($v[6], 9, 'fast_open');
is($v[7], 2 * 64 * 1024, 'receive_buffer (the kernel doubles it)');
is($v[8], 2 * 96 * 1024, 'send_buffer');
is($v[9], 16, 'ip_tos');
is($v[10], 42, 'ip_ttl');
is($v[11], 1, 'reuse_port');
is($v[12], 1, 'free_bind');
is($v[13], 'reno', 'tcp_congestion');
if (open my $ss, '-|', 'ss', '-Hltn', 'sport', '=', ':' . $t->port('options')) {
        is((split ' ', <$ss> // '')[2], 7, 'backlog');
} else {
        SKIP: { skip 'ss is not installed', 1 }
}
is($t->wait_message(qr/^\d+ \d+$/, service => 'dgram', -from => 0)->{message}, '1 1', 'pass_packet_info, timestamping');
is($t->wait_message(qr/^\d+ \d+$/, service => 'unix', -from => 0)->{message}, '1 1', 'pass_credentials, pass_security');

is($t->wait_message(qr/^\d+ \d+$/, service => 'micro', -from => 0)->{message}, '1 0', 'timestamping: us');
is($t->wait_message(qr/^\d+$/, service => 'pipe', -from => 0)->{message}, 8192, 'pipe_size');
is($t->wait_message(qr/^\S+ \d+$/, service => 'device', -from => 0)->{message}, 'lo 5', 'bind_to_device, priority');

# In use: by ourselves, by a file that is no socket, by another program.
for my $case (['kept.sock', qr/another program listens on it/], ['options.pl', qr/exists and is not a socket/]) {
        my $path = $t->dir . "/$case->[0]";
        my $other = BrokerTest->new(later => 1);
        $other->write_conf("a: {listen: $path, wait: no, command: [cat]}\n");
        $other->start(ready => 0);
        is($other->wait_exit >> 8, 1, "$case->[0]: a path in use is a failure");
        like($other->log_text, $case->[1], 'which says why');
        $other->stop(ended => 1, status => 1);
}
ok($t->connect('kept'), 'the owner still has it');

my @paths = map { $t->dir . "/$_" } qw(deep/er/path.sock old/stale.sock gram.sock seq.sock fifo linked.sock link1 sub/link2 several.sock);
$t->signal('TERM');
$t->wait_exit;
ok(!-e $_ && !-l $_, "removed on stop: $_") for @paths;
ok(-S $t->dir . '/kept.sock', 'remove_on_stop: no');
$t->stop(ended => 1);

SKIP: {
        skip 'only root can give sockets away', 3 unless $root;
        my $o = BrokerTest->new(services => <<'Y');
owned: {listen: {address: %DIR%/owned.sock, socket_user: nobody, socket_group: daemon, socket_mode: "0600"}, wait: no, command: [cat]}
Y
        my @stat = stat $o->dir . '/owned.sock';
        is($stat[4], (getpwnam 'nobody')[2], 'socket_user');
        is($stat[5], (getgrnam 'daemon')[2], 'socket_group');
        is($stat[2] & 07777, 0600, 'and the mode with them');
        $o->stop;
}
SKIP: {
        skip 'mark and transparent take CAP_NET_ADMIN', 2 unless $root;
        my $m = BrokerTest->new(later => 1);
        $m->write_file('options.pl', $reader);
        $m->write_conf(<<'Y');
tcp:
  listen: {address: 127.0.0.1:0, mark: 42, priority: 7, transparent: yes}
  wait: yes
  start: boot
  command: [perl, %DIR%/options.pl, 1/36, 1/12, 0/19]
Y
        $m->start;
        is($m->wait_message(qr/^\d+ \d+ \d+$/, service => 'tcp', -from => 0)->{message}, '42 7 1', 'mark, priority, transparent');
        $m->stop;
}
SKIP: {
        skip 'there is no IPv6 here', 4 unless $ipv6;
        my $v = BrokerTest->new(later => 1);
        $v->write_file('options.pl', $reader);
        my $transparent = $root ? 'yes' : 'no';
        $v->write_conf(<<"Y");
only: {listen: {address: 0, ipv6_only: yes}, wait: yes, start: boot, command: [perl, %DIR%/options.pl, 41/26]}
both: {listen: {address: "[::]:0", ipv6_only: no}, wait: yes, start: boot, command: [perl, %DIR%/options.pl, 41/26]}
ip: {listen: {address: "[::1]:0", ip_tos: 16, ip_ttl: 43, free_bind: yes, transparent: $transparent}, wait: yes, start: boot, command: [perl, %DIR%/options.pl, 41/67, 41/16, 41/78, 41/75]}
udp: {listen: {address: "udp:[::1]:0", pass_packet_info: yes}, wait: yes, start: boot, command: [perl, %DIR%/options.pl, 41/49]}
Y
        $v->start;
        is($v->wait_message(qr/^\d+$/, service => 'only', -from => 0)->{message}, 1, 'ipv6_only: yes');
        is($v->wait_message(qr/^\d+$/, service => 'both', -from => 0)->{message}, 0, 'ipv6_only: no');
        is($v->wait_message(qr/^\d+ /, service => 'ip', -from => 0)->{message}, '16 43 1 ' . ($root ? 1 : 0),
                'ip_tos, ip_ttl, free_bind, transparent by IPv6');
        is($v->wait_message(qr/^\d+$/, service => 'udp', -from => 0)->{message}, 1, 'pass_packet_info by IPv6');
        my $c = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $v->port('only'));
        ok(!$c, 'ipv6_only: nobody comes by IPv4');
        $v->stop;
}

# What the kernel refuses, and what it takes.
sub refused {
        my ($options, $pattern, %arg) = @_;
        my $p = BrokerTest->new(later => 1);

        $p->write_conf("a: {listen: {address: 127.0.0.1:0, $options}, wait: no, command: [cat]}\n");
        $p->start(ready => 0, %arg);
        is($p->wait_exit >> 8, 1, "$options: an option the kernel refuses is a failure");
        like($p->log_text, $pattern, "$options: which says why");
        $p->stop(ended => 1, status => 1);
        return;
}
refused('bind_to_device: nosuchif0', qr/cannot set bind_to_device: No such device/);
refused('tcp_congestion: nosuch', qr/cannot set tcp_congestion: No such file or directory/);
SKIP: {
        skip 'needs root, to lose its capabilities', 12 unless $root && system('setpriv --version >/dev/null 2>&1') == 0;
        my @wrap = (wrap => ['setpriv', '--bounding-set=-all', '--inh-caps=-all']);
        for my $option ('transparent: yes', 'mark: 42', 'priority: 7') {
                my $name = $option =~ s/:.*//r;
                refused($option, qr/cannot set $name: Operation not permitted \(it takes CAP_NET_ADMIN\)/, @wrap);
        }
}
done_testing;
