#!/usr/bin/perl
# Called as systemd-socket-activate, activate(1) is to be taken for that program: the same probe under both, with the same
# options, has to find the same descriptors, environment, signals, session and ids. Where we differ on purpose a point
# says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use ActivateTest qw(run_to_end reports fd_of);
use BrokerTest;
use IO::Socket::IP;
use Part;
use Test::More;

my ($PROBE, $DIR) = ($ActivateTest::PROBE, $ActivateTest::DIR);
my ($theirs) = grep { -x } map { "$_/systemd-socket-activate" } split /:/, $ENV{PATH};
plan skip_all => 'systemd-socket-activate is not installed' unless $theirs;
my ($version) = `$theirs --version` =~ /^systemd (\d+)/;
plan skip_all => "$theirs has no version" unless $version;
note("compared with $theirs of systemd $version");

mkdir "$DIR/bin";
my $ours = "$DIR/bin/systemd-socket-activate";
symlink $ActivateTest::ACTIVATE, $ours or die "symlink: $!";

# What both are started in: variables of which some are passed on and some not.
my %ENVIRONMENT = (
        TERM => 'xterm', USER => 'somebody', HOME => '/somewhere', PATH => $ENV{PATH}, SHELL => '/bin/sh', LANG => 'C.UTF-8',
        LOGNAME => 'somebody', NOTIFY_SOCKET => undef, WATCHDOG_USEC => 5, FOO => 'foo', LISTEN_FDNAMES => 'x',
        COLORTERM => undef, NO_COLOR => undef, REMOTE_ADDR => '192.0.2.1', SYSTEMD_LOG_LEVEL => undef,
);

sub free_port {
        return IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1, ReuseAddr => 1)->sockport;
}

