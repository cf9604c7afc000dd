#!/usr/bin/perl
# proxy where things go wrong: resets with nobody reading, urgent data before the end, targets that fail in turns,
# servers that end while somebody is connecting to them, and thousands of successes and failures in a mix.
use strict;
use warnings;
use BrokerTest;
use Errno qw(ECONNRESET);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw(:DEFAULT SHUT_WR SOL_SOCKET SO_LINGER MSG_OOB SOCK_STREAM SOCK_DGRAM);
use Test::More;
use Time::HiRes qw(time);

sub listener { return IO::Socket::IP->new(Listen => $_[0] // 128, LocalHost => '127.0.0.1', LocalPort => 0) // die "listen: $@" }
sub listen_at { my ($path) = @_; unlink $path; return IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 128) // die "$path: $!" }

sub accept_from {
        my ($target) = @_;

        IO::Select->new($target)->can_read($BrokerTest::TIMEOUT) or return;
        return scalar $target->accept;
}

sub reset_it {
        my ($socket) = @_;

        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $socket;
}

# 'end', 'reset', or undef when nothing comes.
sub ending {
        my ($socket) = @_;

        while (IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT)) {
                my $n = sysread $socket, my $data, 65536;
                return $! == ECONNRESET ? 'reset' : "error $!" if !defined $n;
                return 'end' if !$n;
        }
        return;
}

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
SKIP: {
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
done_testing;
