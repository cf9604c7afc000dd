#!/usr/bin/perl
# proxy where things go wrong: resets with nobody reading, urgent data before the end, targets that fail in turns,
# servers that end while somebody is connecting to them, and thousands of successes and failures in a mix.
use strict;
use warnings;
use BrokerTest;
use Ends;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw(:DEFAULT SHUT_WR MSG_OOB SOCK_STREAM SOCK_DGRAM);
use Test::More;
use Time::HiRes qw(time);

sub listener { return IO::Socket::IP->new(Listen => $_[0] // 128, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@" }
sub listen_at { my ($path) = @_; unlink $path; return IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 128) // die "$path: $!" }

# Processor time while SECONDS pass, in which nothing is to happen.
sub ticks_in {
        my ($t, $seconds) = @_;
        my $before = $t->cpu_ticks;

        select undef, undef, undef, $seconds;
        return $t->cpu_ticks - $before;
}

my $target = listener();
my $port = $target->sockport;

# A port whose queue is full: who connects to it waits.
my $full = listener(1);
my $full_port = $full->sockport;
my @filler;
for (1 .. 8) {
        my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $full_port, Blocking => 0) // last;

        push @filler, $socket;
}

my $t = BrokerTest->new(services => <<"Y");
plain: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port, instances: 2}
urgent: {listen: 127.0.0.1:0, proxy: "%DIR%/urgent"}
unix: {listen: "%DIR%/front", proxy: 127.0.0.1:$port}
held: {listen: "%DIR%/heldfront", proxy: "%DIR%/held"}
flaky: {listen: "%DIR%/flakyfront", proxy: "%DIR%/flaky", start_timeout: 20s}
queue: {listen: "%DIR%/queuefront", proxy: 127.0.0.1:$full_port, command: ["false"], start_timeout: 20s, restart_delay: 100ms}
gone: {listen: "%DIR%/gonefront", proxy: "%DIR%/gone", command: ["sh", -c, "exec socat UNIX-LISTEN:%DIR%/gone,fork,unlink-early PIPE"], start: boot, restart: always, restart_delay: 1ms}
Y
my $dir = $t->dir;

# Whoever resets while the other side takes nothing is noticed all the same: its place is free again.
{
        for my $way ('the client', 'the target') {
                my $client = $t->connect('plain');
                my $server = accept_from($target);
                my ($from, $to) = $way eq 'the client' ? ($client, $server) : ($server, $client);

                $from->blocking(0);
                # Until nothing goes any more for a while.
                while (IO::Select->new($from)->can_write(0.3)) { syswrite $from, 'x' x 65536 }
                reset_it($from);
                ok($t->wait_message('connection ended', service => 'plain', reason => 'reset'), "$way resets while the other side does not read");
        }
}

# splice(2) takes urgent data that has an end behind it for the end.
{
        my $listener = listen_at("$dir/urgent");
        # All of it is there before the broker looks.
        $t->signal('STOP');
        my $client = $t->connect('urgent');
        syswrite $client, 'before ';
        send $client, '!', MSG_OOB;
        syswrite $client, " after\n";
        shutdown $client, SHUT_WR;
        $t->signal('CONT');
        my $server = accept_from($listener);
        is(BrokerTest::read_all($server), "before ! after\n", 'urgent data with the end behind it');
}

# Who says what he has to say and goes is heard, by AF_UNIX as by TCP.
{
        my $lost = 0;
        for (1 .. 20) {
                my $client = $t->connect('unix');
                syswrite $client, "$_\n";
                close $client;
                my $server = accept_from($target) or last;
                $lost++ if BrokerTest::read_all($server) ne "$_\n";
        }
        is($lost, 0, 'AF_UNIX clients that write and close at once');
        my $client = $t->connect('held');
        syswrite $client, "patience\n";
        close $client;
        # One behind it, that goes without a word.
        close $t->connect('held');
        ok($t->wait_message('connection ended', service => 'held', reason => qr/^the client left/), 'who goes without a word has left');
        my $listener = listen_at("$dir/held");
        my $server = accept_from($listener);
        is($server && BrokerTest::read_all($server), "patience\n", 'what the other has said is delivered when the target is there');
}

