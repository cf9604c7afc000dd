#!/usr/bin/perl
# idle_stop: a server that nobody is connected to is stopped, and the next connection starts it again. Nobody is lost in
# between, however close to the moment of stopping he comes.
use strict;
use warnings;
use BrokerTest;
use Files qw(slurp);
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep);

# A server in Perl: accepts as it comes, and on SIGTERM leaves a line behind. Words of its command line say what else.
my $SERVER = <<'END';
use strict;
use warnings;
use POSIX ();
my ($dir, %is) = (shift, map { $_ => 1 } @ARGV);
my $stop;
$SIG{TERM} = $is{deaf} ? 'IGNORE' : sub { $stop = 1 };
$SIG{CHLD} = 'IGNORE';
open my $listener, '+<&=', 3 or die $!;
my $helper = $is{helper} ? fork // die : 0;
if ($is{helper} && !$helper) { POSIX::pause() while 1 }
if ($is{helper}) { open my $f, '>', "$dir/helper"; print $f $helper; close $f }
while (!$stop) {
    accept my $client, $listener or next;
    if ($is{forking} && (fork // die)) { close $client; next }
    while (defined(my $line = readline $client)) {
        syswrite $client, "$$ $line";
    }
    close $client;
    exit 0 if $is{forking};
}
open my $f, '>>', "$dir/goodbye";
syswrite $f, "$$\n";
exit 0;
END

sub dir_with_server {
        my $t = BrokerTest->new(services => "unused: {listen: 127.0.0.1:0, wait: yes, command: /bin/true}\n", later => 1);

        $t->write_file('server.pl', $SERVER);
        return $t;
}

sub start {
        my ($t, $services) = @_;

        $services =~ s/%SERVER%/$^X, "%DIR%\/server.pl", "%DIR%"/g;
        $t->write_conf($services);
        $t->start;
        return $t;
}

sub say_to {
        my ($socket) = @_;

        syswrite $socket, "hello\n" or return;
        IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT) or return;
        sysread $socket, my $answer, 4096; # a packet comes whole or not at all
        return $answer;
}

sub stopped {
        my ($t, $name, %field) = @_;

        return $t->wait_message('server ended', service => $name, reason => 'idle_stop', %field);
}

my $t = start(dir_with_server(), <<'Y');
tcp: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, trigger_limit: 2/1h, command: [%SERVER%]}
any: {listen: 0, wait: yes, idle_stop: 100ms, command: [%SERVER%]}
path: {listen: %DIR%/s, wait: yes, idle_stop: 100ms, command: [%SERVER%]}
abstract: {listen: "@broker-test-%DIR%", wait: yes, idle_stop: 100ms, command: [%SERVER%]}
packets: {listen: "seqpacket:%DIR%/p", wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}
several: {listen: [127.0.0.1:0, %DIR%/t], wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}
silent: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%SERVER%, forking]}
quiet: {listen: %DIR%/q, wait: yes, idle_stop: 100ms, command: [%SERVER%, forking]}
half: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%SERVER%]}
deaf: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, stop_grace_period: 50ms, command: [%SERVER%, deaf]}
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, restart: always, idle_stop: 100ms, command: [%SERVER%]}
alone: {listen: 127.0.0.1:0, wait: yes, kill_mode: process, idle_stop: 100ms, command: [%SERVER%, helper]}
later: {listen: 127.0.0.1:0, wait: yes, command: [%SERVER%]}
shared: {listen: {address: 127.0.0.1:0, reuse_port: yes}, wait: yes, workers: 2, idle_stop: 100ms, command: [%SERVER%]}
Y

