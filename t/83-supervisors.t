#!/usr/bin/perl
# The files in units/ that run the broker itself: under systemd, OpenRC, s6 and runit, each of them a real one where it is
# installed. The definitions are in a directory of the test's and the broker is the one of the build: a script called
# broker, which comes first in PATH, sees to both. Whatever else is changed in the shipped files is named below.
use strict;
use warnings;

use BrokerTest;
use File::Copy qw(copy);
use File::Find qw(find finddepth);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Files qw(slurp spew);
use IO::Socket::IP;
use POSIX qw(WNOHANG);
use Part;
use Programs;
use Test::More;
use Time::HiRes qw(time);

my $good = "services:\n  echo: {listen: 127.0.0.1:%PORT%, builtin: echo}\n";
my $bad = "services:\n  echo: {listen: 127.0.0.1:%PORT%, biltin: echo}\n";

# A directory with a script "broker" that runs the one of the build.
sub prepare {
        my $dir = tempdir('supervisors-XXXXXX', TMPDIR => 1, CLEANUP => 1);

        chmod 0755, $dir;
        make_path(map { "$dir/$_" } qw(bin conf log));
        spew("$dir/bin/broker", <<"END");
#!/bin/sh
export BROKER_CONTROL=$dir/control
case \$1 in run | check) exec $BrokerTest::BROKER "\$@" -c $dir/conf ;; esac
exec $BrokerTest::BROKER "\$@"
END
        chmod 0755, "$dir/bin/broker";
        return $dir;
}

# A port that was free a moment ago.
sub free_port {
        my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Listen => 1) or die "no port: $@";

        return $socket->sockport;
}

# The shipped file with other texts in the places of some.
sub shipped {
        my ($file, @changes) = @_;
        my $text = slurp("units/$file");

        while (my ($from, $to) = splice @changes, 0, 2) {
                die "$file has no '$from'\n" unless $text =~ s/\Q$from\E/$to/g;
                note("$file: '$from' is '$to'");
        }
        return $text;
}

# A directory of shipped files, logs going to DIR/log.
sub ship_directory {
        my ($from, $to, $log) = @_;

        find({ no_chdir => 1, wanted => sub {
                my $name = "$to" . substr $_, length "units/$from";
                return make_path($name) if -d;
                spew($name, m{/log/run$} ? shipped(s{^units/}{}r, '/var/log/broker' => $log) : slurp($_));
                chmod 0755, $name if -x;
        } }, "units/$from");
        return $to;
}

# Supervisors have no event for everything that is waited for.
sub wait_until {
        my ($code) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        while (time < $until) {
                my $value = $code->();
                return $value if $value;
                select undef, undef, undef, 0.05;
        }
        return;
}

sub start {
        my ($output, @command) = @_;
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                setpgrp;
                open STDIN, '<', '/dev/null';
                open STDOUT, '>', $output or POSIX::_exit(97);
                open STDERR, '>&', \*STDOUT;
                { exec @command }
                POSIX::_exit(98);
        }
        return $pid;
}

# Ends a supervisor with its signal; true when it has ended.
sub end {
        my ($pid, $signal) = @_;

        kill $signal, $pid;
        return 1 if wait_until(sub { waitpid($pid, WNOHANG) == $pid });
        kill 'KILL', -$pid;
        waitpid $pid, 0;
        return 0;
}

sub echo {
        my ($port) = @_;
        my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port) or return "cannot connect: $@";

        syswrite $socket, "hello\n";
        return BrokerTest::read_line($socket);
}

sub said {
        my ($file, $pattern) = @_;

        return wait_until(sub { -e $file && slurp($file) =~ $pattern });
}

part 'every script' => sub {
        my @scripts = ('units/broker.openrc');
        find({ no_chdir => 1, wanted => sub { push @scripts, $_ if -f && m{/(?:run|finish|check)$} } }, 'units/s6', 'units/runit');

        is(scalar @scripts, 9, 'all are there');
        for my $file (sort @scripts) {
                ok(-x $file, "$file can be executed") unless $file =~ /openrc/;
                works("sh -n $file", '', 'sh', '-n', $file);
                # OpenRC's own variables and functions are nobody's mistake.
                SKIP: {
                        skip 'shellcheck is not installed', 1 unless have('shellcheck');
                        works("shellcheck $file", '', 'shellcheck', '-s', 'sh', '-e', 'SC2034', $file);
                }
        }
};

