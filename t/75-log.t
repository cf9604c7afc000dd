#!/usr/bin/perl
# The log: text and JSON, nothing a peer or a program says can forge a line, a reader that does not read holds nobody.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

{
        my $t = BrokerTest->new(head => "broker: {log: {format: text}}\n", services => <<'Y');
a: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, "--stderr=2026-01-01T00:00:00.000Z error a: forged\n\t tab\n"]}
Y
        my $listening = $t->wait_log(sub { ($_->{text} // '') =~ /listening/ })->{text};
        like($listening, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info a: listening address=127\.0\.0\.1:\d+ name=a$/, 'a line of text');
        my ($address) = $listening =~ /address=(\S+)/;
        BrokerTest::read_all(BrokerTest::connect_to($address));
        my $end = $t->wait_log(sub { ($_->{text} // '') =~ /connection ended/ });
        like($end->{text}, qr/ info a: connection ended peer=127\.0\.0\.1:\d+ pid=\d+ duration=\d+\.\d{6} status=exit:0$/, 'who, how long, how it ended');
        my $said = $t->wait_log(sub { ($_->{text} // '') =~ /forged/ }, from => 0);
        like($said->{text}, qr/^20\S+ info a: 2026-01-01T00:00:00\.000Z error a: forged stream=stderr$/, 'what a program says is marked as such');
        ok($t->wait_log(sub { ($_->{text} // '') =~ /info a: \\x09 tab/ }, from => 0), 'control characters are escaped');
        $t->stop;
}

{
        my $t = BrokerTest->new(head => "broker: {log: {format: json, level: warning}}\n", services => <<'Y');
a: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        1 while $t->read_log(0);
        is(scalar @{ $t->{log} }, 0, 'level: warning leaves the rest out');
        $t->stop;
}

# Nobody reads: the log's pipe fills, the broker goes on.
{
        my $t = BrokerTest->new(services => <<'Y');
noisy: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --noise=20000]}
echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
        my ($noisy, $echo) = map { $t->address($_) } qw(noisy echo);
        is(BrokerTest::read_all(BrokerTest::connect_to($noisy)), '', 'a program that writes 20,000 lines is not held up');
        for (1 .. 20) {
                my $c = BrokerTest::connect_to($echo);
                syswrite $c, "x\n";
                is(BrokerTest::read_line($c), "x\n", 'others are served meanwhile') if $_ == 20;
        }
        my $missing = $t->wait_message(qr/lines are missing/);
        ok($missing && $missing->{lines} > 0, 'what was lost is counted');
        # The broker may have been through with all of it before anything was read.
        my $after = @{ $t->{log} };
        is($t->ask('echo', "x\n"), "x\n", 'and afterwards');
        ok($t->wait_message('connection ended', service => 'echo', -from => $after), 'and the log goes on');
        $t->stop;
}

# The reader goes away.
{
        my $t = BrokerTest->new(services => "echo: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        my $address = $t->address('echo');
        close $t->{read};
        $t->{eof} = 1;
        for (1 .. 5) {
                my $c = BrokerTest::connect_to($address);
                syswrite $c, "x\n";
                is(BrokerTest::read_line($c), "x\n", 'served without anybody to read the log');
        }
        $t->stop;
}
# A journal that does not read: the broker has the other end itself, and nobody takes anything from it.
SKIP: {
        skip 'mount namespaces are not permitted here', 5 if system('unshare -m true 2>/dev/null') != 0 || $> != 0;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: '\@stuck-%DIR%', wait: no, command: [cat]}\n", head => "broker: {log: {format: journal, level: debug}}\n");
        $t->write_file('stuck.pl', <<'P');
use IO::Socket::UNIX;
use Socket;
my $dir = shift;
$^F = 1000;
system('mount', '-t', 'tmpfs', 'none', '/run') == 0 or die;
mkdir '/run/systemd';
mkdir '/run/systemd/journal';
our $journal = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => '/run/systemd/journal/socket') or die;
open my $proof, '>', "$dir/bound";
exec @ARGV;
P
        $t->start(wrap => ['unshare', '-m', $^X, $t->dir . '/stuck.pl', $t->dir]);
        ok(-e $t->dir . '/bound', 'a journal that does not read');
        my ($limit) = map { chomp; $_ } do { open my $fh, '<', '/proc/sys/net/unix/max_dgram_qlen'; <$fh> };
        my $served = 0;
        # Each is more than one entry.
        for (0 .. $limit) {
                my $c = BrokerTest::connect_to('@stuck-' . $t->dir);
                syswrite $c, "x\n";
                $served++ if (BrokerTest::read_line($c) // '') eq "x\n";
        }
        is($served, $limit + 1, 'does not hold the broker, once its queue is full');
        is(scalar @{ $t->{log} }, 0, 'nor does anything else get what it does not take');
        $t->stop;
}
SKIP: {
        skip 'there is a journal here', 1 if -e '/run/systemd/journal/socket';
        my $t = BrokerTest->new(head => "broker: {log: {format: journal}}\n", services => "a: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n");
        ok($t->wait_log(sub { ($_->{text} // '') =~ /listening/ }), 'without a journal the log is text');
        $t->stop;
}
# A namespace with a socket where a log daemon would have it; what it gets comes back through a FIFO.
my $namespaces = $> == 0 && system('unshare -m -n true 2>/dev/null') == 0;
sub start_captured {
        my ($t, $path) = @_;

        POSIX::mkfifo($t->dir . '/captured', 0600);
        open my $captured, '+<', $t->dir . '/captured' or die $!;
        $t->write_file('capture.pl', <<'P');
use IO::Socket::UNIX;
use Socket;
my ($dir, $path) = (shift, shift);
# A /dev of our own has to have what the broker and its programs need.
if ($path =~ m{^/dev/}) {
        mkdir "$dir/dev";
        system('mount', '-t', 'tmpfs', 'none', "$dir/dev") == 0 or die;
        for my $device (qw(null zero urandom)) {
                open my $fh, '>', "$dir/dev/$device" or die;
                system('mount', '--bind', "/dev/$device", "$dir/dev/$device") == 0 or die;
        }
        system('mount', '--rbind', "$dir/dev", '/dev') == 0 or die;
} else {
        system('mount', '-t', 'tmpfs', 'none', '/run') == 0 or die;
        mkdir $_ for '/run/systemd', '/run/systemd/journal';
}
$^F = 1000;
# What finds the queue full is lost. In a network namespace of our own it may be long.
if (open my $fh, '>', '/proc/sys/net/unix/max_dgram_qlen') { print $fh "1000\n" }
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die;
if (!fork) {
        open my $out, '>', "$dir/captured";
        $out->autoflush(1);
        while (1) {
                $socket->recv(my $entry, 65536);
                print $out unpack('H*', $entry), "\n";
                # For a while nobody reads.
                if ($entry =~ /hold/) {
                        open my $back, '<', "$dir/back";
                        <$back>;
                }
                # Somebody ends it, and starts it again.
                if ($entry =~ /away/) {
                        close $socket;
                        unlink $path;
                        print $out unpack('H*', 'gone'), "\n";
                        open my $back, '<', "$dir/back";
                        <$back>;
                        $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die;
                        print $out unpack('H*', 'there'), "\n";
                }
                last if $entry =~ /bye/;
        }
        exit 0;
}
close $socket;
exec @ARGV;
P
        $t->start(wrap => ['unshare', '-m', '-n', '--propagation', 'private', $^X, $t->dir . '/capture.pl', $t->dir, $path]);
        return $captured;
}

# What was captured up to an entry that matches. What has come after it is for the next time.
sub captured_until {
        my ($captured, $pattern, $timeout) = @_;
        my $text = \(${*$captured}{rest} //= '');
        my @entries;

        do {
                while ($$text =~ s/^([0-9a-f]*)\n//) {
                        push @entries, pack 'H*', $1;
                        return @entries if $entries[-1] =~ $pattern;
                }
        } while (IO::Select->new($captured)->can_read($timeout // $BrokerTest::TIMEOUT) && sysread $captured, $$text, 65536, length $$text);
        return @entries, 'nothing more came';
}

# The journal.
SKIP: {
        skip 'mount namespaces are not permitted here', 5 unless $namespaces;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: '%DIR%/s', wait: no, command: ['true']}\n", head => "broker: {log: {format: journal}}\n");
        my $captured = start_captured($t, '/run/systemd/journal/socket');
        BrokerTest::read_all(BrokerTest::connect_to($t->dir . '/s'));
        my ($entry) = grep { /^MESSAGE=connection ended$/m } captured_until($captured, qr/^MESSAGE=connection ended$/m);
        like($entry, qr/\AMESSAGE=connection ended\n/, 'the journal gets the message');
        like($entry, qr/^BROKER_SERVICE=a\n.*^BROKER_STATUS=exit:0$/ms, 'and its fields');
        like($entry, qr/^PRIORITY=6$/m, 'and its priority');
        $t->signal('TERM');
        $t->wait_exit;
        like((captured_until($captured, qr/^MESSAGE=bye$/m))[-1], qr/^MESSAGE=bye$/m, 'up to the last words');
        is(scalar @{ $t->{log} }, 0, 'stderr gets nothing');
        $t->stop(ended => 1);
}

# What a daemon that does not read has no room for is counted, and told when it reads again.
SKIP: {
        skip 'mount namespaces are not permitted here', 10 unless $namespaces;
        for my $sink (['journal', '/run/systemd/journal/socket', qr/^BROKER_LINES=(\d+)$/m], ['syslog', '/dev/log', qr/ lines=(\d+)\z/]) {
                my ($format, $path, $lines) = @$sink;
                my $t = BrokerTest->new(later => 1);
                $t->write_conf(<<'Y', head => "broker: {log: {format: $format}}\n");
say: {listen: '%DIR%/s', wait: no, command: [sh, -c, 'read x; echo "$$x" >&2']}
noisy: {listen: '%DIR%/n', wait: no, instances: 1, command: [sh, -c, 'read n; exec %PROBE% --noise=$$n']}
Y
                my $captured = start_captured($t, $path);
                my $say = sub {
                        my $c = BrokerTest::connect_to($t->dir . '/s');
                        syswrite $c, "$_[0]\n";
                        BrokerTest::read_all($c);
                };
                POSIX::mkfifo($t->dir . '/back', 0600);
                $say->('hold');
                captured_until($captured, qr/hold/);
                # The second is served when all that the first has said was logged.
                for my $noise (2000, 0) {
                        my $c = BrokerTest::connect_to($t->dir . '/n');
                        syswrite $c, "$noise\n";
                        is(BrokerTest::read_all($c), '', "$format: nobody waits for it");
                }
                $t->write_file('back', '');
                # How long the queue is, and how fast it is read, is not ours to say.
                my @entries;
                for my $try (1 .. 100) {
                        $say->('again');
                        push @entries, captured_until($captured, qr/again/, 0.2);
                        last if "@entries" =~ /lines are missing here.*again/s;
                }
                my ($told) = grep { /lines are missing here/ } @entries;
                like($told, $lines, "$format: lines that were lost are counted");
                ok((grep { /again/ } @entries), "$format: and the log goes on");
                is(scalar @{ $t->{log} }, 0, "$format: stderr gets nothing");
                $t->stop;
        }
}

# Syslog, and without a daemon there text, until there is one again.
SKIP: {
        skip 'mount namespaces are not permitted here', 10 unless $namespaces;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: '%DIR%/s', wait: no, command: [sh, -c, 'read x; echo \"\$\$x\" >&2']}\n", head => "broker: {log: {format: syslog}}\n");
        my $captured = start_captured($t, '/dev/log');
        my $say = sub {
                my $c = BrokerTest::connect_to($t->dir . '/s');
                syswrite $c, "$_[0]\n";
                BrokerTest::read_all($c);
        };
        $say->('hello');
        # What it has said comes by another way than its end, and may come later.
        my @entries = captured_until($captured, qr/connection ended/);
        my ($ended) = grep { /connection ended/ } @entries;
        push @entries, captured_until($captured, qr/hello/) unless grep { /hello/ } @entries;
        my ($said) = grep { /hello/ } @entries;
        like($said, qr/^<30>[A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d broker\[$t->{main_pid}\]: a: hello stream=stderr\z/, 'a line of syslog');
        like($ended, qr/: a: connection ended peer="uid \d+ pid \d+" pid=\d+ duration=\d+\.\d+ status=exit:0\z/, 'with its fields');
        is(scalar @{ $t->{log} }, 0, 'stderr gets nothing');
        POSIX::mkfifo($t->dir . '/back', 0600);
        $say->('away');
        captured_until($captured, qr/^gone/);
        $say->('without');
        ok($t->wait_log(sub { ($_->{text} // '') =~ /info a: without stream=stderr/ }), 'without a daemon the log is text');
        $t->write_file('back', '');
        captured_until($captured, qr/^there/);
        $say->('again');
        my @again = captured_until($captured, qr/again/);
        like($again[-1], qr/: a: again stream=stderr\z/, 'and syslog again, once there is one');
        $t->signal('TERM');
        $t->wait_exit;
        like((captured_until($captured, qr/bye/))[-1], qr/^<30>.*: bye status=0\z/, 'up to the last words');
        $t->stop(ended => 1);
}

# Nobody can forge a line, or reach the terminal of who reads it: not a program, not a client by the path its socket has, not
# by a PROXY header.
my @evil = ("\x1b[2J\x1b]0;title\x07", "\x9b31m", "\xc2\x9b31m", "\xe2\x80\xae", "\xe2\x80\xa8", "\xff\xfe", "\r2026-01-01T00:00:00.000Z error forged: yes",
        '{"service":"forged"}', '","service":"forged', "MESSAGE=x\x0bPRIORITY=0", "BROKER_SERVICE=forged", "<0>forged: x", "a\0b");

# Nothing in TEXT may be anything but characters that stand where they are.
sub is_harmless {
        my ($text, $what) = @_;

        my $copy = $text;

        return ok(utf8::decode($copy) && $copy !~ /[\x00-\x09\x0b-\x1f\x7f-\x9f\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]/, $what)
                || diag(join "\n", grep { /[^\x20-\x7e]/ } map { s/([^\x20-\x7e])/sprintf '<%02x>', ord $1/ger } split /\n/, $text);
}

sub tempt {
        my ($t, $end) = @_;
        my $file = $t->write_file('evil', join "\n", @evil);
        my $address = $t->dir . '/s';
        my $path = $t->dir . "/c\n\x1b[31mPRIORITY=0\nBROKER_FORGED=x\xff";
        my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Peer => $address) or die "$path: $!";

        BrokerTest::read_all($client);
        $client = BrokerTest::connect_to($t->dir . '/p');
        syswrite $client, "PROXY TCP4 1.1.1.1\x1b[31m 2.2.2.2\nforged 1 2\r\n";
        BrokerTest::read_all($client);
        return;
}

my $evil_services = <<'Y';
a: {listen: "%DIR%/s", wait: no, command: [sh, -c, 'cat %DIR%/evil >&2']}
p: {listen: "%DIR%/p", wait: no, proxy_protocol: require, proxy_protocol_from: 127.0.0.1, command: [cat]}
Y
for my $format (qw(text json)) {
        my $t = BrokerTest->new(head => "broker: {log: {format: $format}}\n", services => $evil_services);
        my $raw = '';
        tempt($t);
        my $ended = $t->wait_log(sub { ($_->{text} // $_->{message}) =~ /connection ended/ }, from => 0);
        $t->signal('TERM');
        $t->wait_exit;
        for (map { $_->{text} // JSON::PP->new->canonical->encode($_) } @{ $t->{log} }) { $raw .= "$_\n" }
        if ($format eq 'text') {
                is_harmless($raw, 'text: nothing but text');
                is(scalar(grep { !/^20\d\d-\d\d-\d\dT\S+Z (?:info|warning|error) / } split /\n/, $raw), 0, 'text: every line is ours');
                like($raw, qr/^\S+ info a: \\x9b31m stream=stderr$/m, 'text: escaped');
                like($ended->{text}, qr/peer="\S*c\\u000a\\u001b\[31mPRIORITY=0/, 'text: the path of a client') or diag($ended->{text});
        } else {
                is(scalar(grep { exists $_->{text} } @{ $t->{log} }), 0, 'json: every line is ours');
                is(scalar(grep { ($_->{service} // 'a') !~ /^[ap]$/ } @{ $t->{log} }), 0, 'json: no field can be forged');
                like($ended->{peer}, qr/c\n\x1b\[31mPRIORITY=0\nBROKER_FORGED=x\x{fffd}$/, 'json: the path of a client');
        }
        $t->stop(ended => 1);
}
SKIP: {
        skip 'mount namespaces are not permitted here', 14 unless $namespaces;
        for my $sink (['journal', '/run/systemd/journal/socket'], ['syslog', '/dev/log']) {
                my ($format, $path) = @$sink;
                my $t = BrokerTest->new(later => 1);
                $t->write_conf($evil_services, head => "broker: {log: {format: $format}}\n");
                my $captured = start_captured($t, $path);
                tempt($t);
                $t->signal('TERM');
                $t->wait_exit;
                # What finds the queue full is lost, the last words too.
                my @entries = grep { $_ ne 'nothing more came' } captured_until($captured, qr/bye/);
                ok((grep { /\\x1b\[2J/ } @entries), "$format: escaped");
                is_harmless(join("\n", @entries), "$format: nothing but text");
                my $ours = $format eq 'journal' ? qr/\A(?:[A-Z_]+=[^\n]*\n)+\z/ : qr/\A<\d\d>[A-Z][a-z]{2} [^\n]*\z/;
                is(join("\n--\n", grep { !/$ours/ } @entries), '', "$format: every entry is well-formed");
                is(scalar(grep { /^(?:BROKER_FORGED|BROKER_SERVICE=forged|PRIORITY=0|<0>)/m } @entries), 0, "$format: nothing is forged");
                $t->stop(ended => 1);
        }
}
# A line of a megabyte becomes lines of a bounded length.
{
        my $t = BrokerTest->new(head => "broker: {log: {format: text}}\n", services => <<'Y');
a: {listen: 127.0.0.1:0, wait: no, command: [sh, -c, 'head -c 1000000 /dev/zero | tr "\0" "\033" >&2']}
Y
        my ($address) = $t->wait_log(sub { ($_->{text} // '') =~ /listening/ })->{text} =~ /address=(\S+)/;
        BrokerTest::read_all(BrokerTest::connect_to($address));
        $t->signal('TERM');
        $t->wait_exit;
        my @long = grep { length > 9000 } map { $_->{text} } @{ $t->{log} };
        is(@long, 0, 'no line is longer than that');
        cmp_ok(scalar(grep { $_->{text} =~ /info a: (?:\\x1b){2000} stream=stderr$/ } @{ $t->{log} }), '>', 0, 'and each is marked as what it is');
        $t->stop(ended => 1);
}
done_testing;
