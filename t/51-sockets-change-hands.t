#!/usr/bin/perl
# What reviews and accidents have found about sockets, programs and reloads: each of these once crashed the broker, held
# it, or lost something.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Part;
use Socket qw(:DEFAULT);
use Test::More;

sub line {
        my ($c) = @_;

        syswrite $c, "hi\n";
        return BrokerTest::read_line($c) // '';
}

# A port that was free a moment ago, for sockets that are to be found again by their number.
sub free_port {
        return IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
}

part 'two services on one port' => sub {
        my $port = free_port();
        my $b = "b: {listen: {address: '127.0.0.1:$port', reuse_port: yes}, wait: no, command: [cat]}\n";
        my $a = "a: {listen: {address: '127.0.0.1:$port', reuse_port: yes}, wait: no, command: [cat]}\n";
        my $t = BrokerTest->new(services => $b);

        $t->write_conf($a . $b);
        ok($t->reload, 'another service joins in');
        is(line($t->connect($_)), "hi\n", "$_ serves") for qw(a b);
        $t->write_conf($a);
        ok($t->reload, 'the first one leaves');
        is(line($t->connect('a')), "hi\n", 'the other serves');
        $t->stop;
};

part 'two sockets whose port the kernel chooses' => sub {
        my $t = BrokerTest->new(services => <<'Y');
a:
  listen: [{address: 127.0.0.1:0, name: one}, {address: 127.0.0.1:0, name: two}]
  wait: yes
  start: boot
  command: [%PROBE%, "--out=file:%DIR%/a.json", --serve, "${fd:two}"]
Y
        like(line($t->connect('a', index => 1)), qr/ fd=4 /, 'the second one is fd 4');
        open my $fh, '<', $t->dir . '/a.json';
        my $p = decode_json(<$fh>);
        is($p->{env}{LISTEN_FDNAMES}, 'one:two', 'both have their names');
        is($p->{argv}[-1], 4, '${fd:NAME} finds the second');
        $t->stop;
};

part 'an inherited socket with a name of its own' => sub {
        my $listener = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 5);
        my $t = BrokerTest->new(
                services => "a: {listen: {address: 'fd:web', name: http}, wait: yes, start: boot, command: [%PROBE%, '--out=file:%DIR%/a.json', --serve, '\${fd:http}']}\n",
                setup => sub {
                        # By way of another number: it may be 3 already, and close-on-exec.
                        POSIX::dup2(fileno($listener), 200);
                        POSIX::dup2(200, 3);
                        POSIX::close(200);
                        @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)} = (1, $$, 'web');
                },
        );
        like(line(IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $listener->sockport)), qr/ fd=3 /, 'served');
        open my $fh, '<', $t->dir . '/a.json';
        is(decode_json(<$fh>)->{env}{LISTEN_FDNAMES}, 'http', 'the name that was written wins');
        $t->stop;
};

part 'a server that is being stopped gets the socket of another service' => sub {
        my ($one, $two) = (free_port(), free_port());
        my $slow = "wait: yes, command: [%PROBE%, --ignore-term, --serve], stop_grace_period: 500ms";
        my $t = BrokerTest->new(services => "a: {listen: '127.0.0.1:$one', $slow}\nb: {listen: '127.0.0.1:$two', wait: no, command: [cat]}\n");

        line($t->connect('a'));
        $t->write_conf("a: {listen: '127.0.0.1:$one', $slow, umask: '077'}\nb: {listen: '127.0.0.1:$two', wait: no, command: [cat]}\n");
        ok($t->reload, 'its definition changes, it is told to end');
        $t->write_conf("a: {listen: ['127.0.0.1:$one', '127.0.0.1:$two'], $slow, umask: '077'}\n");
        ok($t->reload, 'meanwhile it gets the socket of the other');
        my $c = BrokerTest::connect_to("127.0.0.1:$two");
        my $ticks = $t->cpu_ticks;
        like(line($c), qr/ fd=4 /, 'who comes there waits for the new server');
        cmp_ok($t->cpu_ticks - $ticks, '<', 20, 'which costs no CPU');
        $t->stop;
};

part 'from wait: no to wait: yes' => sub {
        my $port = free_port();
        my $yes = "a: {listen: '127.0.0.1:$port', wait: yes, command: [%PROBE%, --serve]}\n";
        my $t = BrokerTest->new(services => "a: {listen: '127.0.0.1:$port', wait: no, command: [cat]}\n");
        my $c = $t->connect('a');

        is(line($c), "hi\n", 'a connection is being served');
        $t->write_conf($yes);
        ok($t->reload, 'the service changes');
        like(line($t->connect('a')), qr/^pid=/, 'its server runs');
        $t->write_conf($yes =~ s/--serve/--serve, again/r);
        ok($t->reload, 'and changes again');
        like(line($t->connect('a')), qr/^pid=/, 'the next server runs');
        is(line($c), "hi\n", 'the connection of old is still served');
        close $c;
        $t->stop;
};

