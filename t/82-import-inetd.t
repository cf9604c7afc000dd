#!/usr/bin/perl
# What `broker import inetd` makes of a file, run: internal services, a program per connection, a server for datagrams,
# tcpmux, and what programs see of it. Ports are the kernel's.
use strict;
use warnings;
use lib 't/lib';

use BrokerTest;
use ImportTest qw(run_import);
use IO::Select;
use Test::More;

my $t = BrokerTest->new(later => 1);
my $dir = $t->dir;
my $user = getpwuid $>;
my $group = getgrgid +(split / /, $))[0];

# Sends back what it gets, in capitals, until somebody says so; it is told where to stand and what it is called.
$t->write_file('shout.pl', <<'P');
use Cwd qw(getcwd);
open my $socket, '+<&=', 0 or die;
while (my $from = recv $socket, my $text, 1000, 0) {
        send $socket, uc($text) . ' ' . getcwd(), 0, $from;
        exit 0 if $text eq 'end';
}
P

my $conf = <<"E";
127.0.0.1:
4201	stream	tcp	nowait	$user	internal	echo
4202	dgram	udp	wait	$user	internal	echo
4203	stream	tcp	nowait	$user	/bin/cat	cat
4204	stream	tcp	nowait/2/0/1	$user:$group	/bin/sh	-my-name -c 'echo "\$0 \$1"; echo lost >&2' x 'two words'
4205	dgram	udp	wait	$user	$^X	perl $dir/shout.pl
4206	stream	tcp	nowait	root	internal	tcpmux
tcpmux/+copy	stream	tcp	nowait	$user	/bin/cat	cat
tcpmux/self	stream	tcp	nowait	$user	/bin/echo	echo +here
$dir/cat.sock	stream	unix	nowait	$user	/bin/cat	cat
#<off># 4207	stream	tcp	nowait	$user	/bin/cat	cat
E
$t->write_file('inetd.conf', $conf);
my ($status, $yaml, $err) = run_import('inetd', $dir, 'inetd.conf');
is($status, 0, 'it is imported');
is($err, '', 'without a word') or diag($yaml);

(my $free = $yaml) =~ s/(127\.0\.0\.1:)\d+/${1}0/g;
$t->write_file('conf/import.yaml', "broker: {log: {format: json, level: debug}}\n$free");
$t->start;

# Sends TEXT and returns the answer to it.
sub datagram {
        my ($service, $text) = @_;
        my $socket = $t->connect($service);

        send $socket, $text, 0;
        IO::Select->new($socket)->can_read($BrokerTest::TIMEOUT) or return;
        recv $socket, my $got, 1000, 0;
        return $got;
}

is($t->ask('port-4201', 'hello'), 'hello', 'echo is answered by the broker');
is(datagram('port-4202', 'hello'), 'hello', 'and by datagrams');
is($t->ask('cat', "one\ntwo\n"), "one\ntwo\n", 'a program of its own for a connection');
is($t->ask('cat.sock', 'path'), 'path', 'on a path too');
is((stat "$dir/cat.sock")[2] & 0777, 0600, 'which is its owner\'s alone');
like($t->ask('sh', ''), qr{^x two words\nlost\n\z}, 'words in quotes, and stderr goes to the client');
is(datagram('perl', 'a'), 'A /', 'a server has the socket, and starts in /');
is(datagram('perl', 'end'), 'END /', 'it ends');
is(datagram('perl', 'b'), 'B /', 'and the next one is started');

sub mux {
        my ($name) = @_;
        my $socket = $t->connect('port-4206');

        syswrite $socket, "$name\r\n";
        shutdown $socket, 1;
        return BrokerTest::read_all($socket);
}
like(mux('copy'), qr/^\+.*\r\n\z/, 'tcpmux answers for a service with a plus');
is(mux('self'), "+here\n", 'and leaves it to the program without');
like(mux('none'), qr/^-/, 'and knows no others');
like($yaml, qr/enabled: no/, 'what is switched off stays so');

# The example of the manual.
{
        my $page = ImportTest::slurp('docs/coming-from-inetd.md');
        my ($before) = $page =~ /^```inetd\n(.*?)^```$/ms;
        my ($after) = $page =~ /^```yaml\n(.*?)^```$/ms;

        $t->write_file('example.conf', $before);
        is((run_import('inetd', $dir, 'example.conf'))[1], $after, 'docs/coming-from-inetd.md: what comes out of its example');
}
$t->stop;
done_testing;
