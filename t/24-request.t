#!/usr/bin/perl
# handoff: request. Workers that answer requests on stdin and stdout: where requests and replies end, who waits, what
# becomes of workers that die, hang, or say too much, and that nothing is left behind.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use Part;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF SHUT_WR);
use Test::More;
use Time::HiRes qw(time);
use UpgradeTest qw(new_broker upgrade);

# Answers lines; some of them are orders. A FIFO is how the test says when a reply may come.
my $worker = <<'P';
use strict; use warnings; $| = 1;
my $end = shift // "\n"; my $reply_end = shift // "\n"; $/ = $end;
while (defined(my $line = <STDIN>)) {
        chomp $line;
        exit 3 if $line eq 'die';
        kill KILL => $$ if $line eq 'killed';
        if ($line eq 'half') { print 'hal'; exit 0 }
        if ($line eq 'hang') { local $SIG{TERM} = 'IGNORE'; sleep 1 while 1 }
        sleep 1 while $line eq 'stuck';
        if ($line =~ /^hold (.*)/) { open my $fifo, '<', $1 or die "$1: $!"; my $text = <$fifo> }
        if ($line =~ /^last (.*)/) { print "$1$reply_end"; exit 0 }
        if ($line =~ /^stay (.*)/) { my $fifo = $1; $SIG{TERM} = 'IGNORE'; eval 'END { open my $fh, "<", $fifo; my $text = <$fh> }' }
        if ($line eq 'deaf') { close STDIN; print "deaf$reply_end"; sleep 1 while 1 }
        if ($line eq 'mute') { close STDOUT; sleep 1 while 1 }
        print "one${reply_end}two$reply_end" and next if $line eq 'twice';
        if ($line =~ /^later (.*)/) { print "first$reply_end"; open my $fifo, '<', $1 or die; my $text = <$fifo>; print "unasked$reply_end"; next }
        print 'x' x $1, $reply_end and next if $line =~ /^long (\d+)/;
        print length $line, $reply_end and next if $line =~ /^long/;
        print $$ . $reply_end and next if $line eq 'pid';
        print "re: $line$reply_end";
}
P

sub filled { return $_[0] =~ s/%WORKER%/perl, "%DIR%\/worker"/gr }

sub broker_with {
        my ($services, %arg) = @_;
        my $t = BrokerTest->new(%arg, services => '{}', later => 1);

        $t->write_file('worker', $worker);
        $t->write_conf(filled($services), %arg);
        $t->start(%arg);
        return $t;
}

