#!/usr/bin/perl
# activate(1) in its own manner: what it takes from the command line, what the program gets, and how it all ends.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use ActivateTest qw(eventually run_to_end reports fd_of);
use BrokerTest;
use Fcntl qw(F_SETFD);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use POSIX qw(:signal_h);
use Socket qw(SOCK_DGRAM SOCK_STREAM SHUT_WR);
use Part;
use Test::More;

my ($PROBE, $DIR) = ($ActivateTest::PROBE, $ActivateTest::DIR);
my $is_root = $> == 0;

sub start { return ActivateTest->start(args => [@_]) }
sub connect_to { return BrokerTest::connect_to(@_) }

# The probe's report that arrives over a connection to ADDRESS, and the connection.
sub report_from {
        my ($address, %arg) = @_;
        my $socket = connect_to($address, %arg);
        # A packet is read whole or its rest is lost.
        sysread($socket, my $packet, 65536) if $address =~ /^seqpacket:/;
        my ($report) = reports($packet // BrokerTest::read_line($socket));

        return wantarray ? ($report, $socket) : $report;
}

sub cpu_ticks {
        my ($pid) = @_;

        open my $fh, '<', "/proc/$pid/stat" or return 0;
        my ($utime, $stime) = (split ' ', (<$fh> =~ s/^.*\) //r))[11, 12];
        return $utime + $stime;
}

# Whether PID uses no processor for a while; a measurement over time, not a wait for something.
sub is_idle {
        my ($pid) = @_;
        my $before = cpu_ticks($pid);

        select undef, undef, undef, 0.3;
        return cpu_ticks($pid) - $before <= 1;
}

# Sets soft limits of PID, as its user: that takes no privileges, which a container's root may not have.
sub prlimit {
        my ($pid, @limits) = @_;
        my $child = fork // die "fork: $!";

        if (!$child) {
                my ($uid, $gid) = (stat "/proc/$pid")[4, 5];
                if ($uid != $>) {
                        POSIX::setgid($gid);
                        POSIX::setuid($uid);
                }
                exec 'prlimit', '--pid', $pid, @limits;
                POSIX::_exit(98);
        }
        waitpid $child, 0;
        return $? == 0;
}

my $has_prlimit = system('prlimit --version >/dev/null 2>&1') == 0;

part 'the command line' => sub {
        my ($status, $text) = run_to_end(args => ['--help'], stdout => "$DIR/help");
        is($status, 0, '--help ends with 0');
        open my $fh, '<', "$DIR/help" or die;
        my $help = join '', <$fh>;
        like($help, qr/^Usage: activate /, 'and says how');
        is((run_to_end(args => ['-V']))[0], 0, '-V ends with 0');
        my @wrong = (
                [qr/no command/, '-l', '0'],
                [qr/no sockets/, 'true'],
                [qr/no sockets/, '-w', '--now', '--', 'true'],
                [qr/exclude/, '-a', '-w', '-l', '0', 'true'],
                [qr/exclude/, '--fds', '--inetd', '-l', '0', 'true'],
                [qr/exclude/, '-d', '--seqpacket', '-w', '-l', '0', 'true'],
                [qr/--wait only/, '--now', '-l', '0', 'true'],
                [qr/--accept only/, '--instances=2', '-l', '0', 'true'],
                [qr/--accept only/, '--per-source=2', '-w', '-l', '0', 'true'],
                [qr/a number from 1/, '-a', '--instances=0', '-l', '0', 'true'],
                [qr/a number from 1/, '-a', '--per-source=x', '-l', '0', 'true'],
                [qr/no connections to accept; use -w/, '-d', '-l', '0', 'true'],
                [qr/no connections to accept; use -w/, '-a', '-l', 'udp:127.0.0.1:0', 'true'],
                [qr/no connections to accept; use -w/, '-l', "fifo:$DIR/fifo", 'true'],
                [qr/another type/, '-w', '-d', '-l', 'tcp:127.0.0.1:0', 'true'],
                [qr/hands over one socket/, '-w', '--inetd', '-l', '0', '-l', '0', 'true'],
                [qr/no name of an environment variable/, '-E', '=x', '-l', '0', 'true'],
                [qr/there are no names with --inetd/, '--fdname=a', '-l', '0', 'true'],
                [qr/printable/, '-w', "--fdname=a\tb", '-l', '0', 'true'],
                [qr/--listen=nonsense/, '-l', 'nonsense', 'true'],
                [qr/inherited are used without/, '-l', 'fd:web', 'true'],
                [qr/exclude/, '--claim=x', '-l', '0', 'true'],
                [qr/go with --listen/, '--claim=x', '-d', '-w', 'true'],
                [qr/go with --listen/, '--claim=x', '--seqpacket', 'true'],
                [qr/option/, '--nonsense', 'true'],
        );
        for my $case (@wrong) {
                my ($expect, @args) = @$case;
                ($status, $text) = run_to_end(args => \@args);
                is($status, 2, "2: @args");
                like($text, $expect, 'and why');
        }
};

part 'run-time failures' => sub {
        my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1) or die;
        my $address = '127.0.0.1:' . $taken->sockport;
        my ($status, $text) = run_to_end(args => ['-l', "$DIR/left.sock", '-l', $address, 'cat']);

        is($status, 1, 'an address in use');
        like($text, qr/\Q$address\E: Address already in use/, 'is named');
        ok(!-e "$DIR/left.sock", 'the sockets opened before leave no path');
        ($status, $text) = run_to_end(args => ['-l', '0', '--', 'there-is-no-such-program']);
        is($status, 127, 'a program that does not exist');
        like($text, qr/no program 'there-is-no-such-program'/, 'is named');
        is((run_to_end(args => ['-l', '0', '--', "$DIR/missing"]))[0], 127, 'a path that does not exist');
        open my $fh, '>', "$DIR/plain" or die;
        print $fh "nothing\n";
        close $fh;
        is((run_to_end(args => ['-l', '0', '--', "$DIR/plain"]))[0], 126, 'a file that is not executable');
        chmod 0755, "$DIR/plain";
        ($status, $text) = run_to_end(args => ['-w', '--now', '-l', '0', '--', "$DIR/plain"]);
        is($status, 126, 'a file of no known format');
        like($text, qr/Exec format error/, 'says so');
        ($status, $text) = run_to_end(args => ['-u', 'no-such-user', '-l', '0', '--', 'cat']);
        is($status, 1, 'an unknown user');
        like($text, qr/no user 'no-such-user'/, 'is named');
        ($status, $text) = run_to_end(args => ['-w', '--now', '--', 'true'], env => { LISTEN_FDS => 'x' });
        is($status, 1, 'a malformed LISTEN_FDS');
        # To the wait status it would look like the program's: nothing at all is started.
        ($status, $text) = run_to_end(args => ['-w', '--now', '--', 'true'], env => { LISTEN_FDS => 200 });
        like($text, qr/not open/, 'LISTEN_FDS without the descriptors');
};

part 'one shot' => sub {
        my $activate = start('-v', '-l', '127.0.0.1:0', '--', 'cat');
        my $socket = connect_to($activate->addresses);

        print $socket "over there and back\n";
        shutdown $socket, SHUT_WR;
        is(BrokerTest::read_all($socket), "over there and back\n", 'cat serves it');
        is($activate->ended, 0, 'and its status is ours');

        $activate = start('-v', '-l', '127.0.0.1:0', $PROBE, '--out=stdout', '--echo', '--exit=7');
        my $address = $activate->addresses;
        (my $report, $socket) = report_from($address);
        is($report->{pid}, $activate->pid, 'the program is the process that was activate');
        is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0, 1, 2], 'it has three descriptors');
        for my $fd (0, 1) {
                my $found = fd_of($report, $fd);
                is($found->{kind}, 'socket', "$fd is the connection");
                is_deeply($found->{flags}, ['rdwr'], 'blocking');
                is($found->{local}, $address, 'to where it was bound');
        }
        is($report->{env}{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
        is($report->{env}{REMOTE_PORT}, $socket->sockport, 'REMOTE_PORT');
        is($report->{env}{SERVER_PORT}, $socket->peerport, 'SERVER_PORT');
        is($report->{env}{PROTO}, 'TCP', 'PROTO');
        is($report->{env}{LISTEN_FDS}, undef, 'no LISTEN_FDS');
        ok(!$report->{session_leader}, 'it stays in the session, with the terminal');
        ok(!connect_to($address, may_fail => 1), 'nobody listens any more');
        close $socket;
        is($activate->ended, 7, 'its status is ours');
};

part 'what was ignored, blocked or left open does not reach the program' => sub {
        my $activate = ActivateTest->start(
                args => ['-v', '-l', '127.0.0.1:0', $PROBE, '--out=stdout'],
                env => { NOTIFY_SOCKET => '/run/notify', WATCHDOG_USEC => 1, LISTEN_PID => 1, LISTEN_FDNAMES => 'x',
                        REMOTE_HOST => 'kept', TCPREMOTEIP => '192.0.2.1', SOCKBROKER_TEST => 'yes' },
                setup => sub {
                        $SIG{$_} = 'IGNORE' for qw(HUP INT USR1 PIPE CHLD);
                        sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR2, SIGALRM));
                        open my $stray, '<', '/dev/zero' or die;
                        POSIX::dup2(fileno $stray, $_) for 3, 17, 300;
                },
        );
        my $report = report_from($activate->addresses);

        is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0, 1, 2], 'no stray descriptor');
        like($report->{signals}{$_}, qr/^0+$/, "no signal is $_") for qw(blocked ignored pending);
        is($report->{env}{$_}, undef, "no $_") for qw(LISTEN_PID LISTEN_FDNAMES);
        is($report->{env}{TCPREMOTEIP}, '127.0.0.1', 'another connection\'s variable is replaced');
        is($report->{env}{$_->[0]}, $_->[1], "$_->[0] stays")
                for ['NOTIFY_SOCKET', '/run/notify'], ['WATCHDOG_USEC', 1], ['SOCKBROKER_TEST', 'yes'];
        is($activate->ended, 0, 'it ends');
};

