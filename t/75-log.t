#!/usr/bin/perl
# The log: text and JSON, nothing a peer or a program says can forge a line, a reader that does not read holds nobody.
use strict;
use warnings;
use BrokerTest;
use IO::Select;
use JSON::PP qw(decode_json);
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
        ok($t->wait_message('connection ended', service => 'echo'), 'and the log goes on');
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
# The journal: a socket of our own where it would be, in a mount namespace; and without one, text.
SKIP: {
        skip 'mount namespaces are not permitted here', 6 if system('unshare -m true 2>/dev/null') != 0 || $> != 0;
        my $t = BrokerTest->new(later => 1);
        $t->write_conf("a: {listen: '\@journal-%DIR%', wait: no, command: ['true']}\n", head => "broker: {log: {format: journal}}\n");
        # What the journal gets comes back through a FIFO, which is open before anybody writes.
        POSIX::mkfifo($t->dir . '/journal', 0600);
        open my $journal, '+<', $t->dir . '/journal' or die $!;
        $t->write_file('journal.pl', <<'P');
use IO::Socket::UNIX;
use Socket;
my $dir = shift;
system('mount', '-t', 'tmpfs', 'none', '/run') == 0 or die;
mkdir '/run/systemd';
mkdir '/run/systemd/journal';
my $journal = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => '/run/systemd/journal/socket') or die;
if (!fork) {
        open my $out, '>', "$dir/journal";
        $out->autoflush(1);
        while (1) {
                $journal->recv(my $entry, 65536);
                print $out $entry, "\0\n";
                last if $entry =~ /MESSAGE=bye/;
        }
        exit 0;
}
exec @ARGV;
P
        $t->start(wrap => ['unshare', '-m', $^X, $t->dir . '/journal.pl', $t->dir]);
        BrokerTest::read_all(BrokerTest::connect_to('@journal-' . $t->dir));
        $t->signal('TERM');
        $t->wait_exit;
        my $text = '';
        while ($text !~ /MESSAGE=bye/ && IO::Select->new($journal)->can_read($BrokerTest::TIMEOUT)) {
                sysread $journal, $text, 65536, length $text;
        }
        like($text, qr/MESSAGE=connection ended\n/, 'the journal gets the message');
        like($text, qr/BROKER_SERVICE=a\n.*BROKER_STATUS=exit:0\n/s, 'and its fields');
        like($text, qr/^PRIORITY=6$/m, 'and its priority');
        is(scalar @{ $t->{log} }, 0, 'stderr gets nothing');
        $t->stop(ended => 1);
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
done_testing;