# One request on a connection of its own.
sub answer {
        my ($t, $request, %arg) = @_;
        return $t->ask($arg{service} // 'r', "$request\n", keep_open => 1);
}

sub say_to {
        my ($client, @lines) = @_;

        syswrite $client, "$_\n" for @lines;
        return $client;
}

# Some are long, so that they are not read byte by byte; what was read too much is kept.
my %rest;

sub reply {
        my ($client) = @_;
        my $until = time + $BrokerTest::TIMEOUT;
        my $text = delete $rest{$client} // '';

        until ($text =~ /\n/) {
                return "nothing: $text" if !IO::Select->new($client)->can_read($until - time);
                sysread $client, $text, 1 << 20, length $text or return "the end: $text";
        }
        ($text, $rest{$client}) = $text =~ /\A(.*?\n)(.*)\z/s;
        return $text;
}

sub fifo {
        my ($t, $name) = @_;
        require POSIX;
        POSIX::mkfifo($t->dir . "/$name", 0600) or die "mkfifo: $!";
        return $t->dir . "/$name";
}

# Lets the worker go on that waits for it: opening waits until it does.
sub release {
        my ($fifo) = @_;

        open my $fh, '>', $fifo or die "$fifo: $!";
        return close $fh;
}

sub requests {
        my ($t, $service) = @_;
        my $from = @{ $t->{log} };

        1 while $t->read_log(0);
        $from = @{ $t->{log} };
        $t->signal('USR1');
        return $t->wait_message('requests', service => $service // 'r', -from => $from);
}

# Until CODE is true of them.
sub wait_requests {
        my ($t, $code) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (time < $until) {
                my $n = requests($t);
                return $n if $code->($n);
        }
        return;
}

part 'requests and replies' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%]}
k: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], request: {keep_alive: yes}}
f: {listen: "%DIR%/f", wait: no, handoff: request, command: [%WORKER%, ";;", "END\r\n"], request: {end: ";;", reply_end: "END\r\n", keep_alive: yes}}
Y
        is($t->statistics('r')->{processes}, 0, 'nobody runs before there is a client');
        is(answer($t, 'hello'), "re: hello\n", 'a request, its reply, and the end');
        is($t->ask('r', "hello\n"), "re: hello\n", 'a client that sends no more is answered');
        is($t->ask('r', ''), '', 'one that says nothing is not');
        is($t->ask('r', 'hel'), '', 'nor one whose request has no end');
        is(answer($t, "one\ntwo\nthree"), "re: one\n", 'one request on a connection');
        like(my $pid = answer($t, 'pid'), qr/^\d+$/, 'a worker');
        is(answer($t, 'pid'), $pid, 'the same each time');

        my $client = $t->connect('r');
        for my $byte (split //, 'slowly') {
                syswrite $client, $byte;
                # It has arrived when the broker has answered somebody else.
                reply(say_to($t->connect('k'), 'x')) if $byte eq 'o';
        }
        syswrite $client, "\n";
        is(BrokerTest::read_all($client), "re: slowly\n", 'a request in many pieces');

        my $long = 'long' . 'y' x 60000;
        is(answer($t, $long), length($long) . "\n", 'a long request');
        is(answer($t, 'long 65000'), 'x' x 65000 . "\n", 'a reply longer than one read');
        is(answer($t, 'long 65536'), "ERR\n", 'one that is too long');
        ok($t->wait_message('worker ended', service => 'r', reason => qr/too much/), 'costs its worker');
        is(answer($t, 'z' x 70000), "ERR\n", 'a request that is too long is told so');
        is(answer($t, 'again'), "re: again\n", 'and then it goes on');

        $client = say_to($t->connect('k'), 1 .. 20);
        is(join('', map { reply($client) } 1 .. 20), join('', map { "re: $_\n" } 1 .. 20), 'pipelined requests, in order');
        say_to($client, 'more');
        is(reply($client), "re: more\n", 'and then others');
        syswrite $client, "half";
        shutdown $client, SHUT_WR;
        is(BrokerTest::read_all($client), '', 'until it ends');
        is($t->ask('k', join('', map { "$_\n" } 1 .. 3000)), join('', map { "re: $_\n" } 1 .. 3000), 'thousands, and then the end');

        $client = $t->connect('f');
        syswrite $client, $_ for 'a;b;', ';c', ';;d;', ';';
        is(reply($client), "re: $_" . "END\r\n", "framing: $_") for 'a;b', 'c', 'd';
        $client->close;

        my $n = requests($t);
        is($n->{failed}, 2, 'failed requests are counted');
        is($n->{total}, $n->{replied} + 2, 'and the others');
        is($n->{spawns}, 2, 'and spawns');
        is($n->{ms_0_100} + $n->{ms_100_250} + $n->{ms_250_500} + $n->{ms_500_750} + $n->{ms_750_1000} + $n->{ms_1000_}, $n->{replied}, 'in classes');
        $t->stop;
};

# What iotcpd(1) shows, and finer: in the log and in the status.
part 'statistics' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, restart_delay: 10ms, request: {busy_timeout: 300ms}}
Y
        my $fifo = fifo($t, 'hold');
        my $held = say_to($t->connect('r'), "hold $fifo");

        wait_requests($t, sub { $_[0]{busy} == 1 });
        my $delayed = say_to($t->connect('r'), 'delayed');
        wait_requests($t, sub { $_[0]{waiting} == 1 });
        release($fifo);
        reply($_) for $held, $delayed;
        answer($t, $_) for qw(die hang x);
        my $n = wait_requests($t, sub { $_[0]{leaving} == 0 });
        is(join(' ', map { "$_=$n->{$_}" } qw(total replied timed_out failed dropped spawns waiting idle busy leaving)),
                'total=5 replied=3 timed_out=1 failed=1 dropped=0 spawns=3 waiting=0 idle=1 busy=0 leaving=0',
                'SIGUSR1: the counts');
        cmp_ok($n->{delayed}, '>=', 1, 'one had to wait');
        my @classes = map { "ms_$_" } qw(0_100 100_250 250_500 500_750 750_1000 1000_);
        is(scalar grep({ defined $n->{$_} } @classes), 6, 'classes');
        my $sum = 0;
        $sum += $n->{$_} for @classes;
        is($sum, 3, 'each reply is in one');
        my $fine = $t->wait_message('reply times', service => 'r', replies => 3);
        my @fine = grep { /^to_|^longer$/ } sort keys %$fine;
        is(scalar @fine, 16, 'finer ones');
        $sum = 0;
        $sum += $fine->{$_} for @fine;
        is($sum, 3, 'each reply is in one of them, too');
        ok(defined $fine->{mean}, 'and their mean');

        my ($status, $out) = $t->verb('status', 'r');
        like($out, qr/^\s*Requests: total 5, replied 3, timed_out 1, failed 1, dropped 0, delayed $n->{delayed}, spawns $n->{spawns}, waiting 0$/m, 'status: the counts');
        like($out, qr/^\s*Workers: idle 1, busy 0, leaving 0$/m, 'workers by state');
        like($out, qr/^\s*Replies: 0-100 ms \d+, 100-250 ms \d+, 250-500 ms \d+, 500-750 ms \d+, 750-1000 ms \d+, 1000- ms \d+$/m, 'classes');
        like($out, qr/^\s*Reply time: 3 measured, mean .*\n\s+(?:≤|<=) /m, 'a finer histogram');
        $t->stop;
};

