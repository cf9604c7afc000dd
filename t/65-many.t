#!/usr/bin/perl
# Five thousand services in one file: listening within a second, less than 3.5 KiB of private memory each.
use strict;
use warnings;
use BrokerTest;
use Test::More;
use Time::HiRes qw(time);

my $many = 5000;
my ($limit) = map { /^Max open files\s+\d+\s+(\d+)/ ? $1 : () } do { open my $fh, '<', '/proc/self/limits'; <$fh> };
plan skip_all => "the limit of open files is $limit" if $limit < $many + 2000;
plan skip_all => 'sanitizers take memory and time of their own' if $ENV{BROKER_SANITIZED};

sub services {
        my ($n) = @_;

        return join '', map { "s$_:\n  listen: '\@many-$_-%DIR%'\n  wait: no\n  command: [cat]\n  instances: 10\n" } 1 .. $n;
}

sub memory {
        my ($t) = @_;

        open my $fh, '<', "/proc/$t->{main_pid}/smaps_rollup" or return;
        return map { /^Private_Dirty:\s+(\d+)/ ? $1 * 1024 : () } <$fh>;
}

my $head = "broker: {log: {format: json, level: warning}}\n";
my $one = BrokerTest->new(head => $head, services => services(1));
my ($memory_of_one) = memory($one);
$one->stop;

my $t = BrokerTest->new(later => 1);
$t->write_conf(services($many), head => $head);
my $begin = time;
$t->start;
cmp_ok(time - $begin, '<', 1, "$many services are listening within a second");
SKIP: {
        my ($memory) = memory($t);
        skip 'the kernel has no smaps_rollup', 1 unless $memory && $memory_of_one;
        cmp_ok(($memory - $memory_of_one) / $many, '<', 3.5 * 1024, 'less than 3.5 KiB of private memory for each');
}
for my $i (1, 2500, $many) {
        my $c = BrokerTest::connect_to("\@many-$i-" . $t->dir);
        syswrite $c, "hello $i\n";
        is(BrokerTest::read_line($c), "hello $i\n", "service $i serves");
        close $c;
}
$t->write_conf(services($many) . "more: {listen: '\@many-more-%DIR%', wait: no, command: [echo, more]}\n", head => "broker: {log: {format: json, level: info}}\n");
ok($t->reload, 'a reload with all of them');
is(BrokerTest::read_all(BrokerTest::connect_to('@many-more-' . $t->dir)), "more\n", 'and one more');
$t->stop;
done_testing;
