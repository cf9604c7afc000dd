#!/usr/bin/perl
# handoff: pass. Workers take connections out of a queue that they share: what they get, how many there are, who waits
# where, and that nobody is lost who was not taken.
use strict;
use warnings;
use BrokerTest;
use Fcntl qw(F_SETFD);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use Part;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(time);

my $worker = "$ENV{BROKER_BUILD}/t/server/worker";

sub broker_with {
        my ($services, %arg) = @_;
        return BrokerTest->new(%arg, services => $services =~ s/%WORKER%/$worker/gr);
}

# The number of the worker that serves the client, which says so first.
sub worker_of {
        my ($client) = @_;
        my ($pid) = (BrokerTest::read_line($client) // '') =~ /^worker (\d+)/;

        return $pid // 0;
}

sub order {
        my ($client, $line) = @_;

        syswrite $client, "$line\n";
        return;
}

sub about {
        my ($client) = @_;
        my %about;

        order($client, 'env');
        while (defined(my $line = BrokerTest::read_line($client))) {
                last if $line eq ".\n";
                $about{$1} = $2 if $line =~ /^([^=]+)=(.*)\n/;
        }
        return \%about;
}

sub echoes {
        my ($client) = @_;

        order($client, 'there');
        return (BrokerTest::read_line($client) // '') eq "there\n";
}

sub end_of_worker { my ($t, %field) = @_; return $t->wait_message('worker ended', %field) }

# Until CODE is true of what SIGUSR1 says.
sub wait_statistics {
        my ($t, $service, $code) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (time < $until) {
                my $n = $t->statistics($service);
                return $n if $code->($n);
        }
        return;
}

part 'what a worker gets' => sub {
        my $t = broker_with(<<'Y');
q:
  listen: ["127.0.0.1:0", %DIR%/q.sock]
  wait: no
  handoff: pass
  command: %WORKER%
  environment: {NUMBER: "${fd:queue}"}
Y
        is($t->statistics('q')->{processes}, 0, 'nobody runs before there is a client');
        my $client = $t->connect('q');
        my $pid = worker_of($client);
        my $about = about($client);

        is($about->{REMOTE_ADDR}, '127.0.0.1', 'the client');
        is($about->{REMOTE_PORT}, $client->sockport, 'its port');
        is($about->{SERVER_PORT}, $client->peerport, 'ours');
        is($about->{PROTO}, 'TCP', 'UCSPI');
        like($about->{SO_COOKIE}, qr/^\d+$/, 'the cookie');
        is($about->{'own LISTEN_FDS'}, 1, 'one descriptor');
        is($about->{'own LISTEN_FDNAMES'}, 'queue', 'its name');
        is($about->{'own LISTEN_PID'}, $pid, 'for it');
        is($about->{'own REMOTE_ADDR'}, '', 'the worker itself is about nobody');
        is($about->{'own NUMBER'}, 3, '${fd:queue}');
        order($client, 'bye');
        is(BrokerTest::read_all($client), '', 'the client sees the end when the worker closes');

        my $odd = "$t->{dir}/a\nREMOTE_ADDR=10.0.0.1";
        my $unix = IO::Socket::UNIX->new(Local => $odd, Peer => "$t->{dir}/q.sock") // die "connect: $!\n";
        is(worker_of($unix), $pid, 'the same worker serves the next one');
        $about = about($unix);
        is($about->{REMOTE_ADDR}, $odd =~ tr/\n/?/r, 'a path with line feeds is one line');
        is($about->{IPCREMOTEEUID}, $>, 'who it is');
        my $n = wait_statistics($t, 'q', sub { $_[0]{ended} == 2 });
        is($n->{accepted}, 2, 'both are counted');
        $unix->close;
        $t->stop;
};

part 'IPv6' => sub {
        my $probe = IO::Socket::IP->new(Listen => 1, LocalHost => '::1', LocalPort => 0);

        skip_part('there is no IPv6 here') if !$probe;
        my $t = broker_with("q: {listen: '[::1]:0', wait: no, handoff: pass, command: %WORKER%}\n");
        my $client = $t->connect('q');

        worker_of($client);
        is(about($client)->{REMOTE_ADDR}, '::1', 'the address is whole');
        $client->close;
        $t->stop;
};

# As long as one gets, with IPv6 or without.
part 'an IPv6 address arrives whole' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, proxy_protocol: require, proxy_protocol_from: 127.0.0.1}
Y
        my $client = $t->connect('q');
        my ($long, $ours) = ('2001:db8:85a3:1234:5678:8a2e:1370:7334', 'fe80:1111:2222:3333:4444:5555:6666:7777');

        syswrite $client, "PROXY TCP6 $long $ours 65534 65535\r\n";
        worker_of($client);
        my $about = about($client);
        is(join(' ', @$about{qw(REMOTE_ADDR REMOTE_PORT TCPREMOTEIP PROTO)}), "$long 65534 $long TCP", 'the address of the client');
        is(join(' ', @$about{qw(SERVER_ADDR SERVER_PORT)}), "$ours 65535", 'and ours');
        $client->close;
        $t->stop;
};