part 'who waits' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, request: {queue: 2, keep_alive: yes}}
Y
        my $fifo = fifo($t, 'hold');
        my ($first, @others) = map { $t->connect('r') } 1 .. 4;

        say_to($first, "hold $fifo");
        wait_requests($t, sub { $_[0]{busy} == 1 });
        for my $i (0, 1) {
                say_to($others[$i], "waits $i");
                wait_requests($t, sub { $_[0]{waiting} == $i + 1 });
        }
        say_to($others[2], 'too many');
        is(reply($others[2]), "ERR\n", 'a full queue answers at once');
        shutdown $others[2], SHUT_WR;
        my $end = $t->wait_message('connection ended', service => 'r', -from => 0);
        is("$end->{reason}: $end->{error}", 'a request was not answered: as many wait as may (queue)', 'and the log says why');
        is("$end->{from_client} $end->{from_target}", '9 4', 'and what was said');
        my ($status, $out) = $t->verb('status', 'r');
        like($out, qr/^\s*Requests: total 1, .*waiting 2$/m, 'broker status: requests');
        like($out, qr/^\s*Workers: idle 0, busy 1, leaving 0$/m, 'and workers');
        like($out, qr/^\s+\d+\s+busy\s/m, 'each of them');
        my $from = @{ $t->{log} };
        $t->signal('USR2');
        is($t->wait_message('worker', -from => $from)->{state}, 'busy', 'SIGUSR2 shows it');
        release($fifo);
        is(reply($first), "re: hold $fifo\n", 'the one that was held is answered');
        is(reply($others[$_]), "re: waits $_\n", 'and who waited') for 0, 1;
        my $n = requests($t);
        is("@$n{qw(total replied delayed failed waiting)}", '4 3 2 1 0', 'the counts');
        $t->stop;
};

part 'nobody waits' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: {min: 1, max: 3}, request: {queue: 0}}
Y
        my @fifos = map { fifo($t, "hold$_") } 1 .. 3;
        my @held;

        for my $fifo (@fifos) {
                push @held, say_to($t->connect('r'), "hold $fifo");
                is(wait_requests($t, sub { $_[0]{busy} == @held })->{failed}, 0, 'queue: 0: a worker is started for one more');
        }
        is(answer($t, 'too many'), "ERR\n", 'up to max');
        release($_) for @fifos;
        is(reply($held[$_]), "re: hold $fifos[$_]\n", 'each has its own') for 0 .. 2;
        is(answer($t, 'next'), "re: next\n", 'and they go on');
        $t->stop;
};

part 'an error without a word' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, restart_delay: 10ms, request: {error: "", keep_alive: yes, busy_timeout: 300ms}}
Y
        for my $order (qw(die hang), 'z' x 70000) {
                my $client = say_to($t->connect('r'), 'x', $order, 'y');

                is(BrokerTest::read_all($client), "re: x\n", substr($order, 0, 4) . ': closes the connection, which would go on with any');
        }
        is(reply(say_to($t->connect('r'), 'next')), "re: next\n", 'others are served');
        $t->stop;
};

part 'metrics' => sub {
        my $t = broker_with(<<'Y', head => "broker: {metrics: 127.0.0.1:0, log: {format: json, level: debug}}\n");
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1}
Y
        answer($t, $_) for qw(x die x);
        my $socket = BrokerTest::connect_to($t->wait_message('metrics can be asked for', -from => 0)->{address});
        syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        my $text = BrokerTest::read_all($socket);
        for ('requests_total{service="r",result="replied"} 2', 'requests_total{service="r",result="failed"} 1',
                'request_latency_seconds_count{service="r"} 2', 'requests_waiting{service="r"} 0',
                'request_workers{service="r",state="idle"} 1', 'server_starts_total{service="r"} 2') {
                like($text, qr/^sockbroker_\Q$_\E\r?$/m, "metrics: $_");
        }
        $t->stop;
};

