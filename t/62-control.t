#!/usr/bin/perl
# The control socket: who is let in, what D-Bus clients can ask, and peers that misbehave.
use strict;
use warnings;
use BrokerTest;
use Bus;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Part;
use Socket qw(SOCK_STREAM);
use Test::More;

my $services = <<'Y';
web: {listen: [127.0.0.1:0, "%DIR%/web.sock"], wait: no, command: [cat], description: "a web, a \u263a"}
srv: {listen: {address: 127.0.0.1:0, reuse_port: yes, name: main}, workers: 2, wait: yes, command: [%PROBE%, --serve]}
Y

sub run_busctl {
        my ($t, @args) = @_;

        open my $fh, '-|', 'timeout', 20, 'sh', '-c', 'exec busctl "$@" 2>&1', 'sh', '--no-pager', '--json=short',
                '--address=unix:path=' . $t->control, @args or die "busctl: $!";
        local $/ = undef;
        my $text = <$fh> // '';
        close $fh;
        return ($? >> 8, $text);
}

sub has_busctl {
        return grep { -x "$_/busctl" } split /:/, $ENV{PATH};
}

my @manager = qw(org.sockbroker /org/sockbroker org.sockbroker.Manager);

part 'busctl' => sub {
        skip_part('busctl is not installed') unless has_busctl();
        my $t = BrokerTest->new(services => $services);
        my ($status, $text) = run_busctl($t, 'list');

        is($status, 0, 'busctl list: the answers that only a message bus has to give are given');
        like($text, qr/org\.sockbroker/, '... and our name is among them');
        ($status, $text) = run_busctl($t, 'tree', '--list', 'org.sockbroker');
        is($status, 0, 'busctl tree');
        like($text, qr{^/org/sockbroker/service/$_$}m, "... has the object $_") for qw(web srv srv_2f2);
        ($status, $text) = run_busctl($t, 'introspect', $manager[0], $manager[1]);
        is($status, 0, 'busctl introspect: the manager');
        like($text, qr/\b$_\b/, "... has $_") for qw(ListServices GetService Start Stop Restart Kill Replace Reload Upgrade Version);
        ($status, $text) = run_busctl($t, 'introspect', 'org.sockbroker', '/org/sockbroker/service/srv_2f2');
        is($status, 0, 'busctl introspect: a service');
        my @properties = $text =~ /^\.(\w+)\s+property/mg;
        ($status, $text) = run_busctl($t, 'call', @manager, 'GetService', 's', 'srv');
        is($status, 0, 'busctl call: GetService');
        my $workers = decode_json($text)->{data}[0];
        is(scalar @$workers, 2, '... returns both workers');
        is_deeply([sort keys %{ $workers->[1] }], [sort @properties], '... with what their objects have as properties');
        is($workers->[1]{Name}{data}, 'srv/2', '... the second by its name');
        ($status, $text) = run_busctl($t, 'get-property', 'org.sockbroker', '/org/sockbroker/service/web', 'org.sockbroker.Service', 'Listen', 'Names', 'State', 'Description');
        is($status, 0, 'busctl get-property');
        my @values = map { decode_json($_)->{data} } split /\n/, $text;
        is_deeply($values[0], [$t->address('web', 0), $t->address('web', 1)], '... the addresses, with the port the kernel chose');
        is_deeply($values[1], ['web', 'web'], '... and names');
        is($values[2], 'listening', '... and the state');
        is($values[3], "a web, a \x{263a}", '... and the description');
        ($status, $text) = run_busctl($t, 'get-property', 'org.sockbroker', '/org/sockbroker', 'org.sockbroker.Manager', 'Pid', 'ServiceCount', 'Definitions', 'Draining');
        @values = map { decode_json($_)->{data} } split /\n/, $text;
        is_deeply(\@values, [$t->{main_pid}, 2, [$t->dir . '/conf'], JSON::PP::false], 'what the manager says of itself');
        ($status, $text) = run_busctl($t, 'call', @manager, 'GetService', 's', 'wep');
        isnt($status, 0, 'a service that there is not is an error');
        like($text, qr/there is no service 'wep'; did you mean 'web'\?/, '... with the nearest name');
        ($status, $text) = run_busctl($t, 'get-property', 'org.sockbroker', '/org/sockbroker/service/no', 'org.sockbroker.Service', 'State');
        isnt($status, 0, 'an object that there is not is one as well');
        my ($last, $word) = run_busctl($t, 'call', @manager, 'ListServices');
        is_deeply([map { $_->{Name}{data} } @{ decode_json($word)->{data}[0] }], ['web', 'srv', 'srv/2'], 'ListServices, in the order of the definitions');
        $t->stop;
};

