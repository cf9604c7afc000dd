#!/usr/bin/perl
# wait: no. One process per connection: what it gets, as whom it runs, what becomes of it.
use strict;
use warnings;
use BrokerTest;
use Test::More;

my $root = $> == 0;
my $t = BrokerTest->new(later => 1);
$t->write_file('file.env', "# a comment\nFROM_FILE='as it is \$HOME'\nexport NUMBER=8\n");
$t->write_conf(<<'Y');
stdio: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}
fds: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, --out=fd:3]}
all: {listen: 0, wait: no, command: [%PROBE%, --out=stdout]}
unix: {listen: [%DIR%/run/x.sock, "@broker-test-%DIR%"], wait: no, command: [%PROBE%, --out=stdout]}
seq: {listen: "seqpacket:%DIR%/seq.sock", wait: no, command: [%PROBE%, --out=stdout]}
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
words:
  listen: 127.0.0.1:0
  wait: no
  command: [%PROBE%, --out=stdout, "a${remote_addr}b", "${remote_port}", "${pid}-${pid}", "$$x", "$HOME", "$${pid}"]
  environment: {WHO: "${remote_addr}:${remote_port}", ME: "${pid}", EMPTY: "", NUMBER: 7}
  env_file: [%DIR%/file.env, {path: %DIR%/none.env, required: no}]
  pass_environment: [PATH, KEPT]
process:
  listen: 127.0.0.1:0
  wait: no
  command: [%PROBE%, --out=stdout]
  umask: "027"
  working_dir: %DIR%
  nice: 5
  ulimits: {nofile: 300, core: 0, nproc: {soft: 1000, hard: 2000}}
  no_new_privileges: yes
out: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, "--stderr=first\nsecond\\tx\npart", --exit=3]}
append: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, "--stderr=to a file\n"], stderr: "append:%DIR%/err.log"}
tosocket: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, "--stderr=to you\n"], stderr: socket}
nullout: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, --out=fd:3], stderr: null, stdout: inherit}
fdsout: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--stdout=said\n"]}
slow: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --hang], max_runtime: 100ms, stop_grace_period: 1s}
stubborn: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --ignore-term, --hang], max_runtime: 100ms, stop_grace_period: 200ms}
Y
# A descriptor left open by whoever starts the broker, variables of a former life, an ignored signal.
open my $stray, '<', '/etc/passwd';
fcntl $stray, Fcntl::F_SETFD, 0;
$t->start(
        env => {
                KEPT => 'kept', LOST => 'lost', LISTEN_FDS => 1, LISTEN_PID => 1, WATCHDOG_USEC => 5, REMOTE_ADDR => 'old',
        },
        setup => sub { $SIG{HUP} = $SIG{USR1} = $SIG{PIPE} = 'IGNORE' },
);

sub fd {
        my ($probe, $n) = @_;

        return (grep { $_->{fd} == $n } @{ $probe->{fds} })[0];
}