part 'clients that leave' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, connection_timeout: 200ms}
Y
        my $fifo = fifo($t, 'hold');
        my $pid = answer($t, 'pid');
        my $client = say_to($t->connect('r'), "hold $fifo");

        wait_requests($t, sub { $_[0]{busy} == 1 });
        my $waits = say_to($t->connect('r'), 'never');
        wait_requests($t, sub { $_[0]{waiting} == 1 });
        setsockopt $waits, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $waits;
        is(wait_requests($t, sub { $_[0]{dropped} == 1 })->{waiting}, 0, 'one that was reset waits no more');
        setsockopt $client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $client;
        my $next = say_to($t->connect('r'), 'pid');
        wait_requests($t, sub { $_[0]{waiting} == 1 });
        release($fifo);
        is(reply($next), $pid, 'the worker of one that has left serves the next one');
        is(BrokerTest::read_all($t->connect('r')), '', 'a silent client is closed after connection_timeout');
        ok($t->wait_message('connection ended', reason => 'connection_timeout'), 'which is in the log');
        $t->stop;
};

part 'slow readers' => sub {
        my $t = broker_with(<<'Y');
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 1, request: {keep_alive: yes, max_size: 4M}}
Y
        my $client = say_to($t->connect('r'), ('long 3000000') x 20);
        my $pid = reply(say_to($t->connect('r'), 'pid'));

        like($pid, qr/^\d+$/, 'one that does not read holds no worker');
        wait_requests($t, sub { $_[0]{idle} == 1 });
        cmp_ok(requests($t)->{replied}, '<', 10, 'and what it has not read is not asked for');
        is(length reply($client), 3000001, 'it gets all of it') for 1 .. 20;
        is(reply(say_to($client, 'pid')), $pid, 'and goes on');
        $t->stop;
};

part 'bad workers' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, restart_delay: 10ms, request: {busy_timeout: 300ms, error: "no\n"}}
Y
        my $end = sub { my (%field) = @_; return $t->wait_message('worker ended', %field) };
        for my $order (qw(die killed half)) {
                is(answer($t, $order), "no\n", "$order: that one request fails");
                ok($end->(), 'with its worker');
                is(answer($t, 'next'), "re: next\n", 'the next one does not');
        }
        is(answer($t, 'last word'), "word\n", 'a reply counts, also a last one');
        $end->(status => 'exit:0');
        is(answer($t, 'hang'), "no\n", 'hang: busy_timeout');
        is($end->(reason => 'busy_timeout')->{status}, 'signal:KILL', 'its worker is killed');
        is(answer($t, 'stuck'), "no\n", 'stuck: likewise');
        is($end->(reason => 'busy_timeout')->{status}, 'signal:KILL', 'also one that would heed the stop signal');
        is(answer($t, 'next'), "re: next\n", 'and replaced');
        is(answer($t, 'twice'), "one\n", 'two replies: the first is one');
        ok($end->(reason => qr/nobody had asked/), 'the worker is replaced');
        is(answer($t, 'next'), "re: next\n", 'and nobody gets the second');
        my $fifo = fifo($t, 'later');
        is(answer($t, "later $fifo"), "first\n", 'a reply');
        release($fifo);
        ok($end->(reason => qr/nobody had asked/), 'and another one later');
        is(answer($t, 'next'), "re: next\n", 'which nobody gets');
        is(answer($t, 'mute'), "no\n", 'one that closes its stdout');
        ok($end->(reason => 'closed its stdin or stdout'), 'is ended');
        is(answer($t, 'next'), "re: next\n", 'and replaced');
        is(answer($t, 'deaf'), "deaf\n", 'one that closes its stdin');
        is(answer($t, 'next'), "re: next\n", 'is replaced in time');
        is($end->()->{reason}, 'closed its stdin or stdout', 'since it is ended');
        my $n = requests($t);
        is($n->{timed_out}, 2, 'two have timed out');
        is($n->{failed}, 4, 'four have failed');
        is($t->statistics('r')->{processes}, 1, 'one worker is left');
        $t->stop;
};

part 'workers that never read' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [sleep, 1h], workers: 1, request: {max_size: 1M, busy_timeout: 300ms}}
Y
        my $client = $t->connect('r');
        my $long = 'y' x 300_000 . "\n";
        my $left = $t->connect('r');

        syswrite $left, substr $long, -100_000;
        wait_requests($t, sub { $_[0]{busy} == 1 });
        setsockopt $left, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $left;
        is($t->wait_message('worker ended')->{reason}, 'busy_timeout', 'a request that is not taken, of a client that has left');
        $long = substr $long, syswrite $client, $long while length $long;
        is(BrokerTest::read_all($client), "ERR\n", 'and of one that waits');
        $t->stop;
};