part 'systemd-analyze verify' => sub {
        need('systemd-analyze');
        my $dir = prepare();
        my @analyze = ('systemd-analyze', '--man=no', 'verify');

        # A program that is not there is an error.
        spew("$dir/broker.service", shipped('broker.service', '=broker ' => "=$dir/bin/broker "));
        spew("$dir/broker\@9418.socket", shipped('broker@.socket'));
        works('broker.service and broker@9418.socket', '', @analyze, "$dir/broker.service", "$dir/broker\@9418.socket");
};

part 's6' => sub {
        need(qw(s6-svscan s6-svc s6-svwait s6-svok s6-svstat s6-notifyoncheck s6-log));
        my $dir = prepare();
        my $port = free_port();
        my $service = "$dir/s6/broker";

        ship_directory('s6/broker', $service, "$dir/log/broker");
        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
        my $scan = start("$dir/log/svscan", 's6-svscan', "$dir/s6");
        ok(wait_until(sub { (run('s6-svok', $service))[1] == 0 }), 's6-supervise runs');
        works('it is ready, as s6 is told', '', 's6-svwait', '-U', '-t', $BrokerTest::TIMEOUT * 1000, $service);
        is(echo($port), "hello\n", 'and serves');
        ok(said("$dir/log/broker/current", qr/ ready services=1$/m), 'it writes to its log');
        my ($pid) = must('s6-svstat', '-o', 'pid', $service) =~ /(\d+)/;
        is(readlink "/proc/$pid/exe", $BrokerTest::BROKER, 'it is the process that s6 watches');
        must('s6-svc', '-h', $service);
        ok(said("$dir/log/broker/current", qr/ reloaded /), 's6-svc -h reads the definitions again');
        kill 'KILL', $pid;
        ok(wait_until(sub { must('s6-svstat', '-o', 'pid,ready', $service) =~ /^(?!$pid )\d+ true$/ }), 'one that is killed is started again');

        spew("$dir/conf/test.yaml", $bad =~ s/%PORT%/$port/r);
        must('s6-svc', '-t', $service);
        ok(wait_until(sub { must('s6-svstat', '-o', 'up,wantedup,exitcode', $service) =~ /^false false 78$/ }),
                'with wrong definitions it ends with 78, and is not tried again');
        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        must('s6-svc', '-u', $service);
        works('until somebody says so', '', 's6-svwait', '-U', '-t', $BrokerTest::TIMEOUT * 1000, $service);
        ok(end($scan, 'TERM'), 'all ends');
        ok(!kill(0, $pid), 'the broker too');
};

part 'runit' => sub {
        need(qw(runsvdir runsv sv svlogd));
        my $dir = prepare();
        my $port = free_port();
        my $service = "$dir/sv/broker";

        ship_directory('runit/broker', $service, "$dir/log/broker");
        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
        my $scan = start("$dir/log/runsvdir", 'runsvdir', "$dir/sv");
        ok(wait_until(sub { -p "$service/supervise/ok" && (run('sv', 'status', $service))[1] == 0 }), 'runsv runs');
        my @sv = ('sv', '-w', $BrokerTest::TIMEOUT);
        like(must(@sv, 'start', $service), qr/^ok: run: /, 'sv start waits until it is ready');
        is(echo($port), "hello\n", 'it serves');
        ok(said("$dir/log/broker/current", qr/ ready services=1$/m), 'it writes to its log');
        my ($pid) = must('sv', 'status', $service) =~ /\(pid (\d+)\)/;
        is(readlink "/proc/$pid/exe", $BrokerTest::BROKER, 'it is the process that runit watches');
        must('sv', 'reload', $service);
        ok(said("$dir/log/broker/current", qr/ reloaded /), 'sv reload reads the definitions again');
        kill 'KILL', $pid;
        ok(wait_until(sub { must('sv', 'status', $service) =~ /^run: .*\(pid (?!$pid\))/ }), 'one that is killed is started again');
        must(@sv, 'start', $service);

        spew("$dir/conf/test.yaml", $bad =~ s/%PORT%/$port/r);
        must('sv', 'term', $service);
        ok(wait_until(sub { (run('sv', 'status', $service))[0] =~ /^down: (?!.*want up).*normally up/ }), 'with wrong definitions it ends, and is not tried again');
        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        like(must(@sv, 'start', $service), qr/^ok: run: /, 'until somebody says so');
        ok(end($scan, 'HUP'), 'all ends');
        ok(wait_until(sub { !-e "$dir/control" }), 'the broker too');
};

