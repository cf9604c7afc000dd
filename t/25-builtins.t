#!/usr/bin/perl
# builtin: what the broker answers itself, over connections and by datagrams: the answers, slow clients, half-open ones,
# floods, loops, whom no datagram is answered, limits, orders, reloads, shortages, and the end.
use strict;
use warnings;
use BrokerTest;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::IP;
use Socket qw(:DEFAULT SO_BROADCAST SO_LINGER SO_RCVBUF SO_SNDBUF SHUT_WR SHUT_RD MSG_DONTWAIT MSG_OOB inet_aton pack_sockaddr_in unpack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time);
use UpgradeTest;

my $TIMEOUT = $BrokerTest::TIMEOUT;

sub bytes { my ($n) = @_; return join '', map { chr(($_ * 7) % 256) } 1 .. $n }

# Sends TEXT, ends that direction, and returns everything that comes.
sub say_all {
        my ($socket, $text) = @_;

        syswrite $socket, $text if length $text;
        shutdown $socket, SHUT_WR;
        return BrokerTest::read_all($socket);
}

# A datagram socket of our own at a client's port: not below 1024, and none of the broker's.
sub peer {
        my ($t, $service, $index, %arg) = @_;

        return BrokerTest::connect_to($t->address($service, $index), %arg);
}

# The answer to a datagram; undef where there is none before the answer to the next one, which the echo gives.
sub answer {
        my ($socket, $text) = @_;

        send $socket, $text, 0;
        IO::Select->new($socket)->can_read($TIMEOUT) or return;
        recv $socket, my $got, 65536, 0;
        return $got;
}

sub counter {
        my ($t, $service, $name) = @_;

        return $t->statistics($service)->{$name};
}

# Asks until the counter has that value, which it gets when the loop comes round.
sub wait_counter {
        my ($t, $service, $name, $value) = @_;
        my $until = time + $TIMEOUT;
        my $is;

        while (time < $until) {
                $is = counter($t, $service, $name);
                return $is if $is >= $value;
        }
        return $is;
}

# Senders that are not on this machine, as far as anybody can tell: in a network of our own.
sub public {
        my $t = BrokerTest->new(services => <<'Y');
echo: {listen: "udp:0.0.0.0:0", builtin: echo, udp_public: yes}
daytime: {listen: ["udp:0.0.0.0:0", 0.0.0.0:0], builtin: daytime, udp_public: yes}
chargen: {listen: "udp:192.0.2.1:0", builtin: chargen, udp_public: yes}
near: {listen: "udp:127.0.0.1:0", builtin: echo}
sink: {listen: "udp:192.0.2.1:0", builtin: discard}
Y
        my $to = sub {
                my ($service, $index, %arg) = @_;
                my $port = $t->port($service, $index);

                return IO::Socket::IP->new(PeerHost => '192.0.2.1', LocalHost => '192.0.2.1', PeerPort => $port, Type => SOCK_DGRAM, Proto => 'udp', %arg) // die "udp: $@";
        };
        # A question that is not answered is followed by one that is: nothing else has come before its answer.
        is(answer($to->('echo'), 'far'), 'far', 'udp_public: whoever sends a datagram is answered');
        my $day = $to->('daytime');
        send $day, '', 0;
        send $day, 'x' x 25, 0;
        like(answer($day, 'x' x 26), qr/^\w{3} \w{3} .*\r\n\z/, 'an answer that is not larger than the question');
        ok(!IO::Select->new($day)->can_read(0), 'and no others');
        my $gen = $to->('chargen');
        cmp_ok(length answer($gen, 'x' x 40), '<=', 40, 'characters are cut') for 1 .. 20;
        my $tcp = IO::Socket::IP->new(PeerHost => '192.0.2.1', LocalHost => '192.0.2.1', PeerPort => $t->port('daytime', 1)) // die "tcp: $@";
        BrokerTest::read_all($tcp);
        close $tcp;
        like(answer($day, ''), qr/^\w{3} \w{3} .*\r\n\z/, 'whose connection proves who he is gets more');
        my $near = $to->('near', 0, PeerHost => '127.0.0.1');
        send $near, 'x', 0;
        is($t->wait_message('datagram refused', service => 'near', -from => 0)->{limit}, 'udp_public', 'without udp_public it is refused');
        send $to->('sink'), 'x', 0;
        is(wait_counter($t, 'sink', 'datagrams', 1), 1, 'what answers nobody takes it all the same');
        $t->stop;
        done_testing;
        exit;
}