part 'a program that ends at once' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: ["true"], workers: 2, restart_delay: 100ms, request: {busy_timeout: 250ms}}
Y
        is(answer($t, 'x'), "ERR\n", 'its clients are told');
        cmp_ok(requests($t)->{spawns}, '<', 20, 'and it does not spin');
        $t->stop;
};

part 'growing and shrinking' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: {min: 1, max: 3, max_requests: 2}, idle_stop: 100ms}
Y
        my @fifos = map { fifo($t, "hold$_") } 1 .. 3;
        my @clients = map { say_to($t->connect('r'), "hold $_") } @fifos;
        is(wait_requests($t, sub { $_[0]{busy} == 3 })->{waiting}, 0, 'as many as there are requests');
        my $waits = say_to($t->connect('r'), 'more');
        is(wait_requests($t, sub { $_[0]{waiting} == 1 })->{busy}, 3, 'but no more than max');
        release($_) for @fifos;
        is(reply($waits), "re: more\n", 'who waited is served');
        reply($_) for @clients;
        ok($t->wait_message('worker ended', reason => 'idle_stop', -from => 0), 'it shrinks');
        my %pids = map { answer($t, 'pid') => 1 } 1 .. 6;
        cmp_ok(keys %pids, '>=', 3, 'max_requests');
        $t->stop;
};

part 'max_age' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], start: boot, workers: {min: 1, max: 1, max_age: 300ms}}
Y
        my $fifo = fifo($t, 'hold');
        my $first = $t->wait_message('worker started', -from => 0)->{pid};
        my $end = $t->wait_message('worker ended', pid => $first);
        is($end->{reason}, 'stopped', 'one that is old is told to end');
        my $pid = answer($t, 'pid');
        isnt($pid, "$first\n", 'there is another one');
        # Busy ones are left alone until they have answered.
        my $held = say_to($t->connect('r'), "hold $fifo");
        my $busy = wait_requests($t, sub { $_[0]{busy} == 1 });
        my $worker;
        do { my $from = @{ $t->{log} }; $t->signal('USR2'); $worker = $t->wait_message('worker', -from => $from) } until $worker->{running} > 0.5;
        is($worker->{state}, 'busy', 'one that is busy goes on when it is old');
        release($fifo);
        is(reply($held), "re: hold $fifo\n", 'and answers');
        is($t->wait_message('worker ended', pid => $worker->{pid})->{reason}, 'stopped', 'and ends then');
        $t->stop;
};

part 'workers that leave' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: {min: 1, max: 1, max_requests: 1}}
Y
        my $fifo = fifo($t, 'stay');
        is(answer($t, "stay $fifo"), "re: stay $fifo\n", 'one that takes its time to end');
        is(answer($t, 'x'), "re: x\n", 'another one is there meanwhile');
        my $n = requests($t);
        cmp_ok($n->{leaving}, '>=', 1, 'SIGUSR1 knows that it is leaving');
        like(($t->verb('status', 'r'))[1], qr/^\s*Workers: idle \d, busy 0, leaving [12]$/m, 'the status too');
        my $from = @{ $t->{log} };
        $t->signal('USR2');
        is($t->wait_message('worker', -from => $from, state => 'leaving')->{requests}, 1, 'and SIGUSR2');
        release($fifo);
        ok($t->wait_message('worker ended', -from => 0, status => 'exit:0'), 'it ends');
        $t->stop;
};

