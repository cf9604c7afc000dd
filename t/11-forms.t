#!/usr/bin/perl
# The address forms beside IP and AF_UNIX, and other protocols: servers with real messages, devices and changes.
use strict;
use warnings;

use ActivateTest qw(reports fd_of);
use BrokerTest;
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use POSIX ();
use Socket qw(:DEFAULT IPPROTO_UDP);
use Test::More;

use constant { AF_VSOCK => 40, CID_ANY => 0xffffffff, CID_LOCAL => 1, SO_VM_SOCKETS_CONNECT_TIMEOUT => 6 };
use constant { IPPROTO_SCTP => 132, IPPROTO_UDPLITE => 136, IPPROTO_MPTCP => 262 };
use constant { TIOCGPTN => 0x80045430, TIOCSPTLCK => 0x40045431 };

my $root = $> == 0;
my $queue = "$BrokerTest::BUILD/t/server/queue";
my $name = "/broker-test-$$";
my $has_queues = system("$queue make $name 2>/dev/null") == 0 && system("$queue remove $name") == 0;
my @no_capabilities = ('setpriv', '--bounding-set=-all', '--inh-caps=-all');
my $has_setpriv = system('setpriv --version >/dev/null 2>&1') == 0;

# What the queue program says of a queue, and whether there is one.
sub look {
        my ($which) = @_;
        my $text = `$queue look $which 2>/dev/null`;

        return $? == 0 ? $text : undef;
}

sub report {
        my ($t, $file) = @_;

        open my $fh, '<', $t->dir . "/$file" or return {};
        return decode_json((<$fh>)[-1]);
}

# A broker that is not to start: what it says.
sub refused {
        my ($services, $pattern, $what, %arg) = @_;
        my $t = BrokerTest->new(later => 1);

        $t->write_conf($services);
        $t->start(ready => 0, %arg);
        is($t->wait_exit >> 8, 1, "$what: refused");
        like($t->log_text, $pattern, "$what: which says why");
        $t->stop(ended => 1, status => 1);
        return;
}