part 'addresses' => sub {
        my $activate = start('-v', '-l', '127.0.0.1:0', '-l', '127.0.0.1:0', '-l', "$DIR/a.sock", $PROBE, '--out=stdout');
        my @addresses = $activate->addresses(3);

        is($addresses[2], "$DIR/a.sock", 'a path is said as it is');
        is(fd_of(scalar report_from($addresses[1]), 0)->{local}, $addresses[1], 'the second of three sockets');
        is($activate->ended, 0, 'serves and ends');
        ok(!-e "$DIR/a.sock", 'the path is gone');

        umask 0027;
        $activate = start('-v', '-l', "$DIR/b/b.sock", $PROBE, '--out=stdout');
        umask 0022;
        my $address = $activate->addresses;
        is((stat "$DIR/b/b.sock")[2] & 07777, 0640, 'the umask says who may connect');
        my $report = report_from($address);
        is($report->{env}{PROTO}, 'IPC', 'a path');
        is($report->{env}{IPCREMOTEEUID}, $>, 'whose client is known');

        my $name = "\@sockbroker-test-$$";
        $activate = start('-v', '-l', $name, $PROBE, '--out=stdout');
        is($activate->addresses, $name, 'an abstract name is said as it is');
        is(fd_of(scalar report_from($name), 0)->{local}, $name, 'and served');

        $activate = start('-v', '--seqpacket', '-l', "$DIR/seq", '--', $PROBE, '--out=stdout');
        is($activate->addresses, "seqpacket:$DIR/seq", '--seqpacket');
        is(fd_of(scalar report_from("seqpacket:$DIR/seq"), 0)->{type}, 'seqpacket', 'and served');
        SKIP: {
                IO::Socket::IP->new(LocalHost => '::1', Listen => 1) or skip 'there is no IPv6 here', 3;
                $activate = start('-v', '-l', '[::1]:0', $PROBE, '--out=stdout');
                is(report_from($activate->addresses)->{env}{REMOTE_ADDR}, '::1', 'IPv6');
                $activate = start('-v', '-l', '0', $PROBE, '--out=stdout');
                $address = $activate->addresses;
                like($address, qr/^\[::\]:\d+$/, 'a port alone is IPv6');
                is(report_from("127.0.0.1:$1")->{env}{REMOTE_ADDR}, '127.0.0.1', 'and IPv4')
                        if $address =~ /(\d+)$/;
        }
};