public() if (shift // '') eq 'public';
SKIP: {
        my $dir = tempdir(CLEANUP => 1);
        my $network = 'ip link set lo up && ip addr add 192.0.2.1/24 dev lo';

        skip 'no network of our own can be made here', 1 if system("unshare -n sh -c '$network' >$dir/out 2>&1");
        my $status = system "unshare -n sh -c '$network; exec \"\$0\" \"\$\@\"' $^X -It/lib $0 public >$dir/out 2>&1";
        is($status, 0, 'datagrams from elsewhere') or do {
                open my $fh, '<', "$dir/out";
                diag(<$fh>);
        };
}

# Answers.
{
        my $t = BrokerTest->new(head => "broker: {metrics: \"%DIR%/metrics\", log: {format: json, level: debug}}\n", services => <<'Y');
echo: {listen: [127.0.0.1:0, "udp:127.0.0.1:0", "%DIR%/echo", "unixgram:%DIR%/echo.dgram"], builtin: echo}
discard: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: discard}
daytime: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: daytime}
time: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: time}
chargen: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: chargen}
status: {listen: [127.0.0.1:0, "%DIR%/status"], builtin: status}
broken: {listen: 127.0.0.1:0, wait: no, command: /nowhere/at/all}
Y
        my $much = bytes(50_000);

        is(say_all($t->connect('echo'), $much), $much, 'echo');
        is(say_all($t->connect('echo', index => 2), $much), $much, 'over AF_UNIX');
        my $urgent = $t->connect('echo');
        syswrite $urgent, $much;
        send $urgent, '!', MSG_OOB;
        is(say_all($urgent, ''), $much, 'an urgent byte at the end does not break it off');
        is(say_all($t->connect('echo'), ''), '', 'of nothing');
        my $u = peer($t, 'echo', 1);
        is(answer($u, $_), $_, 'echo of a datagram of ' . length($_)) for 'a', '', bytes(9000), bytes(65_507);
        my $name = $t->dir . '/client';
        socket my $unix, AF_UNIX, SOCK_DGRAM, 0 or die;
        bind $unix, pack_sockaddr_un($name) or die;
        CORE::connect $unix, pack_sockaddr_un($t->dir . '/echo.dgram') or die;
        is(answer($unix, 'hello'), 'hello', 'and of one of AF_UNIX');
        socket my $nobody, AF_UNIX, SOCK_DGRAM, 0 or die;
        CORE::connect $nobody, pack_sockaddr_un($t->dir . '/echo.dgram') or die;
        ok(send($nobody, 'x', 0), 'one whose sender has no name') for 1 .. 3;
        is(answer($unix, 'again'), 'again', 'disturbs nobody');

        is(say_all($t->connect('discard'), $much), '', 'discard');
        send peer($t, 'discard', 1), 'x', 0 for 1 .. 5;
        is(wait_counter($t, 'discard', 'datagrams', 5), 5, 'takes datagrams and answers none');

        my $day = qr/^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\r\n\z/;
        like(BrokerTest::read_all($t->connect('daytime')), $day, 'daytime');
        like(say_all($t->connect('daytime'), $much), $day, 'also to who has much to say');
        like(answer(peer($t, 'daytime', 1), ''), $day, 'and to an empty datagram');
        my $now = time;
        for ([tcp => BrokerTest::read_all($t->connect('time'))], [udp => answer(peer($t, 'time', 1), '')]) {
                is(length $_->[1], 4, "time over $_->[0]");
                cmp_ok(abs(unpack('N', $_->[1]) - 2_208_988_800 - $now), '<', 60, 'is now');
        }
        my $c = $t->connect('chargen');
        my $lines = '';
        sysread($c, $lines, 20_000, length $lines) while length $lines < 20_000;
        my @lines = split /\r\n/, $lines;
        is($lines[$_], join('', map { chr 32 + $_ % 95 } $_ .. $_ + 71), "line $_ of chargen") for 0, 1, 94, 95, 200;
        close $c;
        my %sizes = map { length(answer(peer($t, 'chargen', 1), 'x')) => 1 } 1 .. 20;
        ok(!(grep { $_ > 512 } keys %sizes) && keys %sizes > 1, 'a datagram has up to 512 characters');

        is(BrokerTest::read_all($t->connect('status')), "ok\n", 'status');
        $t->connect('broken');
        $t->wait_message(qr/cannot start/, service => 'broken', -from => 0);
        like(BrokerTest::read_all($t->connect('status', index => 1)), qr/^failed: broken: its program cannot be started: .*\n\z/, 'and what is wrong');

        my $end = $t->wait_message('connection ended', service => 'echo', from_client => 50_000, -from => 0);
        is($end->{from_target}, 50_000, 'the end of a connection is in the log');
        is($t->statistics('echo')->{processes}, 0, 'there are no processes');
        my $http = BrokerTest::connect_to($t->dir . '/metrics');
        syswrite $http, "GET /metrics HTTP/1.0\r\n\r\n";
        my $metrics = BrokerTest::read_all($http);
        like($metrics, qr/^sockbroker_datagrams_total\{service="discard"\} 5$/m, 'datagrams are in the metrics');
        like($metrics, qr/^sockbroker_connections_ended_total\{service="echo",outcome="ok"\} 4$/m, 'and ends of connections');
        my ($status, $out) = $t->verb('status', 'discard', '--json');
        like($out, qr/"datagrams": 5,/, 'and in the status for programs');
        ($status, $out) = $t->verb('status', 'echo');
        like($out, qr/^\s*Datagrams:? +\d+ taken$/m, 'datagrams are in the status');
        $t->stop;
}

