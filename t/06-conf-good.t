#!/usr/bin/perl
# Definitions that are fine: every file of conf/good loads without a word, and what `show` prints of it means the same.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Files qw(spew);
use FindBin;
use Test::More;

my $tool = ($ENV{BROKER_BUILD} // die "BROKER_BUILD is not set\n") . '/t/unit/conf_tool';
$tool = getcwd() . "/$tool" if $tool !~ m{^/};

# Copies, since root refuses definitions that belong to others, as those of a checkout may.
my $dir = tempdir(CLEANUP => 1);
copy($_, $dir) or die "$_: $!" for glob "$FindBin::Bin/conf/good/*";
chdir $dir or die "$dir: $!";

sub run {
    my @words = @_;
    open my $out, '-|', "$tool @words 2>&1" or die "$tool: $!";
    local $/ = undef;
    my $text = <$out> // '';
    close $out;
    return ($text, $? & 127 ? "signal $?" : $? >> 8);
}

for my $file (map { basename($_) } sort glob '*.yaml') {
    my ($text, $status) = run('check', $file);
    is($text,   '', "$file: no messages");
    is($status, 0,  "$file: exit status");
    my ($shown) = run('show', $file);
    spew("shown-$file", $shown);
    is((run('show', "shown-$file"))[0], $shown, "$file: shown, read, shown again");
    ($text, $status) = run('same', $file, "shown-$file");
    is($text,   '', "$file: no service differs");
    is($status, 0,  "$file: means the same");
}

# What the definitions came to, so that reading and printing cannot be wrong in the same way.
sub shows {
    my ($file, @patterns) = @_;
    my ($shown) = run('show', $file);
    like($shown, $_, "$file: $_") for @patterns;
    return;
}

shows('minimal.yaml', qr/^  qm:\n    listen:\n      - address: 4242\n        name: qm\n/m, qr/^    handoff: stdio$/m,
    qr{^    command: \[/usr/qmsys/bin/qm, -n\]$}m, qr/^    instances: 100$/m);
shows('process.yaml', qr/^    umask: "0022"$/m, qr/^    umask: "0077"$/m, qr/^    umask: "0007"$/m, qr/^    nice: -20$/m,
    qr/^      stack: \{soft: unlimited, hard: unlimited\}$/m, qr/^      memlock: \{soft: 67108864, /m,
    qr{^    root_dir: "/srv/the root"$}m, qr/^    argv0: "-\$\{pid\}"$/m, qr/^    argv0: ""$/m, qr/^    cpuset: "0-1,3,64-127,1023"$/m,
    qr/^    cpuset: "5"$/m, qr/^    cpuset: "0-3,5-7"$/m, qr/^    oom_score_adj: -500$/m, qr/^    cap_drop: \[ALL\]$/m,
    qr/^    cap_add: \[NET_BIND_SERVICE, CHOWN, SETUID\]$/m, qr/^    cap_add: \[ALL\]$/m, qr/^    kill_mode: process$/m,
    qr/^      nproc: \{soft: 10, hard: 20\}$/m, qr/^      D: " x=y "$/m, qr/^      C:$/m, qr/^      B: ""$/m);
shows('connections.yaml', qr/\[\/usr\/bin\/program, "two words", single, "back slash", "\$\{remote_addr\}", "/,
    qr/^    handoff: fds$/m, qr/^    stop_signal: SIGKILL$/m, qr/^    when_full: refuse$/m);
shows('server.yaml', qr/^    stop_signal: SIGRTMIN\+3$/m, qr/^    restart_delay_max: 90min$/m, qr/^    stdout: "null"$/m,
    qr{^    stderr: "append:/var/log/web errors.log"$}m, qr/^    main: yes$/m, qr{^    trigger_limit: 5/100ms$}m);
shows('environment.yaml', qr/^      NUMBER: "007"$/m, qr/^      BOOL: "yes"$/m, qr/^      BROKERS_OWN:$/m,
    qr/^      NULL_TEXT: "null"$/m, qr/^      MULTI: "two\\nlines\\n"$/m);
shows('anchors.yaml', qr/^  two:(?:\n    .*)*\n    instances: 7\n    per_source: 1$/m, qr/^    user: daemon$/m,
    qr/^    environment:\n      TZ: "?UTC"?\n      LANG: "?C"?$/m);
shows('defaults.yaml', qr/^  connection:(?:\n    .*)*\n    environment:\n      A: own\n    pass/m,
    qr/^  stdio:(?:\n    .*)*\n    stderr: socket$/m, qr/^  first:(?:\n    .*)*\n    main: yes$/m);
shows('options.yaml', qr/keep_alive:\n +time: 60s\n +interval: 10s\n +probes: 5$/m,
    qr/^        ip_tos: 16$/m, qr/^        receive_buffer: 64K$/m, qr/^        directory_mode: "0750"$/m);
shows('workers.yaml', qr/^  web:(?:\n    .*)*\n    workers: 1024$/m, qr/^  dns:(?:\n    .*)*\n    workers: 3$/m,
    qr/^  alone:(?:\n    .*)*\n    workers: 1$/m);
shows('admission.yaml', qr/^    per_source:\n      default: 5\n      "10.0.0.0\/8": unlimited\n      "192.0.2.7": 50\n/m,
    qr/^    source_prefix:\n      ipv4: 32\n      ipv6: 48$/m, qr/^    max_load: 2.5$/m, qr/^    max_load: 0.05$/m,
    qr/^    only_from:\n      - "10.0.0.0\/8"\n      - "192.0.2.7"\n      - "2001:db8::\/32"\n      - "::ffff:192.0.2.9"\n/m,
    qr/^      - localhost\n    no_access:$/m, qr/^    uid: \[root, "1000"\]$/m, qr/^    banner_fail: "go away\\n"$/m,
    qr/^    access_times: \["8:00-12:00", "13:00-24:00", "22:00-2:00"\]$/m, qr/^    sensor: infinity$/m,
    qr/^  trap:(?:\n    .*)*\n    wait: no\n    source_prefix:/m);
shows('admission-defaults.yaml', qr/^  tcp:(?:\n    .*)*\n      ipv4: 32\n      ipv6: 48(?:\n    .*)*\n    refuse_with: close$/m,
    qr/^  unix:(?:\n    .*)*\n      ipv4: 24\n(?:    .*\n)*    uid: \[root\]\n(?:    .*\n)*    refuse_with: reset$/m,
    qr/^  trap:(?:\n    .*)*\n    sensor: 1h$/m);
shows('broker.yaml', qr/\Abroker:\n  log:\n    format: journal\n    level: warning\n  idle_exit: 10min\n  metrics: "127\.0\.0\.1:9464"\n  control: \/run\/elsewhere\/control\nservices:\n\z/);

# A definition file's directory is where its env_file is.
mkdir 'sub' or die;
spew('sub/x.yaml', "services: {a: {listen: 1, wait: no, command: x, env_file: x.env}}\n");
spew('sub/x.env',  "A=1\n");
is((run('check', 'sub/x.yaml'))[1], 0, 'env_file counts from the directory of the definition');
is((run('check', 'sub'))[1],        0, 'also when the directory was given');
is((run('same', 'sub/x.yaml', 'minimal.yaml'))[1], 1, 'different services are different');

# A banner's file counts from there as well, and what it says is part of the definition.
my $banner = "services: {a: {listen: 1, wait: no, command: x, banner: '%s'}}\n";
spew('sub/y.yaml', sprintf $banner, 'file:hello');
spew('sub/hello',  "one\n");
like((run('show', 'sub/y.yaml'))[0], qr/^    banner: "file:sub\/hello"$/m, 'the path of a banner is completed');
spew('text.yaml', sprintf $banner, 'file');
is((run('same', 'sub/y.yaml', 'sub/y.yaml'))[1], 0, 'the same banner');
is((run('same', 'sub/y.yaml', 'text.yaml'))[1],  1, 'another banner');

# Explaining.
for my $key (qw(user services.web.user services.my.web.user defaults.user listen.backlog services.web.listen[1].backlog
    backlog broker.log.level log listen.keep_alive.time broker services env_file.required
    per_source source_prefix source_prefix.ipv6 only_from banner sensor proxy_protocol_from)) {
    my ($text, $status) = run('explain', $key);
    is($status, 0, "explain $key");
    like($text, qr/^\S+\n  .+\n  Value:   .+\n  Default: .+\n(?:  For:     .+\n|  Keys:    .+\n)*  Example: .+\n\z/,
        "explain $key: all there");
}
is((run('explain', 'usr'))[0], "no key usr; nearest: user\n", 'explain names the nearest key');
is((run('explain', 'services.web.comand'))[0], "no key services.web.comand; nearest: command\n", '... of a path too');
is((run('explain', 'xyzzyqwert'))[0], "no key xyzzyqwert; nearest: none\n", '... or none');
my ($all) = run('explain');
my ($scd) = run('scdoc');
for my $key (qw(listen backlog wait command ulimits instances probes level defaults)) {
    like($all, qr/^  $key +\S/m, "explain lists $key");
    like($scd, qr/^\*$key\*$/m, "the manual lists $key");
}

# Loading is to be quick: five thousand services.
my $big = "services:\n" . join '', map {
    my $n = $_;
    sprintf "  s%d:\n    listen: 127.%d.%d.1:4242\n    wait: no\n    command: [/bin/cat, -n]\n    user: nobody\n", $n,
        $n / 250, $n % 250
} 0 .. 4999;
spew('big', $big);
is((run('check', 'big'))[0], '', 'five thousand services');
my $networks = join ', ', map { '10.' . int($_ / 256) . '.' . $_ % 256 . '.0/24' } 1 .. 10_000;
spew('networks', "services: {a: {listen: 1, wait: no, command: x, only_from: [$networks], no_access: [$networks]}}\n");
is(() = (run('check', 'networks'))[0] =~ /is in only_from too/g, 1000, 'ten thousand networks, and all that are said twice');

done_testing();