note('message queues');
SKIP: {
        skip 'this kernel has no message queues', 1 unless $has_queues;
        system("$queue make $name-old") == 0 or die;
        my $services = <<"Y";
plain: {listen: "mqueue:$name-plain", wait: yes, command: ["$queue", receive, 3]}
sized: {listen: {address: "mqueue:$name-sized", max_messages: 3, message_size: 100, socket_mode: "0640"}, wait: yes, command: [%PROBE%, "--out=file:%DIR%/sized.json"], trigger_limit: 1/10s}
stdio: {listen: {address: "mqueue:$name-stdio", message_size: 128}, wait: yes, handoff: stdio, command: ["$queue", receive, 0]}
kept: {listen: {address: "mqueue:$name-kept", remove_on_stop: no, max_messages: 4}, wait: yes, command: ["$queue", receive, 3]}
old: {listen: {address: "mqueue:$name-old", max_messages: 2}, wait: yes, command: ["$queue", receive, 3]}
Y
        my $t = BrokerTest->new(services => $services);
        is($t->address('plain'), "mqueue:$name-plain", 'shown as it is written');
        like(look("$name-plain"), qr/^mode=0666 uid=$> /, 'the default mode, whatever the umask');
        like(look("$name-sized"), qr/^mode=0640 .* max_messages=3 message_size=100$/, 'socket_mode, max_messages, message_size');
        like(look("$name-stdio"), qr/ max_messages=\d+ message_size=128$/, 'one of the sizes alone');
        like(look("$name-old"), qr/^mode=0600 .* max_messages=2 message_size=64$/, 'a queue that is there already is used as it is');
        for my $i (1, 2) {
                is(system("$queue send $name-plain message-$i"), 0, 'a message is sent');
                ok($t->wait_message("received message-$i", service => 'plain', -from => 0), 'the server has received it');
        }
        system("$queue send $name-stdio hello");
        ok($t->wait_message('received hello', service => 'stdio', -from => 0), 'handoff: stdio');
        system("$queue send $name-old hello");
        ok($t->wait_message('received hello', service => 'old', -from => 0), 'the queue that was there already');
        system("$queue send $name-sized hello");
        ok($t->wait_message('server ended', service => 'sized', -from => 0), 'a server that takes nothing');
        my $fd = fd_of(report($t, 'sized.json'), 3);
        is_deeply($fd->{flags}, ['rdonly'], 'the queue is for reading, and blocks');
        is($fd->{kind}, 'file', 'and is a file to the kernel');

        $t->write_conf($services =~ s/socket_mode: "0640"/socket_mode: "0604"/r);
        ok($t->reload, 'reload: another mode');
        like(look("$name-sized"), qr/^mode=0604 /, 'which it has now');
        $t->write_conf($services =~ s/max_messages: 3/max_messages: 5/r);
        ok(!$t->reload, 'reload: another size is refused');
        like($t->log_text, qr/it exists, with max_messages 3 and message_size 100, and a queue keeps its sizes/, 'which says why');
        system("$queue send $name-plain again");
        ok($t->wait_message('received again', service => 'plain', -from => 0), 'and nothing has changed');

        $t->write_conf($services =~ s/max_messages: 3, //r);
        ok($t->reload, 'reload: no size');
        like(look("$name-sized"), qr/ max_messages=3 message_size=100$/, 'the queue is as it was');
        $t->write_conf($services);
        ok($t->reload, 'reload: the size that it has');
        like(look("$name-sized"), qr/ max_messages=3 message_size=100$/, 'the queue is still there');

        refused("a: {listen: {address: \"mqueue:$name-kept\", message_size: 3}, wait: yes, command: [cat]}\n",
                qr/cannot open mqueue:$name-kept: it exists, with max_messages 4/, 'a queue of other sizes');
        $t->stop;
        ok(!defined look("$name-$_"), "removed on stop: $_") for qw(plain sized stdio old);
        ok(defined look("$name-kept"), 'remove_on_stop: no');
        system("$queue remove $name-kept");
}
SKIP: {
        skip 'only root can give queues away', 3 unless $root && $has_queues;
        my $t = BrokerTest->new(services => <<"Y");
owned: {listen: {address: "mqueue:$name-owned", socket_user: nobody, socket_group: daemon, socket_mode: "0620"}, wait: yes, command: [cat]}
Y
        my ($uid, $gid) = ((getpwnam 'nobody')[2], (getgrnam 'daemon')[2]);
        like(look("$name-owned"), qr/^mode=0620 uid=$uid gid=$gid /, 'socket_user, socket_group');
        $t->stop;
}
SKIP: {
        skip 'needs root, to lose its capabilities', 3 unless $root && $has_queues && $has_setpriv;
        refused("a: {listen: {address: \"mqueue:$name-huge\", max_messages: 65536}, wait: yes, command: [cat]}\n",
                qr/cannot make mqueue:$name-huge: .* \(see fs\.mqueue\.msg_max and fs\.mqueue\.msgsize_max\)/,
                'sizes beyond the limits', wrap => \@no_capabilities);
}
SKIP: {
        skip 'this kernel has no message queues', 1 unless $has_queues;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: \"fd:q\", wait: yes, command: [\"$queue\", receive, 3]}\n");
        $t->start(wrap => [$BrokerTest::ACTIVATE, '-w', '--now', '--fdname=q', '-l', "mqueue:$name-in", '--']);
        system("$queue send $name-in inherited");
        ok($t->wait_message('received inherited', service => 'a', -from => 0), 'an inherited message queue, made by activate');
        $t->stop;
        system("$queue remove $name-in");

        my $a = ActivateTest->start(args => ['-v', '-w', '-l', "mqueue:$name-act", '--', $queue, 'receive', 3]);
        is($a->addresses, "mqueue:$name-act", 'activate: shown as it is written');
        system("$queue send $name-act hello");
        ok($a->line(qr/^received hello$/), 'activate -w with a message queue');
        is($a->ended, 0, 'which becomes the program');
        system("$queue remove $name-act");
}
for my $form ("mqueue:$name", 'netlink:route 1', 'special:/dev/tty') {
        my ($status, $text) = ActivateTest::run_to_end(args => ['-l', $form, '--', 'cat']);
        is($status, 2, "activate without -w: $form");
        like($text, qr/has no connections to accept; use -w/, 'which says why');
}