# Clients that do not read, or go away in every manner; and others beside them.
{
        my $t = BrokerTest->new(services => <<'Y');
echo: {listen: 127.0.0.1:0, builtin: echo, instances: unlimited}
chargen: {listen: 127.0.0.1:0, builtin: chargen, instances: 3, when_full: refuse}
impatient: {listen: 127.0.0.1:0, builtin: echo, connection_timeout: 300ms}
limited: {listen: 127.0.0.1:0, builtin: discard, instances: 2, per_source: 1, when_full: refuse, banner_fail: "no\n"}
Y
        my $before = keys %{ $t->fds };
        my @stuck = map { $t->connect('chargen') } 1 .. 2;
        my $mute = $t->connect('echo');
        my $sent = 0;
        # As much as fits on the whole way; then nothing more is taken.
        while (IO::Select->new($mute)->can_write(0.3)) {
                my $n = send $mute, 'x' x 65_536, MSG_DONTWAIT;
                last unless $n;
                $sent += $n;
        }
        cmp_ok($sent, '>', 65_536, 'a client that never reads can send until the buffers are full');
        is(say_all($t->connect('echo'), 'beside'), 'beside', 'others are served beside it');
        my $ticks = $t->cpu_ticks;
        BrokerTest::read_all($t->connect('impatient')) for 1 .. 3;
        cmp_ok($t->cpu_ticks - $ticks, '<', 25, 'and the broker does not spin');
        shutdown $mute, SHUT_WR;
        my $got = 0;
        while (my $n = sysread $mute, my $data, 1 << 20) { $got += $n }
        is($got, $sent, 'when it reads at last it gets all of it, and the end');

        close $_ for @stuck;
        $t->wait_message('connection ended', service => 'chargen') for 1 .. 2;
        my $half = $t->connect('chargen');
        shutdown $half, SHUT_WR;
        my $n = 0;
        $n += sysread $half, my $data, 65_536 while $n < 1_000_000;
        cmp_ok($n, '>=', 1_000_000, 'who has ended his own direction still gets characters');
        close $half;

        for my $how ('close', 'reset', 'garbage', 'half') {
                for (1 .. 25) {
                        my $c = $t->connect($_ % 2 ? 'echo' : 'limited');
                        syswrite $c, bytes(1 + $_ * 37) if $how ne 'close';
                        setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $how eq 'reset';
                        shutdown $c, SHUT_RD if $how eq 'half';
                        close $c;
                }
        }
        is(say_all($t->connect('echo'), 'still'), 'still', 'after clients that went away in every manner');

        my $from = @{ $t->{log} };
        my $idle = $t->connect('impatient');
        is(BrokerTest::read_all($idle), '', 'connection_timeout ends a connection on which nothing moves');
        ok($t->wait_message('connection ended', service => 'impatient', reason => 'connection_timeout', -from => $from), 'and says so');
        my $busy = $t->connect('impatient');
        # While others come to their ends.
        for (1 .. 3) {
                my $watch = IO::Select->new(my $other = $t->connect('impatient'));
                do {
                        syswrite $busy, 'x';
                        sysread $busy, my $x, 1;
                } until $watch->can_read(0.02);
        }
        is(say_all($busy, 'moves'), 'moves', 'but not one on which something does');

        $t->wait_message('connection ended', service => 'limited', -from => 0);
        1 while counter($t, 'limited', 'connections') > 0;
        my $in = $t->connect('limited');
        is(BrokerTest::read_all($t->connect('limited')), "no\n", 'per_source and banner_fail are for built-ins too');
        close $in;
        1 while counter($t, 'echo', 'connections') > 0 || counter($t, 'limited', 'connections') > 0 || counter($t, 'chargen', 'connections') > 0;
        cmp_ok(scalar(keys %{ $t->fds }), '<=', $before, 'no descriptor is left');
        $t->stop;
}

