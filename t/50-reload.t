#!/usr/bin/perl
# SIGHUP: all or nothing, and nobody who is not concerned notices.
use strict;
use warnings;
use BrokerTest;
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use Test::More;

my $base = <<'Y';
same: {listen: 127.0.0.1:0, wait: no, command: [cat]}
changed: {listen: 127.0.0.1:0, wait: no, command: [echo, old]}
server: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve], description: one}
gone: {listen: %DIR%/gone.sock, wait: no, command: [cat]}
Y
my $t = BrokerTest->new(services => $base);
my %address = map { $_ => $t->address($_) } qw(same changed server gone);

sub inode {
        my ($name) = @_;

        open my $fh, '<', '/proc/net/tcp' or return;
        my ($port) = $address{$name} =~ /:(\d+)$/;
        my $hex = sprintf ':%04X 00000000:0000 0A', $port;
        my ($line) = grep { index($_, $hex) >= 0 } <$fh>;
        return (split ' ', $line // '')[9];
}

sub serve {
        my ($name) = @_;
        my $c = BrokerTest::connect_to($address{$name});

        syswrite $c, "hi\n";
        return BrokerTest::read_line($c);
}

my %inode = map { $_ => inode($_) } qw(same changed server);
my $running = BrokerTest::connect_to($address{same});
syswrite $running, "x\n";
BrokerTest::read_line($running);
my $leaving = BrokerTest::connect_to($address{gone});
syswrite $leaving, "x\n";
BrokerTest::read_line($leaving);
my ($server) = serve('server') =~ /^pid=(\d+)/;

# Nothing has changed.
my $r = $t->reload;
is_deeply([@$r{qw(added changed removed kept)}], [0, 0, 0, 4], 'the same definitions: everything is kept');
is($t->notify_message->{RELOADING}, 1, 'RELOADING=1 to the supervisor');
is($t->notify_message->{READY}, 1, 'and READY=1 again');

# One changed, one added, one removed; one of which only the description changed.
my $new = $base;
$new =~ s/echo, old/echo, new/;
$new =~ s/description: one/description: two/;
$new =~ s/^gone:.*\n/added: {listen: %DIR%\/added.sock, wait: no, command: [echo, added]}\n/m;
$t->write_conf($new);
$r = $t->reload;
is_deeply([@$r{qw(added changed removed kept)}], [1, 2, 1, 1], 'added, changed, removed, kept');
is(inode($_), $inode{$_}, "$_: its socket was not closed") for qw(same changed server);
is(BrokerTest::read_all(BrokerTest::connect_to($address{changed})), "new\n", 'the new command runs');
is($t->ask('added'), "added\n", 'the new service serves');
ok(!-e $t->dir . '/gone.sock', 'the path of the removed one is gone');
syswrite $leaving, "y\n";
is(BrokerTest::read_line($leaving), "y\n", 'its connection is served to its end');
syswrite $running, "y\n";
is(BrokerTest::read_line($running), "y\n", 'other connections do not notice');
like(serve('server'), qr/^pid=$server /, 'a server whose program does not change goes on');
close $leaving;
ok($t->wait_message('connection ended', service => 'gone', status => 'exit:0'), 'the end of the removed one is logged');

# A changed server is restarted on the same socket.
(my $restart = $new) =~ s/--serve\]/--serve, extra]/;
$t->write_conf($restart);
$r = $t->reload;
is($r->{changed}, 1, 'a changed server');
ok($t->wait_message('server ended', service => 'server', pid => $server, reason => 'stopped'), 'is told to end');
like(serve('server'), qr/^pid=(?!$server )\d+ fd=3 line=hi$/, 'the next client starts the new one');
is(inode('server'), $inode{server}, 'on the same socket');

# Broken: nothing changes, not even what is right in it.
my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
for my $case (
        ["broken: {listen: 127.0.0.1:0, wait: no, comand: [cat]}\n", qr/broken\.comand/],
        ["broken: {listen: '127.0.0.1:" . $taken->sockport . "', wait: no, command: [cat]}\n", qr/cannot bind/],
        ["broken: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody-such}\n", qr/nobody-such/],
) {
        (my $broken = $restart) =~ s/echo, new/echo, never/;
        $broken =~ s/^added:.*\n//m;
        $t->write_conf($broken . $case->[0]);
        my $from = @{ $t->{log} };
        ok(!$t->reload, 'a broken set is refused');
        ok($t->wait_message($case->[1], -from => $from, level => 'error'), 'the reason is logged');
        is(BrokerTest::read_all(BrokerTest::connect_to($address{changed})), "new\n", 'the old definitions stay');
        is($t->ask('added'), "added\n", 'nothing was removed');
}
# A process that has just ended may still have its pidfd open.
sub lasting {
        my $fds = $t->fds;
        return { map { $fds->{$_} =~ /pidfd/ ? () : ($_ => $fds->{$_}) } keys %$fds };
}
my $fds = lasting();
ok(!$t->reload, 'again');
is_deeply(lasting(), $fds, 'a refused reload leaves no descriptor behind');

# An address moves from one service to another; a service turns from wait: no to wait: yes.
(my $moved = $restart) =~ s/^added:/renamed:/m;
$moved =~ s/^changed:.*\n/changed: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve]}\n/m;
$t->write_conf($moved);
ok($t->reload, 'moved');
is($t->ask('renamed'), "added\n", 'another service has the socket now');
like(serve('changed'), qr/^pid=\d+ fd=3/, 'from wait: no to wait: yes');
$t->write_conf($restart);
ok($t->reload, 'moved back');
is(BrokerTest::read_all(BrokerTest::connect_to($address{changed})), "new\n", 'and back again');

# Limits apply to those who are there already.
(my $limited = $restart) =~ s/command: \[cat\]/command: [cat], instances: 1/;
$t->write_conf($limited);
ok($t->reload, 'a lower limit');
my $waiting = BrokerTest::connect_to($address{same});
syswrite $waiting, "z\n";
is(BrokerTest::read_line($waiting, 0.3), undef, 'the running connection counts');
$t->write_conf($restart);
ok($t->reload, 'no limit again');
is(BrokerTest::read_line($waiting), "z\n", 'who waited is served');
syswrite $running, "last\n";
is(BrokerTest::read_line($running), "last\n", 'the first connection is still there');
close $_ for $running, $waiting;

# Under load: connections to an unchanged service while others come and go.
my $clients = fork // die;
if (!$clients) {
        my $failed = 0;
        for (1 .. 400) {
                my $c = eval { BrokerTest::connect_to($address{same}) } or do { $failed++; next };
                syswrite $c, "load\n";
                $failed++ unless (BrokerTest::read_line($c) // '') eq "load\n";
        }
        POSIX::_exit($failed > 100 ? 100 : $failed);
}
for my $round (1 .. 20) {
        $t->write_conf($restart . join '', map { "extra$_: {listen: '\@extra$_-%DIR%', wait: no, command: [cat]}\n" } 1 .. $round);
        $t->reload or last;
}
waitpid $clients, 0;
is($? >> 8, 0, 'no connection fails during twenty reloads');
is(inode('same'), $inode{same}, 'its socket is the first one still');
$t->stop;
done_testing;
