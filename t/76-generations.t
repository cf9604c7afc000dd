#!/usr/bin/perl
# Two generations of one server beside each other: broker replace, and on_change. What the new one does wrong costs the
# old one nothing.
use strict;
use warnings;

use BrokerTest;
use FindBin qw($RealBin);
use IO::Socket::IP;
use Part;
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(time);

my $server = "$RealBin/server/generation.py";
my $command = "command: [python3, $server, %DIR%/words]";

# A broker whose service web is so; its first server as WORDS say.
sub broker {
        my ($keys, $words) = @_;
        my $t = BrokerTest->new(later => 1);

        become($t, $words);
        $t->write_conf("web: {listen: 127.0.0.1:0, wait: yes, $keys, $command}\n");
        $t->start;
        return $t;
}

# What the next server is to be like.
sub become {
        my ($t, $words) = @_;

        $t->write_file('words', $words);
}

# A client that has been served.
sub client {
        my ($t) = @_;
        my $c = $t->connect('web');

        order($c, 'who');
        return $c;
}

sub order {
        my ($c, $order) = @_;

        syswrite $c, "$order\n";
        return (BrokerTest::read_line($c) // 'nothing') =~ s/\n//r;
}

# How long the log is now.
sub log_end {
        my ($t) = @_;

        1 while $t->read_log(0);
        return scalar @{ $t->{log} };
}

sub no_more {
        my ($t, $message, $from) = @_;

        log_end($t);
        return !grep { ($_->{message} // '') =~ $message } @{ $t->{log} }[$from .. $#{ $t->{log} }];
}

sub close_writer {
        open my $fh, '>', $_[0] or die "$_[0]: $!";
        close $fh;
}

# Nobody waits for it meanwhile. There is no event for who is not its parent.
sub await_zombie {
        my ($pid) = @_;
        my $state;

        do {
                open my $fh, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!";
                ($state) = <$fh> =~ /\) (.)/;
                select undef, undef, undef, 0.01;
        } until $state eq 'Z';
}

part 'a new one that says too late that it is ready' => sub {
        my $t = broker('ready: notify, start_timeout: 2s, stop_grace_period: 300ms', 'ready');
        my $old = client($t);

        become($t, 'sulky');
        my $from = log_end($t);
        my ($status, $out, $err) = $t->verb('replace', 'web');
        is($status, 1, 'it was told to end by then');
        like($err, qr/the old server goes on.*start_timeout/, '... which is what the order comes to');
        ok($t->wait_message('server ended', -from => $from), '... and it does end');
        ok(no_more($t, qr/the old one is told to end/, $from), '... the old one is not told to');
        like(order($old, 'who'), qr/ready/, '... serves who is there');
        like(order(client($t), 'who'), qr/ready/, '... and who comes');
        $t->stop;
};

part 'a new one that is ready and ends' => sub {
        my $t = broker('ready: notify', 'ready');
        my $old = client($t);

        become($t, 'brief');
        mkfifo($t->dir . '/words.go', 0600) or die "words.go: $!";
        my $from = log_end($t);
        my $order = fork // die "fork: $!";
        if (!$order) {
                $ENV{BROKER_CONTROL} = $t->control;
                { exec $BrokerTest::BROKER, 'replace', 'web' }
                POSIX::_exit(98);
        }
        my $pid = $t->wait_message('server started', -from => $from)->{pid};
        # What it says and its end come to the broker at the same time.
        $t->signal('STOP');
        close_writer($t->dir . '/words.go');
        await_zombie($pid);
        $t->signal('CONT');
        waitpid $order, 0;
        is($? >> 8, 1, 'it was ready, but is not there any more');
        like(order($old, 'who'), qr/ready/, '... so the old one goes on');
        $t->stop;
};

part 'the listening socket is as the old one has made it' => sub {
        my $t = broker('ready: notify, start_timeout: 10s', 'ready');
        my $old = client($t);

        order($old, 'nonblock');
        become($t, 'nothing');
        is(($t->verb('replace', 'web', '--timeout=300ms'))[0], 1, 'a new one that is not ready yet');
        is(order($old, 'blocking'), 'False', 'O_NONBLOCK, which the old one has set, is there');
        $t->stop;
};

part 'after a new one that failed, all is as before' => sub {
        my $t = broker('ready: notify, start_timeout: 2s, idle_stop: 500ms', 'ready');
        my $old = client($t);

        become($t, 'nothing');
        is(($t->verb('replace', 'web'))[0], 1, 'a new one that never becomes ready');
        become($t, 'ready');
        is(($t->verb('replace', 'web'))[0], 0, 'another one does');
        is(BrokerTest::read_all($old), '', '... and the old one ends');
        become($t, 'nothing');
        is(($t->verb('replace', 'web'))[0], 1, 'and one that does not');
        my $from = log_end($t);
        is($t->wait_message('server ended', reason => 'idle_stop', -from => $from)->{service}, 'web', 'idle_stop stops the old one nevertheless');
        become($t, 'ready');
        like(order($t->connect('web'), 'who'), qr/ready/, '... and the next client starts the next');
        $t->stop;
};

# That many answers take longer than the watchdog is patient, and nothing of that sort is in the log.
sub lives_on {
        my ($t, $c, $patience) = @_;
        my $from = log_end($t);
        my $end = time + $patience * 2;

        while (time < $end) { order($c, 'who') =~ /pid=/ or return 0; $t->read_log(0.05) }
        return no_more($t, qr/silent|stopping it/, $from);
}

part 'on_change: keep, and ready changes' => sub {
        my $t = broker('watchdog: 2s, on_change: keep', 'pings');
        my $old = client($t);

        $t->write_conf("web: {listen: 127.0.0.1:0, wait: yes, watchdog: 2s, on_change: keep, ready: notify, $command}\n");
        ok($t->reload, 'the next server is to say when it is ready');
        ok(lives_on($t, $old, 2), 'this one never had to: its watchdog hears it');
        $t->stop;
};

part 'a container that is paused' => sub {
        my $t = broker('ready: notify, watchdog: 500ms', 'ready pings');
        my $c = client($t);
        my ($pid) = order($c, 'who') =~ /pid=(\d+)/;

        kill 'STOP', $pid;
        $t->signal('STOP');
        # As long as both of them stand still, time goes on.
        select undef, undef, undef, 1.2;
        $t->signal('CONT');
        kill 'CONT', $pid;
        ok(lives_on($t, $c, 0.5), 'the broker does not take that for the silence of the server');
        kill 'STOP', $pid;
        is($t->wait_message('server ended')->{reason}, 'watchdog', '... which it still hears');
        $t->stop;
};

part 'a main process that is no child of the broker' => sub {
        my $t = broker('ready: notify', 'ready');
        my $c = client($t);
        my ($old) = order($c, 'who') =~ /pid=(\d+)/;

        mkfifo($t->dir . '/words.go', 0600) or die "words.go: $!";
        my ($pid) = order($c, 'heir') =~ /pid=(\d+)/;
        # What it says and its end come to the broker at the same time.
        $t->signal('STOP');
        close_writer($t->dir . '/words.go');
        await_zombie($old);
        $t->signal('CONT');
        ok($t->wait_message('server has a new main process', pid => $pid), 'it is the server now');
        my $from = $t->{seen};
        like(($t->verb('status'))[1], qr/running/, '... which runs');
        # No answer: the one between them has the connection too.
        syswrite $c, "end\n";
        is($t->wait_message('server ended', -from => $from)->{pid}, $pid, '... until that one ends');
        $t->stop;
};

part 'STOPPING=1' => sub {
        my $t = broker('ready: notify, watchdog: 500ms, stop_grace_period: 1min', 'ready pings');
        my $c = client($t);

        order($c, 'silence');
        order($c, 'say STOPPING=1');
        ok(lives_on($t, $c, 0.5), 'who is about to end need not say that it lives');
        order($c, 'end');
        is($t->wait_message('server ended')->{status}, 'exit:0', '... and ends in its own time');
        $t->stop;

        $t = broker('stop_grace_period: 300ms, ready: notify', 'ready');
        $c = client($t);
        order($c, 'say STOPPING=1');
        ok($t->wait_message(qr/said STOPPING=1 and has not ended/), 'or is helped when stop_grace_period is over');
        ok($t->wait_message('server ended'), '... and ends');
        $c = client($t);
        order($c, 'say STOPPING=1|EXTEND_TIMEOUT_USEC=60000000');
        ok(lives_on($t, $c, 0.3), 'unless it asks for time');
        $t->stop;
};

part 'EXTEND_TIMEOUT_USEC while the broker ends' => sub {
        my $t = broker('ready: notify, stop_grace_period: 200ms', 'ready slow');

        client($t);
        $t->signal('TERM');
        is($t->wait_message('server ended')->{status}, 'exit:7', 'who asks for time to end gets it');
        $t->stop(ended => 1);
};

part 'what is wrong with a definition comes out after its reload' => sub {
        my $t = broker('ready: exec', 'nothing');
        my $port = $t->port('web');

        for my $time (1 .. 3) {
                my $description = $time < 3 ? 'one' : 'two';
                $t->write_conf("web: {listen: 127.0.0.1:$port, wait: yes, description: $description, $command}\n");
                ok($t->reload, "reload $time");
        }
        is(($t->verb('stop', 'web'))[0], 0, 'stop');
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port, Listen => 1) or die "port $port: $!";
        my ($status, $out, $err) = $t->verb('start', 'web');
        is($status, 1, 'its port was taken meanwhile');
        like($err, qr{^broker: services\.web\.listen}m, '... which is told by its key: the file may say something else by now');
        $t->stop;
};

part 'idle_stop of a daemon' => sub {
        my $t = broker('ready: notify, idle_stop: 300ms', 'ready');
        my $c = client($t);

        mkfifo($t->dir . '/words.go', 0600) or die "words.go: $!";
        my ($pid) = order($c, 'daemon') =~ /pid=(\d+)/;
        ok($t->wait_message('server has a new main process', pid => $pid), 'a process in a session of its own is the server');
        close_writer($t->dir . '/words.go');
        my $from = log_end($t);
        close $c;
        is(($t->wait_message('server ended', -from => $from) // {})->{reason}, 'idle_stop', '... and is stopped');
        ok(no_more($t, qr/cannot be held/, $from), '... held still first, as any');
        $t->stop;
};

done_testing;