# Who has its whole answer has no place any more, whether it closes or not.
{
        my $t = BrokerTest->new(services => <<'Y');
status: {listen: [127.0.0.1:0, "%DIR%/status"], builtin: status, instances: 2}
daytime: {listen: 127.0.0.1:0, builtin: daytime, per_source: 1, when_full: refuse, banner_fail: "full\n"}
time: {listen: 127.0.0.1:0, builtin: time, instances: 1}
mux: {listen: 127.0.0.1:0, builtin: tcpmux, instances: 1}
Y
        my @stay;
        my $ask = sub {
                my ($service, %arg) = @_;

                push @stay, my $c = $t->connect($service, %arg);
                syswrite $c, $arg{text} if defined $arg{text};
                return BrokerTest::read_all($c);
        };
        # The loop has come round a few times when it has answered that often.
        my $is_free = sub {
                my ($service) = @_;
                my @counts = map { counter($t, $service, 'connections') } 1 .. 10;

                is($counts[-1], 0, "and has no place at $service");
        };

        for (1 .. 4) {
                is($ask->('status', index => $_ % 2), "ok\n", 'a client of status gets its answer, and stays');
                $is_free->('status');
        }
        for (1 .. 2) {
                is(length $ask->('time'), 4, 'of time');
                $is_free->('time');
                like($ask->('daytime'), qr/^\w{3} /, 'of daytime, each from the same address');
                $is_free->('daytime');
                like($ask->('mux', text => "none\n" . 'x' x 1000), qr/^-/, 'of tcpmux, with more than was asked for');
                $is_free->('mux');
        }
        $t->stop;
}

