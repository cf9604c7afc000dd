#!/usr/bin/perl
# Every key has a definition in t/conf/good that uses it, and a test that observes its effect: in a program, in /proc, or as
# a client sees it. Which one that is stands in the list at the end. A new key without them fails here.
use strict;
use warnings;
use Files qw(slurp);
use Test::More;

my $build = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";

# The paths of all keys, from the tables.
my ($section, @keys) = ('');
for (split /\n/, `$build/broker/broker explain`) {
        if (/^(\S+)/) { $section = $1 eq 'top' ? '' : $1 =~ s/^services\.NAME\.//r }
        elsif (/^  (\S+)  /) { push @keys, "$section$1" }
}
ok(@keys > 60, 'there are keys to look at');

my %test_of = map { split } grep { /\S/ } <DATA>;
my $good = join '', map { slurp($_) } glob 't/conf/good/*.yaml';
my %text_of;
my (@without_definition, @without_test, @not_there);
for my $key (@keys) {
        my ($name) = $key =~ /(\w+)$/;
        my $test = $test_of{$key};

        push @without_definition, $key if $good !~ /\b$name["']?\s*:/;
        if (!$test) {
                push @without_test, $key;
                next;
        }
        $text_of{$test} //= slurp("t/$test") // '';
        push @not_there, "$key: not in t/$test" if $text_of{$test} !~ /\b$name["']?\s*:/;
}
ok(!@without_definition, 'every key is in some definition of t/conf/good') or diag(join "\n", @without_definition);
ok(!@without_test, 'every key is in the list of tests')
        or diag("name the test that observes the effect of each in the list of $0:\n" . join "\n", @without_test);
ok(!@not_there, 'every test that the list names is about its keys') or diag(join "\n", @not_there);
done_testing;

__DATA__
broker                      75-log.t
broker.metrics              64-metrics.t
broker.log                  75-log.t
broker.log.format           75-log.t
broker.log.level            75-log.t
broker.idle_exit            68-idle-exit.t
broker.control              62-control.t
defaults                    12-sections.t
services                    00-cli.t
enabled                     12-sections.t
description                 50-reload.t
wait                        21-shared-listener.t
handoff                     20-per-connection.t
command                     20-per-connection.t
proxy                       38-proxy.t
send_proxy_protocol         38-proxy.t
idle_stop                   38-proxy.t
start_timeout               38-proxy.t
connection_timeout          38-proxy.t
builtin                     25-builtins.t
udp_public                  25-builtins.t
tcpmux                      26-tcpmux.t
start                       21-shared-listener.t
workers                     22-workers.t
request                     24-request.t
request.end                 24-request.t
request.reply_end           24-request.t
request.max_size            24-request.t
request.keep_alive          24-request.t
request.busy_timeout        24-request.t
request.queue               24-request.t
request.error               24-request.t
workers.min                 23-pass.t
workers.max                 23-pass.t
workers.spare               23-pass.t
workers.max_age             23-pass.t
workers.max_requests        23-pass.t
spare                       27-spare.t
idle_stop                   67-idle-stop.t
claim                       72-claim.t
stop_signal                 12-sections.t
stop_grace_period           20-per-connection.t
kill_mode                   61-process-keys.t
restart                     21-shared-listener.t
restart_delay               21-shared-listener.t
restart_delay_max           21-shared-listener.t
trigger_limit               21-shared-listener.t
max_runtime                 20-per-connection.t
non_blocking                21-shared-listener.t
ready                       66-supervision.t
start_timeout               66-supervision.t
watchdog                    66-supervision.t
fd_store                    66-supervision.t
on_change                   74-orders.t
main                        21-shared-listener.t
user                        20-per-connection.t
group                       20-per-connection.t
group_add                   20-per-connection.t
groups                      20-per-connection.t
umask                       20-per-connection.t
working_dir                 20-per-connection.t
root_dir                    61-process-keys.t
argv0                       61-process-keys.t
environment                 20-per-connection.t
env_file                    20-per-connection.t
env_file.path               20-per-connection.t
env_file.required           20-per-connection.t
pass_environment            20-per-connection.t
ulimits                     20-per-connection.t
nice                        20-per-connection.t
cpuset                      61-process-keys.t
oom_score_adj               61-process-keys.t
cap_add                     61-process-keys.t
cap_drop                    61-process-keys.t
no_new_privileges           20-per-connection.t
stderr                      20-per-connection.t
stdout                      20-per-connection.t
instances                   30-limits.t
per_source                  30-limits.t
when_full                   30-limits.t
listen                      10-bind.t
listen.address              10-bind.t
listen.name                 21-shared-listener.t
listen.protocol             11-forms.t
listen.backlog              10-bind.t
listen.ipv6_only            10-bind.t
listen.reuse_port           10-bind.t
listen.free_bind            10-bind.t
listen.transparent          10-bind.t
listen.bind_to_device       10-bind.t
listen.keep_alive           10-bind.t
listen.keep_alive.time      10-bind.t
listen.keep_alive.interval  10-bind.t
listen.keep_alive.probes    10-bind.t
listen.no_delay             10-bind.t
listen.defer_accept         10-bind.t
listen.fast_open            10-bind.t
listen.receive_buffer       10-bind.t
listen.send_buffer          10-bind.t
listen.mark                 10-bind.t
listen.priority             10-bind.t
listen.ip_tos               10-bind.t
listen.ip_ttl               10-bind.t
listen.tcp_congestion       10-bind.t
listen.pass_credentials     10-bind.t
listen.pass_security        10-bind.t
listen.pass_packet_info     10-bind.t
listen.timestamping         10-bind.t
listen.pipe_size            10-bind.t
listen.max_messages         11-forms.t
listen.message_size         11-forms.t
listen.writable             11-forms.t
listen.socket_mode          10-bind.t
listen.socket_user          10-bind.t
listen.socket_group         10-bind.t
listen.directory_mode       10-bind.t
listen.remove_on_stop       10-bind.t
listen.symlinks             10-bind.t
source_prefix               35-admission.t
source_prefix.ipv4          35-admission.t
source_prefix.ipv6          36-proxy-protocol.t
cps                         35-admission.t
cps_pause                   35-admission.t
max_load                    35-admission.t
only_from                   35-admission.t
no_access                   35-admission.t
uid                         35-admission.t
gid                         35-admission.t
access_times                35-admission.t
banner                      35-admission.t
banner_fail                 35-admission.t
banner_success              35-admission.t
refuse_with                 35-admission.t
sensor                      35-admission.t
proxy_protocol              36-proxy-protocol.t
proxy_protocol_from         36-proxy-protocol.t
