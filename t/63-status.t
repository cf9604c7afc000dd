#!/usr/bin/perl
# `broker status`: as a table, of one service, for programs, again and again; and the other verbs' command lines.
use strict;
use warnings;
use BrokerTest;
use FindBin qw($RealBin);
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Part;
use Socket qw(SOCK_STREAM);
use Test::More;

my %utf8 = (LC_ALL => 'C.UTF-8', COLUMNS => undef, NO_COLOR => undef);
my %ascii = (LC_ALL => 'C', COLUMNS => undef);

my $services = <<'Y';
echo: {listen: [127.0.0.1:0, "%DIR%/echo.sock"], wait: no, command: [cat], description: gives back, only_from: 127.0.0.1}
srv: {listen: {address: 127.0.0.1:0, reuse_port: yes, name: main}, workers: 2, wait: yes, start: boot, command: [%PROBE%, --serve]}
missing: {listen: 127.0.0.1:0, wait: no, command: [/does/not/exist]}
Y

part 'the table' => sub {
        my $t = BrokerTest->new(services => $services);
        my @clients = map { $t->served('echo') } 1 .. 2;

        ok($t->ask('echo', "x\n"), 'one that comes and goes');
        ok($t->wait_message('connection ended', service => 'echo'), '... has gone');
        my $refused = $t->connect('echo', from => '127.0.0.2');
        ok(defined BrokerTest::read_all($refused), 'one is refused');
        my ($status, $out, $err) = $t->verb(\%utf8, 'status');
        is($status, 0, 'status');
        is($err, '', '... has nothing to complain of');
        my @lines = split /\n/, $out;
        like($lines[0], qr/^NAME +STATE +SINCE +LISTEN +PROCESSES +CONNECTIONS +REFUSED +LAST EXIT$/, 'the columns');
        my ($echo, $unix) = ($t->address('echo', 0), $t->address('echo', 1));
        like($lines[1], qr{^echo +listening +\S+ ago +\Q$echo\E, \Q$unix\E +2 +2/4 +1 +exit:0$}, 'a service with connections');
        like($lines[2], qr{^srv +running +\S+ ago +\Q${\ $t->address('srv')}\E +1 +0/0 +0 +-$}, 'a server');
        like($lines[3], qr{^srv/2 +running .* 1 +0/0 +0 +-$}, 'its second worker');
        like($lines[4], qr{^missing +listening .* 0 +0/0 +0 +-$}, 'one that nobody has come to');
        is($lines[5], '', 'a blank line');
        is($lines[6], '3 services, 4 processes, 2 connections now, 4 accepted, 1 refused', 'the sums');
        is(scalar @lines, 7, 'and nothing else');
        unlike($out, qr/\e/, 'no colours where there is no terminal');

        ($status, $out) = $t->verb({ %utf8, COLUMNS => 80 }, 'status');
        like($out, qr/ PROC  CONN  REF  EXIT$/m, 'in 80 columns titles are short');
        is((sort { $b <=> $a } map { utf8::decode($_); length } (split /\n/, $out)[0 .. 4])[0] <= 80 ? 'fits' : $out, 'fits', 'it fits into 80 columns');
        like($out, qr{127\.0\.0\.1:\d+, /\S*…}, '... since addresses are cut');
        ($status, $out) = $t->verb({ %ascii, COLUMNS => 80 }, 'status');
        like($out, qr{127\.0\.0\.1:\d+, /\S*~}, '... in ASCII as well');
        unlike($out, qr/[^\x00-\x7f]/, '... and in nothing but that');
        undef @clients;
        $t->stop;
};

