#!/usr/bin/perl
# activate -a --workers=N --request: what handoff: request does in the broker, from the command line. The handoff itself is
# what t/24-request.t is about; here are the options, what is around it, and how it all ends.
use strict;
use warnings;

use Files qw(slurp);
use FindBin;
use lib "$FindBin::Bin/lib";

use ActivateTest qw(eventually run_to_end reports);
use BrokerTest;
use Fcntl qw(F_SETFD);
use File::Copy qw(copy);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Part;
use POSIX ();
use Socket qw(SHUT_WR SOCK_DGRAM);
use Test::More;
use Time::HiRes qw(time);

my ($ACTIVATE, $PROBE, $DIR) = ($ActivateTest::ACTIVATE, $ActivateTest::PROBE, $ActivateTest::DIR);
my $is_root = $> == 0;
my $has_prlimit = system('prlimit --version >/dev/null 2>&1') == 0;

# Answers lines; some of them are orders. A FIFO is how the test says when a reply may come.
my $worker = "$DIR/worker";
open my $script, '>', $worker or die "$worker: $!";
print $script <<'P';
use strict; use warnings; $| = 1;
my $end = shift // "\n"; my $reply_end = shift // "\n"; $/ = $end;
while (defined(my $line = <STDIN>)) {
        chomp $line;
        exit 3 if $line eq 'die';
        if ($line eq 'hang') { local $SIG{TERM} = 'IGNORE'; sleep 1 while 1 }
        if ($line =~ /^hold (.*)/) { open my $fifo, '<', $1 or die "$1: $!"; my $text = <$fifo> }
        if ($line eq 'mute') { close STDOUT; sleep 1 while 1 }
        if ($line eq 'child') { my $pid = fork; if (!$pid) { $SIG{TERM} = 'IGNORE'; close STDOUT; close STDIN; sleep 1 while 1 } print "$pid$reply_end"; next }
        print "one${reply_end}two$reply_end" and next if $line eq 'twice';
        print 'x' x $1, $reply_end and next if $line =~ /^long (\d+)/;
        print $$ . $reply_end and next if $line eq 'pid';
        print((defined $ENV{$1} ? $ENV{$1} : 'none') . $reply_end) and next if $line =~ /^env (\w+)/;
        print STDERR "$1\n" if $line =~ /^say (.*)/;
        print "$>$reply_end" and next if $line eq 'uid';
        print join(',', sort { $a <=> $b } map { m{/fd/(\d+)$} && -e $_ ? $1 : () } glob "/proc/$$/fd/*"), $reply_end and next if $line eq 'fds';
        print "re: $line$reply_end";
}
P
close $script or die "$worker: $!";

sub request { return ('-v', '-a', '--request', @_) }
sub start { return ActivateTest->start(args => [request(@_)]) }
sub worker { return ('--', 'perl', $worker, @_) }
sub connect_to { return BrokerTest::connect_to(@_) }

sub say_to {
        my ($client, @lines) = @_;

        syswrite $client, "$_\n" for @lines;
        return $client;
}

sub reply { return BrokerTest::read_line($_[0]) }

# One request on a connection of its own: all that comes.
sub ask {
        my ($address, $request) = @_;

        return BrokerTest::read_all(say_to(connect_to($address), $request));
}

sub fifo {
        my ($name) = @_;

        POSIX::mkfifo("$DIR/$name", 0600) or die "mkfifo: $!";
        return "$DIR/$name";
}

# Lets the worker go on that waits for it: opening waits until it does.
sub release {
        my ($fifo) = @_;

        open my $fh, '>', $fifo or die "$fifo: $!";
        return close $fh;
}

# What SIGUSR1 shows, as numbers.
sub figures {
        my ($activate) = @_;
        my %n;

        $activate->signal('USR1');
        for my $what (qw(Requests Workers Connections Replies)) {
                my $line = $activate->line(qr/^$what: /) // return {};
                $n{$1} = $2 while $line =~ /([\w-]+)(?: ms)? (\d+)(?:,|$)/g;
                $n{connections} = $1 if $line =~ /^Connections: (\d+) now/;
        }
        return \%n;
}

sub wait_figures {
        my ($activate, $code) = @_;

        return eventually(sub { my $n = figures($activate); return $code->($n) ? $n : undef });
}