part 'load, and kill -9 of workers' => sub {
        my $t = broker_with(<<'Y');
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 3, restart_delay: 10ms, instances: 200, request: {keep_alive: yes, error: "no\n"}}
Y
        my @clients = map { $t->connect('r') } 1 .. 20;
        my ($sent, $good, $bad, $odd) = (0, 0, 0, 0);

        for my $round (1 .. 100) {
                say_to($_, "r$round") for @clients;
                if ($round % 5 == 0) {
                        1 while $t->read_log(0);
                        my ($start) = grep { ($_->{message} // '') eq 'worker started' } reverse @{ $t->{log} };
                        kill KILL => $start->{pid};
                }
                for (@clients) {
                        my $reply = reply($_);
                        $sent++;
                        $reply eq "re: r$round\n" ? $good++ : $reply eq "no\n" ? $bad++ : $odd++;
                }
        }
        is($odd, 0, 'each request gets its own reply, or error');
        is($good + $bad, $sent, 'one of them');
        cmp_ok($bad, '<=', 20, 'a worker that dies costs one request at most');
        close $_ for @clients;
        $t->stop;
};

part '10,000 mixed successes and failures leave nothing behind' => sub {
        my $t = broker_with(<<'Y', head => "broker: {log: {format: json, level: warning}}\n");
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 4, restart_delay: 1ms, restart_delay_max: 5ms, instances: 20, request: {error: "no\n", max_size: 1K}}
Y
        my $address = $t->dir . '/r';
        my %count;
        my @kinds = (('x') x 40, 'die', 'half', 'y' x 1100, 'leave', 'twice');

        BrokerTest::read_all(say_to(BrokerTest::connect_to($address), 'x'));
        my $before = keys %{ $t->fds };
        for my $i (1 .. 10_000) {
                my $kind = $kinds[$i % @kinds];
                my $client = BrokerTest::connect_to($address);
                if ($kind eq 'leave') { say_to($client, 'x') if $i % 2; close $client; next }
                say_to($client, $kind);
                my $text = BrokerTest::read_all($client) // '';
                $count{ $text eq "re: x\n" ? 'good' : $text eq "no\n" ? 'error' : $text eq "one\n" ? 'one' : $text }++;
                $t->read_log(0) if $i % 100 == 0;
        }
        is(join(' ', sort keys %count), 'error good one', 'each has one of the answers');
        my ($status, $out);
        for (1 .. 50) {
                ($status, $out) = $t->verb('status', 'r');
                last if $out =~ /Connections: 0 now/ && $out =~ /idle 4, busy 0, leaving 0/;
        }
        like($out, qr/Connections: 0 now, 10001 accepted/, 'no slot');
        like($out, qr/Processes: 4$/m, 'no process');
        cmp_ok(keys %{ $t->fds }, '<=', $before, 'no descriptor');
        $t->stop;
};

part 'reload' => sub {
        my $t = broker_with(my $text = <<'Y');
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 1, request: {keep_alive: yes}}
Y
        my $client = say_to($t->connect('r'), 'pid');
        my $pid = reply($client);
        my $change = sub {
                $t->write_conf(filled($_[0]));
                return $t->reload;
        };

        ok($change->($text =~ s/workers: 1/workers: 2/r), 'other numbers');
        is(reply(say_to($client, 'pid')), $pid, 'change nothing for who is in');
        my $fifo = fifo($t, 'hold');
        my $held = say_to($t->connect('r'), "hold $fifo", 'pid');
        my $fresh = $t->connect('r');
        wait_requests($t, sub { $_[0]{busy} == 1 });
        ok($change->($text =~ s/keep_alive: yes/keep_alive: yes, error: x/r), 'another definition');
        is(BrokerTest::read_all($client), '', 'ends connections between requests');
        isnt(reply(say_to($fresh, 'pid')), $pid, 'who has said nothing yet is served by the new one');
        release($fifo);
        is(reply($held), "re: hold $fifo\n", 'an open request is answered');
        is(BrokerTest::read_all($held), '', 'and is the last');
        ok($change->("r: {listen: \"%DIR%/r\", wait: no, command: cat}\n"), 'another handoff');
        is($t->ask('r', 'cat'), 'cat', 'serves');
        $t->wait_log(sub { $t->statistics('r')->{processes} == 0 }, from => 0);
        ok($change->($text), 'and back');
        is(reply(say_to($t->connect('r'), 'x')), "re: x\n", 'serves');
        ok($change->('{}'), 'gone');
        $t->stop;
};

