#!/usr/bin/perl
# Admission: instances, per_source, when_full; that waiting costs nothing; that every slot comes back.
use strict;
use warnings;
use BrokerTest;
use Test::More;

my $t = BrokerTest->new(services => <<'Y');
wait: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 2}
refuse: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 2, when_full: refuse}
source: {listen: 127.0.0.1:0, wait: no, command: [cat], per_source: 2}
unix: {listen: %DIR%/u.sock, wait: no, command: [cat], per_source: 1}
silent: {listen: 127.0.0.1:0, wait: no, command: [cat], instances: 300}
other: {listen: 127.0.0.1:0, wait: no, command: [echo, here]}
Y

my $first = $t->served('wait');
my $second = $t->served('wait');
my $third = $t->connect('wait');
syswrite $third, "third\n";
is(BrokerTest::read_line($third, 0.3), undef, 'wait: the third one waits');
my $ticks = $t->cpu_ticks;
is(BrokerTest::read_line($third, 1), undef, 'and goes on waiting');
cmp_ok($t->cpu_ticks - $ticks, '<=', 2, 'which costs no CPU');
close $first;
is(BrokerTest::read_line($third), "third\n", 'it is served when one leaves');
close $_ for $second, $third;

$first = $t->served('refuse');
$second = $t->served('refuse');
is(BrokerTest::read_all($t->connect('refuse')), '', 'refuse: the third one is closed at once');
ok($t->wait_message('connection refused', service => 'refuse', limit => 'instances'), 'and logged');
for (1 .. 50) { BrokerTest::read_all($t->connect('refuse')) }
is(scalar(grep { ($_->{message} // '') eq 'connection refused' } @{ $t->{log} }), 1, 'fifty more are not logged one by one');
close $first;
$t->wait_message('connection ended', service => 'refuse');
ok($first = $t->served('refuse'), 'who comes later is served again');
close $_ for $first, $second;

$first = $t->served('source');
$second = $t->served('source');
is(BrokerTest::read_all($t->connect('source')), '', 'per_source: the third from there is closed');
ok(my $elsewhere = $t->served('source', from => '127.0.0.2'), 'one from elsewhere is served');
close $first;
$t->wait_message('connection ended', service => 'source');
ok($first = $t->served('source'), 'one more when one has left');
close $_ for $first, $second, $elsewhere;
$first = $t->served('unix');
is(BrokerTest::read_all($t->connect('unix')), '', 'AF_UNIX: counted by uid');
close $first;

my @silent = map { $t->connect('silent') } 1 .. 300;
is($t->ask('other'), "here\n", '300 silent clients do not keep another service from answering');
syswrite $silent[-1], "y\n";
is(BrokerTest::read_line($silent[-1]), "y\n", 'and each of them is served');
close $_ for @silent;
for (1 .. 300) { $t->wait_message('connection ended', service => 'silent') or last }

my $from = @{ $t->{log} };
$t->signal('USR1');
for my $name (qw(wait refuse source unix silent other)) {
        my $r = $t->wait_message('statistics', service => $name, -from => $from);
        is("$r->{connections} $r->{processes}", '0 0', "$name: no slot and no process is left");
}
my $r = $t->wait_message('statistics', service => 'refuse', -from => $from);
is($r->{refused_instances}, 51, 'refusals are counted');
$t->stop;

done_testing;