sub is_gone { return !-e "/proc/$_[0]" || (slurp("/proc/$_[0]/stat") // ' Z ') =~ /\) Z / }

sub fd_count { return scalar(() = glob "/proc/$_[0]/fd/*") }

part 'the command line' => sub {
        for my $case (
                [[qw(-a --request)], qr/--request goes with --workers, and with --accept/],
                [[qw(--request --workers=2)], qr/--request goes with --workers, and with --accept/],
                [[qw(-w --request --workers=2)], qr/--request goes with --workers, and with --accept/],
                [[qw(-a --workers=2)], qr/--workers goes with --pass or --request/],
                [[qw(-a --pass --request --workers=2)], qr/--pass and --request exclude each other/],
                [[qw(-a --request --workers=1025)], qr/--workers is 1024 at most/],
                [[qw(-a --request --workers=0)], qr/a number from 1/],
                (map { [['-a', '--request', '--workers=2', $_], qr/--request excludes --inetd, --fds, --fdname and --spare/] }
                        qw(--inetd --fds --fdname=x --spare=1)),
                (map { [['-a', '--request', '--workers=2', $_], qr/requests are found in streams of bytes/] }
                        qw(--seqpacket --datagram)),
                [['-a', '--request', '--workers=2', '-l', "seqpacket:$DIR/x"], qr/no stream address, and requests are found in streams/],
                (map { [['-a', $_], qr/^activate: \Q@{[$_ =~ s{=.*}{}r]}\E goes with --request only/] }
                        qw(--end=x --reply-end=x --max-size=20 --keep-alive --busy-timeout=1s --queue=3 --error=x)),
                [['-a', '--request', '--workers=2', '--end=\\q'], qr/'\\q' has a backslash that begins nothing/],
                [['-a', '--request', '--workers=2', '--error=\\x00'], qr/\(not 00\)/],
                [['-a', '--request', '--workers=2', '--error=a\\'], qr/backslash that begins nothing/],
        ) {
                my ($args, $want) = @$case;
                my ($status, $text) = run_to_end(args => [@$args, (grep { $_ eq '-l' } @$args) ? () : ('-l', "$DIR/usage"), 'cat']);

                is($status, 2, "@$args: 2");
                like($text, $want, 'and why');
        }
        ok(!-e "$DIR/usage", 'nothing was opened');
};

# What the broker says of VALUE for KEY, without its place.
sub broker_says {
        my ($key, $value) = @_;

        open my $conf, '>', "$DIR/check.yaml" or die "$DIR/check.yaml: $!";
        print $conf "services:\n  r: {listen: $DIR/r, wait: no, handoff: request, command: [cat], request: {$key: '$value'}}\n";
        close $conf;
        my ($text) = `$BrokerTest::BROKER check -c $DIR/check.yaml 2>&1` =~ /request\.\Q$key\E: (.*)/;
        return $text;
}

part 'the same bounds, texts and defaults as in broker.yaml(5)' => sub {
        my %values = (
                end => ['', 'x' x 16, 'x' x 17], reply_end => ['', 'x' x 16, 'x' x 17], max_size => [qw(15 16 16M 16385K 2x -1)],
                keep_alive => [qw(yes no maybe)], busy_timeout => [qw(9ms 10ms infinity 200000d soon)],
                queue => [qw(-1 0 1048576 1048577 many)],
        );

        for my $key (sort keys %values) {
                my $option = '--' . $key =~ tr/_/-/r;
                for my $value (@{ $values{$key} }) {
                        my ($status, $text) = run_to_end(args => ['-a', '--request', '--workers=1', "$option=$value", '-l', 'udp:1', 'cat']);
                        my ($said) = $text =~ /^activate: \Q$option\E: (.*)/m;
                        is($said, broker_says($key, $value), "$option=$value: " . ($said // 'is taken'));
                }
        }
        broker_says(queue => 1024);
        my $shown = `$BrokerTest::BROKER show -c $DIR/check.yaml 2>&1`;
        my %default = ($shown =~ /^\s+request:\n((?:\s{6,}.*\n)+)/m ? $1 : '') =~ /^\s+(\w+): (.*)$/mg;
        my %helped = map { tr/-/_/r } `$ACTIVATE --help` =~ /^\s+--([\w-]+)\S*\s.*\(default: (.*?)\)$/mg;

        is(keys %default, 7, 'broker show has defaults') or diag($shown);
        is($helped{$_}, $default{$_} =~ s/^(["'])(.*)\1$/$2/r, "$_: default " . $default{$_}) for sort keys %default;
};

part 'one process id, and what is loaded' => sub {
        skip_part('sanitizers load libraries of their own') if $ENV{BROKER_SANITIZED};
        my $needed = sub { return join ' ', sort map { /\(NEEDED\).*\[(.*?)\]/ ? $1 : () } `readelf -d $_[0] 2>/dev/null` };

        skip_part('there is no readelf') if system('readelf --version >/dev/null 2>&1') != 0;
        is($needed->($ACTIVATE), 'libc.so.6', 'activate needs the C library and nothing else');
        like($needed->("$ACTIVATE-request"), qr/libsystemd/, 'what it becomes has an event loop');
        my $activate = start('--workers=1', '-l', "$DIR/exe", worker());
        $activate->addresses;
        is(readlink('/proc/' . $activate->pid . '/exe'), "$ACTIVATE-request", 'it becomes that one');
        is((split /\0/, slurp('/proc/' . $activate->pid . '/cmdline'))[0], $ACTIVATE, 'under its own name');
        $activate->signal('TERM');
        is($activate->ended, 0, 'with its process id');
};

part 'where it is found' => sub {
        my $there = "$DIR/there";
        mkdir $there;
        copy($ACTIVATE, "$there/activate") or die "copy: $!";
        chmod 0755, "$there/activate";
        my ($installed) = `strings -a $ACTIVATE 2>/dev/null` =~ m{^(/\S+/activate-request)$}m;
        skip_part('there is no strings(1)') if !$installed;
        my $plan = slurp("$BrokerTest::BUILD/meson-info/intro-installed.json") // '';
        like($plan, qr{activate/activate-request": "\Q$installed\E"}, 'it is looked for where it is installed');
        my @command = (program => "$there/activate", args => [request('--workers=1', '-l', "$DIR/found", worker())]);
        if (-e $installed) {
                note("$installed is there");
        } else {
                my ($status, $text) = run_to_end(@command);
                is($status, 1, 'without it: 1');
                is($text, "activate: --request needs '$installed', which cannot be executed: No such file or directory", 'and what is missing');
        }
        copy("$ACTIVATE-request", "$there/activate-request") or die "copy: $!";
        chmod 0755, "$there/activate-request";
        my $activate = ActivateTest->start(@command);
        is(ask(scalar $activate->addresses, 'x'), "re: x\n", 'beside activate it is found');
        $activate->signal('TERM');
        is($activate->ended, 0, 'and ends');
        my ($status, $text) = run_to_end(program => "$ACTIVATE-request", args => ['-l', "$DIR/x", 'cat']);
        is($status, 2, "by itself it is of no use: $text");
};

part 'requests and replies' => sub {
        my $activate = start('--workers=2', '-l', '127.0.0.1:0', '-l', "$DIR/r.sock", '-E', 'GIVEN=this', worker());
        my @addresses = $activate->addresses(2);

        is(ask($_, 'hello'), "re: hello\n", "a request over $_, its reply, and the end") for @addresses;
        is(figures($activate)->{spawns}, 2, 'workers are there before their work');
        my $client = connect_to($addresses[0]);
        syswrite $client, $_ for split //, "slowly\n";
        is(BrokerTest::read_all($client), "re: slowly\n", 'a request in many pieces');
        is(ask($addresses[1], "one\ntwo"), "re: one\n", 'one request on a connection');
        is(ask($addresses[0], 'long 65000'), 'x' x 65000 . "\n", 'a long reply');
        is(ask($addresses[0], 'long 65536'), "ERR\n", 'one that is too long');
        ok($activate->line(qr/^activate: worker \d+ has said more than was asked for/), 'is said');
        is(ask($addresses[0], 'z' x 70000), "ERR\n", 'as is a request');
        is(ask($addresses[0], 'env GIVEN'), "this\n", '-E');
        is(ask($addresses[0], "env $_"), "none\n", "no $_") for qw(LISTEN_FDS LISTEN_PID NOTIFY_SOCKET REMOTE_ADDR);
        is(ask($addresses[0], 'fds'), "0,1,2\n", 'workers have stdin, stdout and stderr alone');
        is(ask($addresses[0], 'say hello there'), "re: say hello there\n", 'a worker with something to say');
        ok($activate->line(qr/^hello there$/), 'says it on our stderr');
        is(ask($addresses[0], 'die'), "ERR\n", 'one that dies costs one request');
        is(ask($addresses[0], 'again'), "re: again\n", 'and then it goes on');
        my $n = figures($activate);
        is($n->{failed}, 3, 'failed requests are counted');
        is($n->{total}, $n->{replied} + 3, 'and the others');
        is($n->{'0-100'} + $n->{'100-250'} + $n->{'250-500'} + $n->{'500-750'} + $n->{'750-1000'} + $n->{'1000-'}, $n->{replied},
                'in classes');
        $activate->signal('USR2');
        ok($activate->line(qr/^worker \d+: idle for \d+\.\d{3}s, \d+ requests, running for /), 'SIGUSR2 shows workers') for 1, 2;
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends with 0');
        ok(!-e "$DIR/r.sock", 'without a path left behind');
};

part 'framing' => sub {
        my $activate = start('--workers=1', '--end=;\x3b', '--reply-end=END\r\n', '--keep-alive', '--max-size=32', '--error=no\t\\\\',
                '-l', "$DIR/framing", worker(';;', "END\r\n"));
        my $client = connect_to(scalar $activate->addresses);

        syswrite $client, $_ for 'a;b;', ';c', ';;d;', ';';
        is(reply($client), "re: ${_}END\r\n", "a request: $_") for 'a;b', 'c', 'd';
        syswrite $client, 'z' x 40;
        is(BrokerTest::read_all($client), "no\t\\", '--max-size, --error');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '--keep-alive=no', '--error=', '--max-size=32', '-l', "$DIR/framing", worker());
        my $address = $activate->addresses;
        is(ask($address, "a\nb"), "re: a\n", '--keep-alive=no');
        is(ask($address, 'z' x 40), '', 'an error may be nothing');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part 'who waits' => sub {
        my $activate = start('--workers=1', '--keep-alive', '--queue=2', '-l', "$DIR/queue", worker());
        my $address = $activate->addresses;
        my $fifo = fifo('hold');
        my ($first, @others) = map { connect_to($address) } 1 .. 4;

        say_to($first, "hold $fifo");
        ok(wait_figures($activate, sub { $_[0]{busy} == 1 }), 'a worker is busy');
        for my $i (0, 1) {
                say_to($others[$i], "waits $i");
                ok(wait_figures($activate, sub { $_[0]{waiting} == $i + 1 }), 'another one waits for it');
        }
        say_to($others[2], 'too many');
        is(reply($others[2]), "ERR\n", 'a full queue answers at once');
        $activate->signal('USR2');
        ok($activate->line(qr/^worker \d+: busy for /), 'SIGUSR2 shows that it is busy');
        release($fifo);
        is(reply($first), "re: hold $fifo\n", 'the one that was held is answered');
        is(reply($others[$_]), "re: waits $_\n", 'and who waited') for 0, 1;
        my $n = figures($activate);
        is("@$n{qw(total replied delayed failed waiting connections)}", '4 3 2 1 0 4', 'the counts');
        close $_ for $first, @others;
        ok(wait_figures($activate, sub { $_[0]{connections} == 0 }), 'who has left is forgotten');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '--busy-timeout=50ms', '-l', "$DIR/busy", worker());
        $address = $activate->addresses;
        is(ask($address, 'hang'), "ERR\n", '--busy-timeout');
        ok($activate->line(qr/^activate: worker \d+ has not answered in time \(--busy-timeout\), and is replaced$/), 'is said');
        ok(eventually(sub { ask($address, 'x') eq "re: x\n" }), 'and the worker replaced');
        is(ask($address, 'mute'), "ERR\n", 'one that closes its stdout');
        ok($activate->line(qr/^activate: worker \d+ has closed its stdout/), 'is said, too');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part '--instances and --per-source' => sub {
        my $activate = start('--workers=1', '--keep-alive', '--instances=2', '-l', "$DIR/instances", worker());
        my $address = $activate->addresses;
        my @clients = map { connect_to($address) } 1 .. 3;

        say_to($_, 'x') for @clients;
        is(reply($clients[$_]), "re: x\n", 'as many as --instances are served') for 0, 1;
        is(figures($activate)->{connections}, 2, 'one more waits');
        ok(!IO::Select->new($clients[2])->can_read(0), 'without an answer');
        close $clients[0];
        is(reply($clients[2]), "re: x\n", 'until one has left');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '--keep-alive', '--per-source=1', '-l', '127.0.0.1:0', worker());
        $address = $activate->addresses;
        my $client = say_to(connect_to($address), 'x');
        is(reply($client), "re: x\n", 'one of a source');
        is(BrokerTest::read_all(connect_to($address)), '', 'a second one is closed');
        is(reply(say_to(connect_to($address, from => '127.0.0.2'), 'y')), "re: y\n", 'another source is served');
        close $client;
        ok(eventually(sub { (reply(say_to(connect_to($address), 'z')) // '') eq "re: z\n" }), 'and the first again, when it has left');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part 'inherited sockets' => sub {
        my $web = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 5) or die;
        my $address = '127.0.0.1:' . $web->sockport;
        my $activate = ActivateTest->start(
                args => [request('--workers=1', '-l', "$DIR/more", worker())],
                env => { LISTEN_FDS => 1, LISTEN_PID => 1 },
                setup => sub {
                        POSIX::dup2(fileno $web, 3) if fileno $web != 3;
                        # close-on-exec goes with the number, also where it was 3 already
                        open my $three, '<&=', 3 or die;
                        fcntl $three, F_SETFD, 0;
                },
        );

        is_deeply([$activate->addresses(2)], [$address, "$DIR/more"], 'an inherited socket, and one of -l');
        is(ask($_, 'x'), "re: x\n", "served: $_") for $address, "$DIR/more";
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
        ok(connect_to($address), 'the socket is still ours');
};

part 'told to stop' => sub {
        my $activate = start('--workers=2', '--keep-alive', '-l', "$DIR/stop", worker());
        my $address = $activate->addresses;
        my $fifo = fifo('stop-hold');
        my ($busy, $idle) = map { connect_to($address) } 1 .. 2;

        is(reply(say_to($idle, 'x')), "re: x\n", 'a client that has been answered');
        say_to($busy, "hold $fifo");
        ok(wait_figures($activate, sub { $_[0]{busy} == 1 }), 'and one that waits for its answer');
        $activate->signal('TERM');
        ok($activate->line(qr/^stopping: 2 to wait for$/), 'SIGTERM');
        is(BrokerTest::read_all($idle), '', 'who has nothing on its way is closed');
        ok(!connect_to($address, may_fail => 1), 'nobody else is let in');
        release($fifo);
        is(BrokerTest::read_all($busy), "re: hold $fifo\n", 'who is in is answered');
        is($activate->ended, 0, 'and then it ends with 0');
        like($activate->rest, qr/^pid \d+ ended: .*\npid \d+ ended: /m, 'with its workers');

        $activate = start('--workers=2', '-l', "$DIR/stop", worker());
        $address = $activate->addresses;
        my $child = ask($address, 'child') + 0;
        $busy = say_to(connect_to($address), 'hang');
        ok(wait_figures($activate, sub { $_[0]{busy} == 1 }), 'a worker that hangs');
        $activate->signal('TERM');
        $activate->line(qr/^stopping/);
        $activate->signal('TERM');
        is($activate->ended, 1, 'a second signal ends it at once, with 1');
        is(BrokerTest::read_all($busy), '', 'its client is closed');
        ok(eventually(sub { is_gone($child) }), 'what a worker has started is killed, too');

        $activate = start('--workers=1', '--busy-timeout=50ms', '-l', "$DIR/stop", worker());
        my $silent = connect_to(scalar $activate->addresses);
        ok(wait_figures($activate, sub { $_[0]{connections} == 1 }), 'a client that says nothing');
        $activate->signal('INT');
        is($activate->ended, 0, 'does not hold it for longer than --busy-timeout');
};

part 'the supervisor' => sub {
        my $supervisor = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$DIR/notify") or die "notify: $!";
        my $told = sub {
                IO::Select->new($supervisor)->can_read($BrokerTest::TIMEOUT) or return;
                $supervisor->recv(my $message, 4096);
                return $message;
        };
        my $activate = ActivateTest->start(args => [request('--workers=1', '-l', "$DIR/told", worker())],
                env => { NOTIFY_SOCKET => "$DIR/notify" });

        is($told->(), 'READY=1', 'is told when it listens');
        is(ask("$DIR/told", 'env NOTIFY_SOCKET'), "none\n", 'workers have nothing of it');
        $activate->signal('TERM');
        is($told->(), 'STOPPING=1', 'and when it stops');
        is($activate->ended, 0, 'it ends');
};

part 'a program that is not there, or fails at once' => sub {
        my $program = "$DIR/later";
        my $activate = start('--workers=1', '-l', "$DIR/missing", '--', $program);
        my $address = $activate->addresses;

        ok($activate->line(qr/^activate: there is no program '\Q$program\E'$/), 'it is said');
        my $client = say_to(connect_to($address), 'x');
        open my $fh, '>', "$program.new" or die;
        print $fh qq(#!/bin/sh\nexec perl $worker\n);
        close $fh;
        chmod 0755, "$program.new";
        rename "$program.new", $program or die;
        is(BrokerTest::read_all($client), "re: x\n", 'who has come meanwhile is served when it is there');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '-l', "$DIR/never", '--', "$DIR/nowhere");
        $client = say_to(connect_to(scalar $activate->addresses), 'x');
        ok(wait_figures($activate, sub { !IO::Select->new($client)->can_read(0) }), 'another one waits');
        $activate->signal('TERM');
        is(BrokerTest::read_all($client), '', 'and is closed when activate is told to stop');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '--busy-timeout=100ms', '-l', "$DIR/failing", '--', 'false');
        $address = $activate->addresses;
        is(ask($address, 'x'), "ERR\n", 'of one that fails at once clients get --error');
        cmp_ok(figures($activate)->{spawns}, '<', 10, 'it is not started over and over');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');

        $activate = start('--workers=1', '--busy-timeout=100ms', '-l', "$DIR/failing", '--', "$DIR/told");
        ok($activate->line(qr/^activate: cannot execute|^activate: there is no program/), 'what is no program is said');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

# Sets soft limits of PID, as its user: that takes no privileges, which a container's root may not have.
sub prlimit {
        my ($pid, @limits) = @_;
        my $child = fork // die "fork: $!";

        if (!$child) {
                my ($uid, $gid) = (stat "/proc/$pid")[4, 5];
                if ($uid != $>) {
                        POSIX::setgid($gid);
                        POSIX::setuid($uid);
                }
                { exec 'prlimit', '--pid', $pid, @limits }
                POSIX::_exit(98);
        }
        waitpid $child, 0;
        return $? == 0;
}

sub cpu_ticks {
        my ($pid) = @_;
        my ($utime, $stime) = (split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //r)[11, 12];

        return $utime + $stime;
}

# Whether PID uses no processor for a while; a measurement over time, not a wait for something.
sub is_idle {
        my ($pid) = @_;
        my $before = cpu_ticks($pid);

        select undef, undef, undef, 0.3;
        return cpu_ticks($pid) - $before <= 1;
}

part 'out of descriptors' => sub {
        skip_part 'there is no prlimit(1)' unless $has_prlimit;
        my $activate = start('--workers=1', '--keep-alive', '-l', '127.0.0.1:0', worker());
        my $address = $activate->addresses;
        my @clients = (connect_to($address));

        is(reply(say_to($clients[0], 'x')), "re: x\n", 'it serves');
        my ($highest) = sort { $b <=> $a } map { m{/(\d+)$} } glob '/proc/' . $activate->pid . '/fd/*';
        prlimit($activate->pid, '--nofile=' . ($highest + 1) . ':') or die;
        # There may be room below the highest one.
        push @clients, connect_to($address) for 1 .. $highest;
        ok($activate->line(qr/^activate: our limit of open files \(ulimit -n\) is reached: clients wait until it is not$/), 'the limit is said');
        ok(is_idle($activate->pid), 'nothing spins');
        is(reply(say_to($clients[0], 'y')), "re: y\n", 'who is in is served');
        prlimit($activate->pid, '--nofile=' . (2 * $highest + 50) . ':') or die;
        is(scalar(grep { (reply(say_to($_, 'z')) // '') ne "re: z\n" } @clients), 0, 'and all when there is room');
        close $_ for @clients;
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends as usual');
        is(() = $activate->rest =~ /limit of open files/g, 1, 'said once');
};

part 'clients who stay leave descriptors for workers' => sub {
        skip_part 'there is no prlimit(1)' unless $has_prlimit;
        my $activate = ActivateTest->start(args => [request('--workers=1', '--keep-alive', '-l', "$DIR/full", worker())],
                wrap => ['prlimit', '--nofile=40:40', '--']);
        my $address = $activate->addresses;
        my @clients = map { connect_to($address) } 1 .. 40;

        ok($activate->line(qr/limit of open files/), 'the limit is reached');
        say_to($clients[0], 'die');
        is(reply($clients[0]), "ERR\n", 'a worker dies');
        is(reply(say_to($clients[0], 'x')), "re: x\n", 'and is replaced though nobody has left');
        close shift @clients;
        is(reply(say_to($clients[0], 'x')), "re: x\n", 'who is in is served');
        close shift @clients while @clients > 1;
        is(reply(say_to($clients[0], 'last')), "re: last\n", 'and the last one, when others have left');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part 'out of processes' => sub {
        skip_part 'needs root' unless $is_root;
        skip_part 'there is no prlimit(1)' unless $has_prlimit;
        skip_part 'activate cannot be reached by another user' unless BrokerTest::reachable($ACTIVATE);
        my $activate = ActivateTest->start(args => [request('--workers=1', '-l', '127.0.0.1:0', worker())],
                setup => sub { POSIX::setgid(54322); POSIX::setuid(54322) });
        my $address = $activate->addresses;

        is(ask($address, 'x'), "re: x\n", 'it serves');
        prlimit($activate->pid, '--nproc=1:') or die;
        is(ask($address, 'die'), "ERR\n", 'its worker dies');
        my $client = say_to(connect_to($address), 'y');
        ok($activate->line(qr/limit of processes/), 'the limit is said');
        ok(is_idle($activate->pid), 'nothing spins');
        prlimit($activate->pid, '--nproc=100:') or die;
        is(BrokerTest::read_all($client), "re: y\n", 'the client is served when there is room');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part '--user' => sub {
        skip_part 'needs root' unless $is_root;
        my @nobody = getpwnam 'nobody' or skip_part 'there is no user nobody';
        my $activate = start('--workers=1', '-u', 'nobody', '-l', "$DIR/user", worker());
        my $address = $activate->addresses;

        is(ask($address, 'uid'), "$nobody[2]\n", 'workers are somebody else');
        is(ask($address, 'env USER'), "nobody\n", 'and know');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

part 'as the first process of a container' => sub {
        my @unshare = ('unshare', '-p', '-f', '--mount-proc', '--');
        skip_part 'no pid namespace can be made here' if system('unshare -p -f --mount-proc true >/dev/null 2>&1') != 0;
        my $activate = ActivateTest->start(args => [request('--workers=1', '-l', '127.0.0.1:0', '--', 'perl', '-ne',
                '$| = 1; if (!($pid = fork)) { exit if fork; sleep 1 while getppid != 1; exit 7 } waitpid $pid, 0; print "re: $_"')], wrap => \@unshare);
        my $address = $activate->addresses;
        my $children = sub { return split ' ', slurp("/proc/$_[0]/task/$_[0]/children") // '' };
        my ($first) = $children->($activate->pid);

        is(ask($address, 'x'), "re: x\n", 'a worker that leaves an orphan');
        ok(eventually(sub { $children->($first) == 1 }), 'which is reaped');
        kill 'TERM', $first;
        is($activate->ended, 0, 'SIGTERM ends it');
};

part '--claim' => sub {
        my $t = BrokerTest->new(later => 1);
        my $head = 'broker: {control: ' . $t->control . ", log: {format: json, level: debug}}\n";
        my $services = "echo: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --echo]}\n";
        local $ENV{BROKER_CONTROL} = $t->control;

        $t->write_conf($services, head => $head);
        $t->start;
        for my $ends (0, 1) {
                my $from = @{ $t->{log} };
                my $activate = ActivateTest->start(args => ['--claim=echo', request('--workers=1', worker())]);
                ok($t->wait_message('claimed', service => 'echo', -from => $from), 'claimed');
                is(BrokerTest::read_all(say_to($t->connect('echo'), 'x')), "re: x\n", 'served by a worker of activate');
                if ($ends) {
                        is(system($BrokerTest::BROKER, 'stop', 'echo'), 0, 'broker stop');
                        ok($activate->line(qr/the broker has ended the claim/), 'ends the claim');
                        is($activate->ended, 1, 'and activate, with 1');
                } else {
                        $activate->signal('TERM');
                        ok($t->wait_message('given back', service => 'echo', -from => $from), 'given back');
                        is($activate->ended, 0, 'it ends');
                        ok($t->served('echo'), 'the broker goes on');
                }
        }
        $t->stop;
};

part '10,000 mixed successes and failures leave nothing behind' => sub {
        my $address = "$DIR/many";
        # Without -v, since nobody reads meanwhile.
        my $activate = ActivateTest->start(args => ['-a', '--request', '--workers=4', '--keep-alive', '--busy-timeout=5s', '-l', $address, worker()]);
        my $pid = $activate->pid;

        ok(eventually(sub { connect_to($address, may_fail => 1) }), 'it listens');
        ok(wait_figures($activate, sub { $_[0]{idle} == 4 }), 'four workers');
        my $fds = fd_count($pid);
        my ($answered, $failed, $sent) = (0, 0, 0);
        srand 28;
        for (1 .. 1000) {
                my @clients = map { connect_to($address) } 1 .. 5;

                for my $client (@clients) {
                        my @requests = map { rand() < 0.01 ? 'die' : rand() < 0.01 ? 'twice' : rand() < 0.02 ? 'long 65536' : 'x' x rand 3000 } 1, 2;
                        say_to($client, @requests);
                        if (rand() < 0.1) { close $client; next }
                        shutdown $client, SHUT_WR;
                        $sent += 2;
                }
                for my $client (grep { fileno $_ } @clients) {
                        my $text = BrokerTest::read_all($client) // '';
                        $failed += () = $text =~ /^ERR$/mg;
                        $answered += () = $text =~ /^(?:re: |one$)/mg;
                }
        }
        cmp_ok($answered, '>', 7000, "$answered of $sent were answered, $failed got ERR");
        my $n = wait_figures($activate, sub { $_[0]{connections} == 0 && $_[0]{idle} == 4 && $_[0]{leaving} == 0 });
        ok($n, 'no connection is left, and all workers are idle');
        is($n->{total}, $n->{replied} + $n->{failed} + $n->{dropped} + $n->{timed_out}, 'all are accounted for');
        is(fd_count($pid), $fds, 'no descriptor is left');
        my @children = split ' ', slurp("/proc/$pid/task/$pid/children") // '1 2 3 4';
        is(@children, 4, 'nor a process');
        $activate->signal('TERM');
        is($activate->ended, 0, 'it ends');
};

# Nobody asks for --verbose before he needs it; the clients wait meanwhile.
part 'workers that end by themselves' => sub {
        for my $how ('--pass', '--request') {
                for (['sh -c "exit 7"', 'status 7'], ['sh -c "kill -9 $$"', 'signal 9'], ['true', 'status 0']) {
                        my ($command, $end) = @$_;
                        my $activate = ActivateTest->start(args => ['-a', '--workers=2', $how, '-l', "$DIR/s", '--', 'sh', '-c', $command]);

                        ok($activate->line(qr/^activate: worker \d+ has ended \($end\), and is replaced$/), "$how: $end is said");
                        $activate->signal('TERM');
                        is($activate->ended, 0, 'it ends');
                }
        }
};

part '--pass: a worker that shuts the queue down' => sub {
        my $activate = ActivateTest->start(args => [qw(-v -a --workers=2 --pass -l), "$DIR/shut", '--', "$ENV{BROKER_BUILD}/t/server/worker"]);
        my $address = $activate->addresses;
        my $pid_of = sub { my ($pid) = (BrokerTest::read_line($_[0]) // '') =~ /^worker (\d+)/; return $pid };

        for (1, 2) {
                my @clients = map { connect_to($address) } 1 .. 4;
                my @first = map { $pid_of->($_) } @clients[0, 1];

                is(scalar(grep { $_ } @first), 2, 'both workers serve somebody');
                say_to($clients[0], 'shut');
                # One that comes before any worker has ended, and those who wait in the queue.
                push @clients, connect_to($address);
                for my $client (@clients[2 .. 4]) {
                        my $pid = $pid_of->($client);

                        ok($pid && $pid != $first[0] && $pid != $first[1], 'another one serves who waited');
                        close $client;
                }
                ok($activate->line(qr/^activate: a worker has shut the queue down; all of them are replaced$/), 'and it is said');
        }
        my $client = connect_to($address);
        ok($pid_of->($client), 'it goes on');
        close $client;
        $activate->signal('TERM');
        is($activate->ended, 0, 'and ends with 0');
};

done_testing;