part 'one service' => sub {
        my $t = BrokerTest->new(services => $services);
        my @clients = map { $t->served('echo') } 1 .. 23;
        my $peer = $clients[0]->sockhost . ':' . $clients[0]->sockport;
        my $pid = $t->wait_message('connection accepted', service => 'echo', peer => $peer, -from => 0)->{pid};
        my $refused = $t->connect('echo', from => '127.0.0.2');

        BrokerTest::read_all($refused);
        my ($status, $out) = $t->verb(\%utf8, 'status', 'echo');
        is($status, 0, 'status NAME');
        like($out, qr/^● echo - gives back$/m, 'its name and description');
        like($out, qr/^ +State: listening since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(\S+ ago\)$/m, 'its state');
        like($out, qr{^ +Listen: \Q${\ $t->address('echo')}\E \(echo\)\n +\Q${\ $t->dir}\E/echo\.sock \(echo\)$}m, 'its sockets with their names');
        like($out, qr/^ +Processes: 23$/m, 'how many processes');
        like($out, qr/^ +$pid +running +current +\S+ +\Q$peer\E$/m, 'one of them');
        is(scalar(() = $out =~ /^ +\d+ +running /mg), 20, 'the first twenty');
        like($out, qr/^ +and 3 more$/m, '... and how many more');
        like($out, qr/^ Connections: 23 now, 24 accepted, 0 failed$/m, 'its connections');
        like($out, qr/^ +Refused: 1 \(only_from 1\)$/m, 'who was refused, and why');
        unlike($out, qr/Last exit|Reason|Status:/, 'what there is not is not shown');

        # A new definition: who is served goes on under the old one.
        $t->write_conf($services =~ s/\[cat\]/[cat, -u]/r);
        ok($t->reload, 'another definition');
        push @clients, $t->served('echo');
        ($status, $out) = $t->verb(\%utf8, 'status', 'echo', '--json');
        my $service = decode_json($out)->{services}[0];
        my %generation;
        $generation{ $_->{generation} }++ for @{ $service->{processes} };
        is_deeply(\%generation, { older => 23, current => 1 }, 'processes of both generations');
        ($status, $out) = $t->verb(\%ascii, 'status', 'srv');
        like($out, qr/^\* srv \(2 workers\)\n.*^\* srv\/2\n/ms, 'workers one after the other');
        ($status, $out) = $t->verb(\%ascii, 'status', 'srv/2');
        like($out, qr/\A\* srv\/2\n/, 'or one alone');
        BrokerTest::read_all($t->connect('missing'), 1);
        $t->wait_message(qr/^paused/, service => 'missing');
        ($status, $out) = $t->verb(\%ascii, 'status', 'missing');
        like($out, qr/^ +State: paused since [^\n]*\), for another \d+s\n +Reason: its program cannot be started: .*No such file or directory$/ms, 'why a service is paused');
        undef @clients;
        $t->stop;
};

