#!/usr/bin/perl
# What happens in the very moment of an upgrade: between the old broker's last action and the new one's first. The new
# binary is a script there, which does it, and then becomes the broker.
use strict;
use warnings;
use BrokerTest;
use Fcntl qw(F_GETFL F_SETFD O_NONBLOCK);
use FindBin qw($RealBin);
use IO::Socket::IP;
use Part;
use POSIX ();
use Test::More;
use UpgradeTest;

# A new binary that does TRIAL before it is tried, and STEP before it takes over. Commands built into the shell only:
# SIGCHLD is blocked there.
sub install_step {
        my ($t, %do) = @_;
        my ($trial, $step) = map { $t->fill($do{$_} // ':') } qw(trial step);

        install_script($t, <<"S");
case "\$1" in
check-state) $trial; exec $BrokerTest::BROKER "\$@";;
esac
$step
exec $BrokerTest::BROKER "\$@"
S
        return;
}

# The pid in the last record with this message.
sub pid_of {
        my ($t, $message, $service) = @_;

        return $t->wait_message($message, service => $service, -from => 0)->{pid};
}

part 'signals to the broker' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $client = $t->served('echo');

        $t->write_conf("echo: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: none}\n");
        install_step($t, step => 'kill -HUP $$');
        ok(upgrade($t), 'the broker is upgraded, and told to read its definitions') or diag($t->{said}, $t->log_text);
        ok($t->wait_message(qr/^reload: nothing has changed/, -from => 0), 'it does, and they are wrong');
        is(line($client, 'on'), "on\n", 'those in force stay');
        is($t->ask('echo', "new\n"), "new\n", '... for others, too');
        ok(upgrade($t), 'wrong definitions on disk are nothing to an upgrade');
        close $client;
        $t->stop;
        $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        $client = $t->served('echo');
        install_step($t, step => 'kill -TERM $$');
        upgrade($t);
        ok($t->wait_message(qr/^SIGTERM/), 'an order to end is followed by the new broker');
        is(line($client, 'on'), "on\n", '... when its last connection is over');
        close $client;
        $t->stop(ended => 1);
};