part '--fds' => sub {
        for my $case (['connection'], ['web', '--fdname=web']) {
                my ($name, @more) = @$case;
                my $activate = start('-v', '-l', '127.0.0.1:0', '--fds', @more, $PROBE, '--out=fd:3');
                my $report = report_from($activate->addresses);

                is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0, 1, 2, 3], 'one more descriptor');
                is(fd_of($report, 3)->{type}, 'stream', 'is the connection');
                ok(!fd_of($report, 3)->{listening}, 'and does not listen');
                is($report->{env}{LISTEN_FDS}, 1, 'LISTEN_FDS');
                is($report->{env}{LISTEN_PID}, $report->{pid}, 'LISTEN_PID');
                is($report->{env}{LISTEN_FDNAMES}, $name, 'LISTEN_FDNAMES');
                is($report->{env}{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
        }
};

part 'the supervisor of --accept' => sub {
        my $supervisor = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$DIR/notify") or die "notify: $!";
        my $told = sub {
                IO::Select->new($supervisor)->can_read($BrokerTest::TIMEOUT) or return;
                $supervisor->recv(my $message, 4096);
                return $message;
        };
        my $activate = ActivateTest->start(args => ['-a', '-l', "$DIR/told.sock", 'cat'], env => { NOTIFY_SOCKET => "$DIR/notify" });

        is($told->(), 'READY=1', 'is told when it listens');
        my $c = connect_to("$DIR/told.sock");
        syswrite $c, "x\n";
        is(BrokerTest::read_line($c), "x\n", 'who connects then is served');
        $activate->signal('TERM');
        is($told->(), 'STOPPING=1', 'and when it stops');
        close $c;
        is($activate->ended, 0, 'it ends well');
        $activate = ActivateTest->start(args => ['-v', '-a', '-l', "$DIR/none.sock", 'cat'], env => { NOTIFY_SOCKET => "$DIR/nobody" });
        ok($activate->line(qr/the supervisor \(NOTIFY_SOCKET\) cannot be told: No such file/), 'one that is not there is said');
        ok(connect_to("$DIR/none.sock"), 'and changes nothing');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends well');
};