# Datagrams: floods, loops, and who is not answered.
{
        my $t = BrokerTest->new(services => <<'Y');
echo: {listen: ["udp:127.0.0.1:0", 127.0.0.1:0], builtin: echo, instances: 1}
chargen: {listen: "udp:127.0.0.1:0", builtin: chargen}
picky: {listen: "udp:127.0.0.1:0", builtin: echo, no_access: 127.0.0.2}
slow: {listen: "udp:127.0.0.1:0", builtin: echo, cps: 3/1h, when_full: refuse}
patient: {listen: "udp:127.0.0.1:0", builtin: echo, cps: 2/1s, cps_pause: 1s}
all: {listen: "udp:0.0.0.0:0", builtin: echo, udp_public: yes}
Y
        # As if the other one had asked, of another machine.
        my ($port) = $t->address('chargen') =~ /:(\d+)$/;
        my $forged = IO::Socket::IP->new(LocalHost => '127.0.0.2', LocalPort => $port, Type => SOCK_DGRAM, Proto => 'udp') // die "bind: $@";
        my ($echo) = $t->address('echo') =~ /:(\d+)$/;
        send $forged, 'loop', 0, pack_sockaddr_in($echo, inet_aton('127.0.0.1'));
        is($t->wait_message('datagram refused', service => 'echo', -from => 0)->{limit}, 'source_port', 'a port where the broker listens is not answered');
        SKIP: {
                skip 'only root can have a port below 1024', 1 if $> != 0;
                my $low;
                for my $try (600 .. 700) {
                        $low = IO::Socket::IP->new(LocalHost => '127.0.0.3', LocalPort => $try, Type => SOCK_DGRAM, Proto => 'udp') and last;
                }
                skip 'no port below 1024 is free', 1 unless $low;
                send $low, 'x', 0, pack_sockaddr_in($echo, inet_aton('127.0.0.1'));
                is(wait_counter($t, 'echo', 'refused_source_port', 2), 2, 'nor is one below 1024');
        }
        ok(!IO::Select->new($forged)->can_read(0), 'nothing has come back');

        my $u = peer($t, 'picky', 0);
        is(answer($u, 'in'), 'in', 'a datagram from an address that may');
        my ($picky) = $t->address('picky') =~ /:(\d+)$/;
        my $other = IO::Socket::IP->new(LocalHost => '127.0.0.2', LocalPort => 0, Type => SOCK_DGRAM, Proto => 'udp');
        send $other, 'out', 0, pack_sockaddr_in($picky, inet_aton('127.0.0.1'));
        is($t->wait_message('datagram refused', service => 'picky', -from => 0)->{limit}, 'only_from', 'and from one that may not');

        $u = peer($t, 'slow', 0);
        is(answer($u, $_), $_, "cps: the datagram $_") for 1 .. 3;
        send $u, 'four', 0;
        is($t->wait_message('datagram refused', service => 'slow', -from => 0)->{limit}, 'cps', 'and the next one is refused');
        $u = peer($t, 'patient', 0);
        send $u, "$_", 0 for 1 .. 5;
        my @came = map { IO::Select->new($u)->can_read($TIMEOUT) ? do { recv $u, my $x, 99, 0; $x } : () } 1 .. 5;
        is("@came", '1 2 3 4 5', 'with when_full: wait they come later');

        # From another address than the one the kernel would choose.
        my ($all) = $t->address('all') =~ /:(\d+)$/;
        my $far = IO::Socket::IP->new(PeerHost => '127.0.0.77', PeerPort => $all, Type => SOCK_DGRAM, Proto => 'udp') // die "udp: $@";
        is(answer($far, 'where'), 'where', 'an answer comes from the address that was asked');

        # One question to a whole network is not to have an answer from each machine in it.
        my $before = counter($t, 'all', 'datagrams');
        my $all_of_them = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Type => SOCK_DGRAM, Proto => 'udp') // die "udp: $@";
        setsockopt $all_of_them, SOL_SOCKET, SO_BROADCAST, 1;
        ok(send($all_of_them, 'everybody', 0, pack_sockaddr_in($all, inet_aton('127.255.255.255'))), 'a datagram to a broadcast address');
        is(wait_counter($t, 'all', 'datagrams', $before + 1), $before + 1, 'is taken');
        send $all_of_them, 'you', 0, pack_sockaddr_in($all, inet_aton('127.0.0.1'));
        ok(IO::Select->new($all_of_them)->can_read($TIMEOUT), 'the next one');
        recv $all_of_them, my $single, 99, 0;
        is($single, 'you', 'is the only one that is answered');

        my $holder = $t->connect('echo', index => 1);
        syswrite $holder, "in\n";
        is(BrokerTest::read_line($holder), "in\n", 'a client');
        is($t->statistics('echo')->{state}, 'full', 'a service that has all its instances');
        is(answer(peer($t, 'echo', 0), 'full'), 'full', 'still answers datagrams');
        close $holder;

        my $flood = fork // die;
        if (!$flood) {
                my $out = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $echo, Type => SOCK_DGRAM, Proto => 'udp');
                send $out, 'flood' x 10, MSG_DONTWAIT while 1;
        }
        wait_counter($t, 'echo', 'datagrams', 2000);
        is(say_all($t->connect('echo', index => 1), "c$_"), "c$_", "during a flood of datagrams, connection $_") for 1 .. 10;
        is(answer(peer($t, 'picky', 0), 'p'), 'p', 'and datagrams of others');
        kill 'KILL', $flood;
        waitpid $flood, 0;
        $t->stop;
}

