#!/usr/bin/perl
# One configuration, first under xinetd itself and then, imported, under the broker: clients and programs see the same.
use strict;
use warnings;
use BrokerTest;
use File::Temp qw(tempdir);
use Files qw(spew);
use ImportTest qw(run_import);
use IO::Socket::IP;
use POSIX qw(mkfifo);
use Socket qw(SHUT_WR);
use Test::More;

my $xinetd = (grep { -x } '/usr/sbin/xinetd')[0] or plan skip_all => 'xinetd is not installed';
plan skip_all => 'xinetd is told who its programs run as, which takes root' if $> != 0;

my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;

# Ports for both, which have them one after the other; another program could take one in between, then it begins anew.
sub free_ports {
        my (@names) = @_;
        my %socket = map { $_ => IO::Socket::IP->new(LocalHost => '::', LocalPort => 0, Listen => 1, V6Only => 0)
                        // die "no port: $@" } @names;

        return map { $_ => $socket{$_}->sockport } @names;
}

chmod 0755, spew("$dir/report", <<'END');
#!/bin/sh
# What a program sees, less what is different each time.
echo "arguments: $# $*"
echo "user: $(id -u):$(id -g) $(id -G)"
echo "directory: $(pwd)"
echo "umask: $(umask) nice: $(nice)"
echo "limits: $(ulimit -n) $(ulimit -t) $(ulimit -v)"
echo "environment: $A $B ${C-unset}"
for i in 0 1 2; do readlink /proc/$$/fd/$i; done | sort -u | sed 's/[0-9]*//g'
ls /proc/$$/fd
echo "to stderr" >&2
cat
END
chmod 0755, spew("$dir/accept", <<'END');
#!/usr/bin/perl
# A wait = yes server: takes one connection, and ends.
open my $listener, '+<&=', 0 or exit 1;
accept my $c, $listener or exit 1;
syswrite $c, "accepted\n";
END
spew("$dir/banner", "hello\r\n");
spew("$dir/denied", "no\r\n");

sub write_conf {
        my (%port) = @_;
        my $head = "\tsocket_type = stream\n\tprotocol = tcp\n\ttype = UNLISTED\n\twait = no\n\tuser = nobody\n";
        my %body = (
                plain => "${head}\tserver = $dir/report\n\tserver_args = a  b \$HOME \${x} \"c d\"\n\tnice = 3\n\tumask = 027\n",
                groups => "${head}\tserver = $dir/report\n\tgroup = daemon\n\tgroups = yes\n\tumask = 022\n"
                        . "\tenv = A=1 B=\$A\n\tpassenv =\n\trlimit_files = 50\n\trlimit_cpu = 20\n\trlimit_as = 512M\n",
                root => ($head =~ s/nobody/root/r) . "\tserver = $dir/report\n\tgroup = daemon\n\tgroups = yes\n",
                number => ($head =~ s/nobody/1/r) . "\tserver = $dir/report\n\tgroup = tty\n\tgroups = yes\n",
                banner => "${head}\tserver = /bin/cat\n\tbanner = $dir/banner\n\tbanner_success = $dir/denied\n\tonly_from = 127.0.0.0\n",
                denied => "${head}\tserver = /bin/cat\n\tbanner_fail = $dir/denied\n\tno_access = 127.0.0.1\n\tonly_from = 127.0.0.0\n",
                nobody => "${head}\tserver = /bin/cat\n\tonly_from =\n\tbanner_fail = $dir/denied\n",
                one => "${head}\tserver = /bin/cat\n\tinstances = 1\n",
                source => "${head}\tserver = /bin/cat\n\tper_source = 1\n",
                late => "${head}\tserver = /bin/cat\n\taccess_times = 0:00-23:59\n",
                server => ($head =~ s/wait = no/wait = yes/r) . "\tserver = $dir/accept\n",
                relay => "${head}\tredirect = 127.0.0.1 $port{nobody}\n",
                off => "${head}\tserver = /bin/cat\n\tdisable = yes\n",
                listed => "${head}\tserver = /bin/cat\n",
        );

        spew("$dir/xinetd.conf", "defaults\n{\n\tdisabled = listed\n\tenv = A=9\n\taccess_times = 0:00-0:01\n}\n"
                        . join '', map { "service $_\n{\n$body{$_}\tport = $port{$_}\n}\n" } sort keys %body);
        return sort keys %body;
}

sub connect_to {
        my ($port) = @_;

        return IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port);
}

