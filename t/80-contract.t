#!/usr/bin/perl
# What a program finds when it was started by the broker is what it finds under systemd-socket-activate, which is how
# people try such programs: the same probe under both, started with the same environment, signals, umask, priority and
# directory, and every part of its report compared. What differs on purpose is in one table, with the reason and with
# both values; any other difference is a failure.
use strict;
use warnings;

use BrokerTest;
use File::Temp qw(tempdir);
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use POSIX ();
use Part;
use Test::More;

my ($tool) = grep { -x } map { "$_/systemd-socket-activate" } qw(/usr/bin /bin), split /:/, $ENV{PATH};
plan skip_all => 'systemd-socket-activate is not installed' unless $tool;
my ($version) = `$tool --version` =~ /^systemd (\d+)/;

# Each: for which of the cases, for which part of the report, what it is under the broker, what it is there (undef: it
# is not in the report), why. A part that only some kernels or versions have is marked.
my @on_purpose = (
    # The process.
    [qr/./, qr/^sid$/, 'own', 'not own', 'every program has its own session: signals to the broker\'s do not reach it'],
    [qr/./, qr/^pgid$/, 'own', 'not own', 'and with it its own process group, which can be stopped as a whole'],
    [qr/./, qr/^session_leader$/, 1, 0, 'so it is the leader of both'],
    [qr/^yes/, qr/^pdeathsig$/, 15, 0, 'it would keep the address of a killed broker; there it became the server'],
    [qr/^no/, qr/^pdeathsig$/, 0, 15, 'a connection is served to its end, whatever becomes of the broker'],
    # Standard input and output where they are not the connection.
    [qr/fds/, qr/^fds\.0\.(?:kind|target|flags)$/, qr{^(?:char|/dev/null|rdwr)$}, qr/^(?:file|own-stdin|rdonly)$/,
        'stdin is /dev/null: the broker\'s own is for no program'],
    [qr/fds/, qr/^fds\.1\.(?:kind|target)$/, 'pipe', qr/^(?:file|own-stdout)$/, 'stdout goes to the log'],
    [qr/./, qr/^fds\.2\.(?:kind|target)$/, 'pipe', qr/^(?:file|own-stderr)$/, 'stderr goes to the log'],
    # The environment.
    [qr/./, qr/^env\.MARK$/, 'of the broker', undef, 'pass_environment is all by default; there only a few pass'],
    [qr/fds/, qr/^env\.LISTEN_PIDFDID$/, qr/^[1-9]\d*$/, undef, 'new in systemd 258', 'sometimes'],
    [qr/tcp$/, qr/^env\.REMOTE_ADDR$/, '127.0.0.1', undef, 'as systemd itself does; the tool does not'],
    [qr/tcp$/, qr/^env\.REMOTE_PORT$/, 'port of the client', undef, 'as systemd itself does; the tool does not'],
    [qr/tcp$/, qr/^env\.SERVER_ADDR$/, '127.0.0.1', undef, 'beside REMOTE_ADDR'],
    [qr/tcp$/, qr/^env\.SERVER_PORT$/, 'port of the server', undef, 'beside REMOTE_PORT'],
    [qr/tcp$/, qr/^env\.PROTO$/, 'TCP', undef, 'for UCSPI programs'],
    [qr/tcp$/, qr/^env\.TCP(?:REMOTE|LOCAL)IP$/, '127.0.0.1', undef, 'for UCSPI programs'],
    [qr/tcp$/, qr/^env\.TCPREMOTEPORT$/, 'port of the client', undef, 'for UCSPI programs'],
    [qr/tcp$/, qr/^env\.TCPLOCALPORT$/, 'port of the server', undef, 'for UCSPI programs'],
    [qr/unix$/, qr/^env\.SERVER_ADDR$/, 'address 0', undef, 'beside REMOTE_ADDR; this client has no name for that'],
    [qr/unix$/, qr/^env\.PROTO$/, 'IPC', undef, 'for UCSPI programs'],
    [qr/unix$/, qr/^env\.IPCLOCALPATH$/, 'address 0', undef, 'for UCSPI programs'],
    [qr/unix$/, qr/^env\.IPCREMOTEPATH$/, '', undef, 'for UCSPI programs; this client has no name'],
    [qr/unix$/, qr/^env\.IPCREMOTEEUID$/, $>, undef, 'for UCSPI programs'],
    [qr/unix$/, qr/^env\.IPCREMOTEEGID$/, $) + 0, undef, 'for UCSPI programs'],
    [qr/^no/, qr/^env\.SO_COOKIE$/, qr/^[1-9]\d*$/, undef, 'as systemd itself does since 257; the tool does not'],
);