part 'on demand, then at boot' => sub {
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve]}\n");

        $t->write_conf("a: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}\n");
        ok($t->reload, 'reloaded');
        ok($t->wait_message('server started', service => 'a', -from => 0), 'the server is started');
        $t->stop;
};

part 'a client with the longest of all paths' => sub {
        my $t = BrokerTest->new(services => "a: {listen: %DIR%/a.sock, wait: no, command: [%PROBE%, --out=stdout]}\n");
        my $path = $t->dir . '/' . 'x' x (108 - length($t->dir) - 1);
        socket my $c, AF_UNIX, SOCK_STREAM, 0;
        bind $c, pack 'S a108', AF_UNIX, $path or die "bind: $!";
        CORE::connect $c, pack_sockaddr_un($t->dir . '/a.sock') or die "connect: $!";
        my $p = decode_json(BrokerTest::read_all($c));
        is($p->{env}{IPCREMOTEPATH}, $path, 'it is known by its path');
        ok($t->wait_message('connection ended', peer => $path), 'and logged by it');
        $t->stop;
};

part 'options of an open socket' => sub {
        my $t = BrokerTest->new(services => "a: {listen: {address: 127.0.0.1:0, ip_ttl: 40}, wait: yes, start: boot, command: [perl, -e, '\$^F = 10; open my \$s, q(+<&=), 3; print STDERR q(ttl ), unpack(q(i), getsockopt \$s, 0, 2), q( buffer ), unpack(q(i), getsockopt \$s, 1, 8), qq(\\n); select undef, undef, undef, undef']}\n");

        ok($t->wait_message(qr/^ttl 40 buffer/, service => 'a'), 'one value');
        my $conf = do { open my $fh, '<', $t->dir . '/conf/test.yaml'; local $/; <$fh> };
        $conf =~ s/ip_ttl: 40/ip_ttl: 41, receive_buffer: 64K/;
        $t->write_file('conf/test.yaml', $conf);
        ok($t->reload, 'another');
        ok($t->wait_message(qr/^options of its open socket were changed/, service => 'a', -from => 0), 'what cannot be changed is said');
        ok($t->wait_message("ttl 41 buffer 131072", service => 'a'), 'what can is');
        $t->stop;
};