part 'growing and shrinking' => sub {
        my $t = broker_with(<<'Y');
q:
  listen: 127.0.0.1:0
  wait: no
  handoff: pass
  command: %WORKER%
  workers: {min: 0, max: 4}
  idle_stop: 200ms
Y
        my @clients = map { $t->connect('q') } 1 .. 4;
        my %pids = map { worker_of($_) => 1 } @clients;
        is(scalar keys %pids, 4, 'four that wait have four workers');
        my $fifth = $t->connect('q');
        my $sixth = $t->connect('q');
        ok(!IO::Select->new($fifth)->can_read(0.1), 'there is no fifth');
        is($t->statistics('q')->{processes}, 4, 'as many as max says');
        close shift @clients;
        ok($pids{ worker_of($fifth) }, 'the fifth client has the one that is free again');
        $_->close for @clients, $fifth;
        ok($pids{ worker_of($sixth) }, 'the sixth too');
        end_of_worker($t, status => 'exit:0') for 1 .. 3;
        ok(echoes($sixth), 'those who are not needed end, and nobody who serves');
        $sixth->close;
        ok(end_of_worker($t, status => 'exit:0'), 'the last one at last');
        ok(worker_of($t->connect('q')), 'and comes again');
        $t->stop;
};

part 'start: boot, spare' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, start: boot, workers: {min: 2, max: 8, spare: 3}}
Y
        ok($t->wait_message('worker started'), 'a worker without a client') for 1 .. 3;
        is($t->statistics('q')->{processes}, 3, 'spare is more than min');
        $t->stop;
};

part 'max_requests' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: {min: 1, max: 1, max_requests: 3}}
Y
        my %served;

        # What was taken is counted with some delay.
        for (1 .. 1000) {
                last if keys %served > 2;
                my $client = $t->connect('q');
                $served{ worker_of($client) }++;
                order($client, 'bye');
                BrokerTest::read_all($client);
        }
        cmp_ok(scalar keys %served, '>=', 2, 'others have taken its place');
        ok(!$served{0}, 'everybody was served');
        ok(end_of_worker($t, status => 'exit:0'), 'it ended of its own accord');
        $t->stop;
};

part 'max_age' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, start: boot, workers: {min: 1, max: 1, max_age: 300ms}}
Y
        my $first = $t->wait_message('worker started')->{pid};
        is(end_of_worker($t, pid => $first)->{status}, 'exit:0', 'the first one is told to end');
        my $client = $t->connect('q');
        isnt(worker_of($client), $first, 'there is another one');
        $client->close;
        $t->stop;
};

part 'the dead are replaced, those who wait are not lost' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2}
Y
        my @busy = map { $t->connect('q') } 1 .. 2;
        my @pids = map { worker_of($_) } @busy;
        my @waiting = map { $t->connect('q') } 1 .. 6;

        kill 'KILL', @pids;
        ok(worker_of($_), 'one who waited') && close $_ for @waiting;
        is(BrokerTest::read_all($busy[0]), '', 'who was served is gone with the worker');
        my $client = $t->connect('q');
        worker_of($client);
        order($client, 'die');
        ok(end_of_worker($t, status => 'exit:9'), 'one that dies of its own accord');
        ok(worker_of($t->connect('q')), 'is replaced');
        $t->stop;
};

