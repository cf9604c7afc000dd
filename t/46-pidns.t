#!/usr/bin/perl
# LISTEN_PID is the program's pid as the program sees it, also where the broker lives in a pid namespace, as in any
# container; and LISTEN_PIDFDID is the inode of the program's pidfd, where the kernel has numbers for those.
use strict;
use warnings;

use BrokerTest;
use JSON::PP qw(decode_json);
use POSIX ();
use Part;
use Test::More;

use constant SYS_PIDFD_OPEN => 434;

# What identifies the process in all namespaces; undef where the kernel (before 6.9) gives all pidfds the same inode.
sub pidfd_id {
    my ($pid) = @_;
    my @ids = map {
        my $fd = syscall SYS_PIDFD_OPEN, $_ + 0, 0;
        my $inode = $fd < 0 ? undef : (POSIX::fstat($fd))[1];
        POSIX::close($fd) if $fd >= 0;
        $inode;
    } $pid, $$;

    return if grep { !defined } @ids;
    return $ids[0] == $ids[1] ? undef : $ids[0];
}

# The children of the broker, as this test sees them.
sub children {
    my ($b) = @_;

    open my $fh, '<', "/proc/$b->{main_pid}/task/$b->{main_pid}/children" or return;
    return split ' ', <$fh> // '';
}

my $services = <<'END';
server:
  listen: 127.0.0.1:0
  wait: yes
  command: [%PROBE%, --out=conn, --hang]
connection:
  listen: 127.0.0.1:0
  wait: no
  handoff: fds
  command: [%PROBE%, "--out=fd:3", --hang]
  environment: {PID: "${pid}"}
END

# One service's probe, which goes on until it is killed; its connection is left open for it.
sub check {
    my ($b, $service, $namespace) = @_;
    my $client = $b->connect($service);
    my $report = decode_json(BrokerTest::read_line($client) // '{}');
    my $env = $report->{env};
    my ($pid) = children($b);
    my $id = defined $pid ? pidfd_id($pid) : undef;

    is($env->{LISTEN_PID}, $report->{pid}, "$service: LISTEN_PID");
    is($env->{LISTEN_FDS}, 1, "$service: LISTEN_FDS");
    if ($namespace) {
        isnt($pid, $report->{pid}, "$service: seen from outside it is another");
    } else {
        is($pid, $report->{pid}, "$service: its pid");
    }
    is($env->{PID}, $report->{pid}, "$service: \${pid}") if exists $env->{PID};
    my $message = $service eq 'server' ? 'server started' : 'connection accepted';
    my %of = (service => $service, pid => $report->{pid});
    ok($b->wait_message($message, %of), "$service: the log has the pid as the broker sees it");
    if (defined $id) {
        is($env->{LISTEN_PIDFDID}, $id, "$service: LISTEN_PIDFDID");
    } else {
        ok(!exists $env->{LISTEN_PIDFDID}, "$service: no LISTEN_PIDFDID, since this kernel has no pidfs");
    }
    kill 'KILL', $pid;
    ok($b->wait_message(qr/^(?:server|connection) ended$/, %of), "$service: has ended");
    return;
}

part 'the namespace of the test' => sub {
    my $b = BrokerTest->new(services => $services);

    check($b, $_, 0) for qw(server connection);
    $b->stop;
};

part 'a pid namespace' => sub {
    my @unshare = ('unshare', $> ? '--map-root-user' : (), '--pid', '--fork', '--mount-proc');
    skip_part 'no pid namespace can be made here'
        if system('sh', '-c', '"$@" true >/dev/null 2>&1', 'sh', @unshare);
    my $b = BrokerTest->new(services => $services, wrap => [@unshare, '--kill-child']);

    check($b, $_, 1) for qw(server connection);
    check($b, 'server', 1);
    $b->stop;
};

done_testing;