part '--accept' => sub {
        my $activate = ActivateTest->start(
                args => ['-v', '-a', '-l', '127.0.0.1:0', '-l', "$DIR/many.sock", $PROBE, '--out=stdout', '--echo', '--exit=9'],
                env => { NOTIFY_SOCKET => '/x', WATCHDOG_USEC => 1, WATCHDOG_PID => 1, SOCKBROKER_TEST => 'yes' },
        );
        my @addresses = $activate->addresses(2);
        my ($report, $socket) = report_from($addresses[0]);
        my ($second, $other) = report_from($addresses[1]);

        isnt($report->{pid}, $second->{pid}, 'two connections, two processes');
        is($report->{ppid}, $activate->pid, 'children of activate');
        ok($report->{session_leader}, 'each in its own session');
        is_deeply([map { $_->{fd} } @{ $second->{fds} }], [0, 1, 2], 'nothing of the other in the second');
        like($report->{signals}{$_}, qr/^0+$/, "no signal is $_") for qw(blocked ignored pending);
        is($report->{env}{$_}, undef, "no $_") for qw(NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_FDS);
        is($report->{env}{SOCKBROKER_TEST}, 'yes', 'our environment');
        is($second->{env}{PROTO}, 'IPC', 'its own connection\'s variables');
        $activate->signal('TERM');
        $activate->line(qr/^stopping: 2 /);
        ok(!connect_to($addresses[0], may_fail => 1), 'SIGTERM: no more connections');
        ok(!-e "$DIR/many.sock", 'the path is gone');
        print $socket "still here\n";
        is(BrokerTest::read_line($socket), "still here\n", 'those there are served on');
        close $_ for $socket, $other;
        is($activate->ended, 0, '0 when the last has ended');

        $activate = start('-v', '-a', '--fds', '-l', '127.0.0.1:0', $PROBE, '--out=fd:3');
        $report = report_from($activate->addresses);
        is($report->{env}{LISTEN_PID}, $report->{pid}, '--fds: LISTEN_PID');
        is($report->{env}{LISTEN_FDNAMES}, 'connection', 'LISTEN_FDNAMES');
        is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0 .. 3], 'one more descriptor');
        $activate->line(qr/^pid \d+ ended: status 0$/);
        $activate->signal('INT');
        is($activate->ended, 0, 'SIGINT ends it too');

        $activate = start('-v', '-a', '-l', '127.0.0.1:0', $PROBE, '--out=stdout', '--ignore-term', '--fork-hold', '--hang');
        ($report, $socket) = report_from($activate->addresses);
        $activate->signal('TERM');
        $activate->line(qr/^stopping/);
        $activate->signal('TERM');
        is($activate->ended, 1, 'a second signal kills: 1');
        is(BrokerTest::read_all($socket), '', 'with what the program has started');
};