# Orders, reloads, idle_exit and the end.
{
        my $conf = <<'Y';
echo: {listen: [127.0.0.1:%P%, "udp:127.0.0.1:0"], builtin: %B%, stop_grace_period: 200ms}
chargen: {listen: 127.0.0.1:0, builtin: chargen, stop_grace_period: 200ms}
Y
        my $text = sub { my ($p, $b) = @_; return $conf =~ s/%P%/$p/r =~ s/%B%/$b/r };
        my $t = BrokerTest->new(services => $text->(0, 'echo'));
        my $c = $t->connect('echo');

        is((($t->verb('replace', 'echo'))[2] // '') =~ s/.*: //sr, "a built-in has no server, the broker answers itself\n", 'replace is refused');
        syswrite $c, "a\n";
        is(BrokerTest::read_line($c), "a\n", 'a client is in');
        is(($t->verb('restart', 'echo'))[0], 0, 'restart');
        is(BrokerTest::read_all($c), '', 'ends who is in');
        $c = $t->connect('echo');
        is(($t->verb('kill', 'echo'))[0], 0, 'kill');
        is(BrokerTest::read_all($c), '', 'too');
        is(say_all($t->connect('echo'), 'b'), 'b', 'the next one is served');
        $c = $t->connect('echo');
        syswrite $c, "x\n";
        is(BrokerTest::read_line($c), "x\n", 'one more');
        is(($t->verb('stop', 'echo'))[0], 0, 'stop');
        is(BrokerTest::read_all($c), '', 'ends who is in');
        is(($t->verb('start', 'echo'))[0], 0, 'start');
        my ($port) = (grep { ($_->{message} // '') eq 'listening' && $_->{address} =~ /^127/ && $_->{service} eq 'echo' } @{ $t->{log} })[-1]{address} =~ /:(\d+)$/;
        1 while $t->read_log(0);
        $port = (map { $_->{address} =~ /:(\d+)$/ } grep { ($_->{message} // '') eq 'listening' && $_->{address} =~ /^127/ && $_->{service} eq 'echo' } @{ $t->{log} })[-1];
        my $to = sub { return BrokerTest::connect_to("127.0.0.1:$port") };
        is(say_all($to->(), 'c'), 'c', 'opens it again');

        my $old = $to->();
        syswrite $old, "o\n";
        is(BrokerTest::read_line($old), "o\n", 'a client of the old definition');
        $t->write_conf($text->($port, 'discard'));
        ok($t->reload, 'reload with another built-in');
        is(say_all($to->(), 'gone'), '', 'the new one answers new clients');
        is(say_all($old, 'goes on'), 'goes on', 'the old client goes on with what it had');
        $t->write_conf($text->($port, 'echo') =~ s/builtin: echo/builtin: echo, connection_timeout: 200ms/r);
        ok($t->reload, 'and back, with a connection_timeout');
        is(BrokerTest::read_all($to->()), '', 'which counts');
        $t->write_conf($text->($port, 'echo') =~ s/builtin: echo/wait: no, command: [cat]/r =~ s/, "udp[^"]*"//r);
        ok($t->reload, 'a program in its place');
        is(say_all($to->(), 'by cat'), 'by cat', 'serves');
        $t->write_conf($text->($port, 'echo'));
        ok($t->reload, 'the built-in again');
        my $stays = $to->();
        syswrite $stays, "s\n";
        is(BrokerTest::read_line($stays), "s\n", 'a client');
        is($t->reload->{kept}, 2, 'a reload that changes nothing');
        syswrite $stays, "t\n";
        is(BrokerTest::read_line($stays), "t\n", 'does not touch it');
        $t->write_conf($text->($port, 'echo') =~ s/^echo:.*\n//mr);
        ok($t->reload, 'a reload without the service');
        ok(!IO::Socket::IP->new("127.0.0.1:$port"), 'lets nobody in');
        is(say_all($stays, 'to the end'), 'to the end', 'and who is in go on');
        $t->write_conf($text->($port, 'echo'));
        ok($t->reload, 'the service again');

        my $quiet = $to->();
        my $gen = $t->connect('chargen');
        sysread $gen, my $x, 100;
        $t->signal('TERM');
        is($t->wait_exit, 0, 'the broker ends with 0');
        is(BrokerTest::read_all($quiet), '', 'when stop_grace_period is over, with who is still in');
        ok($t->wait_message('connection ended', service => 'chargen', reason => 'stopped', -from => 0), 'chargen is stopped at once');
        $t->stop;
}

{
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: debug}, idle_exit: 300ms}\n", services => <<'Y');
echo: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: echo}
Y
        my $c = $t->connect('echo');
        $t->wait_message('something is alive, idle_exit begins anew', -from => 0);
        is(say_all($c, 'awake'), 'awake', 'an open connection keeps the broker from idle_exit');
        is($t->wait_exit, 0, 'without one it ends');
        $t->stop;
}

# Sockets that the broker was started with: what they are shows only then.
{
        my @with = ($BrokerTest::ACTIVATE, '-w', '--now', '--fdname=in');
        my $t = BrokerTest->new(services => 'echo: {listen: "fd:in", builtin: echo}', wrap => [@with, '-d', '-l', '127.0.0.1:0', '--']);

        is(answer(peer($t, 'echo', 0), 'given'), 'given', 'an inherited datagram socket');
        $t->stop;
        for (['udp:0.0.0.0:0', 'builtin: echo', qr/can be reached from elsewhere/], ['udp:0.0.0.0:0', 'builtin: discard'],
                ['udp:127.0.0.1:0', 'builtin: tcpmux', qr/none that this built-in can answer at/],
                ['seqpacket:@builtin-' . $$, 'builtin: echo', qr/none that this built-in can answer at/]) {
                my ($address, $how, $error) = @$_;
                $t = BrokerTest->new(services => qq(echo: {listen: "fd:in", $how}), wrap => [@with, '-l', $address, '--'], ready => $error ? 0 : 1, status => $error ? 1 : 0);
                ok(!$error || $t->wait_log(sub { ($_->{message} // $_->{text} // '') =~ $error }, from => 0), "$how at an inherited $address");
                $t->stop(ended => $error ? 1 : 0);
        }
}

# Upgrades: connections go on.
{
        my $t = new_broker(<<'Y');
echo: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: echo, connection_timeout: 1h}
chargen: {listen: 127.0.0.1:0, builtin: chargen}
mux: {listen: 127.0.0.1:0, builtin: tcpmux}
Cat: {tcpmux: yes, wait: no, command: [cat]}
old: {listen: 127.0.0.1:0, builtin: echo}
Y
        my $idle = $t->served('echo');
        my $old = $t->served('old');
        my $gen = $t->connect('chargen');
        my $sent = '';

        sysread $gen, my $text, 7000;
        my $stuck = $t->connect('echo');
        while (IO::Select->new($stuck)->can_write(0.3)) {
                my $n = send $stuck, my $data = bytes(65_536), MSG_DONTWAIT;
                last unless $n;
                $sent .= substr $data, 0, $n;
        }
        $t->write_conf(qq(echo: {listen: [127.0.0.1:0, "udp:127.0.0.1:0"], builtin: echo, connection_timeout: 1h}\nchargen: {listen: 127.0.0.1:0, builtin: chargen}\nmux: {listen: 127.0.0.1:0, builtin: tcpmux}\nCat: {tcpmux: yes, wait: no, command: [cat]}\nold: {listen: 127.0.0.1:0, builtin: discard}\n));
        ok($t->reload, 'reload, so that an older generation is there as well');
        my $asking = $t->connect('mux');
        syswrite $asking, 'Ca';
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}, $t->log_text) for 1 .. 2;
        is(counter($t, 'echo', 'connections'), 2, 'the connections are counted');
        is(say_all($idle, 'later'), 'later', 'one that was idle goes on');
        is(say_all($old, 'older'), 'older', 'one of an older generation, too');
        syswrite $asking, "t\r\nthrough\n";
        shutdown $asking, SHUT_WR;
        is(BrokerTest::read_all($asking), "+Go\r\nthrough\n", 'and half a name');
        shutdown $stuck, SHUT_WR;
        ok(BrokerTest::read_all($stuck) eq $sent, 'what nobody had read is there, all of it');
        sysread $gen, $text, 60_000, length $text while length $text < 5_000_000;
        my $pattern = join '', map { my $l = $_; join('', map { chr 32 + ($l + $_) % 95 } 0 .. 71) . "\r\n" } 0 .. 94;
        ok($text eq substr($pattern x (1 + length($text) / length $pattern), 0, length $text), 'characters go on where they were');
        close $gen;
        is(answer(peer($t, 'echo', 1), 'dgram'), 'dgram', 'datagrams are answered');
        $t->stop;
}

# Ten thousand, some of which fail, while descriptors are few.
{
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: info}}\n", wrap => ['prlimit', '--nofile=80:80'], services => <<'Y');
echo: {listen: 127.0.0.1:0, builtin: echo, instances: unlimited}
Y
        my $before = keys %{ $t->fds };
        my $address = $t->address('echo');
        my $good = 0;
        my @held;
        for my $i (1 .. 10_000) {
                my $c = BrokerTest::connect_to($address);
                if ($i % 5 == 0) {
                        setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $i % 2;
                        syswrite $c, 'x';
                        push @held, $c;
                        @held = () if @held > 70;
                        next;
                }
                @held = () if @held > 50;
                $good += say_all($c, 'y') eq 'y';
        }
        @held = ();
        is($good, 8000, 'all who waited were served');
        1 while counter($t, 'echo', 'connections') > 0;
        cmp_ok(scalar(keys %{ $t->fds }), '<=', $before, 'no descriptor is left');
        is(counter($t, 'echo', 'accepted'), counter($t, 'echo', 'ended'), 'every connection has ended');

        @held = map { $t->connect('echo') } 1 .. 100;
        ok($t->wait_log(sub { ($_->{message} // '') =~ /^paused, clients wait/ }, from => 0), 'all descriptors are in use');
        syswrite $held[0], "q\n";
        is(BrokerTest::read_line($held[0]), "q\n", 'who is in is served');
        @held = ();
        is(say_all($t->connect('echo'), 'after'), 'after', 'and others again afterwards');
        $t->stop;
}
done_testing;