part 'kill -9 under load' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 3, restart_delay: 1ms}
Y
        my ($served, $cut, $lost) = (0, 0, 0);

        for my $round (1 .. 40) {
                my @clients = map { $t->connect('q') } 1 .. 8;
                my @victims = map { worker_of($_) } @clients[0 .. 1];

                kill 'KILL', grep { $_ } @victims;
                close $_ for @clients[0 .. 1];
                # Whoever has heard of a worker that was killed meanwhile has lost it; the others have one.
                for (@clients[2 .. 7]) {
                        my $pid = worker_of($_);
                        $pid ? $served++ : $lost++;
                        close $_;
                }
        }
        # A worker may have taken one before it was killed that it has said nothing to.
        cmp_ok($lost, '<=', 80, 'nobody is lost but to those who were killed');
        cmp_ok($served, '>=', 160, 'the others were served');
        my $n = wait_statistics($t, 'q', sub { $_[0]{connections} == 0 });
        is($n->{accepted}, 320, 'all were accepted');
        $t->stop;
};

part 'kill -9 under load of many at once' => sub {
        my $t = broker_with(<<'Y');
q: {listen: {address: 127.0.0.1:0, backlog: 200}, wait: no, handoff: pass, command: %WORKER%, workers: 4, restart_delay: 1ms, restart_delay_max: 5ms}
Y
        my ($clients, $each, $killed) = (6, 150, 0);
        my ($address, @reads) = $t->address('q');

        for (1 .. $clients) {
                pipe my $read, my $write or die "pipe: $!";
                my $pid = fork // die "fork: $!";
                if (!$pid) {
                        my %count = (served => 0, cut => 0, lost => 0);
                        for (1 .. $each) {
                                my $client = BrokerTest::connect_to($address, may_fail => 1) or last;
                                syswrite $client, "x\nbye\n";
                                my $text = BrokerTest::read_all($client);
                                $count{ !defined $text ? 'lost' : $text =~ /^worker \d+\nx\n\z/ ? 'served' : 'cut' }++;
                        }
                        syswrite $write, join ' ', @count{qw(served cut lost)};
                        require POSIX;
                        POSIX::_exit(0);
                }
                push @reads, $read;
        }
        # One after the other, each as soon as another one has replaced it.
        while (!IO::Select->new(@reads)->can_read(0)) {
                my $start = $t->wait_message('worker started', -timeout => 1, -quiet => 1) or next;
                $killed += kill 'KILL', $start->{pid};
        }
        my @sum = (0, 0, 0);
        for my $read (@reads) {
                my @count = split ' ', BrokerTest::read_all($read, 120) // '0 0 999';
                $sum[$_] += $count[$_] for 0 .. 2;
        }
        wait for 1 .. $clients;
        is($sum[2], 0, 'nobody waits for ever');
        is($sum[0] + $sum[1], $clients * $each, 'everybody is answered, or cut off');
        cmp_ok($sum[1], '<=', $killed, "each of $killed that were killed has taken no more than one with it ($sum[1])");
        my $n = wait_statistics($t, 'q', sub { $_[0]{connections} == 0 });
        is($n->{accepted}, $clients * $each, 'all were accepted, and none is left in the queue');
        $t->stop;
};

part 'hanging workers, a full queue' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2, stop_grace_period: 100ms}
Y
        my @hung = map { $t->connect('q') } 1 .. 2;
        worker_of($_), order($_, 'hang') for @hung;
        my @waiting = map { $t->connect('q') } 1 .. 10;
        my $n = wait_statistics($t, 'q', sub { $_[0]{connections} == 2 && $_[0]{accepted} >= 4 });

        is($n->{accepted}, 4, 'two wait in the queue, as many as there are workers, and the others in the backlog');
        my $ticks = $t->cpu_ticks;
        ok(!IO::Select->new(@waiting)->can_read(1), 'nobody is served');
        cmp_ok($t->cpu_ticks - $ticks, '<=', 5, 'nor does the broker do anything');
        my ($status) = $t->verb('restart', 'q');
        is($status, 0, 'an order to restart');
        my @served = map { my $pid = worker_of($_); close $_; $pid || () } @waiting;
        is(scalar @served, 8, 'serves those in the backlog, but not those in the queue');
        $t->stop;
};

