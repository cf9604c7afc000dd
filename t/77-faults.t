#!/usr/bin/perl
# What goes wrong around the broker: system calls that fail, limits that are lowered while it runs, programs that do what
# no program should. Nothing spins, nothing leaks, nobody who has connected is lost, no listener is.
use strict;
use warnings;

use BrokerTest;
use FindBin qw($RealBin);
use IO::Handle;
use JSON::PP qw(decode_json);
use Part;
use Test::More;

my $sanitized = $ENV{BROKER_SANITIZED};
my $have_prlimit = system('prlimit --version >/dev/null 2>&1') == 0;

sub can_strace {
        return 'strace is not installed' if system('strace -V >/dev/null 2>&1') != 0;
        return 'no process can be traced here' if system('strace -qq -o /dev/null true 2>/dev/null') != 0;
        return 'LeakSanitizer does not work in a traced process' if $sanitized;
        return;
}

# Lets the broker's system calls CALL fail as WHEN says (strace(1), -e inject); returns the stream of what they did.
sub inject {
        my ($t, $call, $error, $when) = @_;
        my $pid = open my $trace, '-|', "exec strace -e trace=$call -e inject=$call:error=$error:when=$when -p " . $t->pid . ' 2>&1'
                or die "strace: $!";
        my $line = BrokerTest::read_line($trace);

        like($line, qr/attached/, "$call: $error ($when)") or return;
        return { pid => $pid, trace => $trace };
}

sub end_injection {
        my ($fault) = @_;

        kill 'TERM', $fault->{pid};
        my $rest = BrokerTest::read_all($fault->{trace}) // '';
        close $fault->{trace};
        return $rest;
}

# The next N calls that failed.
sub await_failures {
        my ($fault, $n) = @_;

        while ($n > 0) {
                my $line = BrokerTest::read_line($fault->{trace});
                return 0 unless defined $line && length $line;
                $n-- if $line =~ /INJECTED/;
        }
        return 1;
}

# Clients that have connected and sent a line.
sub clients {
        my ($t, $name, $n) = @_;

        return map { my $c = $t->connect($name); syswrite $c, "client $_\n"; $c } 1 .. $n;
}

sub all_served {
        my ($what, @clients) = @_;
        my $served = grep { defined } map { my $line = BrokerTest::read_line($_); ($line // '') =~ /./ ? 1 : undef } @clients;

        return is($served, @clients, "$what: everybody is served");
}

# Reads the log until N connections have ended since FROM.
sub ends_since {
        my ($t, $from, $n) = @_;

        for (1 .. $n) {
                $t->wait_message('connection ended', -from => $from) or return 0;
                $from = $t->{seen};
        }
        return 1;
}

my $services = <<'Y';
each: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 50}
server: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}
Y

part 'system calls that fail' => sub {
        my $why = can_strace();
        skip_part $why if $why;
        my $t = BrokerTest->new(services => $services);
        $t->wait_message('server started');
        all_served('warm', my @warm = clients($t, 'each', 1));
        my $from = @{ $t->{log} };
        close $_ for @warm;
        ends_since($t, 0, 1);
        my $fds = keys %{ $t->settled_fds };

        for (
                [accept4 => 'EMFILE', '1..2'], [accept4 => 'ENFILE', '1..2'], [accept4 => 'ENOMEM', '2..3'], [accept4 => 'ENOBUFS', '1..2'],
                [accept4 => 'ECONNABORTED', '1+2'], [accept4 => 'EAGAIN', '1+2'], [accept4 => 'EINTR', '1+2'], [accept4 => 'ENETDOWN', '1+2'],
                [accept4 => 'EPROTO', '1+2'], [accept4 => 'EPERM', '1+2'], [clone => 'EAGAIN', '1..2'], [clone => 'ENOMEM', '2..3'],
                # The first is an EPOLL_CTL_ADD; others are not, which the kernel never refuses.
                [epoll_ctl => 'ENOMEM', '1'], [epoll_ctl => 'ENOSPC', '1'],
                [waitid => 'EINTR', '1+2'], [brk => 'ENOMEM', '1+'], [mmap => 'ENOMEM', '1+'],
        ) {
                my ($call, $error, $when) = @$_;
                my $fault = inject($t, $call, $error, $when) or next;
                1 while $t->read_log(0);
                my $start = @{ $t->{log} };
                my @clients = clients($t, 'each', 12);

                all_served("$call, $error", @clients);
                close $_ for @clients;
                ok(ends_since($t, $start, 12), '... every connection ends');
                end_injection($fault);
                is($t->statistics('each')->{connections}, 0, '... no slot is left');
                is(scalar(keys %{ $t->settled_fds }), $fds, '... no descriptor is') or diag(explain($t->fds));
        }
        $t->stop;
};

part 'a program that cannot be watched' => sub {
        my $why = can_strace();
        skip_part $why if $why;
        my $t = BrokerTest->new(services => $services);
        $t->wait_message('server started');
        # The pipe of the service's stderr is there from then on, and its end is the next that is to be watched.
        is($t->ask('each', "warm\n"), "warm\n", 'a service that has served');
        $t->wait_message('connection ended');
        my $fault = inject($t, epoll_ctl => 'ENOMEM', '1') or return;
        my @clients = clients($t, 'each', 1);

        all_served('it has what it has read already, and', @clients);
        ok($t->wait_message(qr/memory was reached: ends of programs are noticed a little later/), '... what is short is told');
        close $_ for @clients;
        is($t->wait_message('connection ended')->{status}, 'exit:0', '... its end is noticed');
        end_injection($fault);
        $t->stop;
};

