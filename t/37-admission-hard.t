#!/usr/bin/perl
# Admission under attack: definitions that change while connections are on their way, and clients that say more of
# themselves than they should.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SHUT_WR SOCK_STREAM);
use Part;
use Test::More;

my $HEADER = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

# Waits until the service has accepted that many.
sub accepted {
        my ($t, $name, $count) = @_;

        for (1 .. 1000) {
                return 1 if $t->statistics($name)->{accepted} >= $count;
        }
        return 0;
}

part 'what is held when its service becomes a sensor' => sub {
        my $proxy = 'proxy_protocol: require, proxy_protocol_from: 127.0.0.1';
        my $t = BrokerTest->new(services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat], $proxy}\n");
        my $held = $t->connect('a');
        ok(accepted($t, 'a', 1), 'a client is about to send its header');
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, command: [%DIR%/none], $proxy}\n");
        ok($t->reload, 'its program is another one, which is missing');
        syswrite $held, $HEADER;
        ok($t->wait_message(qr/^paused/, service => 'a'), 'it has to wait');
        $t->write_conf("a: {listen: 127.0.0.1:0, wait: no, sensor: 1h, $proxy}\n");
        ok($t->reload, 'the service becomes a sensor');
        is(BrokerTest::read_all($held), '', 'and the client is let go');
        is($t->statistics('a')->{connections}, 0, 'with its place');
        $t->stop;
};

part 'uid and gid ask the one who connects' => sub {
        my $me = $> + 0;
        my $t = BrokerTest->new(services => <<"Y");
other: {listen: %DIR%/other, wait: no, command: [cat], uid: 4242, gid: 4242, proxy_protocol: accept, proxy_protocol_from: "unix:"}
me: {listen: %DIR%/me, wait: no, command: [cat], uid: $me, proxy_protocol: accept, proxy_protocol_from: "unix:"}
both: {listen: [%DIR%/both, 127.0.0.1:0], wait: no, command: [cat], uid: $me, proxy_protocol: accept, proxy_protocol_from: [127.0.0.1, "unix:"]}
Y
        my $unix = "\r\n\r\n\0\r\nQUIT\n" . pack('CCna108a108', 0x21, 0x31, 216, '/run/client', '/run/server');
        is($t->ask('other', "x\n"), '', 'who is not named is refused');
        is($t->ask('other', "${HEADER}x\n"), '', 'also when he claims to speak for another');
        is($t->ask('other', "${unix}x\n"), '', '... or for another process');
        is($t->statistics('other')->{refused_uid}, 3, 'and counted under uid');
        is($t->ask('me', "x\n"), "x\n", 'who is named comes in');
        is($t->ask('me', "${HEADER}x\n"), "x\n", 'and may speak for a client over TCP');
        is($t->ask('me', "${unix}x\n"), "x\n", '... and for one over AF_UNIX');
        is($t->ask('both', "${HEADER}x\n", index => 1), "x\n", 'a proxy over TCP has no user');
        is($t->ask('both', "${unix}x\n", index => 1), '', 'and cannot say who a process is');
        $t->stop;
};

part 'a header on a SOCK_SEQPACKET socket' => sub {
        my $t = BrokerTest->new(services => <<'Y');
s: {listen: "seqpacket:%DIR%/s", wait: no, command: [head, -c3], proxy_protocol: require, proxy_protocol_from: "unix:"}
Y
        my $c = $t->connect('s');
        syswrite $c, $HEADER;
        syswrite $c, "two";
        is(BrokerTest::read_all($c), "two", 'the record behind the header is for the program');
        $c = $t->connect('s');
        syswrite $c, "${HEADER}two";
        is(BrokerTest::read_all($c), '', 'a header with something behind it in its record is refused, not cut off');
        is($t->statistics('s')->{refused_proxy_protocol}, 1, '... and counted');
        $t->stop;
};