part 'ends of processes' => sub {
        my $t = new_broker(<<'Y');
talk: {listen: "%DIR%/talk.sock", wait: no, command: [sh, -c, "echo go; read x"]}
srv: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: always, restart_delay: 10ms, command: [sh, -c, "echo runs >&2; exec sleep 1000"]}
Y
        my $client = $t->connect('talk');

        is(BrokerTest::read_line($client), "go\n", 'a connection');
        ok($t->wait_message('runs', service => 'srv', -from => 0), '... and a server');
        my %pid = (talk => pid_of($t, 'connection accepted', 'talk'), srv => pid_of($t, 'server started', 'srv'));
        install_step($t, step => "kill -KILL $pid{talk} $pid{srv}");
        ok(upgrade($t), 'the broker is upgraded, and both end') or diag($t->{said}, $t->log_text);
        my $ended = $t->wait_message('connection ended', service => 'talk', -from => 0);
        is_deeply([@{$ended}{qw(pid status)}], [$pid{talk}, 'signal:KILL'], 'the end of the connection is noticed');
        is($t->statistics('talk')->{connections}, 0, '... and its place is free');
        $ended = $t->wait_message('server ended', service => 'srv', -from => 0);
        is_deeply([@{$ended}{qw(pid status)}], [$pid{srv}, 'signal:KILL'], 'and so is that of the server');
        ok($t->wait_log(sub { ($_->{message} // '') eq 'server started' && $_->{pid} != $pid{srv} }, from => 0),
                '... which is started again');
        $t->stop;
        $t = new_broker(<<'Y');
last: {listen: 127.0.0.1:0, wait: yes, start: boot, main: yes, command: [sh, -c, "trap 'exit 7' TERM; echo runs >&2; while :; do sleep 0.1; done"]}
Y
        $t->wait_message('runs', service => 'last', -from => 0);
        install_step($t, step => 'kill -TERM ' . pid_of($t, 'server started', 'last'));
        upgrade($t);
        $t->stop(ended => 1, status => 7);
};

part 'a server that is held still' => sub {
        my $t = new_broker(<<"Y");
held: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [python3, $RealBin/server/reluctant.py, "%DIR%/never"]}
Y
        POSIX::mkfifo($t->dir . "/$_", 0600) or die "mkfifo: $!" for qw(never tried go);
        my ($pid) = $t->ask('held', "hi\n") =~ /pid=(\d+)/;
        install_step($t, trial => 'echo >%DIR%/tried; read x <%DIR%/go');
        my $upgraded = verb_beside($t, 'upgrade');
        { open my $fh, '<', $t->dir . '/tried' or die "tried: $!"; readline $fh }
        # As long as its group does not stop as a whole, it is held again and again, each time for 200 ms at most. The
        # binary is tried until it is.
        1 until state($pid) eq 'T';
        { open my $fh, '>', $t->dir . '/go' or die "go: $!"; print $fh "\n" }
        is(($upgraded->())[0], 0, 'the broker is upgraded') or diag($t->log_text);
        is($t->ask('held', "hi\n"), "pid=$pid\n", 'the server goes on');
        kill 'KILL', -$pid;
        open my $fh, '<', $t->dir . '/never' or die "never: $!";
        $t->stop;
};

sub state {
        my ($pid) = @_;

        open my $fh, '<', "/proc/$pid/stat" or return 'T';
        return (<$fh> // '') =~ /\) (\w) / ? $1 : 'T';
}

part 'a binary that is strange' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");

        install_script($t, q{printf 'p\303s de\033[1m \377 mots\n' >&2; exit 1});
        ok(!upgrade($t), 'a binary whose words are no text is refused');
        like($t->{said}, qr/cannot take over \(exit:1\): p.*s de/, '... and they are told, as far as they are');
        unlike($t->{said}, qr/\033/, '... without what a terminal would do about them');
        POSIX::mkfifo($t->dir . '/left', 0600) or die "mkfifo: $!";
        install_script($t, 'exec 9>' . $t->dir . '/left; sleep 1000 & exit 1');
        my $upgraded = verb_beside($t, 'upgrade');
        { open my $fh, '<', $t->dir . '/left' or die "left: $!"; is(readline $fh, undef, 'what a binary leaves behind ends with it') }
        is(($upgraded->())[0], 1, '... and it is refused');
        is($t->ask('echo', "on\n"), "on\n", 'the old one goes on');
        $t->stop;
};

part 'definitions that change meanwhile' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $trial = sub {
                { open my $fh, '<', $t->dir . '/tried' or die "tried: $!"; readline $fh }
                $_[0]->();
                open my $fh, '>', $t->dir . '/go' or die "go: $!";
                print $fh "\n";
        };

        POSIX::mkfifo($t->dir . "/$_", 0600) or die "mkfifo: $!" for qw(tried go);
        install_step($t, trial => 'echo >%DIR%/tried; read x <%DIR%/go');
        my $upgraded = verb_beside($t, 'upgrade');
        $trial->(sub {
                $t->write_conf("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\nmore: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
                ok($t->reload, 'while the new binary is tried definitions change');
        });
        $trial->(sub { pass('it is tried again with those') });
        is(($upgraded->())[0], 0, 'and then the broker is upgraded') or diag($t->log_text);
        is($t->ask('more', "on\n"), "on\n", '... and goes by them');
        $t->stop;
};

part 'the arguments of the broker' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");

        # A newer one that has an option less, as far as can be seen.
        $t->write_file('edit.py', <<'P');
import fcntl, json, os, sys
os.lseek(3, 0, os.SEEK_SET)
state = json.load(open(3, closefd=False))
state['arguments'].append('--long-gone')
fd = os.memfd_create('state', os.MFD_ALLOW_SEALING)
os.write(fd, json.dumps(state).encode())
fcntl.fcntl(fd, 1033, 15)
os.dup2(fd, 3, True)
os.execv(sys.argv[1], sys.argv[1:])
P
        install_script($t, "exec python3 %DIR%/edit.py $BrokerTest::BROKER \"\$@\"" =~ s/%DIR%/$t->dir/er);
        ok(!upgrade($t), 'a binary that does not understand them is refused');
        like($t->{said}, qr/does not understand the arguments/, '... for that reason');
        is($t->ask('echo', "on\n"), "on\n", 'the old one goes on');
        $t->stop;
};

