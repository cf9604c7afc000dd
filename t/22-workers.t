#!/usr/bin/perl
# workers: several servers of one service, each with sockets of its own, over which the kernel spreads the traffic.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use Part;
use Test::More;

# So many clients that chance does not leave a worker out: for one of four, 4 * (3/4)^100 is less than 1e-11.
my $many = 100;

sub json {
        my ($t, $name) = @_;

        open my $fh, '<', $t->dir . "/$name.json" or return;
        return map { decode_json($_) } <$fh>;
}

# Who answers a client of his own source port; what he says of his descriptor, too.
sub served_by {
        my ($t, $service) = @_;
        my $c = BrokerTest::connect_to($t->address($service));

        syswrite $c, "hi\n";
        my $answer = '';
        if ($t->address($service) =~ /^udp:/) {
                IO::Select->new($c)->can_read($BrokerTest::TIMEOUT) and sysread $c, $answer, 4096;
        } else {
                $answer = BrokerTest::read_line($c) // '';
        }
        return $answer =~ /^pid=(\d+) fd=(\d+) / ? ($1, $2) : ();
}

# pid => how many clients it served.
sub spread {
        my ($t, $service) = @_;
        my %served;

        for (1 .. $many) {
                my ($pid) = served_by($t, $service);
                $served{ $pid // 'nobody' }++;
        }
        return \%served;
}

sub read_whole_log {
        my ($t) = @_;

        1 while $t->read_log(0);
        return @{ $t->{log} };
}

# What the log says was started, the last of each: pid => name of the worker, name => pid.
sub started {
        my ($t) = @_;

        return map { ($_->{pid} => $_->{service}, $_->{service} => $_->{pid}) } grep { ($_->{message} // '') eq 'server started' } read_whole_log($t);
}

# The listening sockets of a port on 127.0.0.1, by their inodes.
sub listening {
        my ($port, $table) = @_;
        my $hex = sprintf ' 0100007F:%04X 00000000:0000 %s ', $port, $table ? '07' : '0A';

        open my $fh, '<', '/proc/net/' . ($table // 'tcp') or die;
        my @inodes = sort map { (split)[9] } grep { index($_, $hex) >= 0 } <$fh>;
        return @inodes;
}

sub free_port {
        return IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
}

my $web = 'listen: {address: "127.0.0.1:0", reuse_port: yes}, wait: yes';

part 'four workers' => sub {
        my $t = BrokerTest->new(services => "web: {$web, workers: 4, start: boot, command: [%PROBE%, '--out=file:%DIR%/web.json', --serve]}\n");
        my $ready = (grep { ($_->{message} // '') eq 'ready' } read_whole_log($t))[0];

        is($ready->{services}, 1, 'they are one service');
        my $served = spread($t, 'web');
        is(scalar(keys %$served), 4, 'all of them serve') or diag(explain($served));
        my @workers = json($t, 'web');
        my %inodes = map { my ($fd) = grep { $_->{fd} == 3 } @{ $_->{fds} }; ($fd->{inode} => 1) } @workers;
        is(scalar(@workers), 4, 'four servers were started');
        is(scalar(keys %inodes), 4, 'each has a socket of its own');
        is_deeply([sort keys %inodes], [listening($t->port('web'))], 'which are those that listen on the port');
        is(join(' ', map { "$_->{env}{LISTEN_FDS} $_->{env}{LISTEN_FDNAMES}" } @workers), join(' ', ('1 web') x 4),
                'and is told of that one');
        is_deeply([map { $t->port($_) } qw(web web/2 web/3 web/4)], [($t->port('web')) x 4], 'port 0: one port for all');

        my %by = started($t);
        my $victim = $by{'web/3'};
        kill 'KILL', $victim;
        $t->wait_message('server ended', service => 'web/3', pid => $victim, status => 'signal:KILL') // fail('it is killed');
        my $after = spread($t, 'web');
        ok(!$after->{$victim}, 'one is killed');
        is(scalar(grep { $served->{$_} } keys %$after), 3, 'the others go on');
        my ($new) = grep { !$served->{$_} } keys %$after;
        is({ started($t) }->{ $new // '' }, 'web/3', 'the next connection to its socket starts it again');

        $t->signal('USR1');
        for my $name (qw(web web/2 web/3 web/4)) {
                my $n = $t->wait_message('statistics', service => $name);
                is($n->{starts}, $name eq 'web/3' ? 2 : 1, "$name: has statistics of its own");
        }
        $t->stop;
};

part 'on demand' => sub {
        my $t = BrokerTest->new(services => "web: {$web, workers: 4, command: [%PROBE%, --serve]}\n");
        my ($first) = served_by($t, 'web');
        my %by = started($t);

        is(scalar(grep { !/^\d/ } keys %by), 1, 'the first connection starts one');
        ok($by{$first}, 'the one that it reached');
        my $served = spread($t, 'web');
        %by = started($t);
        is_deeply([sort keys %$served], [sort grep { /^\d/ } keys %by], 'those that have something to do are started');
        $t->stop;
};

part 'the socket of a server' => sub {
        my $t = BrokerTest->new(later => 1);

        $t->write_file('option.pl', 'open my $s, "+<&=", $ENV{FD} // 3; print STDERR "reuse_port ", unpack("i", getsockopt $s, 1, 15), "\n"; select undef, undef, undef, undef');
        $t->write_conf("web: {$web, workers: 2, start: boot, command: [perl, %DIR%/option.pl]}\n");
        $t->start;
        ok($t->wait_message('reuse_port 1', service => $_, -from => 0), "$_: its socket has SO_REUSEPORT") for qw(web web/2);
        $t->stop;
};

part 'several sockets each' => sub {
        my $t = BrokerTest->new(services => <<'Y');
web:
  listen: [{address: "127.0.0.1:0", reuse_port: yes, name: tcp}, {address: "udp:127.0.0.1:0", reuse_port: yes, name: udp}]
  wait: yes
  workers: 3
  start: boot
  command: [%PROBE%, "--out=file:%DIR%/web.json", --serve, "${fd:udp}"]
Y
        my %ports = map { ($t->port('web', $_) => 1, $t->port('web/2', $_) => 1, $t->port('web/3', $_) => 1) } 0, 1;
        is(scalar(keys %ports), 2, 'the kernel chooses a port for each address, once');
        ok($t->wait_message('server started', service => $_, -from => 0), "$_ runs") for qw(web web/2 web/3);
        my %pids = map { (served_by($t, 'web') // ()) => 1 } 1 .. $many;
        my @workers = json($t, 'web');
        is(join(' ', map { "$_->{env}{LISTEN_FDS} $_->{env}{LISTEN_FDNAMES} $_->{argv}[-1]" } @workers), join(' ', ('2 tcp:udp 4') x 3), 'each gets both');
        my %inodes = map { map { ($_->{inode} => 1) } grep { $_->{fd} > 2 } @{ $_->{fds} } } @workers;
        is(scalar(keys %inodes), 6, 'of its own');
        $t->stop;
};

part 'datagrams' => sub {
        my $t = BrokerTest->new(services => "dns: {listen: {address: 'udp:127.0.0.1:0', reuse_port: yes}, wait: yes, workers: 3, command: [%PROBE%, --serve]}\n");
        my ($first) = served_by($t, 'dns');

        is(scalar(grep { !/^\d/ } keys %{ { started($t) } }), 1, 'the first one starts one worker');
        is(scalar(keys %{ spread($t, 'dns') }), 3, 'they reach all of them');
        is(scalar(listening($t->port('dns'), 'udp')), 3, 'by three sockets');
        $t->stop;
};

part 'fewer and more' => sub {
        my $conf = "web: {$web, workers: %d, start: boot, command: [%%PROBE%%, --serve]}\n";
        my $t = BrokerTest->new(services => sprintf $conf, 4);
        my $port = $t->port('web');
        my %before = started($t);
        my @before = listening($port);

        is(scalar(keys %{ spread($t, 'web') }), 4, 'four');
        $t->write_conf(sprintf $conf, 2);
        my $r = $t->reload;
        is_deeply([@$r{qw(added changed removed kept)}], [0, 1, 0, 0], 'two of four: one service has changed');
        ok($t->wait_message('server ended', service => $_, pid => $before{$_}, reason => 'stopped', -from => 0), "$_ is told to end") for qw(web/3 web/4);
        is_deeply([sort keys %{ spread($t, 'web') }], [sort @before{qw(web web/2)}], 'the others were not touched, and serve all');
        my @two = listening($port);
        is(scalar(@two), 2, 'by their sockets');

        $t->write_conf(sprintf $conf, 3);
        $r = $t->reload;
        is_deeply([@$r{qw(added changed removed kept)}], [0, 1, 0, 0], 'three of two');
        is($t->port('web/3'), $port, 'the third has the port that the kernel chose for the first');
        my $served = spread($t, 'web');
        is(scalar(keys %$served), 3, 'it serves');
        is(scalar(grep { $served->{$_} } @before{qw(web web/2)}), 2, 'the others go on');
        is(scalar(grep { my $i = $_; grep { $_ == $i } @two } listening($port)), 2, 'with their sockets');

        $r = $t->reload;
        is_deeply([@$r{qw(added changed removed kept)}], [0, 0, 0, 1], 'nothing changed: one service was kept');
        (my $other = sprintf $conf, 3) =~ s/--serve/--serve, again/;
        $t->write_conf($other);
        my $from = () = read_whole_log($t);
        ok($t->reload, 'another command');
        ok($t->wait_message('server ended', service => $_, reason => 'stopped', -from => $from), "$_ ends") for qw(web web/2 web/3);
        my $again = spread($t, 'web');
        is(scalar(keys %$again), 3, 'three new ones serve');
        is(scalar(grep { $served->{$_} } keys %$again), 0, 'none of the old');
        $from = () = read_whole_log($t);
        $t->write_conf("other: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        $r = $t->reload;
        is_deeply([@$r{qw(added changed removed kept)}], [1, 0, 1, 0], 'gone: one service was removed');
        $t->wait_message('server ended', service => $_, reason => 'stopped', -from => $from) for qw(web web/2 web/3);
        is(scalar(listening($port)), 0, 'with all its sockets');
        $t->stop;
};

part 'one becomes several' => sub {
        my $port = free_port();
        my $t = BrokerTest->new(later => 1);
        my ($one, $three) = map { "web: {listen: {address: '127.0.0.1:$port'$_->[0]}, wait: yes, workers: $_->[1], command: [perl, %DIR%/server.pl]}\n" } ['', 1], [', reuse_port: yes', 3];

        $t->write_file('server.pl', <<'P');
open my $s, '+<&=', 3;
my $shared = unpack 'i', getsockopt $s, 1, 15;
while (accept my $c, $s) { syswrite $c, "pid=$$ fd=3 reuse_port=$shared\n" }
P
        $t->write_conf($one);
        $t->start;
        my ($inode) = listening($port);
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
        $t->write_conf($three . "taken: {listen: '127.0.0.1:" . $busy->sockport . "', wait: no, command: [cat]}\n");
        ok(!$t->reload, 'a reload that fails');
        is_deeply([listening($port)], [$inode], 'leaves one socket');
        like(BrokerTest::read_line($t->connect('web')), qr/reuse_port=0/, 'which is not to be shared');
        $t->write_conf($three);
        ok($t->reload, 'the next one does not fail');
        is(scalar(listening($port)), 3, 'others join the socket that was open');
        is(scalar(grep { $_ == $inode } listening($port)), 1, 'which stays');
        $t->wait_message('server ended', service => 'web');
        is(scalar(keys %{ spread($t, 'web') }), 3, 'all of them serve');
        like(BrokerTest::read_line($t->connect('web')), qr/reuse_port=1/, 'and theirs are to be shared');
        $t->stop;
};

part 'a port that is taken' => sub {
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
        my $t = BrokerTest->new(later => 1);

        $t->write_conf("web: {listen: {address: '127.0.0.1:" . $busy->sockport . "', reuse_port: yes}, wait: yes, workers: 4, command: [%DIR%/none-such]}\n");
        $t->start(ready => 0);
        is(($t->wait_exit // 0) >> 8, 1, 'the broker does not start');
        is(scalar(grep { $_ =~ /cannot bind/ } split /\n/, $t->log_text), 1, 'which is said once');
        is(scalar(grep { $_ =~ /there is no program/ } split /\n/, $t->log_text), 1, 'as is whatever else is wrong with the definition');
        $t->stop(ended => 1, status => 1);
};

part 'restart: always' => sub {
        my $t = BrokerTest->new(services => "web: {$web, workers: 3, start: boot, restart: always, restart_delay: 20ms, command: [%PROBE%, --serve]}\n");
        my %by = started($t);

        kill 'KILL', $by{'web/2'};
        ok($t->wait_message('server will be started again', service => 'web/2'), 'a worker that dies is started again');
        ok($t->wait_message('server started', service => 'web/2'), 'by itself');
        my %now = started($t);
        is_deeply([@now{qw(web web/3)}], [@by{qw(web web/3)}], 'the others are not');
        $t->stop;
};

part 'a worker that fails' => sub {
        my $t = BrokerTest->new(later => 1);

        # The server of the first socket that is asked for ends without taking anything; the others serve.
        $t->write_file('server.pl', <<'P');
open my $s, '+<&=', 3;
my $inode = (stat $s)[1];
if (open my $fh, '<', "$ENV{DIR}/bad") { exit 1 if <$fh> == $inode } else { open $fh, '>', "$ENV{DIR}/bad.$$"; print $fh $inode; close $fh; link "$ENV{DIR}/bad.$$", "$ENV{DIR}/bad"; exit 1 }
while (accept my $c, $s) { syswrite $c, "pid=$$ fd=3 served\n" }
P
        $t->write_conf("web: {$web, workers: 2, trigger_limit: 3/30s, restart_delay_max: 10min, environment: {DIR: %DIR%}, command: [perl, %DIR%/server.pl]}\n");
        $t->start;
        my $held = $t->connect('web');
        my $pause = $t->wait_message(qr/^paused: its server ended without taking/);
        ok($pause, 'its trigger_limit pauses it');
        my ($pid, @clients);
        for (1 .. $many) {
                push @clients, my $c = $t->connect('web');
                ($pid) = (BrokerTest::read_line($c, 0.2) // '') =~ /^pid=(\d+)/ and last;
        }
        my %by = started($t);
        isnt($by{ $pid // '' } // 'nobody', 'nobody', 'the other one serves');
        isnt($by{ $pid // '' }, $pause->{service}, 'which is not paused');
        $t->stop;
};

part 'a reload while all are stopped by an order' => sub {
        my $conf = sub { "web: {$web, workers: $_[0], command: [%PROBE%, --serve]$_[1]}\n" };
        my $t = BrokerTest->new(services => $conf->(2, ''));

        is(($t->verb('stop', 'web'))[0], 0, 'broker stop');
        for ([4, '', 'more workers'], [3, ', non_blocking: yes', 'fewer, and another program'], [4, ', restart_delay: 1s', 'the same program']) {
                my ($n, $more, $what) = @$_;

                $t->write_conf($conf->($n, $more));
                ok($t->reload, $what);
                unlike(($t->verb('status'))[1], qr/listening/, '... nobody listens');
        }
        is(($t->verb('start', 'web'))[0], 0, 'broker start');
        is(() = ($t->verb('status'))[1] =~ /listening/g, 4, 'opens the sockets of all');
        is(($t->verb('restart', 'web'))[0], 0, 'which take the next order');
        $t->stop;
};
done_testing;