my $nice = getpriority 0, 0;
my $directory = tempdir('contract-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $directory;

# The state both are started in, none of it the usual one where it is to be inherited. The limit is below 1024 because
# with --accept systemd-socket-activate lowers it to that, for programs that use select(); the broker gives what it got
# itself.
my @start = ('sh', '-c', 'ulimit -Sn 900 && exec env -u PWD "$@"', 'sh');

sub prepare {
    %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', MARK => 'of the broker');
    $SIG{$_} = 'DEFAULT' for grep { !/^(?:__|KILL|STOP|NUM|RTM)/ } keys %SIG;
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new);
    umask 027;
    POSIX::nice(3);
    chdir $directory;
    return;
}

# A port that was free a moment ago: systemd-socket-activate takes no 0.
sub free_port {
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1)
        or die "no port: $@";
    return $socket->sockport;
}

# Starts systemd-socket-activate; returns its pid when it listens at all addresses.
sub start_there {
    my ($options, $addresses, $arguments) = @_;

    for my $file (qw(stdin stdout stderr)) {
        open my $fh, '>', "$directory/own-$file" or die "own-$file: $!";
    }
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        prepare();
        open STDIN, '<', "$directory/own-stdin" or POSIX::_exit(97);
        open STDOUT, '>', "$directory/own-stdout" or POSIX::_exit(97);
        open STDERR, '>', "$directory/own-stderr" or POSIX::_exit(97);
        { exec @start, $tool, @$options, (map { ('-l', $_) } @$addresses), $BrokerTest::PROBE, @$arguments }
        POSIX::_exit(98);
    }
    # It says so in a file only, since its standard error is one of the descriptors that are compared.
    my $until = time + $BrokerTest::TIMEOUT;
    while (time < $until && waitpid($pid, POSIX::WNOHANG()) == 0) {
        open my $fh, '<', "$directory/own-stderr" or die "own-stderr: $!";
        return $pid if (grep { /^Listening on/ } <$fh>) == @$addresses;
        select undef, undef, undef, 0.01;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}

# The probe's report to a client of the last socket under systemd-socket-activate, the client and the addresses.
sub there {
    my ($options, $listen, $arguments) = @_;
    my ($pid, @addresses);

    # Somebody else may have taken the port; hardly ten times.
    for (1 .. 10) {
        @addresses = map { $_ =~ s/:0$/':' . free_port()/er } @$listen;
        $pid = start_there($options, \@addresses, $arguments) and last;
        unlink grep { m{^/} } @addresses;
    }
    $pid or die "systemd-socket-activate does not start\n";
    my $client = BrokerTest::connect_to($addresses[-1]);
    my $answer = BrokerTest::read_all($client);
    kill 'TERM', $pid;
    waitpid $pid, 0;
    unlink grep { m{^/} } @addresses;
    return (decode_json($answer), $client, @addresses);
}

