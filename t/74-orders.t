#!/usr/bin/perl
# The orders: start, stop, restart, kill and replace, with real servers and clients; and what a changed definition does
# to a server that runs.
use strict;
use warnings;
use BrokerTest;
use FindBin qw($RealBin);
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Part;
use POSIX qw(:sys_wait_h mkfifo);
use Scalar::Util qw(weaken);
use Test::More;

# A server in Python that does as its clients say. Its words are read at each start: a FIFO holds a start up until the
# test writes them.
my @command = ('sh', '-c', "test ! -e %DIR%/fail || exit 7; exec python3 $RealBin/server/supervised.py \$(cat %DIR%/words)");
my $command = JSON::PP::encode_json(\@command);

sub server_service {
        my ($more) = @_;

        return "srv: {listen: 127.0.0.1:0, wait: yes, ready: notify, stop_grace_period: 1min, command: $command$more}\n";
}

# A broker with the services; its server gets WORDS.
sub begin {
        my ($services, $words) = @_;
        my $t = BrokerTest->new(services => $services, later => 1);

        $t->write_file('words', $words // 'ready graceful');
        return $t->start;
}

# Servers that wait for their clients would otherwise keep the broker from ending.
my @open;
sub end {
        my ($t) = @_;

        close $_ for grep { defined } splice @open;
        $t->stop;
}

# A client of the server, at its INDEXth address: a function that tells it an order and returns the answer; its socket.
sub client {
        my ($t, $index) = @_;
        my $socket = $t->connect('srv', index => $index);
        my $say = sub {
                syswrite $socket, "$_[0]\n";
                my $answer = BrokerTest::read_line($socket) // return;
                chomp $answer;
                return $answer;
        };
        push @open, $socket;
        weaken($open[-1]);
        return ($say, $socket);
}

sub server_pid { return ($_[0]->('who') // '') =~ /^pid=(\d+)/ ? $1 : undef }
sub generation { return ($_[0]->('who') // '') =~ /^pid=\d+ (.*)/ ? $1 : undef }

sub status {
        my ($t, $name) = @_;

        return decode_json(($t->verb('status', $name // 'srv', '--json'))[1])->{services}[0];
}

# An order that is not waited for.
my $number = 0;
sub give {
        my ($t, @args) = @_;
        my $path = $t->dir . '/order' . ++$number;
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                $ENV{BROKER_CONTROL} = $t->control;
                open STDIN, '<', '/dev/null';
                open STDOUT, '>', "$path.out" or POSIX::_exit(99);
                open STDERR, '>', "$path.err" or POSIX::_exit(99);
                { exec $BrokerTest::BROKER, @args }
                POSIX::_exit(98);
        }
        return { pid => $pid, path => $path };
}

sub outcome {
        my ($t, $order) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (waitpid($order->{pid}, WNOHANG) == 0) {
                return ['not over'] if time > $until;
                $t->read_log(0.02);
        }
        my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
        my @text = map { open my $fh, '<', "$order->{path}.$_" or die; local $/; <$fh> // '' } qw(out err);
        return [$status, @text];
}

sub connects { return defined BrokerTest::connect_to($_[0], may_fail => 1) }

# From now on starts take their words from a FIFO; returns a function that says them to the next one.
sub hold_starts {
        my ($t) = @_;
        my $path = $t->dir . '/words';

        unlink $path;
        mkfifo($path, 0644) or die "$path: $!";
        return sub {
                open my $fh, '>', $path or die "$path: $!";
                print $fh $_[0];
                close $fh;
        };
}

sub wait_state {
        my ($t, $state, %arg) = @_;

        return $t->wait_message('state', service => 'srv', to => $state, %arg);
}

my $both = 'web: {listen: [127.0.0.1:0, "%DIR%/web.sock"], wait: no, command: [cat]}' . "\n" . server_service('');

part 'stop and start, with a program for each connection' => sub {
        my $t = begin($both);
        my ($address, $path) = ($t->address('web', 0), $t->dir . '/web.sock');
        my $client = $t->served('web');

        is_deeply([$t->verb('stop', 'web')], [0, '', ''], 'stop');
        is(BrokerTest::read_all($client), '', 'ends who is being served');
        ok(!connects($address) && !-e $path, 'and closes the sockets; their paths are removed');
        my $status = status($t, 'web');
        is_deeply([@{$status}{qw(state process_count listen)}], ['stopped', 0, []], 'and that is its state');
        is_deeply([$t->verb('stop', 'web')], [0, '', ''], 'it can be said twice');
        is_deeply([$t->verb('kill', 'web')], [0, '', ''], 'there is nothing to kill');
        my $from = @{ $t->{log} };
        is_deeply([$t->verb('start', 'web')], [0, '', ''], 'start');
        $address = $t->wait_message('listening', service => 'web', -from => $from)->{address};
        ok(connects($address) && -S $path, 'opens them again');
        is($t->ask('web', "hi\n", index => 3), "hi\n", 'and clients are served');
        is(status($t, 'web')->{state}, 'listening', 'as before');
        end($t);
};

part 'a stopped service that changes' => sub {
        my $t = begin($both);

        is(($t->verb('stop', 'web'))[0], 0, 'stopped');
        $t->write_conf($both =~ s{\[127.0.0.1:0, "%DIR%/web.sock"\]}{"%DIR%/other.sock"}r);
        is_deeply([$t->verb('reload')], [0, "changed: web\nunchanged: 1\n", ''], 'another definition');
        is(status($t, 'web')->{state}, 'stopped', '... leaves it stopped');
        ok(!-e $t->dir . '/other.sock', '... and opens nothing');
        is_deeply([$t->verb('start', 'web')], [0, '', ''], 'start');
        is_deeply(status($t, 'web')->{listen}, [$t->dir . '/other.sock'], '... takes the new one');
        is($t->ask('web', "hi\n", index => 2), "hi\n", '... which is served');
        is(($t->verb('stop', 'web'))[0], 0, 'stopped again');
        my $in_the_way = IO::Socket::UNIX->new(Local => $t->dir . '/other.sock', Listen => 1);
        my ($status, $out, $err) = $t->verb('start', 'web');
        is($status, 1, 'start, when somebody else has the address');
        is($err, 'broker: services.web.listen[0]: cannot bind ' . $t->dir . "/other.sock: another program listens on it\n", '... says why');
        is(status($t, 'web')->{state}, 'stopped', '... and leaves it stopped');
        end($t);
};

part 'workers' => sub {
        my $t = begin("srv: {listen: {address: 127.0.0.1:0, reuse_port: yes}, workers: 2, wait: yes, start: boot, ready: notify, command: $command}\n");

        $t->wait_message('server is ready', service => $_, -from => 0) for 'srv', 'srv/2';
        my @pids = map { status($t, $_)->{main_pid} } 'srv', 'srv/2';
        is_deeply([$t->verb('stop', 'srv/2')], [1, '', "broker: it is a worker: orders are for all of 'srv'\n"], 'a worker alone');
        is_deeply([$t->verb('replace', 'srv')], [0, '', ''], 'replace');
        my @next = map { status($t, $_)->{main_pid} } 'srv', 'srv/2';
        is(scalar(grep { $next[$_] != $pids[$_] } 0, 1), 2, 'replaces both');
        is_deeply([$t->verb('stop', 'srv')], [0, '', ''], 'stop');
        is_deeply([map { status($t, $_)->{state} } 'srv', 'srv/2'], ['stopped', 'stopped'], '... stops both');
        is_deeply([$t->verb('start', 'srv')], [0, '', ''], 'start');
        is_deeply([map { status($t, $_)->{state} } 'srv', 'srv/2'], ['running', 'running'], '... starts both, and waits for them');
        end($t);
};

part 'stop and start, with a server' => sub {
        my $t = begin($both);
        my ($say, $socket) = client($t);
        my $pid = server_pid($say);
        my $address = $t->address('srv');

        close $socket;
        is_deeply([$t->verb('stop', 'srv')], [0, '', ''], 'stop');
        ok(!-d "/proc/$pid" && !connects($address), 'the server has ended, and nobody can connect');
        my $from = @{ $t->{log} };
        is_deeply([$t->verb('start', 'srv')], [0, '', ''], 'start');
        $t->wait_message('listening', service => 'srv', -from => $from);
        is(status($t)->{state}, 'listening', 'it waits for a client');
        ok(server_pid((client($t, 1))[0]), 'who is served');
        end($t);
};

part 'kill and restart' => sub {
        my $t = begin($both);
        my $client = $t->served('web');
        my $address = $t->address('web');

        is_deeply([$t->verb('kill', 'web')], [0, '', ''], 'kill');
        is(BrokerTest::read_all($client), '', 'ends who is being served');
        $client = $t->served('web');
        ok($client, 'the next one is served');
        is_deeply([$t->verb('restart', 'web')], [0, '', ''], 'restart');
        is(BrokerTest::read_all($client), '', 'is the same there');
        ok($t->served('web'), 'the next one is served');

        my ($say, $socket) = client($t);
        my $pid = server_pid($say);
        close $socket;
        is_deeply([$t->verb('kill', 'srv')], [0, '', ''], 'kill');
        ok(!-d "/proc/$pid", 'the server has ended');
        is_deeply([@{ status($t) }{qw(state main_pid process_count)}], ['listening', undef, 0], '... and the broker listens');
        ($say, $socket) = client($t);
        my $next = server_pid($say);
        ok($next && $next != $pid, 'the next client starts another');
        close $socket;
        is_deeply([$t->verb('restart', 'srv')], [0, '', ''], 'restart');
        my $status = status($t);
        is($status->{state}, 'running', 'a server runs, without a client');
        ok($status->{main_pid} != $next && !-d "/proc/$next", '... and it is another');
        end($t);
};

part 'a server that cannot be started' => sub {
        my $once = server_service(', start: boot') =~ s/^srv/once/r;
        my $again = server_service(', start: boot, restart: on-failure, restart_delay: 1min, restart_delay_max: 1min') =~ s/^srv/again/r;
        my $t = begin(server_service(', start_timeout: 1min, on_change: keep') . $once . $again);
        my $failed = "broker: the server could not be started: it ended, exit:7\n";

        $t->wait_message('server is ready', service => $_, -from => 0) for qw(once again);
        server_pid((client($t))[0]);
        $t->write_file('words', '');
        $t->write_conf(server_service(', start_timeout: 200ms, on_change: keep') . $once . $again);
        ok($t->reload, 'the next one has less time');
        is_deeply([$t->verb('restart', 'srv')], [1, '', "broker: the server could not be started: it was not ready within start_timeout\n"], 'in time');
        is(status($t)->{state}, 'listening', '... the next client may start another');
        is_deeply([$t->verb('restart', 'srv')], [0, '', ''], 'nothing need be started where nothing ran');
        $t->write_file('fail', '');
        is_deeply([$t->verb('restart', $_)], [1, '', $failed], "at all: $_") for qw(once again);
        my $status = status($t, 'again');
        is($status->{state}, 'restarting', 'one that will be started again says so');
        cmp_ok($status->{until}, '>', time, '... and when');
        for (qw(once again)) {
                is_deeply([$t->verb('stop', $_)], [0, '', ''], "$_ can be stopped");
                is_deeply([$t->verb('start', $_)], [1, '', $failed], 'start fails like restart');
        }
        is(($t->verb('replace', 'srv'))[2], "broker: no server runs that could be replaced: srv is listening\n", 'replace, without a server');
        end($t);
};

part 'replace' => sub {
        my $t = begin(server_service(', start_timeout: 1min'));
        my ($say, $socket) = client($t);
        my $old = server_pid($say);
        my $go_on = hold_starts($t);
        my $order = give($t, 'replace', 'srv');

        ok(wait_state($t, 'replacing', -from => 0), 'a new server is started');
        my $status = status($t);
        is_deeply([@{$status}{qw(state main_pid process_count)}], ['replacing', $old, 2], 'beside the old one');
        is_deeply([map { "$_->{generation} $_->{state}" } @{ $status->{processes} }], ['current running', 'older running'], 'both are shown');
        cmp_ok($status->{until}, '>', time, '... and how long it may take');
        is(server_pid((client($t))[0]), $old, 'the old one serves who comes meanwhile');
        is_deeply([$t->verb('replace', 'srv')], [1, '', "broker: a new server is being started already: srv is replacing\n"], 'once at a time');
        $go_on->('ready graceful');
        is_deeply(outcome($t, $order), [0, '', ''], 'the order is over when the new one is ready');
        # It has seen the signal when it answers this.
        is(server_pid($say), $old, 'the old one goes on with its client');
        my $new = server_pid((client($t))[0]);
        isnt($new, $old, 'the new one serves who comes');
        $status = status($t);
        is_deeply([@{$status}{qw(state main_pid)}, map { "$_->{generation} $_->{state}" } @{ $status->{processes} }],
                ['running', $new, 'current running', 'older stopping'], '... and is shown until it has ended');
        close $socket;
        ok($t->wait_message('server ended', pid => $old), 'with its last client it ends');
        is(status($t)->{process_count}, 1, 'and one is left');
        end($t);
};

part 'an old server that does not wait for its successor' => sub {
        my $t = begin(server_service(', start_timeout: 1min'));
        my ($say) = client($t);
        my $old = server_pid($say);
        my $go_on = hold_starts($t);
        my $order = give($t, 'replace', 'srv');

        wait_state($t, 'replacing', -from => 0);
        $say->('exit 3');
        ok($t->wait_message('server ended', pid => $old), 'it ends');
        is_deeply([@{ status($t) }{qw(state process_count)}], ['replacing', 1], 'the new one goes on becoming ready');
        $go_on->('ready graceful');
        is_deeply(outcome($t, $order), [0, '', ''], '... and when it is, the order is over');
        is(status($t)->{state}, 'running', '... and it runs');
        ($say) = client($t);
        $old = server_pid($say);
        $t->write_conf(server_service(', start_timeout: 300ms, on_change: keep'));
        ok($t->reload, 'the next one has little time');
        $order = give($t, 'replace', 'srv');
        wait_state($t, 'replacing');
        $say->('exit 3');
        is_deeply(outcome($t, $order),
                [1, '', "broker: the old server has ended, and the new one did not become ready: it was not ready within start_timeout\n"], '... which is not enough');
        is(status($t)->{state}, 'listening', 'the next client starts another');
        end($t);
};

part 'a replacement that does not become ready' => sub {
        my $t = begin(server_service(', start_timeout: 1min, on_change: keep'));
        my ($say) = client($t);
        my $old = server_pid($say);

        $t->write_file('words', '');
        $t->write_conf(server_service(', start_timeout: 200ms, on_change: keep'));
        ok($t->reload, 'the next one has little time');
        is_deeply([$t->verb('replace', 'srv')],
                [1, '', "broker: the old server goes on, the new one did not become ready: it was not ready within start_timeout\n"], 'in time');
        is(server_pid($say), $old, 'the old one serves on');
        is_deeply([@{ status($t) }{qw(state main_pid process_count)}], ['running', $old, 1], '... alone');
        $t->write_file('fail', '');
        is_deeply([$t->verb('replace', 'srv')],
                [1, '', "broker: the old server goes on, the new one did not become ready: it ended, exit:7\n"], 'at all');
        is(server_pid((client($t))[0]), $old, 'who comes is served by the old one');
        unlink $t->dir . '/fail';
        $t->write_file('words', 'ready graceful');
        $t->write_conf(server_service(', start_timeout: 1min, on_change: keep'));
        ok($t->reload, 'the next one has enough');
        is_deeply([$t->verb('replace', 'srv')], [0, '', ''], 'the next time it may work');
        server_pid($say);
        isnt(server_pid((client($t))[0]), $old, '... with a new one');
        end($t);
};

part 'a replacement that cannot be made' => sub {
        my $t = BrokerTest->new(services => server_service(', stderr: "append:%DIR%/out/log"'), later => 1);

        $t->write_file('words', 'ready graceful');
        mkdir $t->dir . '/out';
        $t->start;
        my ($say) = client($t);
        my $old = server_pid($say);
        rename $t->dir . '/out', $t->dir . '/gone';
        my ($status, $out, $err) = $t->verb('replace', 'srv');
        is($status, 1, 'its output cannot be opened');
        like($err, qr{^broker: services\.srv\.stderr: .*/out/log.*No such file or directory\n\z}, '... which is told');
        is_deeply([@{ status($t) }{qw(state main_pid process_count)}], ['running', $old, 1], '... and the old one goes on');
        end($t);
};

part 'a replacement whose program is gone' => sub {
        my $t = BrokerTest->new(later => 1);
        my $program = $t->write_file('program', "#!/bin/sh\nexec python3 $RealBin/server/supervised.py ready graceful\n");

        chmod 0755, $program;
        $t->write_conf("srv: {listen: 127.0.0.1:0, wait: yes, ready: notify, start_timeout: 1min, command: $program}\n");
        $t->start;
        my ($say) = client($t);
        my $old = server_pid($say);
        rename $program, "$program.gone";
        like(($t->verb('replace', 'srv'))[2], qr/^broker: the old server goes on, no new one could be started: No such file/, 'which is told');
        is(server_pid($say), $old, 'the old one goes on');
        rename "$program.gone", $program;
        my $order = give($t, 'replace', 'srv');
        $t->wait_message('the new server is ready, the old one is told to end');
        is_deeply(outcome($t, $order), [0, '', ''], 'once it is there again');
        end($t);
};

part 'a start while it is being stopped' => sub {
        my $port = do { IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport };
        my $t = begin(server_service('') =~ s/127\.0\.0\.1:0/127.0.0.1:$port/r);

        for my $verb (qw(start restart)) {
                my ($say, $socket) = client($t);
                my $old = server_pid($say);
                my $from = @{ $t->{log} };
                my $stop = give($t, 'stop', 'srv');
                wait_state($t, 'stopped', -from => $from);
                my $start = give($t, $verb, 'srv');
                my $again = give($t, $verb, 'srv');
                is(status($t)->{process_count}, 1, "$verb: the old server has its client, and the address");
                close $socket;
                is_deeply(outcome($t, $stop), [0, '', ''], 'when it has ended, the stop is over');
                my @outcomes = map { outcome($t, $_) } $start, $again;
                is_deeply([sort map { $_->[0] } @outcomes], [0, $verb eq 'start' ? 1 : 0], "and $verb is carried out")
                        or diag(explain(\@outcomes));
                isnt(server_pid((client($t))[0]), $old, 'another one serves');
                $_ && close $_ for splice @open;
        }
        end($t);
};

part 'a service that comes back before its server has ended' => sub {
        my $port = do { IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport };
        my $definition = server_service('') =~ s/127\.0\.0\.1:0/127.0.0.1:$port/r;
        my $t = begin($definition);
        my ($say, $socket) = client($t);
        my $old = server_pid($say);

        $t->write_conf('');
        is(($t->verb('reload'))[0], 0, 'it is removed');
        $t->write_conf($definition);
        my ($status, $out, $err) = $t->verb('reload');
        is($status, 1, 'its address is in use');
        like($err, qr/cannot bind 127\.0\.0\.1:$port: Address already in use: 'srv' was there, and its processes have not ended yet/, 'by whom');
        close $socket;
        $t->wait_message('server ended', pid => $old);
        is(($t->verb('reload'))[0], 0, 'and then it is free');
        isnt(server_pid((client($t))[0]), $old, 'and served');
        end($t);
};

part 'two orders at once' => sub {
        my $t = begin(server_service(', start_timeout: 1min'));
        my ($say, $socket) = client($t);
        my $old = server_pid($say);

        close $socket;
        my @orders = map { give($t, 'restart', 'srv') } 1 .. 2;
        is_deeply(outcome($t, $_), [0, '', ''], 'restart, and restart') for @orders;
        my $status = status($t);
        is_deeply([@{$status}{qw(state process_count)}], ['running', 1], 'there is one server');
        my $go_on = hold_starts($t);
        my $order = give($t, 'replace', 'srv');
        wait_state($t, 'replacing', -from => 0);
        is_deeply([$t->verb('stop', 'srv')], [0, '', ''], 'stop, while it is being replaced');
        is_deeply(outcome($t, $order), [1, '', "broker: something else has come in between: it is stopped\n"], 'who wanted it to be replaced is told');
        is(status($t)->{process_count}, 0, 'neither server is left');
        $t->write_file('words2', '');
        rename $t->dir . '/words2', $t->dir . '/words';
        end($t);
};

part 'a client that is gone before its order is over' => sub {
        my $t = begin(server_service(', start_timeout: 1min'));
        my ($say, $socket) = client($t);
        my $old = server_pid($say);
        my $order = give($t, 'stop', 'srv');

        wait_state($t, 'stopped', -from => 0);
        is(status($t)->{process_count}, 1, 'a server that still has a client');
        kill 'KILL', $order->{pid};
        is(outcome($t, $order)->[0], 'signal 9', 'who has ordered it to stop goes');
        is(status($t)->{state}, 'stopped', 'the order is carried out all the same');
        close $socket;
        ok($t->wait_message('server ended', pid => $old), '... to its end');
        is_deeply([$t->verb('start', 'srv')], [0, '', ''], 'and the next one is taken');
        end($t);
};

part 'a reload while an order is carried out' => sub {
        my $t = begin($both);
        my ($say, $socket) = client($t);

        server_pid($say);
        my @orders = (give($t, 'stop', 'srv'));
        wait_state($t, 'stopped', -from => 0);
        $t->write_conf("web: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        is_deeply([$t->verb('reload')], [0, "changed: web\nremoved: srv\nunchanged: 0\n", ''], 'removes the service that is being stopped');
        is_deeply(outcome($t, $orders[0]), [0, '', ''], 'that is an end of it as well');
        close $socket;
        $t->write_conf($both);
        is(($t->verb('reload'))[0], 0, 'it is added again');
        my $pid = server_pid((client($t, 1))[0]);
        my $go_on = hold_starts($t);
        push @orders, give($t, 'replace', 'srv');
        wait_state($t, 'replacing');
        $t->write_conf("web: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        is(($t->verb('reload'))[0], 0, 'removes one whose server is being replaced');
        is_deeply(outcome($t, $orders[1]), [1, '', "broker: it was removed meanwhile\n"], 'which its order says');
        end($t);
};

part 'an order while the broker ends' => sub {
        my $t = begin(server_service(', start_timeout: 1min'));
        my ($say, $socket) = client($t);

        ok(server_pid($say), 'a server runs');
        my $go_on = hold_starts($t);
        my $order = give($t, 'replace', 'srv');
        ok(wait_state($t, 'replacing', -from => 0), 'a server is being replaced');
        $t->signal('TERM');
        is_deeply(outcome($t, $order), [1, '', "broker: the broker is about to end\n"], 'the order says what came in between');
        close $socket;
        $t->stop(ended => 1);
};

part 'who may not, and what there is not' => sub {
        my $t = begin($both);

        is_deeply([$t->verb($_, 'srvv')], [1, '', "broker: there is no service 'srvv'; did you mean 'srv'?\n"], "$_: no such service")
                for qw(start stop restart kill replace status);
        my $nobody = $t->dir . '/nobody';
        is_deeply([$t->verb($_, 'srv', "--control=$nobody")], [1, '', "broker: no broker answers at $nobody: No such file or directory\n"], "$_: no broker")
                for qw(start stop restart kill replace status);
        is_deeply([$t->verb('start', 'srv')], [1, '', "broker: it was not stopped: it is listening\n"], 'start: it is');
        is_deeply([$t->verb('replace', 'web')], [1, '', "broker: with wait: no every connection has a program of its own\n"], 'replace: there is no server');
        SKIP: {
                skip 'only root can become another user', 1 if $> != 0;
                skip 'the build is not reachable for other users', 1 if !BrokerTest::reachable($BrokerTest::BROKER);
                my $text = qx(setpriv --reuid=65534 --clear-groups $BrokerTest::BROKER stop web --control=${\ $t->control} 2>&1);
                is_deeply([$? >> 8, $text], [1, "broker: no broker answers at ${\ $t->control}: Permission denied\n"], 'another user');
        }
        end($t);
};

# The definition of a server that runs changes.
for my $how ('SIGHUP', 'broker reload') {
        my $change = sub {
                my ($t, $services) = @_;

                $t->write_conf($services);
                $how eq 'SIGHUP' ? ok($t->reload, $how) : is(($t->verb('reload'))[1], "changed: srv\nunchanged: 0\n", $how);
        };
        my $service = sub { server_service(", start_timeout: 1min, on_change: $_[0], environment: {GENERATION: $_[1]}") };

        part "on_change: restart, $how" => sub {
                my $t = begin($service->('restart', 'one'));
                my ($say, $socket) = client($t);
                my $pid = server_pid($say);

                is(generation($say), 'one', 'the first');
                close $socket;
                $change->($t, $service->('restart', 'two'));
                ok($t->wait_message('server ended', pid => $pid), 'its server is told to end');
                is(generation((client($t))[0]), 'two', 'who comes is served by another');
                end($t);
        };

        part "on_change: replace, $how" => sub {
                my $t = begin($service->('replace', 'one'));
                my ($say, $socket) = client($t);
                my $pid = server_pid($say);
                my $go_on = hold_starts($t);

                $change->($t, $service->('replace', 'two'));
                is_deeply([@{ status($t) }{qw(state main_pid process_count)}], ['replacing', $pid, 2], 'a new server is started beside the old one');
                is(generation((client($t))[0]), 'one', '... which serves meanwhile');
                like(($t->verb('status', 'srv'))[1], qr/^ +Outdated: its server was started under an older definition, and is being replaced$/m,
                        '... and that is shown');
                $go_on->('ready graceful');
                ok($t->wait_message('the new server is ready, the old one is told to end'), 'when the new one is ready');
                is(generation($say), 'one', '... the old one goes on with its client');
                is(generation((client($t))[0]), 'two', '... and the new one serves who comes');
                close $socket;
                ok($t->wait_message('server ended', pid => $pid), '... and ends with it');
                $t->write_file('fail', '');
                $change->($t, $service->('replace', 'three'));
                ok($t->wait_message('the new server did not become ready, the old one goes on'), 'one that cannot be started');
                is(generation((client($t))[0]), 'two', '... leaves the one there is');
                my $status = status($t);
                ok($status->{outdated}, 'which is of an older definition');
                is(($t->verb('reload'))[1], "nothing has changed in 1 service\n", 'definitions are in force nonetheless');
                end($t);
        };

        part "on_change: keep, $how" => sub {
                my $t = begin($service->('keep', 'one'));
                my ($say) = client($t);

                is(generation($say), 'one', 'the first');
                $change->($t, $service->('keep', 'two'));
                is_deeply([generation($say), generation((client($t))[0])], ['one', 'one'], 'its server goes on');
                ok(status($t)->{outdated}, '... and that is shown');
                like(($t->verb('status', 'srv'))[1], qr/^ +Outdated: its server was started under an older definition/m, '... for people, too');
                is_deeply([$t->verb('replace', 'srv')], [0, '', ''], 'until it is replaced');
                generation($say);
                is(generation((client($t))[0]), 'two', 'by one of the new definition');
                ok(!status($t)->{outdated}, '... which is not outdated');
                end($t);
        };
}
done_testing;