# Sends a line, says that it was the last, and returns all that comes.
sub ask {
        my ($port) = @_;
        my $c = connect_to($port) // return 'refused';

        syswrite $c, "line\n";
        shutdown $c, SHUT_WR;
        # Whoever is refused may be told by a reset that his line was not read.
        return BrokerTest::read_all($c) // 'silence';
}

# The second one while the first is served.
sub ask_twice {
        my ($port) = @_;
        my $first = connect_to($port);

        syswrite $first, "first\n";
        my $line = BrokerTest::read_line($first);
        my $second = BrokerTest::read_all(connect_to($port)) // 'silence';
        return "$line$second";
}

# What clients find: service => text.
sub look {
        my (%port) = @_;
        my %seen = map { $_ => ask($port{$_}) } grep { !/^(?:one|source|relay)$/ } keys %port;

        $seen{$_} = ask_twice($port{$_}) for qw(one source);
        # xinetd's relay ends when either side has said its last.
        $seen{relay} = BrokerTest::read_all(connect_to($port{relay})) // 'silence';
        return \%seen;
}

# Runs xinetd until it says that it serves, or has ended.
sub under_xinetd {
        my ($count, %port) = @_;
        my $fifo = "$dir/log";

        unlink $fifo;
        mkfifo($fifo, 0600) or die "mkfifo: $!";
        open my $log, '+<', $fifo or die "$fifo: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                open STDIN, '<', '/dev/null';
                exec $xinetd, '-dontfork', '-stayalive', '-f', "$dir/xinetd.conf", '-filelog', $fifo, '-pidfile', "$dir/pid"
                        or POSIX::_exit(99);
        }
        my ($seen, $served);
        my $text = '';
        while (IO::Select->new($log)->can_read($BrokerTest::TIMEOUT)) {
                sysread $log, my $data, 65536;
                $text .= $data;
                ($served) = $text =~ /Started working: (\d+)/ and last;
        }
        $seen = look(%port) if ($served // 0) == $count;
        diag($text) unless $seen;
        kill 'TERM', $pid;
        waitpid $pid, 0;
        return $seen;
}

my (%port, $theirs);
for (1 .. 3) {
        my %names = map { $_ => 1 } qw(plain groups root number banner denied nobody one source late server relay off listed);

        %port = free_ports(sort keys %names);
        write_conf(%port);
        $theirs = under_xinetd(12, %port) and last;
}
SKIP: {
        skip 'xinetd does not serve here', 1 unless $theirs;
        my ($status, $yaml, $err) = run_import('xinetd', $dir, 'xinetd.conf');

        is($status, 0, 'it is imported') or diag($err);
        is_deeply([$err =~ /^xinetd\.conf:\d+: (.*)$/mg],
                [map { "warning: defaults: $_: xinetd ignores it there, too" } 'env = A=9', 'access_times = 0:00-0:01'],
                'with a word about what xinetd ignores in defaults alone') or diag($err);
        my $t = BrokerTest->new(services => '', later => 1);
        $t->write_file('conf/test.yaml', "broker: {log: {format: json, level: debug}}\n$yaml");
        $t->start;
        my $ours = look(%port);
        is($ours->{$_}, $theirs->{$_}, "$_: the same") for sort keys %port;
        like($theirs->{plain}, qr/^to stderr$/m, 'stderr is the socket for both');
        is($theirs->{off}, 'refused', 'what is disabled does not listen for both');
        is($theirs->{one}, "first\n", 'and who is one too many gets nothing');
}
done_testing;
