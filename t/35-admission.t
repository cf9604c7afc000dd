#!/usr/bin/perl
# Admission beyond counting: who may come from where, who he is, when, how often, and what he gets to read.
use strict;
use warnings;
use BrokerTest;
use Errno qw(ECONNRESET);
use IO::Select;
use POSIX ();
use Socket qw(SHUT_WR);
use Part;
use Test::More;
use Time::HiRes qw(time);

sub is_refused {
        my ($t, $name, $limit, $what, %arg) = @_;
        my $before = $t->statistics($name)->{"refused_$limit"};

        ok(!$t->served($name, %arg), $what);
        is($t->statistics($name)->{"refused_$limit"}, $before + 1, "... and counted under $limit");
}

part 'only_from and no_access' => sub {
        my $t = BrokerTest->new(services => <<'Y');
only: {listen: 127.0.0.1:0, wait: no, command: [cat], only_from: [127.0.0.2, 127.0.1.0/24]}
no: {listen: 127.0.0.1:0, wait: no, command: [cat], no_access: 127.0.0.2}
both: {listen: 127.0.0.1:0, wait: no, command: [cat], only_from: [127.0.0.0/8, 127.0.3.3], no_access: 127.0.3.0/24}
six: {listen: "0", wait: no, command: [cat], only_from: [127.0.0.0/8], no_access: ["::/0"]}
many: {listen: "127.0.0.1:0", wait: no, command: [cat], only_from: localhost}
Y
        ok($t->served('only', from => '127.0.0.2'), 'only_from: an address that is named');
        ok($t->served('only', from => '127.0.1.77'), 'only_from: one in a network');
        is_refused($t, 'only', 'only_from', 'only_from: all others stay out', from => '127.0.0.3');
        is_refused($t, 'no', 'only_from', 'no_access: an address that is named', from => '127.0.0.2');
        ok($t->served('no', from => '127.0.0.3'), 'no_access: all others come in');
        ok($t->served('both', from => '127.0.2.1'), 'both: the wide network lets in');
        is_refused($t, 'both', 'only_from', 'both: the narrow one within keeps out', from => '127.0.3.4');
        ok($t->served('both', from => '127.0.3.3'), 'both: and the address within that comes in again');
        ok($t->served('six', from => '127.0.0.1'), 'an IPv4 client of an IPv6 socket is an IPv4 client');
        ok($t->served('many', from => '127.0.0.1'), 'a host name stands for its addresses');
        my ($first) = grep { ($_->{message} // '') eq 'connection refused' && $_->{service} eq 'only' } @{ $t->{log} };
        is($first->{limit}, 'only_from', 'the first refusal says why');
        like($first->{peer}, qr/^127\.0\.0\.3:\d+$/, 'and who it was');
        # Nothing that runs has to end for another list.
        my $c = $t->served('no', from => '127.0.0.3');
        $t->write_conf(<<'Y');
no: {listen: 127.0.0.1:0, wait: no, command: [cat], no_access: 127.0.0.3}
Y
        ok($t->reload, 'another list by reload');
        syswrite $c, "still\n";
        is(BrokerTest::read_line($c), "still\n", 'who is in stays in');
        is_refused($t, 'no', 'only_from', 'and is kept out from then on', from => '127.0.0.3');
        ok($t->served('no', from => '127.0.0.2'), 'while the other one comes in');
        $t->stop;
};

part 'what a client gets to read' => sub {
        my $t = BrokerTest->new(later => 1);
        $t->write_file('welcome.txt', "welcome\n");
        $t->write_conf(<<'Y');
texts:
  listen: 127.0.0.1:0
  wait: no
  command: [cat]
  no_access: 127.0.0.2
  banner: "hello\r\n"
  banner_success: file:%DIR%/welcome.txt
  banner_fail: |
    go away
plain: {listen: 127.0.0.1:0, wait: no, command: [cat], no_access: 127.0.0.2}
reset: {listen: 127.0.0.1:0, wait: no, command: [cat], no_access: 127.0.0.2, refuse_with: reset}
Y
        $t->start;
        is($t->ask('texts', "x\n"), "hello\r\nwelcome\nx\n", 'who is let in: banner, banner_success, then the program');
        is($t->ask('texts', undef, from => '127.0.0.2'), "hello\r\ngo away\n", 'who is not: banner, banner_fail');
        # What he has sent must not take back what he is to read.
        my $c = $t->connect('texts', from => '127.0.0.2');
        $c->blocking(0);
        syswrite $c, 'y' x 30000;
        $t->wait_message('connection refused', service => 'texts') if !grep { ($_->{limit} // '') eq 'only_from' } @{ $t->{log} };
        $c->blocking(1);
        is(BrokerTest::read_all($c), "hello\r\ngo away\n", 'also when he talks himself');
        close $c;
        is($t->ask('plain', undef, from => '127.0.0.2'), '', 'no banner_fail: nothing but an end');
        $c = $t->connect('reset', from => '127.0.0.2');
        IO::Select->new($c)->can_read(10);
        my $n = sysread $c, my $data, 10;
        ok(!defined $n && $! == ECONNRESET, 'refuse_with: reset resets') or diag("$!");
        # The file is read at load: a reload takes what it says then.
        $t->write_file('welcome.txt', "welcome back\n");
        ok($t->reload, 'a reload');
        is($t->ask('texts', "x\n"), "hello\r\nwelcome back\nx\n", 'reads the file again');
        # More are taking their leave than may linger: none of them keeps a place or a descriptor for long.
        my @many = map { $t->connect('texts', from => '127.0.0.2') } 1 .. 200;
        is(scalar(grep { (BrokerTest::read_line($_) // '') eq "hello\r\n" } @many), 200, '200 at once are told');
        my $open = grep { /socket:/ } values %{ $t->fds };
        cmp_ok($open, '<', 90, 'and few of them linger');
        close $_ for @many;
        is($t->statistics('texts')->{connections}, 0, 'no place is taken');
        $t->stop;
};

part 'access_times' => sub {
        # The zone makes it half past twelve at night, or noon, wherever the test runs.
        my ($s, $m, $h) = gmtime;
        my $offset = sub {
                my ($want) = @_;
                my $east = ($want - ($h * 60 + $m)) % 1440;
                $east -= 1440 if $east > 720;
                return sprintf 'TST%s%02d:%02d', $east > 0 ? '-' : '+', int(abs($east) / 60), abs($east) % 60;
        };
        my $services = <<'Y';
night: {listen: 127.0.0.1:0, wait: no, command: [cat], access_times: "22:00-6:00"}
day: {listen: 127.0.0.1:0, wait: no, command: [cat], access_times: ["8:00-11:00", "11:00-18:00"]}
Y
        my $t = BrokerTest->new(env => { TZ => $offset->(30) }, services => $services);
        ok($t->served('night'), 'half past midnight lies in 22:00-6:00');
        is_refused($t, 'day', 'access_times', 'and not in the day');
        $t->stop;
        $t = BrokerTest->new(env => { TZ => $offset->(720) }, services => $services);
        ok($t->served('day'), 'noon lies in the day');
        is_refused($t, 'night', 'access_times', 'and not in the night');
        $t->stop;
};

part 'per_source: prefixes and exceptions' => sub {
        my $t = BrokerTest->new(services => <<'Y');
net: {listen: 127.0.0.1:0, wait: no, command: [cat], per_source: 2, source_prefix: {ipv4: 24}}
but: {listen: 127.0.0.1:0, wait: no, command: [cat], per_source: {default: 1, 127.1.0.0/16: 3, 127.1.2.3: unlimited}}
Y
        my @in = map { $t->served('net', from => "127.0.5.$_") } 1, 2;
        is(scalar(grep { $_ } @in), 2, 'two of one network');
        is_refused($t, 'net', 'per_source', 'the third of it is one too many', from => '127.0.5.3');
        ok(my $other = $t->served('net', from => '127.0.6.1'), 'the next network has its own');
        @in = map { $t->served('but', from => $_) } qw(127.0.0.1 127.1.0.1 127.1.0.1 127.1.0.1 127.1.2.3 127.1.2.3 127.1.2.3 127.1.2.3 127.1.2.3);
        is(scalar(grep { $_ } @in), 9, 'exceptions have more');
        is_refused($t, 'but', 'per_source', 'but not more than that', from => '127.1.0.1');
        is_refused($t, 'but', 'per_source', 'and the others have the default', from => '127.0.0.1');
        $t->stop;
};

part 'cps' => sub {
        my $t = BrokerTest->new(services => <<'Y');
wait: {listen: 127.0.0.1:0, wait: no, command: [cat], cps: 3/1s, cps_pause: 200ms}
refuse: {listen: 127.0.0.1:0, wait: no, command: [cat], cps: 2/1h, cps_pause: 1h, when_full: refuse, no_access: 127.0.0.2}
Y
        my @clients = map { $t->connect('wait') } 1 .. 8;
        syswrite $_, "x\n" for @clients;
        ok($t->wait_message(qr/^paused, clients wait: cps/, service => 'wait'), 'beyond cps the service pauses');
        is(scalar(grep { (BrokerTest::read_line($_) // '') eq "x\n" } @clients), 8, 'and everybody is served in the end');
        is($t->statistics('wait')->{refused_cps}, 0, 'nobody is refused');
        ok(!$t->served('refuse', from => '127.0.0.2'), 'a stranger') for 1 .. 5;
        ok($t->served('refuse'), 'when_full: refuse: those refused for other reasons have not used it up') for 1 .. 2;
        is_refused($t, 'refuse', 'cps', 'the one too many is refused');
        is_refused($t, 'refuse', 'cps', 'and so are all for cps_pause');
        $t->stop;
};

part 'max_load' => sub {
        open my $fh, '<', '/proc/loadavg' or skip_part 'there is no /proc/loadavg';
        my ($load) = split ' ', <$fh>;
        my $t = BrokerTest->new(services => <<'Y');
high: {listen: 127.0.0.1:0, wait: no, command: [cat], max_load: 10000}
wait: {listen: 127.0.0.1:0, wait: no, command: [cat], max_load: 0.01}
refuse: {listen: 127.0.0.1:0, wait: no, command: [cat], max_load: 0.01, when_full: refuse}
Y
        ok($t->served('high'), 'below max_load');
        SKIP: {
                skip 'the machine is idle: its load is below the least that can be written', 5 if $load < 0.1;
                my $c = $t->connect('wait');
                syswrite $c, "x\n";
                ok($t->wait_message(qr/max_load/, service => 'wait'), 'above it the service pauses');
                is_refused($t, 'refuse', 'max_load', 'or refuses');
                $t->write_conf("wait: {listen: 127.0.0.1:0, wait: no, command: [cat], max_load: 10000}\n");
                ok($t->reload, 'a higher limit');
                is(BrokerTest::read_line($c), "x\n", 'and who has waited is served');
        }
        $t->stop;
};

part 'sensor' => sub {
        my $t = BrokerTest->new(services => <<'Y');
trap: {listen: 127.0.0.1:0, wait: no, sensor: 1h, no_access: 127.0.0.9, banner_fail: "gotcha\n"}
wide: {listen: 127.0.0.1:0, wait: no, sensor: infinity, source_prefix: {ipv4: 24}}
brief: {listen: 127.0.0.1:0, wait: no, sensor: 1s}
one: {listen: 127.0.0.1:0, wait: no, command: [cat]}
two: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        ok($t->served('one', from => '127.0.0.5'), 'at first everybody is served');
        is($t->ask('trap', undef, from => '127.0.0.5'), "gotcha\n", 'the sensor says its banner and no more');
        like($t->wait_message(qr/^sensor touched/)->{peer}, qr/^127\.0\.0\.5:/, 'and logs who touched it');
        is_refused($t, 'one', 'sensor', 'who has touched it is refused', from => '127.0.0.5');
        is_refused($t, 'two', 'sensor', 'everywhere', from => '127.0.0.5');
        ok($t->served('one', from => '127.0.0.6'), 'others are not');
        $t->ask('trap', undef, from => '127.0.0.9');
        ok($t->served('one', from => '127.0.0.9'), "whom the sensor's own no_access names is not caught");
        $t->ask('wide', undef, from => '127.0.7.1');
        is_refused($t, 'one', 'sensor', 'source_prefix: the whole network is caught', from => '127.0.7.200');
        $t->ask('brief', undef, from => '127.0.0.8');
        my $until = time + 20;
        my $again;
        $again = $t->served('one', from => '127.0.0.8') until $again || time > $until;
        ok($again, 'after its time a source is served again');
        $t->write_conf("one: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        ok($t->reload, 'a reload without the sensor');
        ok(!$t->served('one', from => '127.0.0.5'), 'forgets nobody');
        $t->stop;
};

part 'AF_UNIX peers: uid and gid' => sub {
        my ($me, $group) = ($> + 0, (split ' ', $))[0]);
        my $t = BrokerTest->new(services => <<"Y");
me: {listen: {address: "%DIR%/me", socket_mode: "0666"}, wait: no, command: [cat], uid: $me}
else: {listen: {address: "%DIR%/else", socket_mode: "0666"}, wait: no, command: [cat], uid: 4242}
group: {listen: {address: "%DIR%/group", socket_mode: "0666"}, wait: no, command: [cat], gid: [4243, $group]}
either: {listen: {address: "%DIR%/either", socket_mode: "0666"}, wait: no, command: [cat], uid: 4242, gid: 4243}
Y
        ok($t->served('me'), 'uid: one that is named');
        is_refused($t, 'else', 'uid', 'uid: all others stay out');
        ok($t->served('group'), 'gid: one that is named');
        is_refused($t, 'either', 'uid', 'uid and gid: neither');
        SKIP: {
                skip 'only root can be somebody else', 3 if $me != 0;
                my $as = sub {
                        my ($uid, $groups, $name) = @_;
                        my $path = $t->address($name);
                        my $pid = open(my $out, '-|') // die "fork: $!";
                        if (!$pid) {
                                $) = $groups;
                                $> = $< = $uid;
                                my $c = BrokerTest::connect_to($path, may_fail => 1) or POSIX::_exit(1);
                                syswrite $c, "x\n";
                                print BrokerTest::read_line($c) // '';
                                close STDOUT;
                                POSIX::_exit(0);
                        }
                        return join '', <$out>;
                };
                is($as->(4242, '7 7', 'either'), "x\n", 'either: the uid');
                is($as->(99, '4243 4243', 'either'), "x\n", 'either: the group');
                is($as->(99, '7 7 4243', 'either'), "x\n", 'either: a supplementary group');
        }
        $t->stop;
};

done_testing;