# The same under the broker.
sub here {
    my ($keys, $listen, $names, $arguments) = @_;
    my $sockets = join '', map { "    - {address: \"$listen->[$_]\", name: $names->[$_]}\n" } 0 .. $#$listen;
    my $command = join ', ', '%PROBE%', map { "\"$_\"" } @$arguments;
    my $b = BrokerTest->new(
        services => "web:\n  listen:\n$sockets$keys  command: [$command]\n",
        setup => \&prepare,
        wrap => \@start,
    );
    my @addresses = map { $b->address('web', $_) } 0 .. $#$listen;
    my $client = $b->connect('web', index => $#$listen);
    my $answer = BrokerTest::read_all($client);

    is($b->{main_pid} // 0, decode_json($answer)->{ppid}, 'the broker is the parent of its program');
    $b->stop;
    return (decode_json($answer), $client, @addresses);
}

# The report as part => value, where numbers that are others each time have become what they mean.
sub parts {
    my ($report, $client, @addresses) = @_;
    my (%part, %seen);
    my $pid = delete $report->{pid};

    delete $report->{ppid};
    $report->{$_} = $report->{$_} == $pid ? 'own' : 'not own' for qw(sid pgid);
    for my $fd (@{ $report->{fds} }) {
        my $inode = delete $fd->{inode};
        my $first = $seen{"$fd->{target} $inode"} //= $fd->{fd};
        $fd->{same_as} = $first if $first != $fd->{fd};
        $fd->{target} =~ s/^(\w+):\[\d+\]$/$1/;
        $fd->{target} =~ s{^\Q$directory/\E}{};
        for my $end (grep { defined $fd->{$_} } qw(local peer)) {
            for my $n (0 .. $#addresses) {
                $fd->{$end} = "address $n" if $fd->{$end} eq $addresses[$n];
            }
            $fd->{$end} = 'address of the client'
                if $client->can('sockport') && $fd->{$end} eq '127.0.0.1:' . ($client->sockport // '');
        }
        $fd->{flags} = join ' ', @{ $fd->{flags} };
        $part{"fds.$fd->{fd}.$_"} = $fd->{$_} for grep { $_ ne 'fd' } keys %$fd;
    }
    delete $report->{fds};
    my $env = delete $report->{env};
    delete $env->{BROKER_CONTROL}; # ours: which broker the verbs of this test are for
    my ($port) = $addresses[-1] =~ /:(\d+)$/;
    my $client_port = $client->can('sockport') ? $client->sockport : undef;
    for my $key (keys %$env) {
        my $value = $env->{$key};
        $value = 'pid of the program' if $key eq 'LISTEN_PID' && $value eq $pid;
        $value = 'port of the client' if $key =~ /PORT$/ && $value eq ($client_port // '');
        $value = 'port of the server' if $key =~ /PORT$/ && $value eq ($port // '');
        $value = 'address 0' if $value eq $addresses[0];
        $part{"env.$key"} = $value;
    }
    flatten(\%part, '', $report);
    $_ = JSON::PP::is_bool($_) ? $_ ? 1 : 0 : $_ for values %part;
    return \%part;
}

sub flatten {
    my ($part, $key, $value) = @_;

    if (ref $value eq 'HASH') {
        flatten($part, $key eq '' ? $_ : "$key.$_", $value->{$_}) for keys %$value;
    } elsif (ref $value eq 'ARRAY') {
        $part->{$key} = join ' ', map { $_ // 'unlimited' } @$value;
    } else {
        $part->{$key} = $value;
    }
    return;
}

sub agrees {
    my ($value, $want) = @_;

    return !defined $value unless defined $want;
    return defined $value && (ref $want ? $value =~ $want : $value eq $want);
}

my @used;

sub compare {
    my ($case, $here, $there) = @_;
    my %parts = (%$here, %$there);
    my $purposes = 0;

    cmp_ok(keys %parts, '>', 50, 'there is something to compare');
    for my $part (sort keys %parts) {
        my ($mine, $its) = ($here->{$part}, $there->{$part});
        next if defined $mine && defined $its ? $mine eq $its : !defined $mine && !defined $its;
        my ($entry) = grep {
            my $row = $on_purpose[$_];
            $case =~ $row->[0] && $part =~ $row->[1] && agrees($mine, $row->[2]) && agrees($its, $row->[3])
        } 0 .. $#on_purpose;
        if (defined $entry) {
            $used[$entry]++;
            $purposes++;
            next;
        }
        fail("$part is the same under both");
        diag('here: ', $mine // 'not there', "\nthere: ", $its // 'not there');
    }
    note("$purposes differences, all on purpose; ", keys(%parts) - $purposes, ' parts the same');
    return;
}

# What must hold under both, lest they be wrong alike.
sub check {
    my ($who, $case, $part, $count) = @_;
    my @fds = $case =~ /fds/ ? (0 .. 2 + $count) : 0 .. 2;

    my @found = sort { $a <=> $b } map { /^fds\.(\d+)\.kind$/ ? $1 : () } keys %$part;
    is_deeply(\@found, \@fds, "$who: these descriptors, no others");
    is($part->{"signals.$_"}, '0' x 16, "$who: no signal is $_") for qw(blocked ignored caught);
    is($part->{umask}, '0027', "$who: umask is inherited");
    is($part->{nice}, 3 + $nice, "$who: priority is inherited");
    like($part->{'rlimits.nofile'}, qr/^900 /, "$who: so is the number of open files, whatever it needs itself");
    is($part->{cwd}, $directory, "$who: directory is inherited");
    is($part->{"fds.$_.cloexec"}, 0, "$who: descriptor $_ stays open over exec") for @fds;
    my @handed = $case =~ /fds/ ? 3 .. 2 + $count : (0, 1);
    my $listening = $case =~ /^yes/ ? 1 : 0;
    for my $fd (@handed) {
        is($part->{"fds.$fd.kind"}, 'socket', "$who: descriptor $fd is a socket");
        is($part->{"fds.$fd.listening"}, $listening, "$who: " . ($listening ? 'listening' : 'connected'));
        is($part->{"fds.$fd.flags"}, 'rdwr', "$who: and blocking");
    }
    is($part->{'fds.1.same_as'}, 0, "$who: stdin and stdout are the same") if $case =~ /stdio/;
    if ($case =~ /fds/) {
        is($part->{'env.LISTEN_PID'}, 'pid of the program', "$who: LISTEN_PID");
        is($part->{'env.LISTEN_FDS'}, $count, "$who: LISTEN_FDS");
    } else {
        is_deeply([grep { /^env\.LISTEN_/ } keys %$part], [], "$who: no LISTEN_*");
    }
    return;
}

sub contract {
    my ($case, $keys, $options, $listen, $names, $arguments) = @_;

    part $case => sub {
        my $there = parts(there($options, $listen, $arguments));
        my $here = parts(here($keys, $listen, $names, $arguments));

        check('broker', $case, $here, scalar @$listen);
        check('systemd-socket-activate', $case, $there, scalar @$listen);
        compare($case, $here, $there);
    };
    return;
}

my $tcp = '127.0.0.1:0';
my $unix = "$directory/socket";

contract('yes, fds', "  wait: yes\n", ['--fdname=first:second'], [$unix, $tcp], [qw(first second)],
    ['--out=conn', '--listen-fd=4']);
for my $kind (['tcp', $tcp], ['unix', $unix]) {
    my ($name, $listen) = @$kind;
    contract("no, fds, $name", "  wait: no\n  handoff: fds\n", ['--accept', '--fdname=connection'], [$listen], ['web'],
        ['--out=fd:3']);
    contract("no, stdio, $name", "  wait: no\n", ['--accept', '--inetd'], [$listen], ['web'], ['--out=stdout']);
}

# An exception that nothing needs any more would hide a mistake.
for my $entry (0 .. $#on_purpose) {
    my (undef, $part, undef, undef, $reason, $sometimes) = @{ $on_purpose[$entry] };
    next if $sometimes || $version != 252;
    ok($used[$entry], "a difference: $part, $reason");
}

done_testing;