note('special files');
# A terminal and its other end.
sub terminal {
        my ($number, $unlocked) = (pack('i', 0), pack 'i', 0);

        open my $master, '+<', '/dev/ptmx' or return;
        ioctl $master, TIOCGPTN, $number or return;
        ioctl $master, TIOCSPTLCK, $unlocked or return;
        my $path = '/dev/pts/' . unpack 'i', $number;
        return -c $path ? ($master, $path) : ();
}
SKIP: {
        my ($master, $path) = terminal();
        skip 'there are no pseudo-terminals', 1 unless $path;
        my $services = <<"Y";
tty: {listen: {address: "special:$path", name: tty}, wait: yes, command: [sh, "-c", "read -r line <&3; echo got \$\$line >&2; exec %PROBE% --out=file:%DIR%/tty.json"]}
Y
        my $t = BrokerTest->new(services => $services);
        is($t->address('tty'), "special:$path", 'a device is shown as it is written');
        syswrite $master, "one\n";
        ok($t->wait_message('got one', service => 'tty', -from => 0), 'a line at the terminal starts the server, which reads it');
        ok($t->wait_message('server ended', service => 'tty', -from => 0), 'and ends');
        my $p = report($t, 'tty.json');
        is($p->{env}{LISTEN_FDNAMES}, 'tty', 'LISTEN_FDNAMES');
        is_deeply(fd_of($p, 3)->{flags}, ['rdonly'], 'for reading alone');
        ok($t->wait_message('state', service => 'tty', to => 'listening'), 'the broker listens again');
        syswrite $master, "two\n";
        ok($t->wait_message('got two', service => 'tty', -from => 0), 'the next line starts the next one');
        open my $stat, '<', "/proc/$t->{main_pid}/stat" or die;
        is((split ' ', scalar(<$stat>) =~ s/^.*\) //r)[4], 0, 'it has not become the terminal of the broker') if !-t STDIN;

        $t->wait_message('server ended', service => 'tty');
        $t->write_conf($services =~ s/name: tty/name: tty, writable: yes/r =~ s/echo got/echo reply >&3; echo got/r);
        ok($t->reload, 'writable: yes');
        syswrite $master, "three\n";
        ok($t->wait_message('got three', service => 'tty', -from => 0), 'starts it');
        like(join('', map { BrokerTest::read_line($master) // '' } 1 .. 4), qr/^reply/m, 'and lets it write');
        ok($t->wait_message('server ended', service => 'tty'), 'it ends');
        is_deeply(fd_of(report($t, 'tty.json'), 3)->{flags}, ['rdwr'], 'with a descriptor for both');
        $t->stop;
}
SKIP: {
        skip 'needs root, and namespaces of host names', 1 unless $root && system('unshare -u true 2>/dev/null') == 0;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf(<<'Y');
name: {listen: "special:/proc/sys/kernel/hostname", wait: yes, command: [sh, "-c", "echo now $(cat <&3) >&2"]}
Y
        $t->start(wrap => ['unshare', '-u']);
        for my $host ('first.test', 'second.test') {
                system('nsenter', '-t', $t->{main_pid}, '-u', 'sh', '-c', "echo $host > /proc/sys/kernel/hostname");
                ok($t->wait_message("now $host", service => 'name', -from => 0), "a file of /proc: its change to $host starts the server");
                $t->wait_message('state', service => 'name', to => 'listening');
        }
        my $starts = grep { ($_->{message} // '') eq 'server started' } @{ $t->{log} };
        is($starts, 2, 'nothing else has started it');
        $t->stop;
}
# A control group of our own, which tells when its first process comes.
sub control_group {
        my ($mount) = map { (split ' ')[1] } grep { (split ' ')[2] eq 'cgroup2' } do { open my $fh, '<', '/proc/self/mounts'; <$fh> };
        my $group = ($mount // return) . "/broker-test-$$";

        mkdir $group or return;
        return $group if -e "$group/cgroup.events";
        rmdir $group;
        return;
}
SKIP: {
        my $group = control_group();
        skip 'there is no control group to make another one in', 1 unless $group;
        my $t = BrokerTest->new(services => <<"Y");
group: {listen: "special:$group/cgroup.events", wait: yes, command: [sh, "-c", "grep populated <&3 >&2"]}
other: {listen: "\@forms-$$", wait: no, command: [cat]}
Y
        is($t->ask('other', "hello\n"), "hello\n", 'the loop has been round');
        ok(!grep({ ($_->{service} // '') eq 'group' && $_->{message} eq 'server started' } @{ $t->{log} }), 'not changed yet');
        pipe my $read, my $write or die;
        my $pid = fork // die;
        if (!$pid) {
                close $write;
                sysread $read, my $end, 1;
                POSIX::_exit(0);
        }
        open my $processes, '>', "$group/cgroup.procs" or die;
        syswrite $processes, $pid;
        ok($t->wait_message('populated 1', service => 'group', -from => 0), 'a file of a control group: its change starts the server');
        close $write;
        waitpid $pid, 0;
        ok($t->wait_message('populated 0', service => 'group', -from => 0), 'the next change too');
        $t->stop;
        rmdir $group;
}
{
        my $file = "$BrokerTest::BUILD/config.h";
        for my $case (
                [$file, qr/cannot open special:\Q$file\E: it never says when there is something to read/, 'a regular file'],
                ['/dev/null', qr/it never says when there is something to read/, 'a device that cannot be polled'],
                ['/proc', qr/neither a character device nor a file/, 'a directory'],
                ['/dev/no-such-thing', qr/cannot open special:\S+: No such file/, 'no file'],
                ['/proc/kmsg', qr/write special:\/dev\/kmsg/, '/proc/kmsg'],
        ) {
                refused("a: {listen: \"special:$case->[0]\", wait: yes, command: [cat]}\n", $case->[1], $case->[2]);
        }
}

note('netlink');
SKIP: {
        my $uevent = '/sys/class/mem/null/uevent';
        skip "needs root, and $uevent to write to", 1 unless $root && open my $trigger, '>', $uevent;
        my $t = BrokerTest->new(later => 1);
        $t->write_file('receive.pl', <<'P');
use Socket;
open my $s, "+<&=", 3 or die;
recv $s, my $message, 65536, 0 or 1;
print {*STDERR} "got ", $message =~ s/\0.*//sr, " passcred=", unpack("i", getsockopt $s, 1, 16), "\n";
P
        $t->write_conf(<<'Y');
uevents: {listen: {address: "netlink:kobject-uevent 1", pass_credentials: yes, receive_buffer: 1M}, wait: yes, command: [perl, %DIR%/receive.pl]}
report: {listen: "netlink:route 1", wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/netlink.json", --hang]}
Y
        $t->start;
        is($t->address('uevents'), 'netlink:kobject-uevent 1', 'shown as it is written');
        syswrite $trigger, 'change';
        ok($t->wait_message(qr{^got change\@/devices/virtual/mem/null passcred=1$}, service => 'uevents', -from => 0),
                'an event of the kernel starts the server, which receives it; pass_credentials');
        $t->stop;
}
{
        my $t = BrokerTest->new(services => <<'Y');
route: {listen: ["netlink:route", "netlink:0 1"], wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/route.json", "--stderr=reported\n", --hang]}
Y
        $t->wait_message('reported', service => 'route', -from => 0);
        my $p = report($t, 'route.json');
        is_deeply([@{ fd_of($p, $_) }{qw(family type protocol)}], ['netlink', 'raw', 0], "fd $_: the socket that was asked for") for 3, 4;
        is($t->address('route', 1), 'netlink:route 1', 'a family by its number');
        $t->stop;
}
refused("a: {listen: \"netlink:30\", wait: yes, command: [cat]}\n",
        qr/cannot open a socket for netlink:30: .* \(this kernel has no such netlink family\)/, 'a family nobody has');

note('vsock');
# A connection of this machine to itself; nothing where the kernel has no transport for that.
sub connect_vsock {
        my ($port) = @_;

        socket my $socket, AF_VSOCK, SOCK_STREAM, 0 or return;
        setsockopt $socket, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, pack('qq', 0, 200_000);
        return connect($socket, pack 'SSLLx4', AF_VSOCK, 0, $port, CID_LOCAL) ? $socket : undef;
}
SKIP: {
        skip 'this kernel has no vsock', 1 unless socket my $socket, AF_VSOCK, SOCK_STREAM, 0;
        my $t = BrokerTest->new(services => <<'Y');
server: {listen: {address: "vsock:any:any", backlog: 3}, wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/vsock.json", "--stderr=reported\n", --hang]}
client: {listen: "vsock::0", wait: no, command: [%PROBE%, "--out=stdout"]}
Y
        like($t->address('server'), qr/^vsock:any:\d+$/, 'the port that the kernel chose is said');
        $t->wait_message('reported', service => 'server', -from => 0);
        my $fd = fd_of(report($t, 'vsock.json'), 3);
        my ($port) = $t->address('server') =~ /(\d+)$/;
        is($fd->{family}, 'vsock', 'it is a vsock socket');
        ok($fd->{listening}, 'that listens');
        is($fd->{local}, 'vsock:' . CID_ANY . ":$port", 'at all addresses');
        SKIP: {
                my $c = connect_vsock($t->address('client') =~ /(\d+)$/);
                skip 'this kernel cannot connect to itself by vsock (vsock_loopback)', 6 unless $c;
                my $env = decode_json(BrokerTest::read_line($c))->{env};
                is($env->{PROTO}, 'VSOCK', 'PROTO');
                is($env->{REMOTE_ADDR}, 'vsock:' . CID_LOCAL, 'REMOTE_ADDR');
                like($env->{REMOTE_PORT}, qr/^\d+$/, 'REMOTE_PORT');
                is($env->{SERVER_ADDR}, 'vsock:' . CID_LOCAL, 'SERVER_ADDR');
                is('vsock:any:' . $env->{SERVER_PORT}, $t->address('client'), 'SERVER_PORT');
                my $peer = $t->wait_message('connection accepted', service => 'client', -from => 0)->{peer};
                is($peer, 'vsock:' . CID_LOCAL . ":$env->{REMOTE_PORT}", 'the log names the peer');
        }
        $t->stop;
        skip 'needs root, to lose its capabilities', 2 unless $root && $has_setpriv;
        refused("a: {listen: \"vsock:any:700\", wait: no, command: [cat]}\n",
                qr/cannot bind vsock:any:700: Permission denied \(a port below 1024 takes CAP_NET_BIND_SERVICE\)/,
                'a low port', wrap => \@no_capabilities);
}

note('protocols');
my %has = (
        mptcp => socket(my $mptcp, AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
        sctp => socket(my $sctp, AF_INET, SOCK_STREAM, IPPROTO_SCTP),
        udplite => socket(my $udplite, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE),
);
for my $case (['mptcp', '', 'MPTCP'], ['sctp', '', 'SCTP'], ['sctp', 'seqpacket:', 'SCTP'], ['udplite', 'udp:', 'UDP-Lite']) {
        my ($protocol, $prefix, $text) = @$case;
        next if $has{$protocol};
        refused("a: {listen: {address: \"${prefix}127.0.0.1:0\", protocol: $protocol}, wait: yes, command: [cat]}\n",
                qr/cannot open a socket for ${prefix}127\.0\.0\.1:0: .* \((?:this kernel has no $text|MPTCP is off: net\.mptcp\.enabled)\)/,
                "$prefix protocol: $protocol without it in the kernel");
}
for my $case (['mptcp', '127.0.0.1:0', IPPROTO_MPTCP], ['mptcp', '0', IPPROTO_MPTCP], ['sctp', '127.0.0.1:0', IPPROTO_SCTP]) {
        my ($protocol, $address, $number) = @$case;
        SKIP: {
                skip "this kernel has no $protocol", 1 unless $has{$protocol};
                my $t = BrokerTest->new(services => <<"Y");
server: {listen: {address: "$address", protocol: $protocol}, wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/server.json", "--stderr=reported\\n", --hang]}
client: {listen: {address: "$address", protocol: $protocol}, wait: no, command: [%PROBE%, "--out=stdout"]}
Y
                $t->wait_message('reported', service => 'server', -from => 0);
                is(fd_of(report($t, 'server.json'), 3)->{protocol}, $number, "protocol: $protocol");
                socket my $c, AF_INET, SOCK_STREAM, $number or die;
                ok(connect($c, pack_sockaddr_in($t->port('client'), inet_aton('127.0.0.1'))), 'a client connects');
                my $p = decode_json(BrokerTest::read_line($c));
                is($p->{env}{PROTO}, $protocol eq 'sctp' ? 'SCTP' : 'TCP', 'PROTO: what it is to the program');
                is($p->{env}{TCPREMOTEIP}, $protocol eq 'sctp' ? undef : '127.0.0.1', 'TCPREMOTEIP: of TCP alone');
                is($p->{env}{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
                if ($protocol eq 'mptcp') {
                        my $answer = eval { $t->ask_probe('client') };
                        is($answer && $answer->{env}{PROTO}, 'TCP', 'a client of plain TCP is served too');
                }
                $t->stop;
        }
}
SKIP: {
        skip 'this kernel has no UDP-Lite', 1 unless $has{udplite};
        # A port that is free for both.
        bind $udplite, pack_sockaddr_in(0, INADDR_LOOPBACK) or die;
        my ($port) = unpack_sockaddr_in(getsockname $udplite);
        close $udplite;
        my $services = <<"Y";
both: {listen: ["udp:127.0.0.1:$port", {address: "udp:127.0.0.1:$port", protocol: udplite}], wait: yes, start: boot, command: [%PROBE%, "--out=file:%DIR%/both.json", "--stderr=reported\\n", --hang]}
lite: {listen: {address: "udp:127.0.0.1:0", protocol: udplite}, wait: yes, command: [%PROBE%, --serve]}
Y
        my $t = BrokerTest->new(services => $services);
        $t->wait_message('reported', service => 'both', -from => 0);
        my $p = report($t, 'both.json');
        is_deeply([map { fd_of($p, $_)->{protocol} } 3, 4], [IPPROTO_UDP, IPPROTO_UDPLITE], 'UDP and UDP-Lite at one port');
        socket my $c, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE or die;
        connect $c, pack_sockaddr_in($t->port('lite'), INADDR_LOOPBACK) or die;
        syswrite $c, "x\n";
        sysread $c, my $answer, 4096;
        like($answer, qr/^pid=\d+ fd=3 line=x$/, 'a datagram of UDP-Lite is answered');
        $t->stop;
}
SKIP: {
        skip 'this kernel has no MPTCP', 1 unless $has{mptcp};
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, \"--out=file:%DIR%/a.json\", --serve]}\n");
        my $port = $t->port('a');
        my $c = $t->connect('a');
        syswrite $c, "x\n";
        BrokerTest::read_line($c);
        is(fd_of(report($t, 'a.json'), 3)->{protocol}, Socket::IPPROTO_TCP(), 'TCP without protocol');
        $t->write_conf("a: {listen: {address: 127.0.0.1:0, protocol: mptcp}, wait: yes, command: [%PROBE%, \"--out=file:%DIR%/b.json\", --serve]}\n");
        ok($t->reload, 'reload: another protocol');
        1 while $t->read_log(0);
        isnt($t->port('a', 1), $port, 'is another socket');
        $c = $t->connect('a', index => 1);
        syswrite $c, "x\n";
        BrokerTest::read_line($c);
        is(fd_of(report($t, 'b.json'), 3)->{protocol}, IPPROTO_MPTCP, 'of that protocol');
        $t->stop;

        # MPTCP and TCP share their ports.
        my $probe = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1) or die;
        $port = $probe->sockport;
        close $probe;
        $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:$port, wait: no, command: [cat]}\n");
        $t->write_conf("a: {listen: {address: 127.0.0.1:$port, protocol: mptcp}, wait: no, command: [cat]}\n");
        ok($t->reload, 'reload: another protocol at a port where the old socket still stands');
        is($t->ask('a', "hello\n"), "hello\n", 'and the new one serves');
        $t->write_conf("a: {listen: {address: 127.0.0.1:$port, bind_to_device: lo}, wait: no, command: [cat]}\n");
        ok($t->reload, 'back, and bound to a device');
        is($t->ask('a', "hello\n"), "hello\n", 'which serves too');
        $t->stop;
}
done_testing;
