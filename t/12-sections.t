#!/usr/bin/perl
# What stands around the keys of a service: `defaults:`, one file of several, and `enabled:`.
use strict;
use warnings;
use BrokerTest;
use Test::More;

my $t = BrokerTest->new(later => 1);
my $head = <<'Y';
broker: {log: {format: json, level: debug}}
defaults:
  listen: 127.0.0.1:0
  wait: no
  command: [%PROBE%, --out=stdout]
  environment: {FROM: defaults}
  stop_signal: SIGINT
Y
$t->write_conf(<<'Y', head => $head);
plain: {}
own: {environment: {FROM: service}}
off: {listen: "%DIR%/off.sock", enabled: no}
server: {listen: "%DIR%/server.sock", wait: yes, start: boot, command: [sh, -c, 'trap "echo got INT >&2; exit 0" INT; echo ready >&2; while :; do read x <&3; done']}
Y
$t->write_conf(<<'Y', file => 'other.yaml');
other: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}
Y
$t->start;
is($t->ask_probe('plain')->{env}{FROM}, 'defaults', 'a service has what the defaults of its file say');
is($t->ask_probe('own')->{env}{FROM}, 'service', 'its own keys come first');
is($t->ask_probe('other')->{env}{FROM}, undef, 'the defaults of another file are not for it');
ok(!-e $t->dir . '/off.sock', 'a service that is not enabled has no socket');

$t->write_conf(<<'Y', head => $head);
plain: {enabled: no}
off: {listen: "%DIR%/off.sock", enabled: yes}
server: {listen: "%DIR%/server.sock", wait: yes, start: boot, command: [sh, -c, 'trap "echo got INT >&2; exit 0" INT; echo ready >&2; while :; do read x <&3; done']}
Y
ok($t->wait_message('ready', service => 'server'), 'a server is there');
my $address = $t->address('plain');
$t->reload;
is($t->ask_probe('off')->{env}{FROM}, 'defaults', 'enabled by a reload it is served');
ok(!BrokerTest::connect_to($address, may_fail => 1), 'and one that was disabled has left its address');
$t->stop;
like($t->log_text, qr/got INT/, 'stop_signal of the defaults reached the server');
done_testing;