part 'orders' => sub {
        my $t = broker_with(<<'Y');
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 2, start: boot, request: {keep_alive: yes}}
Y
        ok($t->wait_message('worker started', -from => 0), 'start: boot') for 1;
        my $client = say_to($t->connect('r'), 'pid');
        my $pid = reply($client);
        is(($t->verb('restart', 'r'))[0], 0, 'restart');
        is(BrokerTest::read_all($client), '', 'ends who is in');
        my $new = reply(say_to($t->connect('r'), 'pid'));
        isnt($new, $pid, 'new workers');
        is(($t->verb('kill', 'r'))[0], 0, 'kill');
        is($t->statistics('r')->{processes}, 0, 'ends all workers');
        like(reply(say_to($t->connect('r'), 'pid')), qr/^\d+$/, 'the next connection starts them');
        is(($t->verb('stop', 'r'))[0], 0, 'stop');
        is($t->statistics('r')->{processes}, 0, 'ends them, too');
        is(($t->verb('start', 'r'))[0], 0, 'start');
        like(reply(say_to($t->connect('r'), 'pid')), qr/^\d+$/, 'serves again');
        my ($status, undef, $error) = $t->verb('replace', 'r');
        isnt($status, 0, 'replace is refused');
        my ($json) = ($t->verb('status', '--json', 'r'))[1];
        like($json, qr/"requests": \{\s*"total": \d+,\s*"replied": \d+/, 'status --json');
        like($json, qr/"request_classes": \{\s*"0-100": \d+/, 'with its classes');
        $t->stop;
};

part 'drain' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], workers: 1, request: {keep_alive: yes, busy_timeout: 20s}}
Y
        my $fifo = fifo($t, 'hold');
        my $idle = say_to($t->connect('r'), 'x');
        my $held = say_to($t->connect('r'), "hold $fifo");
        my $waits;

        reply($idle);
        wait_requests($t, sub { $_[0]{busy} == 1 });
        $waits = say_to($t->connect('r'), 'waits');
        wait_requests($t, sub { $_[0]{waiting} == 1 });
        $t->signal('TERM');
        is(BrokerTest::read_all($idle), '', 'SIGTERM ends connections between requests');
        release($fifo);
        is(BrokerTest::read_all($held), "re: hold $fifo\n", 'those with a request are answered');
        is(BrokerTest::read_all($waits), "re: waits\n", 'and those that wait');
        is($t->wait_exit, 0, 'then it ends');
};

part 'idle_exit' => sub {
        my $t = broker_with(<<'Y', head => "broker: {idle_exit: 200ms, log: {format: json, level: debug}}\n");
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], start: boot, workers: {min: 2, max: 3}, request: {keep_alive: yes}}
Y
        my $client = say_to($t->connect('r'), 'x');

        is(reply($client), "re: x\n", 'a client');
        ok($t->wait_message('something is alive, idle_exit begins anew'), 'keeps the broker') for 1, 2;
        is(requests($t)->{idle}, 2, 'with all its workers');
        close $client;
        ok($t->wait_message('worker ended', reason => 'idle_stop'), 'workers that min keeps do not');
        ok($t->wait_message('nothing has been alive for idle_exit'), 'it ends');
        $t->stop(ended => 1);
};

part 'per_source, instances' => sub {
        my $t = broker_with(<<'Y');
r: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], per_source: 2, request: {keep_alive: yes}}
i: {listen: 127.0.0.1:0, wait: no, handoff: request, command: [%WORKER%], instances: 1, when_full: refuse, request: {keep_alive: yes}}
Y
        my @clients = map { say_to($t->connect('r'), 'x') } 1, 2;
        is(reply($_), "re: x\n", 'served') for @clients;
        is(answer($t, 'x'), '', 'one more is refused');
        close $clients[0];
        $t->wait_message('connection ended', service => 'r');
        is(reply(say_to($t->connect('r'), 'x')), "re: x\n", 'until one has left');
        my $one = say_to($t->connect('i'), 'x');
        is(reply($one), "re: x\n", 'instances');
        is(answer($t, 'x', service => 'i'), '', 'are connections');
        $t->stop;
};

part 'broker upgrade' => sub {
        my $t = new_broker(filled(<<'Y'));
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 2, request: {keep_alive: yes, max_size: 4M, error: "no\n"}}
Y
        $t->write_file('worker', $worker);
        my @fifos = map { fifo($t, "hold$_") } 0, 1;
        my @held = map { say_to($t->connect('r'), "hold $_", 'behind') } @fifos;
        wait_requests($t, sub { $_[0]{busy} == 2 });
        my $waits = say_to($t->connect('r'), 'waits');
        my $half = $t->connect('r');
        syswrite $half, 'begun';
        my $left = say_to($t->connect('r'), 'leaves');
        my $before = wait_requests($t, sub { $_[0]{waiting} == 2 });
        my $fds = keys %{ $t->fds };

        for my $round (1, 2) {
                ok(upgrade($t), "upgrade $round") or diag($t->{said});
                is(requests($t)->{busy}, 2, 'workers go on');
                is(requests($t)->{waiting}, 2, 'and who waits');
        }
        cmp_ok(keys %{ $t->fds }, '<=', $fds, 'no descriptor more');
        close $left;
        release($fifos[0]);
        is(reply($held[0]), "re: hold $fifos[0]\n", 'a request that was at a worker is answered');
        is(reply($held[0]), "re: behind\n", 'what was read before is not lost');
        is(reply($waits), "re: waits\n", 'who waited is served');
        say_to($half, ' and done');
        is(reply($half), "re: begun and done\n", 'half a request is completed');

        my $slow = say_to($t->connect('r'), 'long 3000000', 'pid');
        wait_requests($t, sub { $_[0]{replied} >= $before->{replied} + 4 });
        ok(upgrade($t), 'with an answer that nobody has read yet') or diag($t->{said});
        is(length reply($slow), 3000001, 'which arrives');
        like(reply($slow), qr/^\d+$/, 'and then the next');
        my $one = $t->wait_message('worker started', -from => 0)->{pid};
        kill KILL => $one;
        ok($t->wait_message('worker ended', pid => $one), 'the end of a worker is seen afterwards');
        # Whether the other one waits for it or not.
        open my $fifo, '+<', $fifos[1] or die "$fifos[1]: $!";
        syswrite $fifo, "\n";
        like(reply($held[1]), qr/^(?:re: hold|no$)/, 'which costs one request at most');
        is(reply(say_to($slow, 'on')), "re: on\n", 'and it goes on');
        my $n = requests($t);
        is($n->{total}, $n->{replied} + $n->{failed} + $n->{dropped}, 'the counts go on');
        $t->stop;
};

