#!/usr/bin/perl
# The command line: verbs, exit statuses, and that nothing is started when something is wrong.
use strict;
use warnings;
use BrokerTest;
use IO::Socket::IP;
use Test::More;

my $dir = File::Temp::tempdir(CLEANUP => 1);

sub broker {
        my (@args) = @_;
        my $out = "$dir/out";

        open my $saved_out, '>&', \*STDOUT;
        open my $saved_err, '>&', \*STDERR;
        open STDOUT, '>', $out;
        open STDERR, '>', "$dir/err";
        my $status = system('timeout', 20, $BrokerTest::BROKER, @args) >> 8;
        open STDOUT, '>&', $saved_out;
        open STDERR, '>&', $saved_err;
        my @text = map { open my $fh, '<', "$dir/$_"; local $/; <$fh> // '' } qw(out err);
        return ($status, @text);
}

sub conf {
        my ($text) = @_;

        open my $fh, '>', "$dir/test.yaml";
        print $fh $text;
        close $fh;
        return "$dir/test.yaml";
}

my ($status, $out, $err) = broker('--help');
is($status, 0, '--help succeeds');
like($out, qr/broker check/, '--help names the verbs');
($status, $out) = broker('--version');
like($out, qr/^sockbroker \d/, '--version');
($status, undef, $err) = broker('chekc');
is($status, 2, 'an unknown verb is a usage error');
like($err, qr/did you mean 'check'/, 'the nearest verb is named');
is((broker('check', 'x'))[0], 2, 'an argument too many is a usage error');
is((broker('--nonsense'))[0], 2, 'so is an unknown option');

my $good = conf(<<'Y');
services:
  web: {listen: 127.0.0.1:0, wait: no, command: [cat]}
Y
($status, $out, $err) = broker('check', '-c', $good);
is($status, 0, 'check accepts what is right');
like($out, qr/^1 service, no errors, no warnings$/m, 'and says so');
($status, $out) = broker('show', '-c', $good, 'web');
is($status, 0, 'show');
like($out, qr/^    instances: 100$/m, 'show fills in defaults');
open my $fh, '>', "$dir/again.yaml";
print $fh $out;
close $fh;
is((broker('show', '-c', "$dir/again.yaml", 'web'))[1], $out, 'show reads back as itself');
is((broker('show', '-c', $good, 'nothing'))[0], 1, 'show of a missing service fails');
($status, $out) = broker('explain', 'instances');
is($status, 0, 'explain KEY');
like($out, qr/Default: 100/, 'explain says the default');
($status, undef, $err) = broker('explain', 'instnaces');
is($status, 1, 'explain of an unknown key fails');
like($err, qr/did you mean 'instances'/, 'and names the nearest');
like((broker('explain'))[1], qr/^\s*umask\s/m, 'explain alone lists the keys');

# A service that would leave a trace if it were started, beside one that is wrong.
my $bad = conf(<<"Y");
services:
  fine: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [touch, $dir/started]}
  bad: {listen: 127.0.0.1:0, wait: maybe, comand: [cat], instances: many}
Y
for my $verb ('check', 'run') {
        ($status, undef, $err) = broker($verb, '-c', $bad);
        is($status, 78, "$verb: bad definitions exit with 78");
        like($err, qr/^\Q$bad\E:3:\d+: services\.bad\.wait: /m, "$verb: position and path");
        like($err, qr/services\.bad\.comand: .*did you mean 'command'/, "$verb: the nearest key");
        like($err, qr/services\.bad\.instances: /, "$verb: all errors at once");
}
ok(!-e "$dir/started", 'nothing was started');
is((broker('check', '-c', "$dir/nowhere"))[0], 78, 'a path that does not exist');

($status, $out, $err) = broker('check', '-c', conf("services: {a: {listen: 127.0.0.1:0, wait: no, command: [no-such-program]}}\n"));
is($status, 0, 'a missing program is no error');
like($err, qr/services\.a\.command: warning: there is no program 'no-such-program'/, 'but a warning');
($status, undef, $err) = broker('check', '-c', conf("services: {a: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody-such}}\n"));
is($status, 78, 'an unknown user is an error');
like($err, qr/:1:\d+: services\.a\.user: there is no user 'nobody-such'/, 'with its position');

my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1);
my $port = $taken->sockport;
($status, undef, $err) = broker('run', '-c', conf(<<"Y"));
services:
  fine: {listen: 127.0.0.1:0, wait: yes, start: boot, command: [touch, $dir/started]}
  busy: {listen: "127.0.0.1:$port", wait: no, command: [cat]}
Y
is($status, 1, 'an address in use is a run-time failure');
like($err, qr/services\.busy\.listen\[0\]: cannot bind 127\.0\.0\.1:$port: Address already in use/, 'and says which');
ok(!-e "$dir/started", 'again nothing was started');
done_testing;