part 'for programs' => sub {
        my $t = BrokerTest->new(services => $services);
        my $client = $t->served('echo');
        my ($status, $out) = $t->verb(\%utf8, 'status', '--json');
        my $all = decode_json($out)->{services};

        is($status, 0, 'status --json');
        is_deeply([map { $_->{name} } @$all], ['echo', 'srv', 'srv/2', 'missing'], 'all services and workers');
        my @brief = sort qw(name service worker description state since until reason status_text outdated listen names process_count main_pid watchdog
                spare_processes stored_descriptors connections accepted datagrams
                ended failed starts restarts refused_count refused last_exit);
        is_deeply([sort keys %{ $all->[0] }], \@brief, 'the keys');
        cmp_ok(abs($all->[0]{since} - time), '<', 60, 'since is seconds since the epoch');
        is($all->[0]{accepted}, 1, 'numbers are numbers');
        ($status, $out) = $t->verb(\%utf8, 'status', 'echo', '--json');
        my $one = decode_json($out)->{services};
        is(scalar @$one, 1, 'status NAME --json: one service');
        is_deeply([sort keys %{ $one->[0] }], [sort @brief, qw(processes start_latency duration ready_latency)], 'with more keys');
        is_deeply([sort keys %{ $one->[0]{processes}[0] }], [sort qw(pid since generation state peer)], 'the keys of processes');
        is_deeply([sort keys %{ $one->[0]{duration} }], [sort qw(count sum classes)], 'the keys of histograms');
        is($one->[0]{duration}{classes}[-1]{up_to}, undef, 'the last class has no bound');
        is($one->[0]{duration}{classes}[0]{up_to}, 0.0001, 'the first one has');
        is_deeply([@{ $one->[0] }{qw(until main_pid watchdog stored_descriptors)}], [undef, undef, undef, 0], 'what only servers have');
        is_deeply([@{ $one->[0]{start_latency} }{qw(count)}, $one->[0]{duration}{count}], [1, 0], 'a start was measured, no end');
        close $client;
        ok($t->wait_message('connection ended', service => 'echo'), 'it ends');
        ($status, $out) = $t->verb(\%utf8, 'status', 'echo', '--json');
        my $duration = decode_json($out)->{services}[0]{duration};
        my $sum = 0;
        $sum += $_->{count} for @{ $duration->{classes} };
        is_deeply([$duration->{count}, $sum], [1, 1], '... and so does the measurement');
        cmp_ok($duration->{sum}, '>', 0, '... of some time');
        for my $width (60, 80, 200) {
                ($status, $out) = $t->verb({ %utf8, COLUMNS => $width }, 'status', 'echo');
                utf8::decode($out);
                my ($bar) = $out =~ /^Start latency: 1 measured, mean \S+\n[^\n]* (\x{2588}+) 1\n +Duration: 1 measured/m;
                my ($longest) = sort { $b <=> $a } map { length } split /\n/, $out;
                ok($bar, "$width columns: both histograms") or diag($out);
                cmp_ok($longest, '<=', $width, '... fit');
                is(length $bar, $width == 200 ? 60 : $width - 26, '... and fill the line, up to a limit');
        }
        ($status, $out) = $t->verb(\%ascii, 'status', 'echo');
        like($out, qr/^ +<= +\S+ #{30} 1$/m, 'in ASCII, and where nobody says how wide it may be');
        $t->stop;
};

part 'a server' => sub {
        my $t = BrokerTest->new(services => <<"Y");
srv: {listen: 127.0.0.1:0, wait: yes, ready: notify, watchdog: 1min, fd_store: 3, start_timeout: 1min, command: [python3, $RealBin/server/supervised.py]}
Y
        my $client = $t->connect('srv');
        my $say = sub { syswrite $client, "$_[0]\n"; my $answer = BrokerTest::read_line($client) // ''; chomp $answer; return $answer };
        my $json = sub { decode_json(($t->verb(\%utf8, 'status', 'srv', '--json'))[1])->{services}[0] };
        my ($pid) = $say->('who') =~ /^pid=(\d+)/;
        my $service = $json->();

        is($service->{state}, 'starting', 'a server that is not ready yet');
        cmp_ok($service->{until}, '>', time, '... has until then');
        like(($t->verb(\%ascii, 'status', 'srv'))[1], qr/^ +State: starting since .*\), for another \d+s$/m, '... which is shown');
        $say->('say READY=1');
        $say->("say STATUS=three of \x{e2}\x{82}\x{ac} 5");
        $say->('store a one');
        $say->('store b two');
        $service = $json->();
        is_deeply([@{$service}{qw(state until main_pid watchdog stored_descriptors status_text)}], ['running', undef, $pid, 60, 2, "three of \x{20ac} 5"],
                'then its process, watchdog, descriptors and status');
        is($service->{ready_latency}{count}, 1, 'how long it took to be ready');
        my $text = ($t->verb(\%ascii, 'status', 'srv'))[1];
        like($text, qr/^ +Ready after: 1 measured, mean /m, '... is shown');
        like($text, qr/^ +Status: three of \\xe2\\x82\\xac 5$/m, 'its status for people');
        like($text, qr/^ +Server: process $pid, watchdog 1min\n +Stored: 2 descriptors$/m, '... and the rest');
        my $next = $say->('daemon');
        is('pid=' . $json->()->{main_pid}, $next, 'another main process');
        close $client;
        $t->stop;
};

# Reads from FH until TEXT has matched PATTERN.
sub read_until {
        my ($fh, $pattern) = @_;
        my $until = time + $BrokerTest::TIMEOUT;
        my $text = '';

        while ($text !~ $pattern && time < $until) {
                IO::Select->new($fh)->can_read(1) or next;
                sysread($fh, $text, 65536, length $text) or last;
        }
        return $text;
}

part 'again and again' => sub {
        my $t = BrokerTest->new(services => $services);
        local $ENV{BROKER_CONTROL} = $t->control;
        local $ENV{LC_ALL} = 'C';

        my $pid = open my $fh, '-|', $BrokerTest::BROKER, 'status', '--watch=100ms' or die "status: $!";
        my $text = read_until($fh, qr/(NAME .*?accepted, \d+ refused\n\n){3}/s);
        is(scalar(() = $text =~ /^NAME /mg) >= 3 ? 'yes' : $text, 'yes', '--watch shows it again');
        unlike($text, qr/\e/, '... one after the other where there is no terminal');
        kill 'TERM', $pid;
        close $fh;
        $pid = open $fh, '-|', $BrokerTest::BROKER, 'status', 'srv', '--json', '--watch=100ms' or die "status: $!";
        $text = read_until($fh, qr/(^\{.*\}\n){3}/m);
        is(decode_json((split /\n/, $text)[1])->{services}[1]{name}, 'srv/2', '--watch --json: a line each time');
        kill 'TERM', $pid;
        close $fh;
        SKIP: {
                skip 'script(1), which makes a terminal, is not installed', 5 unless grep { -x "$_/script" } split /:/, $ENV{PATH};
                local $ENV{TERM} = 'xterm';
                delete local @ENV{qw(NO_COLOR COLUMNS)};
                $pid = open $fh, '-|', 'sh', '-c', 'exec script -qfec "$1" /dev/null 2>/dev/null', 'sh',
                        "stty cols 90 rows 24; exec $BrokerTest::BROKER status --watch=100ms" or die "script: $!";
                $text = read_until($fh, qr/\e\[J.*\e\[H.*\e\[J/s);
                like($text, qr/\e\[2J\e\[H/, 'on a terminal it begins on an empty screen');
                like($text, qr/\e\[H\e\[1mNAME .*?\e\[K\r\n.*\e\[J\e\[H/s, '... and is written over itself');
                like($text, qr/\e\[32mlistening *\e\[0m/, 'in colours');
                kill 'TERM', $pid;
                close $fh;
                $text = `NO_COLOR=1 script -qec '$BrokerTest::BROKER status' /dev/null`;
                like($text, qr/^NAME .*listening/ms, 'NO_COLOR: the table');
                unlike($text, qr/\e\[/, '... without them');
        }
        $t->stop;
};

part 'what others have written' => sub {
        my $t = BrokerTest->new(services => $services =~ s/gives back/"gives \\e[31mback \\u202e"/r);
        my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $t->dir . "/\e[31mred", Peer => $t->dir . '/echo.sock');

        syswrite $client, "x\n";
        is(BrokerTest::read_line($client), "x\n", 'a client with a name that would colour the terminal');
        my ($status, $out) = $t->verb(\%utf8, 'status', 'echo');
        like($out, qr{/\\x1b\[31mred$}m, '... is shown as text');
        unlike($out, qr/\e|\xe2\x80\xae/, 'nothing in it changes the terminal');
        close $client;
        $t->stop;
};

part 'no broker' => sub {
        my $t = BrokerTest->new(services => $services);
        my $path = $t->dir . '/nothing';
        my %nobody = (BROKER_CONTROL => undef, XDG_RUNTIME_DIR => undef);
        my ($status, $out, $err) = $t->verb('status', "--control=$path");

        is($status, 1, 'where nobody listens');
        is($err, "broker: no broker answers at $path: No such file or directory\n", '... that is said');
        my $stale = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 1);
        undef $stale;
        is(($t->verb('reload', "--control=$path"))[2], "broker: no broker answers at $path: Connection refused\n", 'where nobody does any more');
        ($status, $out, $err) = $t->verb('status', 'ecko');
        is($status, 1, 'a service that there is not');
        is($err, "broker: there is no service 'ecko'; did you mean 'echo'?\n", '... the nearest');
        is(($t->verb($_, 'ecko'))[2], $err, "$_ says it too") for qw(start stop restart kill replace);
        is(($t->verb({ BROKER_CONTROL => undef, XDG_RUNTIME_DIR => $t->dir }, 'status', '--control=' . $t->control))[0], 0, '--control goes before all');
        if ($> != 0) {
                is(($t->verb(\%nobody, 'status'))[2] =~ /nothing says where/ ? 1 : 0, 1, 'nobody says where it is');
                like(($t->verb({ BROKER_CONTROL => undef, XDG_RUNTIME_DIR => $t->dir }, 'status'))[2], qr{at \Q${\ $t->dir}\E/broker/control:}, 'XDG_RUNTIME_DIR');
        }
        $t->stop;
};

part 'the command line' => sub {
        my $t = BrokerTest->new(services => $services);
        my @wrong = (
                ['stop'], ['status', 'a', 'b'], ['reload', 'echo'], ['start', '--json', 'echo'], ['run', '--json'], ['status', '-c', '/x'],
                ['status', '--watch=soon'], ['status', '--watch=1ms'], ['status', '--timeout=0'], ['stop', '--watch', 'echo'], ['check', '--control=/x'],
                ['explain', '--timeout=1'], ['show', '--scdoc'],
        );

        for (@wrong) {
                my ($status, $out, $err) = $t->verb(@$_);
                is($status, 2, "broker @$_ is a usage error");
                like($err, qr/^broker: .*\n\z/, '... of one line');
        }
        is(($t->verb($_))[2], "broker: unknown verb '$_'; did you mean 'status'?\n", "the nearest verb: $_") for qw(statsu stat);
        is(($t->verb('status', '--help'))[0], 0, '--help goes with all');
        # Somebody who listens, and answers nothing.
        my $deaf = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $t->dir . '/deaf', Listen => 1);
        my ($status, $out, $err) = $t->verb('status', '--timeout=200ms', '--control=' . $t->dir . '/deaf');
        is($status, 1, 'who does not answer in time');
        like($err, qr/has not answered in time/, '... is not waited for');
        $t->stop;
};
done_testing;