part 'broker upgrade between a reload and what it ends' => sub {
        my $text = 'r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 1, environment: {A: 1}}';
        my $t = new_broker(filled($text));

        $t->write_file('worker', $worker);
        my $fifo = fifo($t, 'hold');
        my $held = say_to($t->connect('r'), "hold $fifo");
        wait_requests($t, sub { $_[0]{busy} == 1 });
        my $waits = say_to($t->connect('r'), 'pid');
        wait_requests($t, sub { $_[0]{waiting} == 1 });
        $t->write_conf(filled($text =~ s/A: 1/A: 2/r));
        ok($t->reload, 'another definition');
        my $new = answer($t, 'pid');
        ok(upgrade($t), 'an upgrade') or diag($t->{said});
        is(answer($t, 'pid'), $new, 'the new workers go on');
        release($fifo);
        is(reply($held), "re: hold $fifo\n", 'what the old ones have is answered');
        like(my $old = reply($waits), qr/^\d+$/, 'and what waits for them');
        isnt($old, $new, 'by them');
        ok($t->wait_message('worker ended', pid => $old + 0), 'and then they end');
        $t->stop;
};

# squidGuard is not needed: what it answers depends on its lists, and on its version.
part 'examples/squidguard' => sub {
        open my $fh, '<', 'examples/squidguard/broker.yaml' or die "broker.yaml: $!";
        my ($services) = do { local $/ = undef; <$fh> } =~ /^services:\n(.*)/ms;
        my $filter = "$ENV{PWD}/examples/squidguard/filter.pl";

        $services =~ s/listen: 10002/listen: 127.0.0.1:0/ or die "no listen\n";
        $services =~ s{command: \[/usr/bin/squidGuard.*?\]}{command: [perl, "$filter", "%DIR%/blocked"]} or die "no command\n";
        $services =~ s/^ *user: .*\n//m;
        my $t = broker_with($services =~ s/^  //mgr);
        $t->write_file('blocked', "# those\nbad.example\nworse.test # and this\n");
        my $squid = $t->connect('urlfilter');
        my %want = ('http://bad.example/' => 1, 'https://www.Bad.example:443/x' => 1, 'http://good.example/bad.example' => 0,
                'worse.test:443' => 1, 'http://notworse.test/' => 0, 'http://me@worse.test/' => 1);

        for my $url (sort keys %want) {
                say_to($squid, "$url 10.0.0.7/- - GET");
                is(reply($squid), $want{$url} ? qq(OK status=302 url="http://localhost/blocked"\n) : "ERR\n", $url);
        }
        say_to($squid, map { "$_ 10.0.0.7/- - GET" } sort keys %want);
        is(join('', map { substr reply($squid), 0, 2 } 1 .. 6), join('', map { $want{$_} ? 'OK' : 'ER' } sort keys %want), 'in order');
        $t->stop;
};

part 'descriptors run out' => sub {
        my $t = broker_with(<<'Y', wrap => ['prlimit', '--nofile=48']);
r: {listen: "%DIR%/r", wait: no, handoff: request, command: [%WORKER%], workers: 40, restart_delay: 20ms}
Y
        is(answer($t, 'x'), "re: x\n", 'with fewer workers than there should be it serves') for 1 .. 5;
        cmp_ok(requests($t)->{idle}, '<', 40, 'there are fewer');
        $t->stop;
};

done_testing;