for my $name (qw(tcp any path abstract packets several)) {
        my $first;

        for my $round (1 .. 3) {
                my $c = $t->connect($name);
                my ($pid) = (say_to($c) // '') =~ /(\d+)/;

                ok($pid, "$name, round $round: served");
                isnt($pid, $first, "$name, round $round: by another server") if $first;
                $first = $pid;
                close $c;
                my $end = stopped($t, $name);
                is($end && $end->{pid}, $pid, "$name, round $round: and stopped when nobody was there any more");
                cmp_ok($end->{duration}, '>=', 0.1, "$name, round $round: not before its time");
        }
}
is(scalar(() = (slurp($t->dir . '/goodbye') // '') =~ /\n/g) >= 12, 1, 'servers that handle SIGTERM have seen it');
ok(!(grep { ($_->{message} // '') =~ /^paused/ } @{ $t->{log} }), 'trigger_limit does not count that');
my $c = $t->connect('several', index => 1);
like(say_to($c), qr/fd=4/, 'a connection to the second of two sockets');
close $c;
ok(stopped($t, 'several'), 'counts like one to the first');

# Who is connected without a word keeps his server, also where a process of its own serves him: other servers come and go
# meanwhile.
my %keeps = map { $_ => $t->connect($_) } qw(silent quiet half);
like(say_to($keeps{$_}), qr/hello/, "$_: served") for qw(silent quiet);
for (1 .. 4) {
        my $other = $t->connect('tcp');

        say_to($other);
        close $other;
        stopped($t, 'tcp');
}
1 while $t->read_log(0);
ok(!(grep { ($_->{message} // '') eq 'server ended' && $keeps{ $_->{service} } } @{ $t->{log} }),
        'servers with a silent connection go on');
shutdown $keeps{half}, 1;
is(BrokerTest::read_all($keeps{half}), '', 'half a connection is one');
close $keeps{$_} for keys %keeps;
ok(stopped($t, $_, -from => 0), "$_: stopped when that has gone") for keys %keeps;

$c = $t->connect('deaf');
say_to($c);
close $c;
# Its reason is in the same line as that.
ok($t->wait_message('server ended', service => 'deaf', reason => 'idle_stop', killed => 'after stop_grace_period'),
        'one that does not listen to SIGTERM is killed');
like(say_to($t->connect('deaf')), qr/hello/, 'and the service goes on');

ok(stopped($t, 'boot', -from => 0), 'start: boot: stopped likewise');
ok(!(grep { ($_->{message} // '') eq 'server will be started again' } @{ $t->{log} }), 'and not started again by restart');
like(say_to($t->connect('boot')), qr/hello/, 'but by a connection');

$c = $t->connect('alone');
say_to($c);
close $c;
ok(stopped($t, 'alone'), 'kill_mode: process');
my $helper = slurp($t->dir . '/helper');
like(slurp("/proc/$helper/stat"), qr/^\d+ \(.*\) [SR]/, 'what the server has started was held still, and goes on');
kill 'KILL', $helper;

# Both workers have the port; a connection to either counts for both.
my @clients = map { $t->connect('shared') } 1 .. 8;
say_to($_) for $clients[0];
close $_ for @clients;
ok(stopped($t, qr/^shared/), 'workers are stopped as well');

like(my $answer = say_to($c = $t->connect('later')), qr/hello/, 'without idle_stop');
close $c;
$t->write_conf(<<"Y");
later: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [$^X, "%DIR%/server.pl", "%DIR%"]}
Y
ok($t->reload, 'a reload brings it');
my $end = stopped($t, 'later');
is($end->{pid}, $answer =~ /(\d+)/ ? $1 : -1, 'and the server that runs is stopped by it');
$t->stop;

# A socket from another network namespace: the kernel does not show who is connected there.
SKIP: {
        skip 'network namespaces are not permitted here', 6 if system('unshare -n true 2>/dev/null') != 0;
        my $far = dir_with_server();
        $far->write_conf(<<"Y");
web: {listen: "fd:q", wait: yes, idle_stop: 100ms, command: [$^X, "%DIR%/server.pl", "%DIR%"]}
Y
        $far->start(wrap => [$BrokerTest::ACTIVATE, '-w', '--now', '--fdname=q', '-l', '127.0.0.1:0', '--', 'unshare', '-n']);
        ok($far->wait_log(sub { ($_->{text} // '') =~ /services\.web\.idle_stop: .*does not work here.*another network namespace/ }),
                'a socket from another network namespace is warned of');
        my $guest = $far->connect('web');
        like(say_to($guest), qr/hello/, 'its server serves');
        ok($far->wait_message(qr/^idle_stop does not work for this server/), 'and is not stopped');
        ok(!(grep { ($_->{message} // '') eq 'server ended' } @{ $far->{log} }), 'while somebody is connected');
        close $guest;
        $far->stop;
}

# The moment of stopping. Clients come as their server is about to be stopped, sooner and later by a few milliseconds: a
# round is a pause of about idle_stop and a burst of clients, each of whom has to be answered.
my $gunicorn = (grep { -x } map { "$_/gunicorn" } qw(/usr/bin /usr/local/bin))[0];
$t = dir_with_server();
$t->write_file('application.py', <<'END');
def answer(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello\n']
END
start($t, <<'Y' . ($gunicorn ? <<"Y" : ''));
tcp: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}
path: {listen: %DIR%/s, wait: yes, idle_stop: 100ms, command: [%PROBE%, --serve]}
handler: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%SERVER%]}
forking: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, command: [%SERVER%, forking]}
Y
app: {listen: 127.0.0.1:0, wait: yes, idle_stop: 100ms, working_dir: "%DIR%", command: $gunicorn --workers 1 --threads 2 application:answer}
Y

# Returns what went wrong, or ''.
sub visit {
        my ($address, $http) = @_;
        my $socket = BrokerTest::connect_to($address, may_fail => 1) or return "connect: $!";

        syswrite $socket, $http ? "GET / HTTP/1.0\r\n\r\n" : "hello\n" or return "write: $!";
        my $line = $http ? BrokerTest::read_all($socket) : BrokerTest::read_line($socket);
        return !defined $line ? "no answer: $!" : $line =~ /hello/ ? '' : "answered '$line': $!";
}

my $rounds = $ENV{BROKER_TEST_ROUNDS} // 60;
my %report;
for my $name (qw(tcp path handler forking), $gunicorn ? 'app' : ()) {
        my $address = $t->address($name);

        pipe my $read, my $write or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
                srand 1;
                my $until = time + 60;
                for (my $round = 0; $round < $rounds || time < $until; $round++) {
                        # On a busy machine clients come early, and find the server running.
                        last if $round >= $rounds && -e $t->dir . "/enough-$name";
                        my @burst = map {
                                my $late = rand(0.035) + $_ * 0.0007;
                                my $client = fork // die $!;
                                if (!$client) {
                                        # Nothing to wait for: to come when the broker is about to stop the server,
                                        # without knowing of it, is what a client is there for.
                                        sleep 0.095 + $late;
                                        my $wrong = visit($address, $name eq 'app');
                                        syswrite $write, "$wrong\n" if $wrong;
                                        POSIX::_exit(0);
                                }
                                $client;
                        } 0 .. 2;
                        waitpid $_, 0 for @burst;
                }
                POSIX::_exit(0);
        }
        close $write;
        $report{$name} = $read;
}
my (%stops, $counted);

# Counts the stops that the log tells of; a service whose clients have seen enough of them is told so.
sub count_stops {
        for (; ($counted // 0) < @{ $t->{log} }; $counted++) {
                my $record = $t->{log}[$counted // 0];
                next unless ($record->{reason} // '') eq 'idle_stop';
                $t->write_file("enough-$record->{service}", '') if ++$stops{ $record->{service} } == int($rounds / 10) + 1;
        }
        return;
}

for my $name (sort keys %report) {
        # As the broker's log is on a pipe, it is read meanwhile.
        my ($text, $select) = ('', IO::Select->new($report{$name}));
        while (1) {
                $t->read_log(0.01);
                count_stops();
                $select->can_read(0) or next;
                sysread $report{$name}, $text, 65536, length $text or last;
        }
        1 while $t->read_log(0);
        count_stops();
        my $stops = $stops{$name} // 0;
        my $saved = grep { ($_->{message} // '') =~ /^somebody has come/ && $_->{service} eq $name } @{ $t->{log} };
        is($text, '', "$name: nobody was refused, reset or left without an answer");
        cmp_ok($stops, '>', $rounds / 10, "$name: and it was stopped again and again");
        note("$name: stopped $stops times in $rounds rounds, held still in vain $saved times");
}
$t->stop;
done_testing;