part 'workers that fail' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: [%WORKER%, fail], workers: 3, restart_delay: 50ms}
none: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %DIR%/none, workers: 3}
Y
        my $client = $t->connect('q');
        my @at = map { end_of_worker($t, service => 'q', status => 'exit:3'); time } 1 .. 12;

        cmp_ok($at[-1] - $at[0], '>', 0.1, 'they are started again later and later');
        ok($t->connect('none'), 'a program that is missing');
        like($t->wait_message(qr/./, service => 'none', level => 'error')->{message} // '', qr/cannot start/, 'is told');
        $t->write_conf("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: $worker, workers: 3}\n");
        ok($t->reload, 'a reload that mends it');
        ok(worker_of($client), 'and the client who waited is served');
        $client->close;
        $t->stop;
};

part 'a worker that shuts the queue down' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2, restart_delay: 10ms}
Y
        my @clients = map { $t->connect('q') } 1 .. 2;
        worker_of($_) for @clients;
        order($clients[0], 'shut');
        is(BrokerTest::read_line($clients[0]), "done\n", 'it can');
        my @others = map { $t->connect('q') } 1 .. 5;
        ok(worker_of($_), 'there is another queue') && close $_ for @others;
        $t->stop;
};

part 'workers that close the queue' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2, restart_delay: 10ms}
Y
        my @clients = map { $t->connect('q') } 1, 2;
        my @pids = map { worker_of($_) } @clients;

        for (@clients) {
                order($_, 'close');
                is(BrokerTest::read_line($_), "done\n", 'both of them');
        }
        my @waiting = map { $t->connect('q') } 1 .. 4;
        ok(echoes($_), 'who they serve they go on serving') for @clients;
        $_->close for @clients;
        ok(worker_of($_), 'who waited is served by others') && close $_ for @waiting;
        ok(end_of_worker($t, pid => $_, -from => 0), 'they end') for @pids;
        $t->stop;
};

part 'clients that leave, that are slow, half open' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 1}
Y
        my $slow = $t->connect('q');
        worker_of($slow);
        my @gone = map { $t->connect('q') } 1 .. 5;
        my $half = $t->connect('q');
        syswrite $half, "bye\n";
        shutdown $half, 1;
        $_->close for @gone;
        $slow->close;
        like(BrokerTest::read_all($half), qr/^worker \d+\n$/, 'one that has ended its own direction is served');
        my $n = wait_statistics($t, 'q', sub { $_[0]{ended} == 7 });
        is($n->{connections}, 0, 'nobody is left');
        $t->stop;
};

part 'a client that never reads' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2}
Y
        my $client = $t->connect('q');
        my $pid = worker_of($client);

        $client->blocking(0);
        my $line = 'y' x 1000 . "\n";
        while (IO::Select->new($client)->can_write(0.3)) { syswrite $client, $line x 100 }
        my @others = map { $t->connect('q') } 1 .. 5;
        for (@others) {
                isnt(worker_of($_), $pid, 'holds one worker, and nobody else');
                close $_;
        }
        my $order = $t->connect('q');
        worker_of($order);
        # Closing with something unread is a reset, which its worker sees.
        close $client;
        is(worker_of($t->connect('q')), $pid, 'which is there again when it has left');
        $t->stop;
};