part '--instances and --per-source' => sub {
        my $activate = start('-v', '-a', '--instances=2', '-l', '127.0.0.1:0', $PROBE, '--out=stdout', '--echo');
        my $address = $activate->addresses;
        my ($first, $socket) = report_from($address);
        my ($second, $other) = report_from($address);
        my $third = connect_to($address);

        ok(is_idle($activate->pid), 'at the limit nothing is spent on who waits');
        close $socket;
        my ($report) = reports(BrokerTest::read_line($third));
        ok($report, 'the third is served when one has ended');
        $activate->line(qr/^connection from/) for 1 .. 2;
        like($activate->line(qr/^(connection|pid)/), qr/^pid $first->{pid} ended/, 'and not before');
        like($activate->line(qr/^(connection|pid)/), qr/: pid $report->{pid}$/, 'but then');

        $activate = start('-v', '-a', '--per-source=1', '-l', '127.0.0.1:0', $PROBE, '--out=stdout', '--echo');
        $address = $activate->addresses;
        ($first, $socket) = report_from($address);
        is(BrokerTest::read_all(connect_to($address)), '', 'one too many of a source is closed');
        ok(scalar report_from($address, from => '127.0.0.2'), 'another source is served');
        close $socket;
        $activate->line(qr/^pid $first->{pid} ended/);
        ok(scalar report_from($address), 'and the first again, when it has ended');
};

part 'a program that cannot be executed' => sub {
        my $program = "$DIR/later";
        my $activate = start('-v', '-a', '-l', '127.0.0.1:0', '--', $program);
        my $address = $activate->addresses;

        ok($activate->line(qr/no program '\Q$program\E'/), 'is said at once');
        is(BrokerTest::read_all(connect_to($address)), '', 'the connection ends');
        ok($activate->line(qr/no program/), 'that is said');
        open my $fh, '>', $program or die;
        print $fh "#!/nonexistent/interpreter\n";
        close $fh;
        chmod 0755, $program;
        is(BrokerTest::read_all(connect_to($address)), '', 'without an interpreter too');
        ok($activate->line(qr/interpreter does not exist/), 'that is said');
        unlink $program;
        symlink '/bin/cat', $program;
        my $socket = connect_to($address);
        print $socket "there now\n";
        shutdown $socket, SHUT_WR;
        is(BrokerTest::read_all($socket), "there now\n", 'it is served when the program is there');
        $activate->signal('TERM');
        is($activate->ended, 0, 'and ends as usual');
};