part 'another address on the same port' => sub {
        my $port = free_port();
        my $conf = sub { return join '', map { "$_->[0]: {listen: [" . join(', ', map { "\"$_\"" } @$_[1 .. $#$_]) . "], wait: no, command: [cat]}\n" } @_ };
        my $t = BrokerTest->new(services => $conf->(['a', "127.0.0.1:$port"], ['b', "127.0.0.3:0"]));
        my $serves = sub { return line(BrokerTest::connect_to("$_[0]:$port")) eq "hi\n" };
        my $refused = sub { return !BrokerTest::connect_to("$_[0]:$port", may_fail => 1) };
        my $running = $t->connect('a');

        is(line($running), "hi\n", 'one address');
        $t->write_conf($conf->(['a', $port], ['b', "127.0.0.3:0"]));
        ok($t->reload, 'then all');
        ok($serves->($_), "by $_") for qw(127.0.0.1 127.0.0.2);
        is(line($running), "hi\n", 'who is being served does not notice');
        $t->write_conf($conf->(['a', "127.0.0.1:$port", "127.0.0.2:$port"], ['b', "127.0.0.3:0"]));
        ok($t->reload, 'then two of them');
        ok($serves->($_), "by $_") for qw(127.0.0.1 127.0.0.2);
        ok($refused->('127.0.0.4'), 'and by no other');
        $t->write_conf($conf->(['b', "0.0.0.0:$port"]));
        ok($t->reload, 'then all of them for another service');
        ok($serves->($_), "by $_") for qw(127.0.0.1 127.0.0.2 127.0.0.4);

        # What fails leaves everything as it was; what a first start would refuse is refused.
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
        $t->write_conf($conf->(['b', "127.0.0.1:$port", '127.0.0.1:' . $busy->sockport]));
        ok(!$t->reload, 'a reload that fails');
        ok($serves->($_), "by $_") for qw(127.0.0.1 127.0.0.2);
        $t->write_conf($conf->(['b', "0.0.0.0:$port"], ['c', "127.0.0.1:$port"]));
        ok(!$t->reload, 'all of them, and one of them, do not go together');
        $t->write_conf($conf->(['c', "127.0.0.1:$port"], ['b', "0.0.0.0:$port"]));
        ok(!$t->reload, 'nor the other way round');
        $t->write_conf($conf->(['c', "127.0.0.1:$port"], ['b', $port]));
        ok(!$t->reload, 'nor where both are new');
        ok($serves->($_), "by $_") for qw(127.0.0.1 127.0.0.2);
        $t->stop;
};

part 'IPv6 alone beside IPv4' => sub {
        skip_part 'there is no IPv6 here' unless IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1);
        my $port = free_port();
        my $t = BrokerTest->new(services => "a: {listen: '127.0.0.1:$port', wait: no, command: [cat]}\n");
        my $six = "{address: '[::]:$port', ipv6_only: yes}";

        $t->write_conf("a: {listen: [$six, '0.0.0.0:$port'], wait: no, command: [cat]}\n");
        ok($t->reload, 'both in the place of one address');
        is(line(BrokerTest::connect_to($_)), "hi\n", "$_ serves") for "127.0.0.2:$port", "[::1]:$port";
        $t->write_conf("a: {listen: ['127.0.0.1:$port', $six], wait: no, command: [cat]}\n");
        ok($t->reload, 'one address again, and IPv6 as before');
        is(line(BrokerTest::connect_to($_)), "hi\n", "$_ serves") for "127.0.0.1:$port", "[::1]:$port";
        $t->stop;
};

part 'another address on the same port, for datagrams and servers' => sub {
        my $port = free_port();
        my $conf = "a: {listen: ['%s$port', 'udp:%s$port'], wait: yes, command: [perl, %%DIR%%/server.pl]}\n";
        my $t = BrokerTest->new(later => 1);
        $t->write_file('server.pl', 'my @s = map { open my $s, "+<&=", $_; $s } 3, 4; print STDERR "reuse_port ", join(" ", map { unpack "i", getsockopt $_, 1, 15 } @s), "\n"; while (accept my $c, $s[0]) { syswrite $c, "pid=$$\n" }');
        $t->write_conf(sprintf $conf, '127.0.0.1:', '127.0.0.1:');
        $t->start;
        my $pid = BrokerTest::read_line(BrokerTest::connect_to("127.0.0.1:$port"));
        like($pid, qr/^pid=/, 'one address');
        $t->write_conf(sprintf $conf, '', '');
        ok($t->reload, 'then all');
        ok($t->wait_message('server ended', service => 'a'), 'the server is told to end');
        my $next = BrokerTest::read_line(BrokerTest::connect_to("127.0.0.2:$port"));
        like($next, qr/^pid=/, 'the next one has the new socket');
        isnt($next, $pid, 'and is another one');
        ok($t->wait_message('reuse_port 0 0', service => 'a', $_ == 1 ? (-from => 0) : ()), 'neither time its sockets are to be shared') for 1, 2;
        $t->stop;
};

part 'symlinks' => sub {
        my $t = BrokerTest->new(services => "a: {listen: {address: %DIR%/a.sock, symlinks: [%DIR%/current]}, wait: no, command: [cat]}\n");

        $t->write_conf("a: {listen: {address: %DIR%/b.sock, symlinks: [%DIR%/current]}, wait: no, command: [cat]}\n");
        ok($t->reload, 'another path, the same symlink');
        is(readlink($t->dir . '/current'), $t->dir . '/b.sock', 'it points to the new one');
        ok(!-e $t->dir . '/a.sock', 'the old one is gone');
        $t->stop;
};

part 'symlinks of a socket that stays' => sub {
        my $a = 'listen: {address: %DIR%/a.sock, symlinks: [%s]}, wait: no, command: [cat]';
        my $t = BrokerTest->new(services => 'a: {' . ($a =~ s/%s/%DIR%\/one, %DIR%\/two/r) . "}\n");

        unlink $t->dir . '/two';
        symlink 'elsewhere', $t->dir . '/two';
        $t->write_conf('a: {' . ($a =~ s/%s/%DIR%\/three/r) . "}\n");
        ok($t->reload, 'other symlinks, the same path');
        ok(!-l $t->dir . '/one', 'the one that was taken away is gone');
        is(readlink($t->dir . '/two'), 'elsewhere', 'but not the one that leads elsewhere by now');
        is(readlink($t->dir . '/three'), $t->dir . '/a.sock', 'the new one is there');
        is(line($t->connect('a')), "hi\n", 'the socket serves');
        $t->write_conf('b: {listen: {address: %DIR%/b.sock, symlinks: [%DIR%/one]}, wait: no, command: [cat]}' . "\na: {" . ($a =~ s/%s/%DIR%\/four/r) . "}\n");
        ok($t->reload, 'a new service takes a name that was free');
        $t->write_conf("a: {" . ($a =~ s/%s/%DIR%\/one/r) . "}\n");
        ok($t->reload, 'and the old one a name of the new one, which leaves');
        is(readlink($t->dir . '/one'), $t->dir . '/a.sock', 'it leads to the old one');
        ok(!-l $t->dir . '/four', 'whose own has gone');
        $t->stop;
};

part 'symlinks and a reload that fails' => sub {
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
        my $a = "a: {listen: {address: %DIR%/a.sock, symlinks: [%DIR%/current, %DIR%/more]}, wait: no, command: [cat]}\n";
        my $t = BrokerTest->new(services => $a);

        $t->write_conf("a: {listen: [{address: %DIR%/b.sock, symlinks: [%DIR%/current]}, '127.0.0.1:" . $busy->sockport . "'], wait: no, command: [cat]}\n");
        ok(!$t->reload, 'another path, and a port that is taken');
        is(readlink($t->dir . "/$_"), $t->dir . '/a.sock', "$_ leads where it did") for qw(current more);
        ok(!-e $t->dir . '/b.sock', 'the other path is not there');
        $t->write_conf($a =~ s/, %DIR%\/more//r);
        ok($t->reload, 'the next one succeeds');
        ok(!-l $t->dir . '/more', 'and takes a symlink away');
        is(readlink($t->dir . '/current'), $t->dir . '/a.sock', 'but not the other');
        $t->stop;
};

part 'a path that is somebody else\'s by now' => sub {
        my $t = BrokerTest->new(services => "a: {listen: %DIR%/a.sock, wait: no, command: [cat]}\n");
        my $path = $t->dir . '/a.sock';

        unlink $path;
        my $other = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die;
        $t->write_conf("b: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        ok($t->reload, 'the service leaves');
        ok(IO::Socket::UNIX->new(Peer => $path), 'the other program still has its path');
        $t->stop;
};

part 'a path that became something else' => sub {
        my $conf = 'a: {listen: [{address: %DIR%/a.sock, socket_mode: "0MODE"}, {address: "fifo:%DIR%/f", socket_mode: "0MODE"}], wait: yes, command: [cat]}' . "\n";
        my $with = sub { return $conf =~ s/MODE/$_[0]/gr };

        for my $kind (qw(symlink file)) {
                my $t = BrokerTest->new(services => $with->('600'));

                for my $name (qw(a.sock f)) {
                        my $victim = $kind eq 'file' ? $name : "$name.victim";
                        unlink $t->dir . "/$name";
                        chmod 0640, $t->write_file($victim, '');
                        symlink $victim, $t->dir . "/$name" if $kind eq 'symlink';
                }
                $t->write_conf($with->('666'));
                ok($t->reload, "a $kind stands where the socket was");
                ok($t->wait_message(qr/^options of its open socket/, error => qr/is another program's by now/, $_ eq 'a.sock' ? (-from => 0) : ()), 'which is said') for qw(a.sock f);
                is((stat $t->dir . "/$_")[2] & 07777, 0640, "$_ keeps its mode") for qw(a.sock f);
                $t->stop;
        }
};

part 'the last words of a server' => sub {
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [perl, %DIR%/last.pl]}\n", later => 1);
        $t->write_file('last.pl', '$SIG{TERM} = sub { print STDERR map { "last $_\n" } 1 .. 900; exit }; print STDERR "armed\n"; select undef, undef, undef, undef');
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [perl, %DIR%/last.pl]}\n");
        $t->start;
        $t->wait_message('armed');
        $t->signal('TERM');
        $t->wait_exit;
        is(scalar(grep { ($_->{message} // '') =~ /^last \d+$/ } @{ $t->{log} }), 900, 'all of them are in the log');
        $t->stop(ended => 1);
};

part 'append: to a FIFO' => sub {
        my $t = BrokerTest->new(later => 1);

        POSIX::mkfifo($t->dir . '/fifo', 0600);
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, command: [cat], stderr: 'append:%DIR%/fifo'}\n");
        $t->start(ready => 0);
        is(($t->wait_exit(10) // 0) >> 8, 78, 'is refused, and holds nobody');
        $t->stop(ended => 1, status => 78);
};

part 'SIGTERM while a removed service still ends' => sub {
        my $t = BrokerTest->new(services => <<'Y');
a: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --ignore-term, --serve], stop_grace_period: 800ms}
b: {listen: 127.0.0.1:0, wait: no, command: [cat], stop_grace_period: 100ms}
Y
        my $pid = line($t->connect('a')) =~ /pid=(\d+)/ ? $1 : die;
        $t->write_conf("b: {listen: 127.0.0.1:0, wait: no, command: [cat], stop_grace_period: 100ms}\n");
        ok($t->reload, 'removed');
        $t->signal('TERM');
        ok(defined $t->wait_exit, 'the broker ends');
        ok(!kill(0, $pid), 'and leaves no server behind');
        $t->stop(ended => 1);
};
done_testing;
