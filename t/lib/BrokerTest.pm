# The harness of the program tests: an object owns a temporary directory, a broker in it and its log, and ends all of
# them. The broker runs with a notify socket, so that "ready" is an event and nobody sleeps; its log is JSON on a pipe
# that is read here, so that every other event can be waited for too.
package BrokerTest;

use strict;
use warnings;

use Errno qw(EINTR);
use Fcntl qw(F_SETFD F_GETFD FD_CLOEXEC);
use File::Copy qw(copy);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use POSIX qw(:sys_wait_h);
use Socket qw(SOCK_DGRAM SOCK_STREAM SOCK_SEQPACKET SHUT_WR);
use Test::More;
use Time::HiRes qw(time);

our $BUILD = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";
our $BROKER = "$BUILD/broker/broker";
our $ACTIVATE = "$BUILD/activate/activate";
our $PROBE = "$BUILD/t/server/probe";
# Programs run as other users too, who may not reach a checkout of root's.
sub reachable {
        my ($path) = @_;

        $path =~ s{/[^/]*$}{};
        for (; $path ne ''; $path =~ s{/[^/]*$}{}) { return 0 if !((stat $path)[2] & 1) }
        return 1;
}
if ($> == 0 && !reachable($PROBE)) {
        my $dir = tempdir('broker-probe-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        chmod 0755, $dir;
        copy($PROBE, "$dir/probe") or die "$PROBE: $!";
        chmod 0755, $PROBE = "$dir/probe";
}
our $TIMEOUT = $ENV{BROKER_TEST_TIMEOUT} // 30;

$SIG{PIPE} = 'IGNORE';

sub new {
        my ($class, %arg) = @_;
        my $self = bless {
                dir => tempdir('broker-XXXXXX', TMPDIR => 1, CLEANUP => 0),
                owner => $$,
                log => [],
                partial => '',
                expect_status => $arg{status} // 0,
        }, $class;

        chmod 0755, $self->{dir};
        mkdir "$self->{dir}/conf";
        $self->write_conf($arg{services}, %arg) if defined $arg{services};
        $self->start(%arg) unless $arg{later};
        return $self;
}

# Fills in %DIR%, %PROBE% and %ACTIVATE% and writes a definition file.
sub write_conf {
        my ($self, $services, %arg) = @_;
        my $file = $arg{file} // 'test.yaml';
        my $head = $arg{head} // ($file eq 'test.yaml' ? "broker: {log: {format: json, level: debug}}\n" : '');

        $self->write_file("conf/$file", $self->fill("${head}services:\n" . indent($services)));
}

sub indent {
        my ($text) = @_;

        $text =~ s/^(?=.)/  /mg;
        return $text;
}

sub fill {
        my ($self, $text) = @_;

        $text =~ s/%DIR%/$self->{dir}/g;
        $text =~ s/%PROBE%/$PROBE/g;
        $text =~ s/%ACTIVATE%/$ACTIVATE/g;
        return $text;
}

sub write_file {
        my ($self, $name, $text) = @_;

        open my $fh, '>', "$self->{dir}/$name" or die "$self->{dir}/$name: $!";
        print $fh $text;
        close $fh or die "$self->{dir}/$name: $!";
        return "$self->{dir}/$name";
}

sub dir { return $_[0]{dir} }
sub pid { return $_[0]{pid} }
sub control { return "$_[0]{dir}/control" }

# Starts the broker. wrap: a command to start it through; env: more environment; args: more arguments; setup: code that
# runs in the child before exec; ready: 0 when it is not expected to become ready.
sub start {
        my ($self, %arg) = @_;
        my $notify = "$self->{dir}/notify";

        unlink $notify;
        $self->{notify} = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $notify) or die "notify: $!";
        chmod 0777, $notify;
        pipe my $read, my $write or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                $arg{setup}->() if $arg{setup};
                $ENV{NOTIFY_SOCKET} = $notify unless $arg{no_notify};
                # Brokers of other tests run at the same time.
                $ENV{BROKER_CONTROL} = $self->control;
                $ENV{$_} = $arg{env}{$_} for keys %{ $arg{env} // {} };
                open STDIN, '<', '/dev/null';
                open STDERR, '>&', $write or POSIX::_exit(99);
                open STDOUT, '>', "$self->{dir}/stdout" or POSIX::_exit(99);
                my @conf = $arg{conf} ? @{ $arg{conf} } : ('-c', "$self->{dir}/conf");
                { exec @{ $arg{wrap} // [] }, $arg{program} // $BROKER, 'run', @conf, @{ $arg{args} // [] } }
                POSIX::_exit(98);
        }
        close $write;
        $self->{pid} = $pid;
        $self->{program} = $arg{program};
        $self->{read} = $read;
        $self->{eof} = 0;
        $self->wait_ready if $arg{ready} // 1;
        return $self;
}

# One message of the broker's to its supervisor, as a hash; undef when none comes.
sub notify_message {
        my ($self, $timeout) = @_;
        my $message;

        IO::Select->new($self->{notify})->can_read($timeout // $TIMEOUT) or return;
        $self->{notify}->recv($message, 65536);
        return { map { /^([^=]+)=(.*)$/s ? ($1 => $2) : () } split /\n/, $message };
}

sub wait_ready {
        my ($self) = @_;
        my $until = time + $TIMEOUT;

        while (time < $until) {
                if (IO::Select->new($self->{notify})->can_read(0.05)) {
                        my $message = $self->notify_message;
                        if ($message->{READY}) {
                                $self->{main_pid} //= $self->find_pid;
                                return 1;
                        }
                        next;
                }
                $self->read_log(0);
                if ($self->{eof}) {
                        diag("the broker ended before it was ready:\n" . $self->log_text);
                        die "broker did not start\n";
                }
        }
        die "broker is not ready in time\n" . $self->log_text;
}

# The broker itself when it was started through a wrapper: the one that says so in its log would need a field; so the
# youngest descendant of that name.
sub find_pid {
        my ($self) = @_;
        my $pid = $self->{pid};

        for (1 .. 5) {
                my $exe = readlink("/proc/$pid/exe") // '';
                return $pid if $exe eq ($self->{program} // $BROKER) || comm_of($pid) eq 'broker';
                open my $fh, '<', "/proc/$pid/task/$pid/children" or return $pid;
                my ($child) = split ' ', <$fh> // '';
                return $pid unless $child;
                $pid = $child;
        }
        return $pid;
}

sub comm_of {
        my ($pid) = @_;

        open my $fh, '<', "/proc/$pid/comm" or return '';
        chomp(my $name = <$fh> // '');
        return $name;
}

# Reads what there is of the log, waiting up to TIMEOUT for more. Returns whether something came.
sub read_log {
        my ($self, $timeout) = @_;

        return 0 if $self->{eof};
        IO::Select->new($self->{read})->can_read($timeout) or return 0;
        my $n = sysread $self->{read}, my $data, 65536;
        if (!$n) {
                $self->{eof} = 1 if defined $n || $! != EINTR;
                return 0;
        }
        $self->{partial} .= $data;
        while ($self->{partial} =~ s/^(.*?)\n//) {
                my $line = $1;
                my $record = $line =~ /^\{/ ? eval { decode_json($line) } : undef;
                push @{ $self->{log} }, $record // { text => $line };
        }
        return 1;
}

sub log_text {
        my ($self) = @_;

        return join "\n", map { my $r = $_; exists $r->{text} ? $r->{text} : JSON::PP->new->canonical->encode($r) } @{ $self->{log} };
}

# Waits for a log record for which CODE returns true (it gets the record in $_), from position FROM on, and returns it.
# The search goes on behind it the next time, unless another position is given.
sub wait_log {
        my ($self, $code, %arg) = @_;
        my $until = time + ($arg{timeout} // $TIMEOUT);
        my $at = $arg{from} // $self->{seen} // 0;

        while (1) {
                for (; $at < @{ $self->{log} }; $at++) {
                        local $_ = $self->{log}[$at];
                        next unless $code->();
                        $self->{seen} = $at + 1;
                        return $self->{log}[$at];
                }
                my $left = $until - time;
                last if $left <= 0 || $self->{eof};
                $self->read_log($left);
        }
        diag("waited in vain; the log so far:\n" . $self->log_text) unless $arg{quiet};
        return;
}

# The same, for a message text (a string or a pattern) and fields.
sub wait_message {
        my ($self, $message, %field) = @_;
        my %arg = map { exists $field{"-$_"} ? ($_ => delete $field{"-$_"}) : () } qw(timeout from quiet);

        return $self->wait_log(sub {
                return 0 unless defined $_->{message};
                return 0 unless ref $message ? $_->{message} =~ $message : $_->{message} eq $message;
                for my $key (keys %field) {
                        return 0 unless defined $_->{$key};
                        return 0 unless ref $field{$key} ? $_->{$key} =~ $field{$key} : $_->{$key} eq $field{$key};
                }
                return 1;
        }, %arg);
}

# The address the service's INDEXth socket is bound to, as the log says it.
sub address {
        my ($self, $service, $index) = @_;
        my @records;

        1 while $self->read_log(0);
        @records = grep { ($_->{message} // '') eq 'listening' && $_->{service} eq $service } @{ $self->{log} };
        return $records[$index // 0]{address} // die "no address of $service\n" . $self->log_text;
}

sub port {
        my ($self, $service, $index) = @_;

        return $self->address($service, $index) =~ /:(\d+)$/ ? $1 : die "no port of $service\n";
}

# A client connected to the service. Dies when it cannot.
sub connect {
        my ($self, $service, %arg) = @_;
        my $address = $self->address($service, $arg{index});

        return connect_to($address, %arg);
}

sub connect_to {
        my ($address, %arg) = @_;
        my $socket;

        if ($address =~ m{^(seqpacket:|unixgram:)?([/@].*)$}) {
                my ($type, $path) = ($1 // '', $2);
                $path =~ s/^@/\0/;
                $socket = IO::Socket::UNIX->new(
                        Type => $type eq 'seqpacket:' ? SOCK_SEQPACKET : $type ? SOCK_DGRAM : SOCK_STREAM,
                        Peer => $path,
                );
        } else {
                my $udp = $address =~ s/^udp://;
                my ($host, $port) = $address =~ /^\[?(.*?)\]?:(\d+)$/;
                $host = '127.0.0.1' if $host eq '0.0.0.0' || $host eq '::';
                $socket = IO::Socket::IP->new(
                        PeerHost => $host, PeerPort => $port, Type => $udp ? SOCK_DGRAM : SOCK_STREAM,
                        defined $arg{from} ? (LocalHost => $arg{from}) : (),
                );
        }
        return $socket // die "cannot connect to $address: $@ $!\n" unless $arg{may_fail};
        return $socket;
}

# Everything until the peer closes, or undef when that takes too long.
sub read_all {
        my ($socket, $timeout) = @_;
        my $until = time + ($timeout // $TIMEOUT);
        my $text = '';

        while (1) {
                my $left = $until - time;
                return if $left <= 0 || !IO::Select->new($socket)->can_read($left);
                my $n = sysread $socket, my $data, 65536;
                next if !defined $n && $! == EINTR;
                return $text if !$n;
                $text .= $data;
        }
}

# One line, or what came before the end, or undef.
sub read_line {
        my ($socket, $timeout) = @_;
        my $until = time + ($timeout // $TIMEOUT);
        my $text = '';

        while ($text !~ /\n/) {
                my $left = $until - time;
                return if $left <= 0 || !IO::Select->new($socket)->can_read($left);
                my $n = sysread $socket, my $data, 1;
                next if !defined $n && $! == EINTR;
                return $text if !$n;
                $text .= $data;
        }
        return $text;
}

# Connects, sends TEXT, shuts down that side and returns the whole answer.
sub ask {
        my ($self, $service, $text, %arg) = @_;
        my $socket = $self->connect($service, %arg);

        if (defined $text) {
                syswrite $socket, $text;
                shutdown $socket, SHUT_WR unless $arg{keep_open};
        }
        return read_all($socket, $arg{timeout});
}

# The report of a probe that writes it to its connection.
sub ask_probe {
        my ($self, $service, %arg) = @_;
        my $answer = $self->ask($service, $arg{send}, %arg) // return;

        return decode_json((split /\n/, $answer)[0] // '{}');
}

# A client of a service that echoes, once it is being served: it has had an answer. undef for one that was turned away.
sub served {
        my ($self, $service, %arg) = @_;
        my $socket = $self->connect($service, %arg);

        syswrite $socket, "x\n";
        return (read_line($socket) // '') eq "x\n" ? $socket : undef;
}

# What SIGUSR1 says of the service, now.
sub statistics {
        my ($self, $service) = @_;
        my $from;

        1 while $self->read_log(0);
        $from = @{ $self->{log} };
        $self->signal('USR1');
        return $self->wait_message('statistics', service => $service, -from => $from);
}

# Runs `broker VERB...` against this broker; returns its exit status, and what it wrote to stdout and stderr. env: more
# environment.
sub verb {
        my ($self, @args) = @_;
        my $env = ref $args[0] ? shift @args : {};
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                $ENV{BROKER_CONTROL} = $self->control;
                defined $env->{$_} ? ($ENV{$_} = $env->{$_}) : delete $ENV{$_} for keys %$env;
                open STDIN, '<', '/dev/null';
                open STDOUT, '>', "$self->{dir}/verb.out" or POSIX::_exit(99);
                open STDERR, '>', "$self->{dir}/verb.err" or POSIX::_exit(99);
                { exec 'timeout', $TIMEOUT, $BROKER, @args }
                POSIX::_exit(98);
        }
        # What the broker logs meanwhile is read, so that it is not dropped.
        while (waitpid($pid, WNOHANG) == 0) { $self->read_log(0.02) || $self->{eof} && select undef, undef, undef, 0.02 }
        my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
        my @text = map { open my $fh, '<', "$self->{dir}/verb.$_" or die "verb.$_: $!"; local $/; <$fh> // '' } qw(out err);

        return ($status, @text);
}

sub signal {
        my ($self, $signal) = @_;

        return kill $signal, $self->{main_pid} // $self->{pid};
}

# Reads the definitions again and waits for the outcome; true when they were put in force.
sub reload {
        my ($self) = @_;
        my $from = @{ $self->{log} };

        1 while $self->read_log(0);
        $from = @{ $self->{log} };
        $self->signal('HUP');
        my $record = $self->wait_log(sub { ($_->{message} // '') =~ /^reload/ }, from => $from);
        return $record && $record->{message} eq 'reloaded' ? $record : undef;
}

# The open descriptors of the broker, number => target.
sub fds {
        my ($self) = @_;
        my $pid = $self->{main_pid};

        my %target = map { m{(\d+)$} ? ($1 => readlink) : () } glob "/proc/$pid/fd/*";
        # One that was closed between the two is not open.
        delete @target{ grep { !defined $target{$_} } keys %target };
        return \%target;
}

# The same, when they have stayed the same for a while: what is about to be closed is told by no event.
sub settled_fds {
        my ($self) = @_;
        my $until = time + $TIMEOUT;
        my ($fds, $same) = ($self->fds, 0);

        while ($same < 5 && time < $until) {
                select undef, undef, undef, 0.02;
                my $now = $self->fds;
                $same = join(' ', %$now{ sort keys %$now }) eq join(' ', %$fds{ sort keys %$fds }) ? $same + 1 : 0;
                $fds = $now;
        }
        return $fds;
}

# CPU time used so far, in clock ticks.
sub cpu_ticks {
        my ($self) = @_;

        open my $fh, '<', "/proc/$self->{main_pid}/stat" or return 0;
        my ($utime, $stime) = (split ' ', (<$fh> =~ s/^.*\) //r))[11, 12];
        return $utime + $stime;
}

sub wait_exit {
        my ($self, $timeout) = @_;
        my $until = time + ($timeout // $TIMEOUT);

        return $self->{exit} if defined $self->{exit};
        while (time < $until) {
                if (waitpid($self->{pid}, WNOHANG) > 0) {
                        $self->{exit} = $?;
                        1 while $self->read_log(0);
                        return $self->{exit};
                }
                # The end of its log is the end of the broker: nobody else has the pipe but the programs it leaves.
                $self->{eof} ? select(undef, undef, undef, 0.01) : $self->read_log(0.05);
        }
        return;
}

# Ends the broker and adds the checks of every script: a clean exit, nothing for the sanitizers to report.
sub stop {
        my ($self, %arg) = @_;

        return if $self->{stopped}++;
        $self->signal('TERM') unless defined $self->{exit} || $arg{ended};
        my $status = $self->wait_exit;
        if (defined $status) {
                my $want = $arg{status} // $self->{expect_status};
                is($status & 127 ? "signal " . ($status & 127) : $status >> 8, $want, "the broker ends with $want")
                        or diag($self->log_text);
        } else {
                fail('the broker ends');
                diag($self->log_text);
                kill 'KILL', $self->{main_pid} // (), $self->{pid};
                waitpid $self->{pid}, 0;
        }
        my @reports = grep { ($_->{text} // '') =~ /Sanitizer|runtime error:|Assertion/ } @{ $self->{log} };
        ok(!@reports, 'no sanitizer report, no failed assertion') or diag($self->log_text);
        remove_tree($self->{dir});
}

sub DESTROY {
        my ($self) = @_;

        return if $$ != $self->{owner} || $self->{stopped};
        local ($?, $@, $!);
        if ($self->{pid} && !defined $self->{exit}) {
                kill 'KILL', $self->{main_pid} // (), $self->{pid};
                waitpid $self->{pid}, 0;
        }
        remove_tree($self->{dir});
}

1;