part 'out of descriptors' => sub {
        skip_part 'there is no prlimit(1)' unless $has_prlimit;
        # 0, 1, 2, the listener, the signals: no room for a connection; and one more: room for no process.
        for my $limit (5, 6) {
                my $activate = start('-v', '-a', '-l', '127.0.0.1:0', $PROBE, '--out=stdout');
                my $address = $activate->addresses;

                # Everything is open once it has served.
                ok(scalar report_from($address), 'it serves');
                $activate->line(qr/^pid \d+ ended/);
                prlimit($activate->pid, "--nofile=$limit:") or die;
                my $socket = connect_to($address);
                ok($activate->line(qr/limit of open files/), "with room for $limit descriptors the limit is said");
                ok(is_idle($activate->pid), 'nothing spins');
                prlimit($activate->pid, '--nofile=64:') or die;
                ok((reports(BrokerTest::read_line($socket)))[0], 'the same client is served when there is room');
                $activate->signal('TERM');
                is($activate->ended, 0, 'and it ends as usual');
                is(() = $activate->rest =~ /limit of open files/g, 1, 'said once');
        }
};

part 'out of processes' => sub {
        skip_part 'needs root' unless $is_root;
        skip_part 'there is no prlimit(1)' unless $has_prlimit;
        skip_part 'activate cannot be reached by another user' unless BrokerTest::reachable($BrokerTest::ACTIVATE);
        my $activate = ActivateTest->start(
                args => ['-v', '-a', '-l', '127.0.0.1:0', $PROBE, '--out=stdout'],
                setup => sub { POSIX::setgid(54321); POSIX::setuid(54321) },
        );
        my $address = $activate->addresses;

        prlimit($activate->pid, '--nproc=1:') or die;
        my $socket = connect_to($address);
        ok($activate->line(qr/limit of processes/), 'the limit is said');
        ok(is_idle($activate->pid), 'nothing spins');
        prlimit($activate->pid, '--nproc=100:') or die;
        ok((reports(BrokerTest::read_line($socket)))[0], 'the same client is served when there is room');
        $activate->signal('TERM');
        is($activate->ended, 0, 'and it ends as usual');
};

