#!/usr/bin/perl
# Claiming: a service's listening sockets by its name, from the running broker, by libsockbroker and by activate --claim.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use ActivateTest qw(reports fd_of run_to_end);
use BrokerTest;
use Errno qw(EACCES EBUSY EHOSTDOWN ENOENT ESRCH);
use File::Copy qw(copy);
use Part;
use POSIX ();
use Test::More;

my $t = BrokerTest->new(later => 1);
my $control = $t->dir . '/control';
my $claimer = $t->dir . '/claimer';
copy("$BrokerTest::BUILD/t/server/claimer", $claimer) or die "claimer: $!";
chmod 0755, $claimer;
$ENV{BROKER_CONTROL} = $control;

my $head = "broker: {control: $control, log: {format: json, level: debug}}\n";
my $services = <<'Y';
echo: {listen: {address: 127.0.0.1:0, name: front}, wait: no, command: [%PROBE%, --echo]}
lazy:
  listen: [{address: 127.0.0.1:0, name: http}, {address: %DIR%/lazy.sock, name: control}]
  wait: yes
  command: [%PROBE%, --serve, --count=1]
eager: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: always, restart_delay: 20s, non_blocking: yes, command: [%PROBE%, --serve, --count=1]}
missing: {listen: 127.0.0.1:0, wait: yes, command: [/nonexistent], restart_delay_max: 1h}
many: {listen: {address: 127.0.0.1:0, reuse_port: yes}, wait: yes, workers: 3, command: [%PROBE%, --serve]}
gone: {listen: %DIR%/gone.sock, wait: no, command: [%PROBE%, --echo]}
Y
$t->write_conf($services, head => $head);
$t->start;

# A claimer of SERVICE: its answer, as lines; and how to tell it what to do.
sub claim {
        my ($service, %arg) = @_;
        my $pid = fork_claimer($service, \my $out, \my $in, $arg{user});
        my $self = { pid => $pid, out => $out, in => $in };

        $self->{answer} = said($self);
        my ($count) = $self->{answer} =~ /^claimed (\d+)/;
        $self->{sockets} = [map { said($self) } 1 .. $count // 0];
        return $self;
}

sub fork_claimer {
        my ($service, $out, $in, $user) = @_;

        pipe $$out, my $their_out or die "pipe: $!";
        pipe my $their_in, $$in or die "pipe: $!";
        $$in->autoflush(1);
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                open STDIN, '<&', $their_in or POSIX::_exit(99);
                open STDOUT, '>&', $their_out or POSIX::_exit(99);
                if ($user) {
                        POSIX::setgid($user->[1]);
                        POSIX::setuid($user->[0]);
                }
                { no warnings 'exec'; exec $claimer, $service }
                POSIX::_exit(98);
        }
        return $pid;
}

sub said {
        my ($self) = @_;
        my $line = BrokerTest::read_line($self->{out}) // 'nothing in time';

        chomp $line;
        return $line;
}

sub order {
        my ($self, $word) = @_;

        print { $self->{in} } "$word\n";
        return;
}

sub end {
        my ($self) = @_;

        close $self->{in};
        waitpid $self->{pid}, 0;
        return $? >> 8;
}

# Everything logged from now on.
sub from_now {
        1 while $t->read_log(0);
        return (-from => scalar @{ $t->{log} });
}

part 'a service that the broker accepts for' => sub {
        my $before = BrokerTest::connect_to($t->address('echo'));
        syswrite $before, "x\n";
        is(BrokerTest::read_line($before), "x\n", 'the broker serves it');
        my $claim = claim('echo');
        is($claim->{answer}, 'claimed 1', 'claimed');
        is_deeply($claim->{sockets}, ['socket front nonblock=0 cloexec=1'], 'its socket, with its name, as a server would get it');
        ok($t->wait_message('state', service => 'echo', to => 'claimed'), 'the broker says so');
        syswrite $before, "y\n";
        is(BrokerTest::read_line($before), "y\n", 'who was connected before is served to the end');
        order($claim, 'accept');
        is(BrokerTest::read_all($t->connect('echo')), "claimer\n", 'who connects is the claimer\'s');
        my $waiting = $t->connect('echo');
        syswrite $waiting, "z\n";
        my %from = from_now();
        order($claim, 'give');
        is(said($claim), 'given', 'given back');
        ok($t->wait_message('given back', service => 'echo', %from), 'the broker knows');
        is(BrokerTest::read_line($waiting), "z\n", 'who waited meanwhile is served by the broker');
        ok($t->served('echo'), 'and who comes next');
        is(end($claim), 0, 'the claimer ends');
};

