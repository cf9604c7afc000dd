# Starting activate, or the program whose name it answers to, and reading what it says. Its stderr is a pipe that is read
# here: with -v every event is a line that can be waited for.
package ActivateTest;

use strict;
use warnings;

use BrokerTest;
use Errno qw(EINTR);
use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Select;
use JSON::PP qw(decode_json);
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT_OK = qw(eventually run_to_end reports fd_of);

our $ACTIVATE = $BrokerTest::ACTIVATE;
our $PROBE = $BrokerTest::PROBE;
our $DIR = tempdir('activate-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $DIR;

my @running;

# args: of activate. program: another one than activate. wrap: a command to start it through. env: more environment,
# undef removes. setup: code that runs in the child before exec.
sub start {
        my ($class, %arg) = @_;

        pipe my $read, my $write or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                my $program = $arg{program} // $ACTIVATE;

                for my $name (keys %{ $arg{env} // {} }) {
                        defined $arg{env}{$name} ? ($ENV{$name} = $arg{env}{$name}) : delete $ENV{$name};
                }
                open STDIN, '<', '/dev/null';
                open STDOUT, '>', $arg{stdout} // '/dev/null' or POSIX::_exit(99);
                open STDERR, '>&', $write or POSIX::_exit(99);
                $SIG{PIPE} = 'DEFAULT';
                $arg{setup}->() if $arg{setup};
                no warnings 'exec';
                exec @{ $arg{wrap} // [] }, $program, @{ $arg{args} };
                POSIX::_exit(98);
        }
        close $write;
        my $self = bless { pid => $pid, read => $read, lines => [], seen => 0, partial => '', owner => $$ }, $class;
        push @running, $pid;
        return $self;
}

sub pid { return $_[0]{pid} }
sub said { return join "\n", @{ $_[0]{lines} } }

# The next line of its stderr that matches, from where the last search ended; undef at the end or when it takes too long.
sub line {
        my ($self, $pattern) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (1) {
                while ($self->{seen} < @{ $self->{lines} }) {
                        my $line = $self->{lines}[$self->{seen}++];
                        return $line if $line =~ $pattern;
                }
                my $left = $until - time;
                last if $left <= 0 || !IO::Select->new($self->{read})->can_read($left);
                my $n = sysread $self->{read}, my $data, 65536;
                next if !defined $n && $! == EINTR;
                last if !$n;
                $self->{partial} .= $data;
                push @{ $self->{lines} }, $1 while $self->{partial} =~ s/^(.*?)\n//;
        }
        diag("no line matches $pattern:\n" . $self->said);
        return;
}

# The addresses of its first COUNT sockets, as it says them.
sub addresses {
        my ($self, $count) = @_;
        my @found;

        for (1 .. $count // 1) {
                my $line = $self->line(qr/^[Ll]istening on /) // die "it does not listen\n";
                push @found, $line =~ /^[Ll]istening on (\S+?)(?: as \d+\.)?$/ ? $1 : die "odd line: $line\n";
        }
        return wantarray ? @found : $found[0];
}

sub signal { return kill $_[1], $_[0]{pid} }

# How it ended: its status, or "signal N"; undef when it does not.
sub ended {
        my ($self, $timeout) = @_;
        my $status;

        return $self->{ended} if defined $self->{ended};
        eval {
                local $SIG{ALRM} = sub { die "timeout\n" };
                alarm($timeout // $BrokerTest::TIMEOUT);
                1 while waitpid($self->{pid}, 0) < 0 && $! == EINTR;
                $status = $?;
                alarm 0;
                1;
        } or return;
        $self->{ended} = $status & 127 ? 'signal ' . ($status & 127) : $status >> 8;
        return $self->{ended};
}

# All it has said, once it has ended and nobody else has its stderr.
sub rest {
        my ($self) = @_;
        my $text = BrokerTest::read_all($self->{read}) // '';

        push @{ $self->{lines} }, split /\n/, $self->{partial} . $text;
        $self->{partial} = '';
        return $self->said;
}

sub check_reports {
        my ($self) = @_;

        return if $self->said !~ /Sanitizer|runtime error:|Assertion/;
        fail('no sanitizer report, no failed assertion');
        diag($self->said);
        return;
}

sub DESTROY {
        my ($self) = @_;

        return if $$ != $self->{owner};
        local ($?, $@, $!);
        $self->check_reports;
        return if defined $self->{ended};
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
        return;
}

# Starts one and waits for its end. Returns the status and what it said.
sub run_to_end {
        my (%arg) = @_;
        my $activate = ActivateTest->start(%arg);
        my $status = $activate->ended;

        return ($status // 'does not end', defined $status ? $activate->rest : $activate->said);
}

# The lines of JSON in TEXT.
sub reports {
        my ($text) = @_;

        return map { decode_json($_) } grep { /^\{/ } split /\n/, $text // '';
}

# What a report says of one descriptor.
sub fd_of {
        my ($report, $fd) = @_;

        return (grep { $_->{fd} == $fd } @{ $report->{fds} })[0];
}

# For what sends no message: asks until CODE returns true.
sub eventually {
        my ($code) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (time < $until) {
                my $result = $code->();
                return $result if $result;
                select undef, undef, undef, 0.01;
        }
        return;
}

1;