part 'reset before it was accepted' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 1}
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: cat, workers: 1}
Y
        kill 'STOP', $t->{main_pid};
        for my $service (qw(q r)) {
                my @gone = map { $t->connect($service) } 1 .. 3;
                for (@gone) { setsockopt $_, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); close $_ }
        }
        kill 'CONT', $t->{main_pid};
        ok(worker_of($t->connect('q')), 'pass: the next one is served');
        is($t->ask('r', "x\n"), "x\n", 'request: too');
        ok(!grep({ ($_->{message} // '') =~ /^paused/ } @{ $t->{log} }), 'and nobody has paused for it');
        ok(wait_statistics($t, $_, sub { $_[0]{connections} == 0 }), "$_: nobody is left") for qw(q r);
        $t->stop;
};

part 'orders' => sub {
        my $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2}\n");
        my $client = $t->connect('q');
        my $pid = worker_of($client);

        is(($t->verb('kill', 'q'))[0], 0, 'kill');
        is(BrokerTest::read_all($client), '', 'ends its workers');
        is($t->statistics('q')->{processes}, 0, 'all of them');
        ok(worker_of($t->connect('q')), 'the next client starts some');
        is(($t->verb('stop', 'q'))[0], 0, 'stop');
        ok(!$t->connect('q', may_fail => 1), 'closes the socket');
        is(($t->verb('start', 'q'))[0], 0, 'start');
        is(($t->verb('replace', 'q'))[0], 1, 'nobody is there to replace');
        like(($t->verb('status', 'q'))[1], qr/q/, 'status');
        $t->stop;
};

part 'reload' => sub {
        my $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 1, environment: {A: 1}}\n");
        my $client = $t->connect('q');
        my $pid = worker_of($client);
        my @waiting = map { $t->connect('q') } 1 .. 3;

        $t->write_conf("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: $worker, workers: 3, environment: {A: 1}}\n");
        ok($t->reload, 'another number of workers');
        ok(worker_of($_) != $pid, 'are there at once, beside the old one') for @waiting[0, 1];
        close $_ for @waiting;
        ok(echoes($client), 'which goes on');
        $t->write_conf("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: $worker, workers: 1, environment: {A: 2}}\n");
        my @more = map { $t->connect('q') } 1 .. 2;
        ok($t->reload, 'another program');
        ok(worker_of($_), 'who waited for the old one is served') && close $_ for @more;
        ok(echoes($client), 'who was served goes on');
        $client->close;
        ok(end_of_worker($t, pid => $pid, status => 'exit:0'), 'the old worker ends after its last client');
        $t->write_conf("q: {listen: 127.0.0.1:0, wait: no, command: [/bin/echo, other]}\n");
        ok($t->reload, 'another way');
        is(BrokerTest::read_all($t->connect('q')), "other\n", 'has the next client');
        $t->write_conf("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: $worker}\n");
        ok($t->reload, 'and back');
        ok(worker_of($t->connect('q')), 'to workers');
        $t->stop;
};

part 'a service leaves whose workers fail' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: [%WORKER%, fail], workers: 2, restart_delay: 10ms, restart_delay_max: 40ms}
n: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: [%DIR%/once, idle], workers: 1, restart_delay: 10ms, restart_delay_max: 40ms}
Y
        symlink $worker, $t->dir . '/once';
        my @clients = map { $t->connect($_) } qw(q n);

        end_of_worker($t, service => 'q');
        # One has been put into the queue, and then its program is gone.
        my $pid = $t->wait_message('worker started', service => 'n', -from => 0)->{pid};
        unlink $t->dir . '/once';
        $t->write_conf("x: {listen: 127.0.0.1:0, wait: no, command: cat}\n");
        ok($t->reload, 'a reload without it');
        kill 'KILL', $pid;
        is(BrokerTest::read_all($_), '', 'who waits for them is closed') for @clients;
        is($t->ask('x', 'x'), 'x', 'others are served');
        $t->stop;
};

part 'the broker ends' => sub {
        my $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 1}\n");
        my @clients = map { $t->connect('q') } 1 .. 2;
        my $pid = worker_of($clients[0]);

        wait_statistics($t, 'q', sub { $_[0]{accepted} == 2 });
        $t->signal('TERM');
        ok(echoes($clients[0]), 'who is served goes on');
        $clients[0]->close;
        is(worker_of($clients[1]), $pid, 'who waited in the queue is served');
        $clients[1]->close;
        $t->stop(ended => 1);
};