# Without runit: the scripts are nothing but scripts.
part 'the scripts of runit by hand' => sub {
        my $dir = prepare();
        my $port = free_port();

        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
        isnt((run('units/runit/broker/check'))[1], 0, 'check: it does not run yet');
        my $pid = start("$dir/log/output", 'units/runit/broker/run');
        ok(wait_until(sub { (run('units/runit/broker/check'))[1] == 0 }), 'check: it is ready');
        is(echo($port), "hello\n", 'it serves');
        ok(end($pid, 'TERM'), 'and ends');
        like(slurp("$dir/log/output"), qr/ ready services=1$/m, 'what it had to say came by stdout');
};

# A user manager of systemd's in namespaces of its own: root in them is enough for it, and the port is the shipped one.
my $namespaces = <<'END';
set -e
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/sockbroker-test-$1
mkdir "$group"
sh -c 'echo 0 > "$1/cgroup.procs"; shift; exec unshare --cgroup --mount "$@"' sh "$group" sh -e "$2/inside" "$2" || status=$?
for _ in $(seq 100); do
        echo 1 > "$group/cgroup.kill" || :
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.1
done
exit ${status:-0}
END
my $inside = <<'END';
dir=$1
umount /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
# What process 1 has made for those that it starts.
mkdir -p /run/systemd/system /run/systemd/inaccessible/dir /run/user
touch /run/systemd/inaccessible/reg
chmod 700 /run/user
ip link set lo up
export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME="$dir/config" HOME="$dir" SYSTEMD_PAGER=
/lib/systemd/systemd --user > "$dir/log/systemd" 2>&1 < /dev/null &
manager=$!
for _ in $(seq 100); do
        [ ! -S /run/user/systemd/private ] || break
        kill -0 $manager || exit 77
        sleep 0.1
done
systemctl --user start default.target || exit 77
END

sub in_systemd {
        my ($dir, $script) = @_;

        spew("$dir/outside", $namespaces);
        spew("$dir/inside", "$inside$script\nsystemctl --user --force exit || :\nwait \$manager || :\n");
        local $BrokerTest::TIMEOUT = 3 * $BrokerTest::TIMEOUT;
        my @result = run('unshare', '--mount', '--pid', '--net', '--fork', '--kill-child', '--mount-proc', 'sh', "$dir/outside", $$, $dir);
        # It removes its group itself, but when it was ended.
        finddepth({ no_chdir => 1, wanted => sub { rmdir if -d } }, $_) for grep { -d } glob "/sys/fs/cgroup/{,unified/}sockbroker-test-$$";
        return @result;
}