part 'cps and headers that come late' => sub {
        my $few = 'listen: 127.0.0.1:0, wait: no, command: [cat], proxy_protocol: require, proxy_protocol_from: 127.0.0.1';
        my $t = BrokerTest->new(services => <<"Y");
few: {$few, cps: 2/1h, cps_pause: 1h}
soon: {$few, cps: 3/500ms, cps_pause: 100ms, instances: 4}
Y
        my @c = map { $t->connect('few') } 1 .. 6;
        ok(accepted($t, 'few', 6), 'six clients are about to send their headers');
        syswrite $_, "${HEADER}x\n" for @c;
        ok($t->wait_message(qr/^paused, clients wait: cps/, service => 'few'), 'beyond cps the service pauses');
        is($t->statistics('few')->{processes}, 2, 'and only so many are served');
        is($t->statistics('few')->{connections}, 6, 'the others wait');
        is($t->statistics('few')->{refused_cps}, 0, 'and are not refused');
        my @soon = map { $t->connect('soon') } 1 .. 10;
        syswrite $_, "${HEADER}x\n" for @soon;
        my $served = 0;
        for my $c (@soon) {
                # Each gives its place to the next.
                my ($any) = IO::Select->new(grep { defined fileno $_ } @soon)->can_read($BrokerTest::TIMEOUT);
                last if !$any;
                $served++ if BrokerTest::read_line($any) eq "x\n";
                close $any;
        }
        is($served, 10, 'as long as cps_pause is short, all are served in the end');
        $t->write_conf("few: {$few}\n");
        ok($t->reload, 'a reload without cps');
        is(scalar(grep { (BrokerTest::read_line($_) // '') eq "x\n" } @c), 6, 'serves those who have waited');
        $t->stop;
};

part 'the name of an AF_UNIX client' => sub {
        my $t = BrokerTest->new(services => "e: {listen: %DIR%/e, wait: no, command: [env]}\n");
        my $seen = sub {
                my ($name) = @_;
                my $pid = open(my $out, '-|') // die "fork: $!";
                if (!$pid) {
                        chdir $t->dir;
                        my $c = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $name, Peer => 'e');
                        print $c ? BrokerTest::read_all($c) : "$!";
                        close STDOUT;
                        POSIX::_exit(0);
                }
                my $env = join '', <$out>;
                return $env =~ /^REMOTE_ADDR=(.*)$/m ? $1 : $env;
        };
        is($seen->('192.0.2.7'), './192.0.2.7', 'a relative path does not pass for an address');
        is($seen->('@name'), './@name', 'nor for an abstract name');
        is($seen->("\0name"), '@name', 'which is as it was');
        is($seen->($t->dir . '/own'), $t->dir . '/own', 'like a path');
        is($seen->('uid 0 pid 1'), './uid 0 pid 1', 'nor for a user');
        my @peers = map { $_->{peer} } grep { ($_->{message} // '') eq 'connection accepted' } ($t->statistics('e'), @{ $t->{log} });
        is_deeply([@peers], ['./192.0.2.7', './@name', '@name', $t->dir . '/own', './uid 0 pid 1'], 'the log has the same');
        $t->stop;
};

part 'cps and a reload' => sub {
        my $of = sub { "a: {listen: 127.0.0.1:0, wait: no, command: [cat], when_full: refuse, cps: $_[0], cps_pause: 1h}\n" };
        my $t = BrokerTest->new(services => $of->('2/20ms'));
        is($t->ask('a', "x\n"), "x\n", 'the first is let in');
        $t->write_conf($of->('2/1h'));
        ok($t->reload, 'another time to count in');
        is($t->ask('a', "x\n"), "x\n", 'and it counts from its beginning') for 1, 2;
        $t->write_conf($of->('4/20ms'));
        ok($t->reload, 'and another');
        my @c = map { $t->connect('a') } 1 .. 20;
        ok($t->wait_message('connection refused', limit => 'cps'), 'cps is reached');
        $t->write_conf($of->('4/20ms, instances: 50'));
        ok($t->reload, 'a reload of something else');
        # Twenty milliseconds would fill the bucket.
        my $served = 0;
        $served += $t->ask('a', "x\n") eq "x\n" for 1 .. 100;
        is($served, 0, 'leaves cps_pause as it was');
        $t->stop;
};

part 'those who are awaited have all descriptors' => sub {
        skip_part 'prlimit(1) is not installed' if system('prlimit --version >/dev/null 2>&1') != 0;
        my $t = BrokerTest->new(wrap => ['prlimit', '--nofile=40:40'], services => <<'Y');
a: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: unlimited, proxy_protocol: require, proxy_protocol_from: 127.0.0.1}
Y
        my @c = map { $t->connect('a') } 1 .. 60;
        ok($t->wait_message(qr/open files/, service => 'a'), 'there are no more');
        syswrite $_, "${HEADER}x\n" for @c;
        my $served = 0;
        for my $c (@c) {
                last if (BrokerTest::read_line($c) // '') ne "x\n";
                $served++;
                close $c;
        }
        is($served, 60, 'and everybody is served');
        $t->stop;
};

done_testing;