part 'one at a time' => sub {
        my $first = claim('echo');
        my $second = claim('echo');

        is($second->{answer}, 'error ' . EBUSY . " service 'echo' is claimed already, by pid $first->{pid} of uid $>",
                'the second is refused');
        end($_) for $second, $first;
        ok($t->served('echo'), 'served again');
        my $third = claim('echo');
        is($third->{answer}, 'claimed 1', 'claimed again');
        kill 'KILL', $third->{pid};
        end($third);
        ok($t->served('echo'), 'a claimer that is killed gives back too');
};

part 'what cannot be claimed' => sub {
        my $none = claim('nonesuch');

        is($none->{answer}, 'error ' . ESRCH . " there is no service 'nonesuch'", 'a service that is not there');
        is(end($none), 1, 'and its end');
        my $worker = claim('many/2');
        is($worker->{answer}, 'error ' . ESRCH . " there is no service 'many/2'", 'one worker');
        end($worker);
        local $ENV{BROKER_CONTROL} = $t->dir . '/no-control';
        my $nobody = claim('echo');
        is($nobody->{answer}, 'error ' . ENOENT . " there is no broker at '$ENV{BROKER_CONTROL}'", 'without a broker');
        end($nobody);
        my ($status, $text) = run_to_end(args => ['--claim=echo', 'true']);
        is($status, 1, '1: activate --claim without a broker');
        like($text, qr/^activate: --claim=echo: there is no broker at /, 'and why');
};

part 'a server that runs goes on' => sub {
        my %from = from_now();
        my $claim = claim('eager');

        is_deeply($claim->{sockets}, ['socket eager nonblock=1 cloexec=1'], 'its socket, as non_blocking says');
        my $c = $t->connect('eager');
        syswrite $c, "hi\n";
        like(BrokerTest::read_line($c), qr/^pid=\d+ fd=3 /, 'its server answers');
        ok($t->wait_message('server ended', service => 'eager', %from), 'and ends');
        ok($t->wait_message('state', service => 'eager', from => 'running', to => 'claimed', %from), 'it is not started again');
        order($claim, 'accept');
        is(BrokerTest::read_all($t->connect('eager')), "claimer\n", 'the claimer answers');
        %from = from_now();
        end($claim);
        ok($t->wait_message('server started', service => 'eager', %from), 'given back, it is started');
        $t->connect('missing');
        ok($t->wait_message('state', service => 'missing', to => 'paused', %from), 'a service that is paused');
        $claim = claim('missing');
        is($claim->{answer}, 'claimed 1', 'claimed while its server could not be started');
        %from = from_now();
        end($claim);
        ok($t->wait_message('state', service => 'missing', from => 'claimed', to => 'listening', %from), 'and given back');
};

part 'workers' => sub {
        my $claim = claim('many');

        is($claim->{answer}, 'claimed 3', 'the sockets of all workers');
        is_deeply($claim->{sockets}, [('socket many nonblock=0 cloexec=1') x 3], 'with their name');
        for my $name ('many', 'many/2', 'many/3') {
                ok($t->wait_message('state', service => $name, to => 'claimed'), "$name is claimed");
        }
        my %from = from_now();
        end($claim);
        for my $name ('many', 'many/2', 'many/3') {
                ok($t->wait_message('state', service => $name, to => 'listening', %from), "$name listens again");
        }
};