part 'a peer whose name is no text' => sub {
        skip_part('busctl is not installed') unless has_busctl();
        my $t = BrokerTest->new(services => $services);
        my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $t->dir . "/\xff\xfe.sock", Peer => $t->dir . '/web.sock');

        syswrite $client, "x\n";
        is(BrokerTest::read_line($client), "x\n", 'it is served');
        my ($status, $text) = run_busctl($t, 'call', @manager, 'GetService', 's', 'web');
        is($status, 0, 'and can be looked at');
        like(decode_json($text)->{data}[0][0]{Processes}{data}[0][4], qr/\x{fffd}\x{fffd}\.sock/, '... with what can be written of it');
        close $client;
        $t->stop;
};

part 'who may' => sub {
        my $t = BrokerTest->new(services => $services);
        my @stat = stat $t->control;

        is(sprintf('%o', $stat[2] & 07777), '600', 'only its owner may connect to the socket');
        skip_part('only root can become another user') if $> != 0;
        chmod 0666, $t->control;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                ($), $>) = ('65534 65534', 65534);
                my $socket = Bus::connect($t->control) or POSIX::_exit(2);
                syswrite $socket, "\0AUTH EXTERNAL " . unpack('H*', 0) . "\r\n";
                my $line = BrokerTest::read_line($socket);
                POSIX::_exit(defined $line && $line eq '' ? 0 : 1);
        }
        waitpid $pid, 0;
        is($? >> 8, 0, 'another user is not answered, whatever the mode of the socket');
        ok($t->wait_message(qr/^control socket: refused: neither root nor the broker's own user/, uid => 65534), '... and that is logged');
        ok(Bus::open($t->control), 'root is');
        $t->stop;
};

# Waits until the broker has closed PEER.
sub is_closed {
        my ($peer, $what) = @_;

        return ok(defined BrokerTest::read_all($peer), $what);
}

part 'garbage' => sub {
        my $t = BrokerTest->new(services => $services);
        # Answered by the loop, so what the start has opened for a moment is closed by now.
        my $first = Bus::open($t->control);
        my $before = keys %{ $t->fds };
        my $second = Bus::open($t->control);
        my $own = (keys %{ $t->fds }) - $before;
        my @garbage = (
                ["\1", 'a first byte that is not 0'],
                ["\0HELO you\r\n" x 100, 'no authentication'],
                ["\0AUTH EXTERNAL " . unpack('H*', $> + 1) . "\r\nBEGIN\r\n", 'another uid'],
                ["\0" . 'x' x 100_000, 'a line without an end'],
        );

        for (@garbage) {
                my $peer = Bus::connect($t->control);
                syswrite $peer, $_->[0];
                shutdown $peer, 1;
                is_closed($peer, "$_->[1]: the peer is dropped");
        }
        for (['x' x 64, 'noise'], [substr(Bus::call(1, 'ListServices'), 0, 20), 'half a message'], [pack('a C C C V V V', 'l', 1, 0, 1, 0xfffffff0, 1, 0), 'a message of 4 GiB']) {
                my $peer = Bus::open($t->control);
                syswrite $peer, $_->[0];
                shutdown $peer, 1;
                is_closed($peer, "authenticated, then $_->[1]: the peer is dropped");
        }
        my $peer = Bus::open($t->control);
        ok($peer, 'others are let in as before');
        is((keys %{ $t->fds }) - $before, 2 * $own, 'no descriptor is left over but those of the peers that are here') or diag(explain($t->fds));
        is($t->ask('web', "hi\n"), "hi\n", 'and services go on');
        $t->stop;
};

part 'many peers' => sub {
        my $t = BrokerTest->new(services => $services);
        my @peers = map { Bus::open($t->control) } 1 .. 64;

        is(scalar(grep { defined } @peers), 64, '64 peers are served at once');
        my $peer = Bus::connect($t->control);
        is_closed($peer, 'another one is not');
        ok($t->wait_message('control socket: refused: too many are connected'), '... and that is logged');
        my ($status, undef, $err) = $t->verb('status');
        is($status, 1, 'nor is `broker status`');
        like($err, qr/^broker: the broker at \Q${\ $t->control}\E has closed the connection \(.*\); if it has refused it, its log says why$/, '... which says where to look');
        # The place of one that goes is free when the broker has seen it go; it answers the others in between.
        close shift @peers;
        for (1 .. 100) {
                $peer = Bus::open($t->control) and last;
        }
        ok($peer, 'when one has gone another one is served');
        $t->stop;
};

part 'many peers of a user who can only claim' => sub {
        skip_part('only root can become another user') if $> != 0;
        my $t = BrokerTest->new(services => $services =~ s/^web: \{/web: {claim: nobody, /r);
        my $own = Bus::open($t->control);

        pipe my $read, my $write or die "pipe: $!";
        pipe my $until, my $stop or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                close $stop;
                ($), $>) = ('65534 65534', 65534);
                my @peers = map { Bus::open($t->control) } 1 .. 20;
                syswrite $write, scalar(grep { defined } @peers) . "\n";
                sysread $until, my $byte, 1;
                POSIX::_exit(0);
        }
        close $write;
        is(BrokerTest::read_line($read), "16\n", '16 of them are served');
        ok($t->wait_message('control socket: refused: too many are connected', uid => 65534), '... and others refused');
        is(scalar(grep { defined } map { Bus::open($t->control) } 1 .. 10), 10, 'root is let in');
        close $stop;
        waitpid $pid, 0;
        $t->stop;
};

part 'what a user who can only claim gets of the verbs' => sub {
        skip_part('only root can become another user') if $> != 0;
        skip_part('the build is not reachable for other users') if !BrokerTest::reachable($BrokerTest::BROKER);
        my $t = BrokerTest->new(services => $services =~ s/^web: \{/web: {claim: nobody, /r);

        chmod 0755, $t->dir;
        for my $verb ('status', 'stop web', 'reload') {
                my $text = qx(setpriv --reuid=65534 --clear-groups $BrokerTest::BROKER $verb --control=${\ $t->control} 2>&1);
                is_deeply([$? >> 8, $text], [1, "broker: this user may claim services, and ask for nothing else\n"], $verb);
        }
        $t->stop;
};

part 'a peer that does not read' => sub {
        my $t = BrokerTest->new(services => $services);
        my $peer = Bus::open($t->control);
        my $serial = 0;

        $peer->blocking(0);
        # As many calls as it takes; each answer is a good kilobyte, and nobody takes them.
        my $calls = join '', map { Bus::call(++$serial, 'ListServices') } 1 .. 3000;
        my $until = time + $BrokerTest::TIMEOUT;
        while (length $calls && time < $until) {
                IO::Select->new($peer)->can_write(1) or last;
                my $n = syswrite $peer, $calls;
                last if !defined $n && !$!{EAGAIN};
                substr $calls, 0, $n // 0, '';
        }
        ok($t->wait_message('control socket: a peer does not read its answers, and is dropped'), 'it is dropped');
        is($t->ask('web', "hi\n"), "hi\n", 'and services go on');
        ok(Bus::open($t->control), 'so do others');
        $t->stop;
};

part 'a peer that never authenticates' => sub {
        my $t = BrokerTest->new(services => $services);
        my $peer = Bus::connect($t->control);

        is_closed($peer, 'is dropped after a while');
        $t->stop;
};

part 'reload' => sub {
        my $old = $services . "gone: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n";
        my $t = BrokerTest->new(services => $old);
        my $new = $services =~ s/command: \[cat\]/command: [cat, -u]/r;

        is_deeply([$t->verb('reload')], [0, "nothing has changed in 3 services\n", ''], 'nothing to do');
        my $log = 'log: {format: json, level: debug}';
        $t->write_conf($old, head => "broker: {$log, metrics: 127.0.0.1:0}\n");
        is_deeply([$t->verb('reload')], [0, "changed: the broker itself\nunchanged: 3\n", ''], 'the broker has metrics from now on');
        is_deeply([$t->verb('reload')], [0, "nothing has changed in 3 services\n", ''], '... and goes on');
        $t->write_conf($old);
        is_deeply([$t->verb('reload')], [0, "changed: the broker itself\nunchanged: 3\n", ''], '... and has none');
        $t->write_conf("${new}one: {listen: 127.0.0.1:0, wait: no, command: [cat]}\ntwo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        is_deeply([$t->verb('reload')], [0, "added: one, two\nchanged: web\nremoved: gone\nunchanged: 1\n", ''], 'what has changed is said');
        $t->write_conf("${new}one: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n'\\e[31mred': {}\n");
        unlike(($t->verb('reload'))[2], qr/\e/, 'what it quotes does not colour the terminal');
        $t->write_conf("${new}bad: {listen: 127.0.0.1:0, wait: maybe}\nworse: {}\n");
        my ($status, $out, $err) = $t->verb('reload');
        is($status, 78, 'definitions that are wrong');
        is($out, '', '... say nothing on stdout');
        my $file = $t->dir . '/conf/test.yaml';
        like($err, qr{^\Q$file\E:\d+:\d+: services\.bad\.wait: .*^\Q$file\E:\d+:\d+: services\.worse\.listen: .*^broker: nothing has changed}ms, '... but where each error is, on stderr');
        is($t->ask('one', "hi\n"), "hi\n", '... and nothing has changed');
        my $busy = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
        $t->write_conf($new . 'busy: {listen: "127.0.0.1:' . $busy->sockport . "\", wait: no, command: [cat]}\n");
        ($status, $out, $err) = $t->verb('reload');
        is($status, 1, 'an address that is in use is a failure at run time');
        like($err, qr{services\.busy\.listen.*^broker: nothing has changed}ms, '... that is told likewise');
        $t->write_conf($new . "warned: {listen: 127.0.0.1:0, wait: no, command: [/does/not/exist]}\n");
        ($status, $out, $err) = $t->verb('reload');
        is($status, 0, 'warnings');
        like($err, qr{services\.warned\.command: warning|warning: .*not/exist}, '... are told on stderr');
        ok($t->wait_message('reloaded', added => 1), 'and everything is logged as for SIGHUP');
        $t->stop;
};

part 'orders' => sub {
        my $t = BrokerTest->new(services => $services . <<'Y');
boot: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [%PROBE%, --serve]}
slow: {listen: 127.0.0.1:0, wait: no, command: [sh, -c, 'trap "" TERM; echo on; read x; exec sleep 100'], stop_grace_period: 300ms}
Y
        my $state = sub { (JSON::PP::decode_json(($t->verb('status', $_[0], '--json'))[1])->{services}[0]{state}) };
        my $client = $t->served('web');
        my $address = $t->address('web');

        is_deeply([$t->verb('stop', 'web')], [0, '', ''], 'stop says nothing');
        is(BrokerTest::read_all($client), '', '... when its processes have ended');
        ok(!BrokerTest::connect_to($address, may_fail => 1), '... and its sockets are closed');
        is(($t->verb('start', 'web'))[0], 0, 'start');
        my $records = grep { ($_->{message} // '') eq 'listening' && $_->{service} eq 'web' } @{ $t->{log} };
        is($t->ask('web', "hi\n", index => $records - 2), "hi\n", '... serves again');
        my ($status, $out, $err) = $t->verb('start', 'web');
        is($status, 1, 'what does not go with the state is refused');
        like($err, qr/^broker: it was not stopped: it is listening$/, '... and why');
        ($status, $out, $err) = $t->verb('replace', 'web');
        is($status, 1, 'so is what does not go with the service');
        my $pid = $t->wait_message('server started', service => 'boot', -from => 0)->{pid};
        is(($t->verb('restart', 'boot'))[0], 0, 'restart');
        my $next = $t->wait_message('server started', service => 'boot');
        ok($next && $next->{pid} != $pid && !-d "/proc/$pid", '... has ended the one server and started another');
        is(($t->verb('kill', 'boot'))[0], 0, 'kill');
        is($state->('boot'), 'listening', '... leaves the next one to traffic');

        # One that takes until SIGKILL: the order is answered then.
        $client = $t->connect('slow');
        is(BrokerTest::read_line($client), "on\n", 'a program that does not want to end');
        is(($t->verb('stop', 'slow', '--timeout=50ms'))[0], 1, 'nobody need wait for that');
        like(($t->verb('stop', 'slow'))[2], qr/^$/, '... who does waits until it has ended');
        is(BrokerTest::read_all($client), '', '... and it has');
        $t->stop;
};

part 'the key' => sub {
        my $log = 'log: {format: json, level: debug}';
        my $t = BrokerTest->new(services => $services, head => "broker: {$log, control: %DIR%/here/control}\n");
        my $dir = $t->dir;

        ok(-S "$dir/here/control", 'control: PATH says where, and its directory is made');
        ok(!-e $t->control, '... and BROKER_CONTROL does not');
        $t->write_conf($services, head => "broker: {$log, control: %DIR%/there/control}\n");
        is(($t->verb('reload', "--control=$dir/here/control"))[0], 0, 'a reload by the old socket');
        ok(!-e "$dir/here/control" && -S "$dir/there/control", '... moves it');
        is(($t->verb('status', "--control=$dir/there/control"))[0], 0, '... and the new one answers');
        IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/stale")->close;
        my $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/busy", Listen => 1);
        $t->write_conf($services, head => "broker: {$log, control: %DIR%/busy}\n");
        my ($status, $out, $err) = $t->verb('reload', "--control=$dir/there/control");
        is($status, 1, 'a path where another program listens is a failure');
        like($err, qr{test\.yaml:1:\d+: broker\.control: .*another program listens on it}, '... with its place');
        ok(-S "$dir/there/control", '... and the socket stays');
        $t->write_conf($services, head => "broker: {$log, control: %DIR%/stale}\n");
        is(($t->verb('reload', "--control=$dir/there/control"))[0], 0, 'a stale socket is replaced');
        $t->write_conf($services, head => "broker: {$log, control: no}\n");
        is(($t->verb('reload', "--control=$dir/stale"))[0], 0, 'control: no');
        ok(!-e "$dir/stale", '... takes it away');
        $t->write_conf($services);
        ok($t->reload, 'without the key');
        ok(-S $t->control, '... it is where BROKER_CONTROL says');
        # Removed by others, the path is another's now.
        unlink $t->control;
        $t->write_file('control', 'mine');
        $t->signal('TERM');
        $t->wait_exit;
        ok(-f $t->control, 'what another has put in its place is left alone at the end');
        $t->stop;
};

part 'the start' => sub {
        my $t = BrokerTest->new(services => $services, later => 1);
        my $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $t->control, Listen => 1);

        $t->start;
        ok($t->wait_log(sub { ($_->{text} // '') =~ /there will be no control socket: .*another program listens on it/ }), 'a default path that is in use is a warning');
        is($t->ask('web', "hi\n"), "hi\n", '... and the broker runs');
        $t->stop;
        $t = BrokerTest->new(services => $services, later => 1, head => "broker: {control: %DIR%/control}\n", status => 1);
        $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $t->control, Listen => 1);
        $t->start(ready => 0);
        is(($t->wait_exit // -1) >> 8, 1, 'one that is written down is the end');
        like($t->log_text, qr/:1:\d+: broker\.control: /, '... with its place');
        $t->stop;
        $t = BrokerTest->new(services => $services);
        my $control = $t->control;
        ok(-S $control, 'the socket is there as long as the broker');
        $t->signal('TERM');
        $t->wait_exit;
        ok(!-e $control, '... and no longer');
        $t->stop;
};
done_testing;