part 'a system call that always fails' => sub {
        my $why = can_strace();
        skip_part $why if $why;
        my $t = BrokerTest->new(services => $services);
        $t->wait_message('server started');
        for ([accept4 => 'EMFILE'], [accept4 => 'ENOMEM'], [clone => 'EAGAIN']) {
                my ($call, $error) = @$_;
                my $fault = inject($t, $call, $error, '1+') or next;
                my $ticks = $t->cpu_ticks;
                my @clients = clients($t, 'each', 3);

                ok(await_failures($fault, 4), '... again and again');
                cmp_ok($t->cpu_ticks - $ticks, '<', 15, '... without spinning');
                all_served('... the server that accepts for itself', clients($t, 'server', 1));
                end_injection($fault);
                all_served("$call works again", @clients);
        }
        ok((grep { ($_->{message} // '') =~ /^paused, clients wait: the broker's limit of open files/ } @{ $t->{log} }), 'the log says what was short');
        $t->stop;
};

part 'limits that are lowered while it runs' => sub {
        skip_part 'prlimit(1) is not installed' unless $have_prlimit;
        skip_part 'sanitizers take terabytes of address space' if $sanitized;
        my $t = BrokerTest->new(services => $services);
        $t->wait_message('server started');
        all_served('warm', clients($t, 'each', 2));
        my ($pages) = do { open my $fh, '<', '/proc/' . $t->pid . '/statm' or die "statm: $!"; split ' ', <$fh> };
        my $limit = $pages * 4096;

        for ('--nofile=' . (1 + keys %{ $t->fds }), "--as=$limit", "--data=4096") {
                my ($name) = /--(\w+)/;
                my ($hard) = `prlimit --noheadings --raw --output HARD --$name --pid @{[$t->pid]}` =~ /(\w+)/;
                system('prlimit', '--pid', $t->pid, "$_:$hard") == 0 or die "prlimit $_";
                my @clients = clients($t, 'each', 20);
                my $ticks = $t->cpu_ticks;

                # Some are served, some wait; programs have the same limits, so that some of them may die of it.
                BrokerTest::read_line($clients[0], 0.5);
                cmp_ok($t->cpu_ticks - $ticks, '<', 30, "$_: no spinning");
                system('prlimit', '--pid', $t->pid, "--$name=$hard:$hard") == 0 or die "prlimit $name";
                all_served($_, $name eq 'nofile' ? @clients[1 .. $#clients] : clients($t, 'each', 20));
                close $_ for @clients;
                my ($status, $text) = $t->verb('status');
                is($status, 0, '... broker status answers');
        }
        $t->stop;
};

part 'programs that do what none should' => sub {
        my $server = "$RealBin/server/supervised.py";
        my $t = BrokerTest->new(services => <<"Y");
forks: {listen: 127.0.0.1:0, wait: yes, trigger_limit: 3/1h, command: [sh, -c, "sleep 1000 & exit 0"], stop_grace_period: 100ms}
mute: {listen: 127.0.0.1:0, wait: yes, command: [sh, -c, 'exec 1>&- 2>&-; exec %PROBE% --serve']}
deaf: {listen: 127.0.0.1:0, wait: no, command: [sh, -c, 'trap "" TERM; echo deaf; exec 1>&- 2>&- 0<&-; while :; do sleep 1000; done'], stop_grace_period: 100ms}
noisy: {listen: 127.0.0.1:0, wait: yes, ready: notify, command: [python3, $server, ready]}
each: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        my @waiting = clients($t, 'forks', 1);
        ok($t->wait_message(qr/^paused: its server ended without taking.*trigger_limit/, service => 'forks'), 'a server that forks and ends: paused');
        my $starts = grep { ($_->{message} // '') eq 'server started' && $_->{service} eq 'forks' } @{ $t->{log} };
        is($starts, 3, '... after as many starts as trigger_limit says');
        ok(kill(0, $t->pid) && $t->connect('forks'), '... and its listener is there');

        my ($mute) = clients($t, 'mute', 1);
        all_served('a server that has closed its output', $mute);
        my ($deaf) = clients($t, 'deaf', 1);
        is(BrokerTest::read_line($deaf), "deaf\n", 'a program that ignores SIGTERM');
        is(BrokerTest::read_all($deaf), '', '... and closes all it has');
        is($t->statistics('deaf')->{connections}, 1, '... keeps its place as long as it runs');

        my ($noisy) = clients($t, 'noisy', 0);
        $noisy = $t->connect('noisy');
        syswrite $noisy, "flood 5000\n";
        all_served('beside a server that floods its notify socket', clients($t, 'each', 3));
        is(BrokerTest::read_line($noisy), "ok\n", '... which goes on');

        my $ticks = $t->cpu_ticks;
        all_served('with all that about', clients($t, 'each', 1));
        cmp_ok($t->cpu_ticks - $ticks, '<', 15, '... nothing spins');
        my ($status) = $t->verb('kill', 'deaf');
        is($status, 0, 'broker kill');
        is($t->wait_message('connection ended', service => 'deaf')->{status}, 'signal:KILL', '... ends even that, by SIGKILL');
        is($t->statistics('deaf')->{connections}, 0, '... and gives its place back');
        $t->stop;
};

done_testing;