# A target that is not there, then fails for good, then is there.
{
        my @clients = map { $t->connect('flaky') } 1 .. 3;
        # All are held when the last has been taken.
        my $until = time + $BrokerTest::TIMEOUT;
        1 until $t->statistics('flaky')->{connections} == 3 || time > $until;
        my $wrong = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/flaky") // die "flaky: $!";
        is(join(' ', map { ending($_) // 'held' } @clients), 'end end end', 'an error that does not pass ends all who wait');
        close $wrong;
        my $listener = listen_at("$dir/flaky");
        my $client = $t->connect('flaky');
        my $server = accept_from($listener);
        ok($server, 'and the next is served');
}

# The server has ended, and somebody is still connecting to it.
{
        my $client = $t->connect('queue');
        ok($t->wait_message('server ended', service => 'queue'), 'a server that ends while its client connects');
        cmp_ok(ticks_in($t, 0.5), '<', 10, 'without a spin');
        close $client;
}

# The server ends by itself when nobody new may come.
{
        my $client = $t->served('gone');
        my $pid = $t->wait_message('server started', service => 'gone', -from => 0)->{pid};

        $t->signal('TERM');
        $t->wait_message(qr/^SIGTERM: no new connections/);
        kill 'KILL', $pid;
        ok($t->wait_message('server ended', service => 'gone'), 'a server that dies while the broker drains');
        cmp_ok(ticks_in($t, 0.5), '<', 10, 'without a spin');
        syswrite $client, "still\n";
        is(BrokerTest::read_line($client), "still\n", 'who is in goes on');
        close $client;
}
$t->stop(ended => 1);

# A reload takes the service away: who is in, and who waits for the target, may finish.
{
        my $d = BrokerTest->new(services => <<"Y");
other: {listen: "%DIR%/other", proxy: "%DIR%/nobody"}
front: {listen: 127.0.0.1:0, proxy: 127.0.0.1:$port}
later: {listen: 127.0.0.1:0, proxy: "%DIR%/later"}
server: {listen: "%DIR%/server", proxy: "%DIR%/s", command: [socat, "UNIX-LISTEN:%DIR%/s,fork,unlink-early", PIPE]}
Y
        my $client = $d->connect('front');
        my $server = accept_from($target);
        my $in = $d->served('server');
        my $waiting = $d->connect('later');
        syswrite $waiting, "patience\n";
        my $until = time + $BrokerTest::TIMEOUT;
        1 until $d->statistics('later')->{connections} == 1 || time > $until;
        $d->write_conf("other: {listen: \"%DIR%/other\", proxy: \"%DIR%/nobody\"}\n");
        ok($d->reload, 'the services are taken away');
        for ([$client, $server], [$in, $in]) {
                syswrite $_->[0], "on\n";
                is(BrokerTest::read_line($_->[1]), "on\n", 'who is in goes on');
        }
        my $listener = listen_at($d->dir . '/later');
        my $late = accept_from($listener);
        is($late && BrokerTest::read_line($late), "patience\n", 'who was waiting is served');
        close $_ for $client, $server, $waiting, $late, $in;
        is($d->wait_message('server ended', service => 'server')->{reason}, 'stopped', 'the server ends after the last');
        $d->stop;
}

# Many wait: it costs what one costs, and all are served.
{
        my $d = BrokerTest->new(services => "p: {listen: \"%DIR%/front\", proxy: \"%DIR%/target\", instances: unlimited}\n");
        my @clients = map { $d->connect('p') } 1 .. 400;
        my $until = time + $BrokerTest::TIMEOUT;
        1 until $d->statistics('p')->{connections} == 400 || time > $until;
        syswrite $clients[$_], "$_\n" for 0 .. $#clients;
        cmp_ok(ticks_in($d, 0.5), '<', 10, '400 who wait cost no processor time');
        my $listener = listen_at($d->dir . '/target');
        my %seen;
        for (@clients) {
                my $server = accept_from($listener) // last;
                $seen{ BrokerTest::read_line($server) // '' } = $server;
        }
        is(scalar keys %seen, 400, 'all are served when the target is there, through a shorter queue');
        %seen = @clients = ();
        $d->stop;
}

# Ten thousand connections that end in every way: in the end all places and descriptors are free.
{
        my $d = BrokerTest->new(later => 1);
        my $number = IO::Socket::IP->new(Listen => 1, LocalHost => '127.0.0.1', LocalPort => 0)->sockport;
        $d->write_conf("p: {listen: 127.0.0.1:$number, proxy: \"%DIR%/target\", instances: 64, start_timeout: 1s}\n", head => "broker: {log: {format: json, level: warning}}\n");
        $d->start;
        my $descriptors = sub { scalar grep { !/^pipe:/ } values %{ $d->settled_fds } };
        my $before = $descriptors->();
        my $path = $d->dir . '/target';
        my @kinds = ('echo', 'reset', 'target resets', 'half', 'silent', 'early reset', 'target closes');
        my %end = (
                'echo' => sub { my ($c, $s) = @_; syswrite $s, "x\n"; return (BrokerTest::read_line($c) // '') eq "x\n" },
                'reset' => sub { my ($c, $s) = @_; reset_it($c); return ending($s) },
                'target resets' => sub { my ($c, $s) = @_; syswrite $c, 'unread'; IO::Select->new($s)->can_read($BrokerTest::TIMEOUT); close $s; return ending($c) },
                'half' => sub { my ($c, $s) = @_; shutdown $c, SHUT_WR; my $text = BrokerTest::read_all($s); close $s; return defined $text && ending($c) },
                'target closes' => sub { my ($c, $s) = @_; close $s; return ending($c) },
        );
        my ($n, $wrong) = (0, 0);
        for my $batch (1 .. 250) {
                # Now and then nobody is there.
                unlink $path;
                my $listener = $batch % 60 ? listen_at($path) : undef;
                my %open;
                for (1 .. 40) {
                        my $kind = $kinds[ $n++ % @kinds ];
                        my $client = BrokerTest::connect_to("127.0.0.1:$number");

                        if ($kind eq 'early reset') { reset_it($client) }
                        elsif ($kind eq 'silent') { close $client }
                        else { syswrite $client, "$n\n"; $open{$n} = [$kind, $client] }
                }
                if (!$listener) {
                        $wrong += grep { !ending($_->[1]) } values %open;
                        next;
                }
                while (%open) {
                        my $server = accept_from($listener) // last;
                        my $line = BrokerTest::read_line($server) // next;
                        chomp $line;
                        my ($kind, $client) = @{ delete $open{$line} // next };
                        $end{$kind}->($client, $server) or $wrong++, diag("$n: $kind");
                }
                $wrong += keys %open;
                diag("$n: $_->[0] has not come") for values %open;
        }
        is("$n $wrong", '10000 0', 'ten thousand connections, each ends as it should');
        my ($out, $until) = ('', time + $BrokerTest::TIMEOUT);
        until ($out =~ /Connections: 0 now/ || time > $until) { $out = ($d->verb('status', 'p'))[1] }
        like($out, qr/Connections: 0 now, 10000 accepted/, 'all places are free');
        is($descriptors->(), $before, 'and all descriptors');
        $d->stop;
}
done_testing;