part 'upgrade' => sub {
        my $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 2}\n");
        my @clients = map { $t->connect('q') } 1 .. 2;
        my @pids = map { worker_of($_) } @clients;
        my @waiting = map { $t->connect('q') } 1 .. 4;

        wait_statistics($t, 'q', sub { $_[0]{accepted} == 4 });
        is(($t->verb('upgrade'))[0], 0, 'an upgrade') or diag($t->log_text);
        ok(echoes($_), 'those who are served go on') for @clients;
        $_->close for @clients;
        for (@waiting) {
                my $pid = worker_of($_);
                ok((grep { $_ == $pid } @pids), 'those who waited are served by the workers that there were');
                close $_;
        }
        kill 'KILL', $pids[0];
        ok(end_of_worker($t, pid => $pids[0]), 'the end of a worker is seen');
        my @next = map { $t->connect('q') } 1 .. 2;
        ok(worker_of($_), 'and replaced') for @next;
        $_->close for @next;
        $t->stop;
};

part 'upgrade between a reload and what it ends' => sub {
        my $text = "q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: $worker, workers: 1, environment: {A: 1}}\n";
        my $t = broker_with($text);
        my $client = $t->connect('q');
        my $old = worker_of($client);
        my $waits = $t->connect('q');

        wait_statistics($t, 'q', sub { $_[0]{accepted} == 2 });
        $t->write_conf($text =~ s/A: 1/A: 2/r);
        ok($t->reload, 'another definition');
        my $new = worker_of($waits);
        isnt($new, $old, 'has who waited');
        is(($t->verb('upgrade'))[0], 0, 'an upgrade');
        ok(echoes($client), 'who has a worker of the old one goes on');
        close $client;
        ok(end_of_worker($t, pid => $old, status => 'exit:0'), 'which ends behind him');
        $client = $t->connect('q');
        wait_statistics($t, 'q', sub { $_[0]{accepted} == 3 });
        $t->write_conf("x: {listen: 127.0.0.1:0, wait: no, command: cat}\n");
        ok($t->reload, 'the service leaves');
        is(($t->verb('upgrade'))[0], 0, 'an upgrade');
        ok(echoes($waits), 'who is served goes on');
        kill 'KILL', $new;
        isnt(my $other = worker_of($client), 0, 'who waits in the queue is served by another one, when that has died');
        close $client;
        ok(end_of_worker($t, pid => $other, status => 'exit:0'), 'the last one ends');
        $t->stop;
};

part 'idle_exit' => sub {
        my $head = "broker: {idle_exit: 200ms, log: {format: json, level: debug}}\n";
        my $t = broker_with(<<'Y', head => $head);
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, start: boot, workers: {min: 2, max: 3, spare: 1}}
Y
        my $client = $t->connect('q');

        ok(worker_of($client), 'a client');
        end_of_worker($t, status => 'exit:0');
        ok($t->wait_message('something is alive, idle_exit begins anew'), 'keeps its worker, and that one the broker') for 1, 2;
        is($t->statistics('q')->{processes}, 1, 'workers without a client end for it');
        my $next = $t->connect('q');
        ok(worker_of($next), 'and are there again with the next one');
        $next->close;
        $client->close;
        ok($t->wait_message('nothing has been alive for idle_exit'), 'then it ends, and min does not keep it');
        $t->stop(ended => 1);

        # Who comes while they are ending.
        $t = broker_with("q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: {min: 3, max: 3}}\n", head => $head);
        $client = $t->connect('q');
        worker_of($client);
        # The client's worker sees it only when he has left, and another one is there for whoever comes.
        $t->wait_message('something is alive, idle_exit begins anew');
        my @more = map { $t->connect('q') } 1, 2;
        ok(worker_of($_), 'is served') for @more;
        $_->close for @more, $client;
        ok($t->wait_message('nothing has been alive for idle_exit'), 'and then it ends');
        $t->stop(ended => 1);
};

part 'limits' => sub {
        my $t = broker_with(<<'Y');
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: 4, instances: 1, per_source: 1}
Y
        # A place is taken until a worker has the connection.
        my @clients = map { $t->connect('q') } 1 .. 3;
        ok(worker_of($_), 'one after the other') for @clients;
        my $n = wait_statistics($t, 'q', sub { $_[0]{connections} == 0 });
        is($n->{accepted}, 3, 'nobody is refused who is served by then');
        $_->close for @clients;
        $t->stop;
};