my $p = $t->ask_probe('stdio');
is(join(',', map { $_->{fd} } @{ $p->{fds} }), '0,1,2', 'stdin, stdout, stderr and nothing else');
is(fd($p, 0)->{inode}, fd($p, 1)->{inode}, 'stdin and stdout are one socket');
is(fd($p, 0)->{peer}, "127.0.0.1:$p->{env}{REMOTE_PORT}", 'which is the connection');
ok(!grep({ $_ eq 'nonblock' } @{ fd($p, 0)->{flags} }), 'it blocks');
is(fd($p, 2)->{kind}, 'pipe', 'stderr is a pipe to the log');
ok($p->{session_leader}, 'it leads a session');
is($p->{tty}, JSON::PP::false, 'without a terminal');
is($p->{signals}{$_} =~ s/^0+//r, '', "signals $_: none") for qw(blocked ignored caught pending);
is($p->{env}{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
is($p->{env}{SERVER_ADDR}, '127.0.0.1', 'SERVER_ADDR');
is($p->{env}{SERVER_PORT}, $t->port('stdio'), 'SERVER_PORT');
is($p->{env}{PROTO}, 'TCP', 'PROTO');
is($p->{env}{"TCP$_->[0]"}, $p->{env}{ $_->[1] }, "TCP$_->[0]")
        for ['REMOTEIP', 'REMOTE_ADDR'], ['REMOTEPORT', 'REMOTE_PORT'], ['LOCALIP', 'SERVER_ADDR'], ['LOCALPORT', 'SERVER_PORT'];
like($p->{env}{SO_COOKIE}, qr/^\d+$/, 'SO_COOKIE');
ok(!exists $p->{env}{$_}, "no $_") for qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET WATCHDOG_USEC);
is($p->{env}{LOST}, 'lost', 'the rest of the environment is passed');
is_deeply($p->{env_odd}, [], 'no variable twice');
is($p->{rlimits}{nofile}[0], (POSIX::sysconf(POSIX::_SC_OPEN_MAX())), 'the limit of open files is the one it would have had');
is($p->{pdeathsig}, 0, 'its life is not tied to the broker');

$p = $t->ask_probe('fds');
is(join(',', map { $_->{fd} } @{ $p->{fds} }), '0,1,2,3', 'fds: the connection is fd 3');
is(fd($p, 0)->{target}, '/dev/null', 'stdin is /dev/null');
is(fd($p, 1)->{kind}, 'pipe', 'stdout goes to the log');
is($p->{env}{LISTEN_FDS}, 1, 'LISTEN_FDS');
is($p->{env}{LISTEN_PID}, $p->{pid}, 'LISTEN_PID');
is($p->{env}{LISTEN_FDNAMES}, 'connection', 'LISTEN_FDNAMES');
ok(!grep({ $_ eq 'nonblock' } @{ fd($p, 3)->{flags} }), 'it blocks too');

$p = $t->ask_probe('all');
is($p->{env}{REMOTE_ADDR}, '127.0.0.1', 'an IPv4 client of an IPv6 socket is written as IPv4');
is($p->{env}{SERVER_ADDR}, '127.0.0.1', 'and so is the local address');

$p = $t->ask_probe('unix');
is($p->{env}{PROTO}, 'IPC', 'unix: PROTO');
is($p->{env}{IPCREMOTEEUID}, $>, 'IPCREMOTEEUID');
is($p->{env}{IPCREMOTEEGID}, $) + 0, 'IPCREMOTEEGID');
is($p->{env}{IPCREMOTEPATH}, '', 'IPCREMOTEPATH of an unnamed peer');
is($p->{env}{SERVER_ADDR}, $t->dir . '/run/x.sock', 'SERVER_ADDR is the path');
$p = $t->ask_probe('unix', index => 1);
is($p->{env}{SERVER_ADDR}, '@broker-test-' . $t->dir, 'the abstract name');
$p = $t->ask_probe('seq');
is(fd($p, 0)->{type}, 'seqpacket', 'a seqpacket connection');

my $text = join '', map { "line $_\n" } 1 .. 20000;
is($t->ask('echo', 'hello'), 'hello', 'cat answers and sees the end');
my $c = $t->connect('echo');
my $writer = fork // die;
if (!$writer) { syswrite($c, $text); shutdown $c, 1; POSIX::_exit(0) }
is(length(BrokerTest::read_all($c) // ''), length $text, 'cat gives back a lot');
waitpid $writer, 0;

$p = $t->ask_probe('words');
my ($addr, $port, @rest) = @{ $p->{argv} }[2 .. 7];
is($addr, 'a127.0.0.1b', '${remote_addr} in an argument');
is($port, $p->{env}{REMOTE_PORT}, '${remote_port}');
is($rest[0], "$p->{pid}-$p->{pid}", '${pid}, twice');
is($rest[1], '$x', '$$ is a dollar sign');
is($rest[2], '$HOME', 'nothing else is expanded');
is($rest[3], '${pid}', '$${pid} is text');
is($p->{env}{WHO}, "127.0.0.1:$p->{env}{REMOTE_PORT}", 'placeholders in environment');
is($p->{env}{ME}, $p->{pid}, '${pid} in environment');
is($p->{env}{EMPTY}, '', 'an empty value');
is($p->{env}{NUMBER}, 7, 'environment wins over env_file');
is($p->{env}{FROM_FILE}, 'as it is $HOME', 'env_file');
is($p->{env}{KEPT}, 'kept', 'pass_environment');
ok(!exists $p->{env}{LOST}, 'and no more than that');

$p = $t->ask_probe('process');
is($p->{umask}, '0027', 'umask');
is($p->{cwd}, $t->dir, 'working_dir');
is($p->{nice}, 5, 'nice');
is_deeply($p->{rlimits}{nofile}, [300, 300], 'ulimits: nofile');
is_deeply($p->{rlimits}{core}, [0, 0], 'ulimits: core');
is_deeply($p->{rlimits}{nproc}, [1000, 2000], 'ulimits: nproc');
ok($p->{no_new_privs}, 'no_new_privileges');

is($t->ask('out'), '', 'stderr is not the socket');
is($t->wait_message('first', service => 'out')->{stream}, 'stderr', 'a line of stderr is a line of the log');
is($t->wait_message(qr/^second/, service => 'out')->{message}, "second\tx", 'nothing is lost of the next');
ok($t->wait_message('part', service => 'out'), 'nor the last one without its end');
my $end = $t->wait_message('connection ended', service => 'out', -from => 0);
is($end->{status}, 'exit:3', 'the end is logged with its status');
like($end->{peer}, qr/^127\.0\.0\.1:\d+$/, 'and its peer');
ok($end->{duration} > 0, 'and its duration');
ok($t->wait_message('connection accepted', service => 'out', pid => $end->{pid}, -from => 0), 'so was its beginning');
$t->ask('append');
open my $log, '<', $t->dir . '/err.log';
is(<$log>, "to a file\n", 'stderr: append');
is($t->ask('tosocket'), "to you\n", 'stderr: socket');
$p = $t->ask_probe('nullout');
is(fd($p, 2)->{target}, '/dev/null', 'stderr: null');
like(fd($p, 1)->{target}, qr{/stdout$}, "stdout: inherit");
$t->ask('fdsout');
is($t->wait_message('said', service => 'fdsout')->{stream}, 'stdout', 'stdout: log');

is($t->ask('slow'), '', 'max_runtime ends a connection');
is($t->wait_message('connection ended', service => 'slow')->{reason}, 'max_runtime', 'and the log says why');
is($t->ask('stubborn'), '', 'one that ignores the stop signal is killed');
$end = $t->wait_message('connection ended', service => 'stubborn');
is($end->{status}, 'signal:KILL', 'by SIGKILL');
is("$end->{reason}, killed $end->{killed}", 'max_runtime, killed after stop_grace_period', 'after the grace period');
$t->stop;

SKIP: {
        skip 'only root can change users', 14 unless $root;
        my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
        my $c = BrokerTest->new(services => <<'Y');
nobody: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], user: nobody, working_dir: /}
both: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], user: "nobody:daemon", group_add: [mail, "77"], groups: no}
number: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], user: "12345", group: games}
added: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], group_add: [mail]}
Y
        my $p = $c->ask_probe('nobody');
        is(join(' ', @{ $p->{ids} }{qw(ruid euid suid rgid egid sgid)}), "$uid $uid $uid $gid $gid $gid", 'user: all ids');
        is_deeply($p->{ids}{groups}, [$gid], 'the groups of the database');
        is($p->{env}{USER}, 'nobody', 'USER');
        is($p->{env}{LOGNAME}, 'nobody', 'LOGNAME');
        is($p->{env}{HOME}, (getpwnam 'nobody')[7], 'HOME');
        is($p->{env}{SHELL}, (getpwnam 'nobody')[8], 'SHELL');
        like($p->{caps}{eff}, qr/^0+$/, 'no capabilities are left');
        $p = $c->ask_probe('both');
        is($p->{ids}{egid}, (getgrnam 'daemon')[2], 'user:group');
        is(join(',', sort { $a <=> $b } @{ $p->{ids}{groups} }), join(',', sort { $a <=> $b } (getgrnam 'mail')[2], 77), 'group_add alone with groups: no');
        $p = $c->ask_probe('number');
        is($p->{ids}{ruid}, 12345, 'a uid without an entry');
        is($p->{ids}{rgid}, (getgrnam 'games')[2], 'group');
        $p = $c->ask_probe('added');
        ok(scalar(grep { $_ == (getgrnam 'mail')[2] } @{ $p->{ids}{groups} }), 'group_add without a user');
        $c->stop;
}
done_testing;