# Runs PROGRAM with ARGS, "%0", "%1"… standing for addresses of unix sockets and "%tcp" for a port, makes it start the
# probe by connecting to the address CONNECT, and returns the report, what it said, its status and the socket's mode.
sub observe {
        my ($program, %arg) = @_;
        my $file = "$DIR/report";
        my $port = free_port();
        my $fill = sub { $_[0] =~ s{%(\d)}{$DIR/contract$1.sock}gr =~ s/%tcp/127.0.0.1:$port/gr };
        my @args = map { $fill->($_) } @{ $arg{args} };

        unlink $file, glob "$DIR/contract*.sock";
        my $accepts = grep { $_ eq '-a' } @args;
        my $activate = ActivateTest->start(program => $program, args => [@args, $PROBE, "--out=file:$file"],
                env => { %ENVIRONMENT, %{ $arg{env} // {} } }, setup => $arg{setup});
        my $sockets = grep { $_ eq '-l' } @args;
        $activate->addresses($sockets);
        my $mode = (stat "$DIR/contract0.sock")[2];
        my $address = ($arg{type} // '') . $fill->($arg{connect});
        my $socket = BrokerTest::connect_to($address);
        $socket->send('x') if ($arg{type} // '') eq 'unixgram:';
        if ($accepts) {
                $activate->line(qr/^Child \d+ died/);
                $activate->signal('TERM');
        }
        my $status = $activate->ended;
        open my $fh, '<', $file or return {};
        my ($report) = reports(join '', <$fh>);
        return { report => $report, said => $activate->rest, status => $status, mode => ($mode // 0) & 07777, port => $port,
                pid => $activate->pid };
}

# A report less what has to differ, for is_deeply().
sub comparable {
        my ($seen) = @_;
        my %report = %{ $seen->{report} };

        my %env = %{ $report{env} };
        $env{LISTEN_PID} = $env{LISTEN_PID} == $report{pid} ? 'its own' : "not $report{pid}" if defined $env{LISTEN_PID};
        my @fds;
        for my $fd (@{ $report{fds} }) {
                my %fd = %$fd;
                delete @fd{qw(inode target)};
                s/:$seen->{port}$/:PORT/ for grep { defined } @fd{qw(local)};
                delete $fd{peer};
                push @fds, \%fd;
        }
        return {
                env => \%env, fds => \@fds, signals => $report{signals}, ids => $report{ids}, limits => $report{rlimits},
                map({ ($_ => $report{$_}) } qw(env_odd session_leader tty umask cwd nice pdeathsig no_new_privs caps)),
                pid => $report{pid} == $seen->{pid} ? 'that of activate' : 'a child',
                parent => $report{ppid} == $seen->{pid} ? 'activate' : 'another',
                group => $report{pgid} == getpgrp ? 'ours' : 'another',
                mode => $seen->{mode},
        };
}

my @cases = (
        ['a server', connect => '%0', args => ['-l', '%0']],
        ['two sockets, the second wakes it', connect => '%tcp', args => ['-l', '%0', '-l', '%tcp']],
        ['one name', connect => '%0', args => ['-l', '%0', '--fdname=web', '--']],
        ['one name for two', connect => '%0', args => ['-l', '%0', '-l', '%1', '--fdname=web', '--']],
        ['two names', connect => '%1', args => ['-l', '%0', '-l', '%1', '--fdname=web', '--fdname=ctl']],
        ['two names in one', connect => '%1', args => ['-l', '%0', '-l', '%1', '--fdname=web:ctl']],
        ['variables', connect => '%0', args => ['-l', '%0', '-E', 'FOO', '--setenv=BAR=bar=', '-E', 'HOME=/h', '-E', 'NOT_SET']],
        ['--environment', connect => '%0', args => ['-l', '%0', '--environment=BAR=bar']],
        ['a server by --inetd', connect => '%tcp', args => ['-l', '%tcp', '--inetd']],
        ['datagrams', connect => '%0', type => 'unixgram:', args => ['-d', '-l', '%0']],
        ['datagrams by --inetd', connect => '%0', type => 'unixgram:', args => ['-d', '--inetd', '-l', '%0']],
        ['seqpacket', connect => '%0', type => 'seqpacket:', args => ['--seqpacket', '-l', '%0']],
        ['connections', connect => '%tcp', args => ['-a', '-l', '%tcp']],
        ['connections of one of two', connect => '%1', args => ['-a', '-l', '%tcp', '-l', '%1']],
        ['named connections', connect => '%0', args => ['-a', '-l', '%0', '--fdname=web']],
        ['connections by --inetd', connect => '%tcp', args => ['-a', '--inetd', '-l', '%tcp']],
        ['stray descriptors', connect => '%0', args => ['-l', '%0'],
                setup => sub { open my $zero, '<', '/dev/zero'; POSIX::dup2(fileno $zero, $_) for 9, 20 }],
);

# 252's wording; later ones say the same in other words.
sub words {
        my ($seen, $program) = @_;

        return [map { s/$seen->{port}/PORT/gr =~ s/\bPID \d+/PID N/gr =~ s/^Child \d+/Child N/r =~ s/127\.0\.0\.1:\d+/HOST/gr }
                split /\n/, $seen->{said}];
}

for my $case (@cases) {
        my ($name, %arg) = @$case;
        my $their = observe($theirs, %arg);
        my $our = observe($ours, %arg);

        ok($their->{report}, "$name: theirs starts the probe") or next;
        ok($our->{report}, "$name: ours starts it") or diag($our->{said}), next;
        is_deeply(comparable($our), comparable($their), "$name: the same");
        SKIP: {
                skip "systemd $version may say it in other words", 1 if $version != 252;
                # The child says "Execing" there, so its place varies.
                is_deeply([sort grep { !/^Execing/ } @{ words($our) }], [sort grep { !/^Execing/ } @{ words($their) }],
                        "$name: said the same");
        }
}

part 'where we differ on purpose' => sub {
        my %wait = (args => ['-l', '%0'], connect => '%0', setup => sub { $SIG{INT} = 'IGNORE' });
        like(observe($ours, %wait)->{report}{signals}{ignored}, qr/^0+$/, 'what was ignored is default in the program');
        my %names = (args => ['-l', '%0', '-l', '%1', '--fdname=a:b:c'], connect => '%0');
        is(observe($ours, %names)->{report}{env}{LISTEN_FDNAMES}, 'a:b', 'one name for each descriptor, never more');
        is((run_to_end(program => $ours, args => ['-l', "$DIR/x.sock", "$DIR/missing"]))[0], 127,
                'a program that does not exist is 127, at once');
        my $activate = ActivateTest->start(program => $ours, args => ['-a', '-l', "$DIR/x.sock", $PROBE, '--hang']);
        $activate->addresses;
        my $socket = BrokerTest::connect_to("$DIR/x.sock");
        $activate->line(qr/^Spawned/);
        $activate->signal('TERM');
        is($activate->ended, 0, 'SIGTERM: 0 after the children');
        is(BrokerTest::read_all($socket), '', 'which have got it too');
        ok(!-e "$DIR/x.sock", 'and no path is left');
};

part 'the same statuses for a wrong command line' => sub {
        for my $args (['-l', '1'], [], ['--nonsense'], ['-d', '--seqpacket', '-l', '1', 'x'], ['-d', '-a', '-l', '7', 'x'],
                ['-l', 'bogus', 'x'], ['cat'], ['-E', '=x', '-l', '1', 'x'])
        {
                my ($their) = run_to_end(program => $theirs, args => $args, env => \%ENVIRONMENT);
                my ($our) = run_to_end(program => $ours, args => $args, env => \%ENVIRONMENT);
                is($our, $their, "@$args");
        }
        for my $option ('-w', '--fds', '-u', '-v', '--instances=1', '--per-source=1') {
                is((run_to_end(program => $ours, args => [$option, '-l', '0', 'cat']))[0], 1, "$option is ours alone");
        }
};

# Newer than 252, so there may be nothing here to compare it with.
part '--now' => sub {
        my $file = "$DIR/report";
        unlink $file;
        my ($status) = run_to_end(program => $ours, args => ['--now', '-l', "$DIR/now.sock", $PROBE, "--out=file:$file"]);
        is($status, 0, 'does not wait');
        open my $fh, '<', $file or die;
        my ($report) = reports(join '', <$fh>);
        is($report->{env}{LISTEN_FDS}, 1, 'and hands over the socket');
        is((run_to_end(program => $ours, args => ['--now', '-a', '-l', '0', 'cat']))[0], 1, 'not together with -a');
};

part 'SYSTEMD_LOG_LEVEL' => sub {
        my (undef, $said) = run_to_end(program => $ours, args => ['--now', '-l', "$DIR/q.sock", 'true'],
                env => { SYSTEMD_LOG_LEVEL => 'warning' });
        is($said, '', 'warning: nothing is said');
};

done_testing;