part 'out of descriptors' => sub {
        skip_part('prlimit(1) is not installed') if system('prlimit --version >/dev/null 2>&1') != 0;
        # A worker costs the broker one.
        my $t = broker_with(<<'Y', wrap => ['prlimit', '--nofile=40:40']);
q: {listen: 127.0.0.1:0, wait: no, handoff: pass, command: %WORKER%, workers: {min: 0, max: 60}, restart_delay: 20ms}
Y
        my @clients = map { $t->connect('q') } 1 .. 60;
        my $served = 0;

        ok(worker_of($clients[0]), 'some are served');
        my $n = wait_statistics($t, 'q', sub { $_[0]{processes} > 10 });
        cmp_ok($n->{processes}, '<', 40, 'by as many workers as can be');
        close $clients[0];
        for (@clients[1 .. 59]) { $served++ if worker_of($_); close $_ }
        is($served, 59, 'the others one after the other');
        $t->stop;
};

part 'ten thousand' => sub {
        my $t = broker_with(<<'Y');
q: {listen: {address: 127.0.0.1:0, backlog: 4096}, wait: no, handoff: pass, command: [%WORKER%], workers: {min: 0, max: 3}, restart_delay: 1ms, idle_stop: 200ms}
Y
        my $fds = keys %{ $t->fds };
        my $served = 0;

        worker_of($t->connect('q'));
        for my $round (1 .. 200) {
                my @clients = map { $t->connect('q') } 1 .. 50;
                my @some;

                for (@clients) {
                        if (rand() < 0.3) { close $_ }
                        else { syswrite $_, rand() < 0.01 ? "die\n" : "bye\n"; push @some, $_ }
                }
                $served += BrokerTest::read_all($_) =~ /^worker/ ? 1 : 0 for @some;
        }
        cmp_ok($served, '>', 5000, 'most were served');
        my $n = wait_statistics($t, 'q', sub { $_[0]{connections} == 0 && $_[0]{processes} == 0 });
        is($n->{accepted}, 10001, 'all were accepted, and none is left, nor a worker');
        cmp_ok(scalar keys %{ $t->fds }, '<=', $fds + 4, 'nor a descriptor but two pipes for the log');
        $t->stop;
};

part 'activate --pass' => sub {
        my $dir = tempdir('broker-pass-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        my $listener = IO::Socket::UNIX->new(Listen => 128, Local => "$dir/s") // die "listen: $!\n";
        my $pid = fork // die "fork: $!\n";

        if (!$pid) {
                require POSIX;
                open STDERR, '>', "$dir/log";
                # It may be 3 already, and close at exec.
                if (fileno($listener) == 3) { fcntl $listener, F_SETFD, 0 }
                else { POSIX::dup2(fileno $listener, 3) // POSIX::_exit(99) }
                $ENV{LISTEN_FDS} = 1;
                $ENV{LISTEN_PID} = $$;
                { exec $BrokerTest::ACTIVATE, qw(-v -a --pass --workers=2 --), $worker }
                POSIX::_exit(98);
        }
        close $listener;
        my @clients = map { BrokerTest::connect_to("$dir/s") } 1 .. 8;
        my %pids = map { worker_of($_) => 1 } @clients[0, 1];

        is(scalar keys %pids, 2, 'two workers');
        is(about($clients[0])->{'own LISTEN_FDNAMES'}, 'queue', 'with a queue');
        order($clients[0], 'die');
        ok(worker_of($clients[2]), 'one that has died is replaced');
        kill 'TERM', $pid;
        close $_ for @clients[1, 2];
        ok(worker_of($clients[3]), 'who waits in the queue is served to the end');
        close $_ for @clients[3 .. 7];
        waitpid $pid, 0;
        is($? >> 8, 0, 'and then it ends with 0');
        for ([qw(-a --pass)], [qw(-a --workers=2)], [qw(--pass --workers=2)], [qw(-a --pass --workers=2 --inetd)],
                [qw(-a --pass --workers=2 --instances=3)], [qw(-a --pass --workers=2000)]) {
                my $text = `$BrokerTest::ACTIVATE @$_ -l $dir/x cat 2>&1`;
                is($? >> 8, 2, "@$_: " . $text =~ s/\n//r);
        }
};

done_testing;