part '--wait' => sub {
        my $file = "$DIR/report";
        my $activate = start('-v', '-w', '-l', '127.0.0.1:0', '-l', "$DIR/w.sock", '-l', 'udp:127.0.0.1:0',
                '--fdname=web:ctl:log', '--', $PROBE, '--out=conn', "--listen-fd=4");
        my @addresses = $activate->addresses(3);
        my $report = report_from($addresses[1]);

        is($report->{pid}, $activate->pid, 'the program is the process that was activate');
        is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0 .. 5], 'three more descriptors');
        is_deeply([map { fd_of($report, $_)->{local} } 3 .. 5], [map { s/^udp://r } @addresses], 'in the order written');
        is_deeply([map { $_->{flags} } @{ $report->{fds} }[3 .. 5]], [(['rdwr']) x 3], 'blocking');
        is_deeply([map { $_->{cloexec} ? 1 : 0 } @{ $report->{fds} }], [(0) x 6], 'not close-on-exec');
        is($report->{env}{LISTEN_FDS}, 3, 'LISTEN_FDS');
        is($report->{env}{LISTEN_PID}, $report->{pid}, 'LISTEN_PID');
        is($report->{env}{LISTEN_FDNAMES}, 'web:ctl:log', 'LISTEN_FDNAMES');
        is($report->{env}{REMOTE_ADDR}, undef, 'no connection, no REMOTE_ADDR');
        is($activate->ended, 0, 'its status is ours');
        ok(-e "$DIR/w.sock", 'the path is the program\'s now');

        $activate = start('-v', '-w', '-l', '127.0.0.1:0', $PROBE, '--out=conn');
        is(report_from($activate->addresses)->{env}{LISTEN_FDNAMES}, undef, 'no --fdname, no LISTEN_FDNAMES');
        for my $case (['all', 'all:all'], ['a:b:c', 'a:b']) {
                $activate = start('-w', '--now', '-l', '127.0.0.1:0', '-l', '127.0.0.1:0', "--fdname=$case->[0]", $PROBE,
                        "--out=file:$file");
                is($activate->ended, 0, '--now does not wait');
                is((report_of($file))->{env}{LISTEN_FDNAMES}, $case->[1], "--fdname=$case->[0] for two sockets");
        }
        SKIP: {
                $report = report_of($file, sub { start('-w', '--now', '-l', '127.0.0.1:0', $PROBE, "--out=file:$file")->ended });
                skip 'this kernel has no pidfd file system', 1 unless $report->{env}{LISTEN_PIDFDID};
                like($report->{env}{LISTEN_PIDFDID}, qr/^\d+$/, 'LISTEN_PIDFDID');
        }
};

# The one report in FILE, which goes; with CODE, after that has run.
sub report_of {
        my ($file, $code) = @_;

        $code->() if $code;
        open my $fh, '<', $file or return {};
        my ($report) = reports(join '', <$fh>);
        unlink $file;
        return $report // {};
}

part 'inherited sockets' => sub {
        my $file = "$DIR/report";
        my $web = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 5) or die;
        my $address = '127.0.0.1:' . $web->sockport;
        my %handed = (
                env => { LISTEN_FDS => 1, LISTEN_PID => 1, LISTEN_FDNAMES => 'web' },
                setup => sub {
                        POSIX::dup2(fileno $web, 3) if fileno $web != 3;
                        # close-on-exec goes with the number, also where it was 3 already
                        open my $three, '<&=', 3 or die;
                        fcntl $three, F_SETFD, 0;
                },
        );
        my ($status) = run_to_end(args => ['-w', '--now', '--', $PROBE, "--out=file:$file"],
                wrap => ['sh', '-c', '"$@"; exit $?', 'sh'], %handed);
        my $report = report_of($file);

        is($status, 0, 'behind a shell, with a LISTEN_PID of somebody else');
        is($report->{env}{LISTEN_PID}, $report->{pid}, 'LISTEN_PID is set anew');
        is(fd_of($report, 3)->{local}, $address, 'the socket is handed on');
        is($report->{env}{LISTEN_FDNAMES}, undef, 'LISTEN_FDNAMES is set by --fdname alone');

        ($status) = run_to_end(args => ['-w', '--now', '-l', "$DIR/more.sock", '--fdname=x:y', '--', $PROBE, "--out=file:$file"],
                %handed);
        $report = report_of($file);
        is_deeply([map { fd_of($report, $_)->{local} } 3, 4], [$address, "$DIR/more.sock"], 'inherited ones come first');
        is($report->{env}{LISTEN_FDS}, 2, 'and are counted');

        my $activate = ActivateTest->start(args => ['-v', '--', $PROBE, '--out=stdout'], %handed);
        is($activate->addresses, $address, 'one shot on an inherited socket');
        ok(scalar report_from($address), 'is served');
        is($activate->ended, 0, 'and ends');
        ok(connect_to($address), 'the socket is still ours');
};

part 'datagrams' => sub {
        my $activate = start('-v', '-w', '-d', '--inetd', '-l', '127.0.0.1:0', '--', $PROBE, '--serve-stdio', '--count=1');
        my $address = $activate->addresses;

        like($address, qr/^udp:127\.0\.0\.1:\d+$/, 'it says udp');
        my $socket = connect_to($address);
        $socket->send('hello');
        ok(IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT), 'the datagram that woke the server');
        $socket->recv(my $answer, 1000);
        like($answer, qr/pid=@{[$activate->pid]}/, 'is its first');
        is($activate->ended, 0, 'and it ends');

        my $file = "$DIR/report";
        start('-w', '--now', '--inetd', '-l', '127.0.0.1:0', '--', $PROBE, "--out=file:$file")->ended;
        my $report = report_of($file);
        is_deeply([map { $_->{fd} } @{ $report->{fds} }], [0, 1, 2], '--inetd: no more descriptors');
        ok(fd_of($report, 0)->{listening} && fd_of($report, 1)->{listening}, 'the listening socket is 0 and 1');
        is($report->{env}{LISTEN_FDS}, undef, 'no LISTEN_FDS');
};