part 'a binary that cannot be executed any more' => sub {
        my $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\nenv: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}\n");
        my $client = $t->served('echo');
        my $fds = sub { return [map { $_->{fd} } @{ $t->ask_probe('env')->{fds} }] };
        my $before = $fds->();

        # What tells one file from another does not change by this.
        install_step($t, trial => 'chmod 0644 %DIR%/broker');
        ok(!upgrade($t), 'a step that fails');
        like($t->{said}, qr/could not be executed, the old one goes on/, '... is told');
        like(outcome($t)->{message}, qr/cannot be executed: Permission denied/, '... with the reason in the log');
        is(line($client, 'on'), "on\n", 'a connection goes on');
        is_deeply($fds->(), $before, 'programs get no descriptors of the broker');
        install($t, $BrokerTest::BROKER);
        ok(upgrade($t), 'a good binary is taken afterwards') or diag($t->{said});
        is(line($client, 'on'), "on\n", '... as if nothing had been');
        close $client;
        $t->stop;
};

part 'a broker that was started in other ways' => sub {
        my $t = BrokerTest->new(later => 1, services => "echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");

        install($t, $BrokerTest::BROKER);
        $t->start(program => $t->dir . '/broker',
                wrap => ['sh', '-c', 'exec 9<"$1"; shift; exec /proc/self/fd/9 "$@"', 'sh']);
        ok(upgrade($t), 'a broker that was started by a descriptor is upgraded') or diag($t->{said});
        install_script($t, 'echo "not today" >&2; exit 1');
        ok(!upgrade($t), '... to what is at the path');
        like($t->{said}, qr/not today/, '... of its binary');
        $t->stop;
        $t = BrokerTest->new(later => 1, services => "echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        install($t, $BrokerTest::BROKER);
        $t->start(program => 'broker', wrap => ['sh', '-c', 'cd "${0%/*}" && shift && exec ./broker "$@"', $t->dir . '/broker'],
                conf => ['-c', 'conf']);
        ok(upgrade($t), 'one with relative paths is upgraded') or diag($t->{said}) for 1 .. 2;
        ok($t->reload, '... and finds its definitions');
        $t->stop;
        skip_part 'LeakSanitizer needs /proc' if $ENV{BROKER_SANITIZED};
        skip_part 'no mount namespace can be made here' if system 'unshare --mount mount -t tmpfs none /proc 2>/dev/null';
        $t = new_broker("echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n",
                wrap => ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']);
        ok(upgrade($t), 'one without /proc is upgraded') or diag($t->{said}) for 1 .. 2;
        is($t->ask('echo', "on\n"), "on\n", '... and serves');
        $t->stop;
};

part 'an inherited socket' => sub {
        my $socket = IO::Socket::IP->new(Listen => 8, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@";
        my $t = BrokerTest->new(later => 1, services => "in: {listen: 'fd:unknown', wait: no, command: [cat]}\n");

        $socket->blocking(0);
        install($t, $BrokerTest::BROKER);
        $t->start(program => $t->dir . '/broker', setup => sub { fcntl $socket, F_SETFD, 0 },
                wrap => ['sh', '-c', 'exec 3<&' . fileno($socket) . '; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', 'sh']);
        ok(upgrade($t), 'the broker is upgraded') or diag($t->{said}) for 1 .. 2;
        $t->stop;
        ok(fcntl($socket, F_GETFL, 0) & O_NONBLOCK, 'the socket is as it was when the broker has ended');
};

done_testing;
