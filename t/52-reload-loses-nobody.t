#!/usr/bin/perl
# Clients that connect all the time, while definitions change: whose address stays is served, whether the reload succeeds
# or fails half-way.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::IP;
use Part;
use Test::More;
use Time::HiRes qw(time);

# Connects to PORT again and again until UNTIL, a pipe, is closed at its other end; tells TO what came of it, each
# outcome with its number.
sub be_client {
        my ($port, $until, $to) = @_;
        my %outcome;

        until (IO::Select->new($until)->can_read(0)) {
                my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port);
                syswrite $socket, "hi\n" if $socket;
                my $n = $socket ? sysread $socket, my $answer, 10 : undef;
                $outcome{ $n ? 'served' : defined $n ? 'closed' : "$!" }++;
        }
        print $to join(', ', map { "$_ $outcome{$_}" } sort keys %outcome), "\n";
        close $to;
        POSIX::_exit(0);
}

sub start_clients {
        my ($port, $number) = @_;

        pipe my $read, my $write or die "pipe: $!";
        pipe my $until, my $stop or die "pipe: $!";
        my @pids;
        for (1 .. $number) {
                push @pids, fork // die "fork: $!";
                next if $pids[-1];
                close $stop;
                be_client($port, $until, $write);
        }
        return { read => $read, stop => $stop, pids => \@pids };
}

sub end_clients {
        my ($clients) = @_;
        my $read = $clients->{read};

        close $clients->{stop};
        my @told = map { scalar readline $read } @{ $clients->{pids} };
        waitpid $_, 0 for @{ $clients->{pids} };
        return @told;
}

# Starts with START and reloads CONF, which fails, again and again, with clients all the while.
sub serves_all {
        my ($port, $start, $conf) = @_;
        my $t = BrokerTest->new(services => $start);
        my $clients = start_clients($port, 2);
        my $changed = 0;

        $t->write_conf($conf);
        for (1 .. 30) { $changed++ if $t->reload }
        is($changed, 0, 'the definitions do not change');
        like($_, qr/^served \d+$/, 'a client is served each time') for end_clients($clients);
        $t->stop;
}

my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
# Between the first change and the one that fails there is time to connect.
my $fails = join '', map { "m$_: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n" } 1 .. 100;
$fails .= 'z: {listen: "127.0.0.1:' . $busy->sockport . "\", wait: no, command: [cat]}\n";

sub service {
        my ($address) = @_;

        return "a: {listen: '$address', wait: no, instances: 500, command: [cat]}\n";
}

sub free_port {
        return IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
}

# While the broker stands still, clients line up at the socket that the next definition replaces.
part 'one address, all addresses' => sub {
        my $port = free_port();
        my @address = ("127.0.0.1:$port", $port);
        my $t = BrokerTest->new(services => service($address[0]));

        for my $i (1 .. 6) {
                my $from = @{ $t->{log} };
                $t->write_conf(service($address[$i % 2]));
                $t->signal('STOP');
                $t->signal('HUP');
                my @clients = map { IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port) } 1 .. 20;
                syswrite $_, "hi\n" for @clients;
                $t->signal('CONT');
                $t->wait_message('reloaded', -from => $from);
                is(scalar(grep { (BrokerTest::read_line($_) // '') eq "hi\n" } @clients), 20, "$address[$i % 2]: who was in the queue is served");
                is($t->ask('a', "new\n", index => $i), "new\n", '... and who comes afterwards');
        }
        $t->stop;
};

part 'all addresses, and a reload to one of them that fails' => sub {
        my $port = free_port();

        serves_all($port, service($port), service("127.0.0.1:$port") . $fails);
};

part 'more workers, and a reload that fails' => sub {
        my $port = free_port();
        my $listen = "{address: '127.0.0.1:$port', reuse_port: yes}";
        my $service = "a: {listen: $listen, wait: yes, workers: %d, command: [%%PROBE%%, --serve]}\n";

        serves_all($port, sprintf($service, 1), sprintf($service, 4) . $fails);
};
# `broker reload` with what others may do to a file, while a service that stays is busy.
part 'a service that stays, while others come, change, break and go' => sub {
        my $port = free_port();
        my $stays = service("127.0.0.1:$port");
        my @others = map { sprintf "o%d: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n", $_ } 1 .. 20;
        my $server = 'srv: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve], environment: {N: "%d"}}' . "\n";
        my $changed = join '', map { s/\[cat\]/[cat, -u]/r } @others[0 .. 9];
        # What is in the file, the exit status of `broker reload`, and its report.
        my @turns = (
                [join("", $stays, @others), 0, qr/^added: o1, .*o20\nremoved: srv\nunchanged: 1\n$/],
                [$stays . $changed, 0, qr/^changed: o1, .*, o10\nremoved: o11, .*, o20\nunchanged: 1\n$/],
                ["${stays}broken: {listen: 127.0.0.1:0, wait: maybe}\n", 78, qr/^$/],
                ["${stays}: {\n", 78, qr/^$/],
                [$stays . $fails, 1, qr/^$/],
                [$stays . sprintf($server =~ s/%(?!d)/%%/gr, 1), 0, qr/^added: srv\nremoved: o1, .*, o10\nunchanged: 1\n$/],
                [$stays . sprintf($server =~ s/%(?!d)/%%/gr, 2), 0, qr/^changed: srv\nunchanged: 1\n$/],
        );
        my $t = BrokerTest->new(services => $turns[-1][0]);
        my $clients = start_clients($port, 4);
        my $begin = time;
        my @wrong;

        for (1 .. 6) {
                for (@turns) {
                        $t->write_conf($_->[0]);
                        my ($status, $out) = $t->verb('reload');
                        push @wrong, "$status: $out" if $status != $_->[1] || $out !~ $_->[2];
                }
        }
        my @told = end_clients($clients);
        my $served = 0;
        is_deeply(\@wrong, [], 'each time broker reload says what has changed, or that nothing did');
        like($_, qr/^served \d+$/, 'a client is served each time') for @told;
        $served += /^served (\d+)$/ ? $1 : 0 for @told;
        diag(sprintf '%d reloads, %d connections, %.0f a second', 6 * @turns, $served, $served / (time - $begin));
        $t->stop;
};
done_testing;