part 'reloads' => sub {
        my $claim = claim('gone');
        my $echo = claim('echo');
        my $lazy = claim('lazy');

        is($_->{answer} =~ s/\d+//r, 'claimed ', 'claimed') for $claim, $echo, $lazy;
        my $changed = $services =~ s/^gone:.*\n//mr =~ s/^(echo: .*)\}/$1, environment: {A: b}}/mr =~ s/--count=1\]$/--count=2]/mr;
        $t->write_conf($changed, head => $head);
        ok($t->reload, 'a reload that removes one and changes others');
        is(said($claim), 'over', 'the claim on the one that is gone is over');
        order($_, 'accept') for $echo, $lazy;
        is(BrokerTest::read_all($t->connect('echo')), "claimer\n", 'the others stay');
        is(BrokerTest::read_all($t->connect('lazy')), "claimer\n", 'also those whose server changed');
        my %from = from_now();
        end($_) for $claim, $echo, $lazy;
        ok($t->wait_message('state', service => 'lazy', to => 'listening', %from), 'until they are given back');
        ok($t->served('echo'), 'served by the broker again');
        $t->write_conf($services, head => $head);
        ok($t->reload, 'as before');
};

part 'a reload that adds a worker' => sub {
        my $claim = claim('many');
        my %from = from_now();

        $t->write_conf($services =~ s/workers: 3/workers: 4/r, head => $head);
        ok($t->reload, 'reloaded');
        ok($t->wait_message('state', service => 'many/4', to => 'claimed', %from), 'the new worker is claimed too');
        %from = from_now();
        end($claim);
        ok($t->wait_message('state', service => $_, to => 'listening', %from), "$_ listens") for 'many', 'many/4';
        $t->write_conf($services, head => $head);
        ok($t->reload, 'as before');
};

part 'activate -w' => sub {
        my $file = $t->dir . '/report';
        my %from = from_now();
        my $activate = ActivateTest->start(
                args => ['--claim=lazy', '-v', '-w', '--now', '--', $BrokerTest::PROBE, "--out=file:$file", '--serve', '--count=1']);
        my $c = do { $t->wait_message('claimed', service => 'lazy', %from); $t->connect('lazy') };

        syswrite $c, "hi\n";
        my $pid = $activate->pid;
        like(BrokerTest::read_line($c), qr/^pid=$pid fd=3 line=hi/, 'the program is the same process and has the sockets');
        is($activate->ended, 0, 'it ends');
        ok($t->wait_message('given back', service => 'lazy', pid => $pid, %from), 'the claim is as long as the program');
        my @since = @{ $t->{log} }[$from{-from} .. $#{ $t->{log} }];
        ok(!(grep { ($_->{message} // '') eq 'server started' && $_->{service} eq 'lazy' } @since), 'the broker has started nothing');
        open my $fh, '<', $file or die "$file: $!";
        my ($report) = reports(join '', <$fh>);
        is(join(',', map { $_->{fd} } @{ $report->{fds} }), '0,1,2,3,4,5', 'two sockets and the claim');
        is(fd_of($report, 3)->{local}, $t->address('lazy', 0), 'the first');
        is(fd_of($report, 4)->{local}, $t->dir . '/lazy.sock', 'the second');
        is(fd_of($report, 5)->{peer}, $control, 'the connection to the broker');
        ok(!fd_of($report, $_)->{cloexec}, "descriptor $_ stays open at exec") for 3 .. 5;
        ok(!fd_of($report, $_)->{nonblock}, "$_ blocks") for 3, 4;
        is($report->{env}{LISTEN_FDS}, 2, 'LISTEN_FDS');
        is($report->{env}{LISTEN_PID}, $pid, 'LISTEN_PID');
        is($report->{env}{LISTEN_FDNAMES}, 'http:control', 'LISTEN_FDNAMES: those of the service');
        like($t->ask('lazy', "again\n"), qr/^pid=(?!$pid)\d+ fd=3 /, 'the broker starts its own server again');
};

part 'the program that has the claim' => sub {
        my %from = from_now();
        # It calls org.sockbroker.Manager.Stop("lazy") on the connection it has inherited.
        my $script = $t->write_file('order.pl', <<'P');
open my $bus, '+<&=', 4 or die "4: $!";
my $text = sub { pack('V/a* x', $_[0]) };
my $align = sub { $_[0] . "\0" x (-length($_[0]) % 8) };
my $body = $text->('lazy');
my $fields = '';
for ([1, 'o', '/org/sockbroker'], [2, 's', 'org.sockbroker.Manager'], [3, 's', 'Stop']) {
        $fields = $align->($fields) . pack('CC/a* x', $_->[0], $_->[1]) . $text->($_->[2]);
}
$fields = $align->($fields) . pack('CC/a* x C/a* x', 8, 'g', 's');
syswrite $bus, $align->(pack('aCCCVVV/a*', 'l', 1, 0, 1, length $body, 77, $fields)) . $body;
# It does not block.
vec(my $readable = '', 4, 1) = 1;
select $readable, undef, undef, undef;
sysread $bus, my $answer, 4096;
print STDERR $answer =~ s/[^ -~]+/ /gr, "\n";
P
        my $activate = ActivateTest->start(args => ['--claim=echo', '-w', '--now', $^X, $script]);

        ok($activate->line(qr/org\.freedesktop\.DBus\.Error\.AccessDenied/), 'can order nothing else with its connection');
        is($activate->ended, 0, 'it ends');
        ok($t->wait_message('given back', service => 'echo', %from), 'and the claim with it');
        ok($t->served('echo'), 'which is served again');
        like($t->ask('lazy', "hello\n"), qr/^pid=\d+ fd=3 /, 'the other service has not been stopped');
};

part 'activate -w --inetd, names of its own, and traffic' => sub {
        my $file = $t->dir . '/report';
        my %from = from_now();
        my $activate = ActivateTest->start(args => ['--claim=eager', '-w', '--inetd', $BrokerTest::PROBE, "--out=file:$file"]);

        ok($t->wait_message('claimed', service => 'eager', %from), 'claimed');
        $activate->signal('TERM');
        $activate->ended;
        ok($t->wait_message('given back', service => 'eager', %from), 'told to stop while it waits, it gives back');
        unlink $file;
        %from = from_now();
        $activate = ActivateTest->start(args => ['--claim=echo', '-w', '--fdname=mine', $BrokerTest::PROBE, "--out=file:$file"]);
        ok($t->wait_message('claimed', service => 'echo', %from), 'claimed');
        my $c = $t->connect('echo');
        is($activate->ended, 0, 'becomes the program at the first traffic');
        open my $fh, '<', $file or die "$file: $!";
        my ($report) = reports(join '', <$fh>);
        is($report->{env}{LISTEN_FDNAMES}, 'mine', '--fdname');
        is(join(',', map { $_->{fd} } @{ $report->{fds} }), '0,1,2,3,4', 'one socket and the claim');
};

part 'activate, one shot' => sub {
        my %from = from_now();
        my $activate = ActivateTest->start(args => ['--claim=echo', 'sh', '-c', 'read x; echo "mine $x"; read x; echo "$x"']);

        ok($t->wait_message('claimed', service => 'echo', %from), 'claimed');
        my $c = $t->connect('echo');
        syswrite $c, "one\n";
        is(BrokerTest::read_line($c), "mine one\n", 'the first connection is its own');
        ok($t->wait_message('given back', service => 'echo', %from), 'the sockets are given back while it is served');
        ok($t->served('echo'), 'the next one is the broker\'s');
        syswrite $c, "two\n";
        is(BrokerTest::read_line($c), "two\n", 'both go on');
        is($activate->ended, 0, 'and end');
};

part 'activate -a' => sub {
        my %from = from_now();
        my $activate = ActivateTest->start(args => ['--claim=echo', '-a', 'sh', '-c', 'read x; echo "mine $x"; read x']);

        ok($t->wait_message('claimed', service => 'echo', %from), 'claimed');
        my @c = map { $t->connect('echo') } 1, 2;
        for my $c (@c) {
                syswrite $c, "x\n";
                is(BrokerTest::read_line($c), "mine x\n", 'served by a program of activate');
        }
        $activate->signal('TERM');
        ok($t->wait_message('given back', service => 'echo', %from), 'told to stop, it gives the sockets back');
        ok($t->served('echo'), 'the broker goes on');
        close $_ for @c;
        is($activate->ended, 0, 'activate ends with its programs');
};

part 'the broker ends a claim of activate' => sub {
        my %from = from_now();
        my @activate = map { ActivateTest->start(args => ['--claim=gone', @$_, 'cat']) } ['-a'];

        ok($t->wait_message('claimed', service => 'gone', %from), 'claimed');
        $t->write_conf($services =~ s/^gone:.*\n//mr, head => $head);
        ok($t->reload, 'a reload without the service');
        for my $activate (@activate) {
                ok($activate->line(qr/the broker has ended the claim/), 'activate says so');
                is($activate->ended, 1, 'and ends with 1');
        }
        $t->write_conf($services, head => $head);
        ok($t->reload, 'as before');
};

part 'stopped services' => sub {
        my $claim = claim('gone');

        is(system($BrokerTest::BROKER, 'stop', 'gone'), 0, 'broker stop');
        is(said($claim), 'over', 'ends the claim');
        end($claim);
        $claim = claim('gone');
        is($claim->{answer}, 'error ' . EHOSTDOWN . " service 'gone' has been stopped", 'there is nothing to claim');
        end($claim);
        is(system($BrokerTest::BROKER, 'start', 'gone'), 0, 'broker start');
        ok($t->served('gone'), 'it is served again');
        $claim = claim('gone');
        is($claim->{answer}, 'claimed 1', 'and can be claimed');
        my %from = from_now();
        end($claim);
        ok($t->wait_message('state', service => 'gone', to => 'listening', %from), 'and given back');
};

part 'who may' => sub {
        is((stat $control)[2] & 07777, 0600, 'nobody else reaches the control socket while nobody else may claim');
        my @nobody = getpwnam 'nobody' or skip_part 'there is no user nobody';
        skip_part 'only root can become another user' if $> != 0;
        my $user = [@nobody[2, 3]];
        my $stranger = [54321, 54321];
        my $refused = claim('echo', user => $user);
        like($refused->{answer}, qr/^error @{[ EACCES ]} cannot connect /, 'not even connected');
        end($refused);
        $t->write_conf($services =~ s/^(lazy:\n)/$1  claim: nobody\n/mr, head => $head);
        ok($t->reload, 'now lazy may be claimed by nobody');
        is((stat $control)[2] & 07777, 0666, 'the control socket is open to all');
        my $claim = claim('lazy', user => $user);
        is($claim->{answer}, 'claimed 2', 'nobody claims it');
        end($claim);
        $refused = claim('echo', user => $user);
        is($refused->{answer}, 'error ' . EACCES . " uid $user->[0] may not claim a service 'echo'", 'but no other service');
        end($refused);
        is($t->statistics('echo')->{refused_claim}, 1, 'which is counted');
        $refused = claim('nonesuch', user => $user);
        is($refused->{answer}, 'error ' . EACCES . " uid $user->[0] may not claim a service 'nonesuch'",
                'nor learns what services there are');
        end($refused);
        $refused = claim('lazy', user => $stranger);
        is($refused->{answer}, 'error ' . EACCES . ' the broker does not let this user claim anything', 'others are not let in');
        end($refused);
        $t->write_conf($services, head => $head);
        ok($t->reload, 'as before');
        is((stat $control)[2] & 07777, 0600, 'the control socket is closed to others again');
};

part 'the broker ends' => sub {
        my $claim = claim('echo');

        is($claim->{answer}, 'claimed 1', 'claimed');
        like(($t->verb('status', 'echo'))[1], qr/^ +State: claimed since .*\n +Reason: claimed by process $claim->{pid} of user $>$/m,
                'the status says by whom');
        $t->signal('TERM');
        is(said($claim), 'over', 'the claim is over');
        end($claim);
};
# It was told to end; to be told again would mean at once.
$t->stop(ended => 1);
done_testing;