part '--setenv' => sub {
        my $file = "$DIR/report";
        my ($status) = run_to_end(
                args => ['-w', '--now', '-l', '127.0.0.1:0', '-E', 'ONE=1=1', '--setenv=HOME=/there', '-E', 'KEPT', '-E', 'NOT_SET',
                        '-E', 'ONE=2', '-E', 'LISTEN_PID=5', $PROBE, "--out=file:$file"],
                env => { KEPT => 'kept', NOT_SET => undef });
        my $report = report_of($file);

        is($report->{env}{ONE}, '2', 'the last of a name counts');
        is($report->{env}{HOME}, '/there', 'it replaces ours');
        is($report->{env}{KEPT}, 'kept', 'a name alone: our value');
        is($report->{env}{NOT_SET}, undef, 'which there may not be');
        is($report->{env}{LISTEN_PID}, $report->{pid}, 'LISTEN_PID is not for it to set');
};

part '--user' => sub {
        skip_part 'needs root' unless $is_root;
        my @nobody = getpwnam 'nobody' or skip_part 'there is no user nobody';
        my ($uid, $gid) = @nobody[2, 3];

        for my $mode ([], ['-a']) {
                my $activate = start('-v', @$mode, '-u', 'nobody', '-l', '127.0.0.1:0', $PROBE, '--out=stdout');
                my $report = report_from($activate->addresses);
                my $ids = $report->{ids};

                is_deeply([@{$ids}{qw(ruid euid suid rgid egid sgid)}], [($uid) x 3, ($gid) x 3], "@$mode: nobody, all through");
                is_deeply($ids->{groups}, [$gid], 'with its groups alone');
                is($report->{env}{USER}, 'nobody', 'USER');
                is($report->{env}{HOME}, $nobody[7], 'HOME');
        }
        my $activate = start('-v', '-u', 'nobody:0', '-l', '127.0.0.1:0', $PROBE, '--out=stdout');
        is(report_from($activate->addresses)->{ids}{egid}, 0, 'USER:GROUP');
};

part 'told to stop while it waits' => sub {
        for my $mode ([], ['-w']) {
                my $activate = start('-v', @$mode, '-l', "$DIR/stop.sock", 'cat');
                $activate->addresses;
                $activate->signal('TERM');
                is($activate->ended, 'signal 15', "@$mode SIGTERM ends it as it ends any program");
                ok(!-e "$DIR/stop.sock", 'without a path left behind');
        }
        my $activate = ActivateTest->start(args => ['-v', '-l', '127.0.0.1:0', 'cat'], setup => sub { $SIG{INT} = 'IGNORE' });
        my $address = $activate->addresses;
        $activate->signal('INT');
        my $socket = connect_to($address);
        shutdown $socket, SHUT_WR;
        is($activate->ended, 0, 'SIGINT is ignored where it was');
};

part 'as the first process of a container' => sub {
        my @unshare = ('unshare', '-p', '-f', '--mount-proc', '--');
        skip_part 'no pid namespace can be made here' if system('unshare -p -f --mount-proc true >/dev/null 2>&1') != 0;
        my $first = sub {
                my ($activate) = @_;
                my $pid = $activate->pid;
                open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
                return (split ' ', <$fh> // '')[0];
        };

        for my $case ([143, 'TERM'], [143, 'TERM', '-w'], [130, 'INT'], [0, 'TERM', '-a'], [0, 'INT', '-a']) {
                my ($status, $signal, @mode) = @$case;
                my $activate = ActivateTest->start(args => ['-v', @mode, '-l', '127.0.0.1:0', 'cat'], wrap => \@unshare);
                $activate->addresses;
                kill $signal, $first->($activate);
                is($activate->ended, $status, "@mode SIG$signal ends it: $status");
        }
        my $activate = ActivateTest->start(args => ['-v', '-a', '--fds', '-l', '127.0.0.1:0', $PROBE, '--out=fd:3', '--orphan',
                '--orphan-ms=50'], wrap => \@unshare);
        my $report = report_from($activate->addresses);
        my $pid = $first->($activate);
        is($report->{env}{LISTEN_PID}, $report->{pid}, 'LISTEN_PID is the number in the namespace');
        ok($activate->line(qr/^pid $report->{pid} ended/), 'the program ends');
        ok(eventually(sub {
                open my $fh, '<', "/proc/$pid/task/$pid/children" or return 0;
                return (<$fh> // '') eq '';
        }), 'what it leaves is reaped');
        kill 'TERM', $pid;
        is($activate->ended, 0, 'and it ends');
};

done_testing;