part 'systemd' => sub {
        need(qw(unshare ip systemctl git));
        skip_part 'namespaces for it need root' if $>;
        skip_part 'systemd is not installed' unless -x '/lib/systemd/systemd';
        my $dir = prepare();
        my ($said, $status) = in_systemd($dir, '');
        skip_part 'systemd cannot be run here: ' . $said =~ s/\s+/ /gr if $status;

        make_path("$dir/config/systemd/user/broker.service.d", "$dir/git");
        spew("$dir/config/systemd/user/broker.service.d/log.conf", "[Service]\nStandardError=append:$dir/log/broker\n");
        note('broker.service: its log is a file, since there is no journal');
        must('git', 'init', '-q', '--bare', "$dir/git/test.git");
        spew("$dir/git/test.git/git-daemon-export-ok", '');
        spew("$dir/config/systemd/user/broker.service", shipped('broker.service', '=broker ' => "=$dir/bin/broker "));
        spew("$dir/config/systemd/user/broker\@.socket", shipped('broker@.socket'));
        my $git = shipped('git-daemon.yaml', 'listen: 9418' => 'listen: fd:9418', '/srv/git' => "$dir/git");
        spew("$dir/conf/git.yaml", $git);
        spew("$dir/idle.yaml", "broker: {idle_exit: 100ms}\n$git");
        spew("$dir/bad.yaml", $git =~ s/instances/instancs/r);
        ($said, $status) = in_systemd($dir, <<'END');
list() { git ls-remote git://127.0.0.1/test.git >/dev/null 2>&1 && echo served || echo not served; }
show() { systemctl --user show -P "$1" broker; }
systemctl --user start broker@9418.socket
echo "before: $(show ActiveState)"
echo "first: $(list) $(show ActiveState) $(show StatusText)"
systemctl --user reload broker
echo "reloaded: $(list)"
systemctl --user restart broker
echo "restarted: $(list)"
pid=$(show MainPID)
kill -KILL $pid
# A client waits for the next one.
echo "killed: $(list) by another: $([ "$(show MainPID)" = $pid ] && echo no || echo yes)"
systemctl --user stop broker
echo "stopped: $(show ActiveState) $(list) $(show ActiveState)"
systemctl --user stop broker
cp "$dir/bad.yaml" "$dir/conf/git.yaml"
systemctl --user start broker 2>/dev/null || :
echo "wrong: $(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"
cp "$dir/idle.yaml" "$dir/conf/git.yaml"
systemctl --user reset-failed
first=$(list)
for _ in $(seq 100); do
        [ "$(show ActiveState)" != inactive ] || break
        sleep 0.1
done
echo "idle: $first $(show ActiveState) $(show Result) $(list)"
END
        is($status, 0, 'systemd starts and ends');
        my %is = $said =~ /^(\w+): (.*)$/mg;
        my %want = (
                before => 'inactive',
                first => 'served active 1 service',
                reloaded => 'served',
                restarted => 'served',
                killed => 'served by another: yes',
                stopped => 'inactive served active',
                wrong => 'failed 78 0',
                idle => 'served inactive success served',
        );
        is($is{$_}, $want{$_}, "systemd, $_") for sort keys %want;
        diag(map { "$_:\n" . slurp($_) } grep { -e } "$dir/log/systemd", "$dir/log/broker") if grep { ($is{$_} // '') ne $want{$_} } keys %want;
};

# OpenRC in a mount namespace of its own, where it finds itself booted and localmount done.
part 'OpenRC' => sub {
        need(qw(openrc-run supervise-daemon unshare));
        skip_part 'namespaces for it need root' if $>;
        my $dir = prepare();
        my $port = free_port();

        spew("$dir/conf/test.yaml", $good =~ s/%PORT%/$port/r);
        chmod 0755, spew("$dir/broker", shipped('broker.openrc', '/usr/bin/broker' => "$dir/bin/broker", '/var/log' => "$dir/log"));
        spew("$dir/inside", <<'END');
set -e
mount -t tmpfs none /run
for d in daemons exclusive failed hotplugged inactive options scheduled softscripts started starting stopping tmp wasinactive; do
        mkdir -p /run/openrc/$d
done
touch /run/openrc/softlevel
ln -s /etc/init.d/localmount /run/openrc/started/
for order in start status reload restart stop; do
        "$1/broker" $order > "$1/log/$order" 2>&1 && echo "$order: 0" || echo "$order: $?"
done
END
        my ($said) = run('unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', "$dir/inside", $dir);
        is($said, join('', map { "$_: 0\n" } qw(start status reload restart stop)), 'start, status, reload, restart, stop')
                or diag(map { "$_:\n" . slurp("$dir/log/$_") } grep { -e "$dir/log/$_" } qw(start status reload restart stop));
        my @log = grep { / (?:ready|reloaded|bye) / } split /\n/, slurp("$dir/log/broker.log");
        is(join(' ', map { / (ready|reloaded|bye) / } @log), 'ready reloaded bye ready bye', 'as the broker says');
};

done_testing;
