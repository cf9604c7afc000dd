#!/usr/bin/perl
# The keys that shape a process, by what they do to it: /proc is asked, and the kernel, not the program where that can be
# had. What cannot be given is an error before anything is started.
use strict;
use warnings;

use BrokerTest;
use Files qw(slurp);
use Part;
use POSIX ();
use Test::More;

my $root = $> == 0;
my %CAP = (CHOWN => 0, KILL => 5, SETGID => 6, SETUID => 7, SETPCAP => 8, NET_BIND_SERVICE => 10, SYS_CHROOT => 18,
        SYS_NICE => 23, SYS_RESOURCE => 24);

sub status_of {
        my ($pid) = @_;

        return { map { /^(\w+):\s*(.*)$/ ? ($1 => $2) : () } split /\n/, slurp("/proc/$pid/status") // '' };
}

# More than 32 of them.
sub bits { no warnings 'portable'; return hex $_[0] }

sub bit { return 1 << $CAP{ $_[0] } }

my @held;

# Connects to a service whose program is cat, and keeps that running until release(); returns its pid.
sub hold {
        my ($t, $service) = @_;
        my $socket = $t->connect($service);

        syswrite $socket, "x\n";
        is(BrokerTest::read_line($socket), "x\n", "$service runs") or diag($t->log_text);
        my $record = $t->wait_message('connection accepted', service => $service, -from => 0);
        push @held, $socket;
        return $record->{pid};
}

sub release {
        my ($t) = @_;

        @held = ();
        return $t->stop;
}

# What of a broker's capabilities a program can have: ours, as root's programs get them.
sub has { return bits(status_of($$)->{CapBnd}) & bits(status_of($$)->{CapEff}) & bit($_[0]) }

# Runs the broker's check on one service and returns its messages and its exit status. A wrapper takes rights away.
sub check {
        my ($keys, @wrap) = @_;
        my $c = BrokerTest->new(later => 1);

        $c->write_conf("a:\n" . BrokerTest::indent("listen: 127.0.0.1:0\nwait: no\ncommand: cat\n$keys"), head => '');
        $c->{stopped} = 1;
        open my $out, '-|', join ' ', @wrap, $BrokerTest::BROKER, 'check', '-c', $c->dir . '/conf', '2>&1' or die;
        my $text = do { local $/ = undef; <$out> } // '';
        close $out;
        $text =~ s{^\S+/test\.yaml}{F}mg;
        File::Path::remove_tree($c->dir);
        return ($text, $? >> 8);
}

sub without {
        my (@names) = @_;
        my $list = join ',', map { '-' . lc } @names;

        return ('setpriv', "--bounding-set=$list", "--inh-caps=$list", '--');
}

sub have { return grep { -x "$_/$_[0]" } '/usr/bin', '/bin', '/usr/sbin', '/sbin' }

# A root directory with cat in it, and what cat needs.
sub make_jail {
        my ($dir) = @_;

        File::Path::make_path("$dir/bin", "$dir/inside");
        my ($cat) = map { "$_/cat" } grep { -x "$_/cat" } '/bin', '/usr/bin';
        my @files = ($cat, map { m{(/\S+) \(0x} ? $1 : () } `ldd $cat`);
        for my $file (@files) {
                my $to = $file eq $cat ? '/bin/cat' : $file;
                File::Path::make_path("$dir" . ($to =~ s{/[^/]+$}{}r));
                system('cp', '-L', $file, "$dir$to") == 0 or die "cp $file\n";
        }
        # Right inside, wrong outside.
        symlink '/bin/cat', "$dir/bin/linked" or die "symlink: $!";
        return $dir;
}

part 'what needs no privileges' => sub {
        my $own = slurp('/proc/self/oom_score_adj') + 0;
        my $score = $own < 900 ? $own + 77 : $own;
        my ($cpu) = status_of($$)->{Cpus_allowed_list} =~ /^(\d+)/;
        my $t = BrokerTest->new(services => <<"Y");
cpu: {listen: 127.0.0.1:0, wait: no, command: [cat], cpuset: "$cpu,1000-1023"}
oom: {listen: 127.0.0.1:0, wait: no, command: [cat], oom_score_adj: $score, instances: 200}
plain: {listen: 127.0.0.1:0, wait: no, command: [cat]}
named: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], argv0: "-login \$\${remote_port}:\${remote_addr}"}
search: {listen: 127.0.0.1:0, wait: no, command: cat, argv0: "not cat"}
empty: {listen: 127.0.0.1:0, wait: no, command: cat, argv0: ""}
many:
  listen: 127.0.0.1:0
  wait: no
  handoff: fds
  command: [%PROBE%, "--out=fd:3"]
  ulimits: {nofile: 5}
many-oom: {listen: 127.0.0.1:0, wait: no, command: [cat], oom_score_adj: $score, ulimits: {nofile: 4}}
Y
        my $pid = hold($t, 'cpu');
        is(status_of($pid)->{Cpus_allowed_list}, $cpu, 'cpuset: those that there are');
        isnt(status_of($t->{main_pid})->{Cpus_allowed_list}, undef, 'the broker has its own');
        my $oom_pid = hold($t, 'oom');
        is(slurp("/proc/$oom_pid/oom_score_adj") + 0, $score, 'oom_score_adj');
        is(slurp("/proc/$t->{main_pid}/oom_score_adj") + 0, $own, 'the broker\'s own is what it was');
        my $plain_pid = hold($t, 'plain');
        is(slurp("/proc/$plain_pid/oom_score_adj") + 0, $own, 'and that of a program started after it');
        # More than there are places for programs that are on their way.
        my $pipes = grep { /^pipe:/ } values %{ $t->fds };
        my @sockets = map { $t->connect('oom') } 1 .. 150;
        syswrite $_, "y\n" for @sockets;
        is(scalar(grep { (BrokerTest::read_line($_) // '') eq "y\n" } @sockets), 150, 'a hundred and fifty of them');
        is(slurp("/proc/$t->{main_pid}/oom_score_adj") + 0, $own, 'the broker\'s own is still what it was');
        @sockets = ();
        $t->wait_message('connection ended', service => 'oom') or last for 1 .. 150;
        is(scalar(grep { /^pipe:/ } values %{ $t->fds }), $pipes, 'and no pipes are left once they have ended');

        my $probe = $t->ask_probe('named');
        is($probe->{argv}[0], '-login ${remote_port}:127.0.0.1', 'argv0, with placeholders');
        my $search_pid = hold($t, 'search');
        is(slurp("/proc/$search_pid/cmdline"), "not cat\0", 'argv0 is what others see, too');
        like(readlink("/proc/$search_pid/exe"), qr{/cat$|coreutils}, 'the file is still that of command');
        my $empty_pid = hold($t, 'empty');
        is(slurp("/proc/$empty_pid/cmdline"), "\0", 'argv0 may be empty');

        $probe = $t->ask_probe('many');
        is_deeply($probe->{rlimits}{nofile}, [5, 5], 'a limit of open files lower than what the broker has open');
        my $few_pid = hold($t, 'many-oom');
        is(slurp("/proc/$few_pid/oom_score_adj") + 0, $score, 'oom_score_adj with such a limit');
        release($t);
};

part 'a broker that keeps its capabilities when the user changes' => sub {
        skip_part 'capabilities can be given to a broker by root only' unless $root && has('SETPCAP') && has('CHOWN');
        skip_part 'setpriv is not installed' unless have('setpriv');
        my @wrap = qw(setpriv --securebits=+no_setuid_fixup --inh-caps=+chown --ambient-caps=+chown --);
        my $t = BrokerTest->new(services => <<'Y', wrap => \@wrap);
root: {listen: 127.0.0.1:0, wait: no, command: [cat]}
user: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody}
user-one: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody, cap_add: KILL}
Y
        is(bits(status_of($t->{main_pid})->{CapAmb}), bit('CHOWN'), 'the broker has one to pass on');
        ok(bits(status_of(hold($t, 'root'))->{CapEff}) & bit('CHOWN'), 'root has it');
        is(bits(status_of(hold($t, 'user'))->{CapEff}), 0, 'another user has none');
        is(bits(status_of(hold($t, 'user-one'))->{CapEff}), bit('KILL'), 'or what was added');
        release($t);
};

part 'cap_add and cap_drop' => sub {
        skip_part 'capabilities can be taken away by root only' unless $root && has('SETPCAP');
        skip_part 'the container has too few capabilities' if grep { !has($_) } qw(CHOWN KILL SETUID SETGID NET_BIND_SERVICE);
        my $t = BrokerTest->new(services => <<'Y');
all: {listen: 127.0.0.1:0, wait: no, command: [cat]}
less: {listen: 127.0.0.1:0, wait: no, command: [cat], cap_drop: [chown, CAP_KILL]}
one: {listen: 127.0.0.1:0, wait: no, command: [cat], cap_drop: ALL, cap_add: NET_BIND_SERVICE}
none: {listen: 127.0.0.1:0, wait: no, command: [cat], cap_drop: ALL}
but: {listen: 127.0.0.1:0, wait: no, command: [cat], cap_drop: [CHOWN], cap_add: ALL}
user: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody}
user-one: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody, cap_add: [NET_BIND_SERVICE]}
user-alone:
  listen: 127.0.0.1:0
  wait: no
  command: [cat]
  user: nobody
  working_dir: /
  no_new_privileges: yes
  cap_drop: ALL
  cap_add: [KILL, NET_BIND_SERVICE]
user-none: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody, cap_drop: ALL}
user-all: {listen: 127.0.0.1:0, wait: no, command: [cat], user: nobody, cap_add: ALL, cap_drop: CHOWN}
port:
  listen: 127.0.0.1:0
  wait: no
  user: nobody
  cap_add: NET_BIND_SERVICE
  command: &bind
    - perl
    - -MSocket
    - -e
    - |
      $| = 1;
      socket my $$s, PF_INET, SOCK_STREAM, 0 or die;
      for my $$port (reverse 512 .. 1023) {
          $$! = 0;
          next unless bind $$s, sockaddr_in($$port, INADDR_LOOPBACK) or !$$!{EADDRINUSE};
          print $$! ? "no: $$!\n" : "bound\n";
          exit;
      }
no-port: {listen: 127.0.0.1:0, wait: no, user: nobody, command: *bind}
Y
        my $own = status_of($t->{main_pid});
        my $bound = bits($own->{CapBnd});
        my %want = (
                # bounding, what it has, what it passes on
                all          => [$bound, $bound, 0],
                less         => [($bound & ~bit('CHOWN') & ~bit('KILL')) x 2, 0],
                one          => [(bit('NET_BIND_SERVICE')) x 2, 0],
                none         => [0, 0, 0],
                but          => [($bound & ~bit('CHOWN')) x 2, 0],
                user         => [$bound, 0, 0],
                'user-one'   => [$bound, (bit('NET_BIND_SERVICE')) x 2],
                'user-alone' => [(bit('KILL') | bit('NET_BIND_SERVICE')) x 3],
                'user-none'  => [0, 0, 0],
                'user-all'   => [($bound & ~bit('CHOWN')) x 3],
        );
        for my $service (sort keys %want) {
                my $pid = hold($t, $service);
                my $status = status_of($pid);
                is(join(' ', map { bits($status->{$_}) } qw(CapBnd CapEff CapPrm CapAmb)),
                        join(' ', @{ $want{$service} }[0, 1, 1, 2]), "$service: bounding, effective, permitted, ambient");
                next unless $service eq 'user-alone';
                my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
                is($status->{Uid}, join("\t", ($uid) x 4), 'all uids');
                is($status->{Gid}, join("\t", ($gid) x 4), 'all gids');
                is($status->{Groups} =~ s/\s+$//r, $gid, 'the groups of the database alone');
                is($status->{NoNewPrivs}, 1, 'no_new_privileges goes with ambient capabilities');
        }
        is(status_of($t->{main_pid})->{$_}, $own->{$_}, "the broker's $_ is what it was") for qw(CapBnd CapEff CapAmb);
        is($t->ask('port'), "bound\n", 'a user with NET_BIND_SERVICE binds a port below 1024');
        SKIP: {
                skip 'here everybody may bind low ports', 1 if slurp('/proc/sys/net/ipv4/ip_unprivileged_port_start') <= 512;
                like($t->ask('no-port'), qr/^no: Permission/, 'one without it does not');
        }
        release($t);
};

part 'root_dir' => sub {
        skip_part 'only root can change the root directory' unless $root && has('SYS_CHROOT');
        my $t = BrokerTest->new(later => 1);
        my $dir = $t->dir;

        make_jail("$dir/jail");
        $t->write_conf(<<'Y');
plain: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/jail", command: /bin/cat}
search: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/jail", command: linked, environment: {PATH: "/none:/bin"}}
user: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/jail", command: cat, user: nobody, working_dir: /inside}
outside: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/jail", command: "cat /none", stderr: "append:%DIR%/err"}
later: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/later", command: cat, <<: &short {instances: 1, restart_delay: 1ms, restart_delay_max: 10ms}}
gone: {listen: 127.0.0.1:0, wait: no, root_dir: "%DIR%/gone", command: cat, <<: *short}
Y
        make_jail("$dir/gone");
        $t->start;
        my $pid = hold($t, 'plain');
        is(readlink("/proc/$pid/root"), "$dir/jail", 'root_dir');
        is(readlink("/proc/$pid/cwd"), "$dir/jail", 'it starts at the root of it');
        is(readlink("/proc/$pid/exe"), "$dir/jail/bin/cat", 'the command is inside');
        $pid = hold($t, 'search');
        is(readlink("/proc/$pid/exe"), "$dir/jail/bin/cat", 'so are PATH, and where links lead');
        $pid = hold($t, 'user');
        is(readlink("/proc/$pid/cwd"), "$dir/jail/inside", 'working_dir is inside');
        is(status_of($pid)->{Uid}, join("\t", ((getpwnam 'nobody')[2]) x 4), 'a user is looked up outside');
        is(readlink("/proc/$t->{main_pid}/root"), '/', 'the broker stays where it is');
        $t->ask('outside');
        like(slurp("$dir/err"), qr/No such file/, 'stderr: append is outside');

        my $client = $t->connect('later');
        my $paused = $t->wait_message(qr/^paused/, service => 'later');
        is($paused->{message}, "paused, clients wait: cannot start 'cat' in root_dir $dir/later: No such file or directory",
                'one that is not there: it pauses and says why') or 1;
        # It comes in one piece: the broker may look at any moment.
        make_jail("$dir/soon");
        rename "$dir/soon", "$dir/later";
        syswrite $client, "z\n";
        is(BrokerTest::read_line($client), "z\n", 'the client is served once it is there');

        undef $client;
        rename "$dir/gone", "$dir/elsewhere" or die;
        for my $round (1, 2) {
                is($t->ask('gone', ''), '', "gone when it is wanted, $round");
                my $end = $t->wait_message('connection ended', service => 'gone');
                is("$end->{failed}: $end->{error}", 'entering root_dir: No such file or directory', 'the log names the step');
        }
        release($t);
        my ($text, $status) = check("root_dir: /nonexistent\n");
        is($text =~ s/^1 service, .*\n//mr, "F:6:15: services.a.root_dir: warning: there is no directory '/nonexistent'\n",
                'check: a warning, and no other');
        is($status, 0, 'and no error');
        like((check("root_dir: /proc/self/fd\n"))[0], qr{^F:5:14: services.a.command: warning: there is no program 'cat' in /proc},
                'check: no such program inside');
};

part 'what cannot be given is an error at load' => sub {
        my ($text, $status) = check("cpuset: 1022-1023\n");
        like($text, qr/^F:6:13: services\.a\.cpuset: there is none of these CPUs for us/, 'CPUs that there are not');
        is($status, 78, 'exit status');
        skip_part 'setpriv is not installed' unless have('setpriv');
        skip_part 'rights can be taken away from root only' unless $root && has('SETPCAP');
        ($text, $status) = check("oom_score_adj: -999\n", without('SYS_RESOURCE'));
        like($text, qr/^F:6:20: services\.a\.oom_score_adj: -999 is lower than the broker may go without SYS_RESOURCE/,
                'an OOM score below our own');
        is($status, 78, 'exit status');
        ($text, $status) = check("user: nobody\ncap_add: [KILL, CHOWN, SETUID]\n", without(qw(CHOWN SETUID)));
        is($text, <<'END', 'capabilities that we do not have, by name and place');
F:7:21: services.a.cap_add: the broker itself does not have CHOWN; start it with that (docker: --cap-add CHOWN), or leave it out
F:7:28: services.a.cap_add: the broker itself does not have SETUID; start it with that (docker: --cap-add SETUID), or leave it out
END
        is($status, 78, 'exit status');
        ($text, $status) = check("cap_drop: [ALL]\n", without('SETPCAP'));
        like($text, qr/^F:6:16: services\.a\.cap_drop: the broker can take capabilities away only with SETPCAP/,
                'cap_drop without the right to');
        is((check("cap_drop: SETPCAP\n", without('SETPCAP')))[1], 0, 'what is not there need not be taken away');
        ($text, $status) = check("root_dir: /\n", without('SYS_CHROOT'));
        like($text, qr/^F:6:15: services\.a\.root_dir: the broker cannot change the root directory without SYS_CHROOT/,
                'root_dir without the right to');
        ($text, $status) = check("root_dir: /\ncpuset: 1023\ncap_add: CHOWN\n", without('SYS_CHROOT', 'CHOWN'));
        is(join(',', $text =~ /services\.a\.(\w+):/g), 'root_dir,cpuset,cap_add', 'all that is wrong is said at once');
};

part 'limits of open files that only the kernel knows' => sub {
        my ($nr_open) = (slurp('/proc/sys/fs/nr_open') // '') =~ /^(\d+)/ or skip_part 'the kernel does not show fs.nr_open';
        skip_part 'prlimit is not installed' unless have('prlimit');
        my @lower = ('prlimit', '--nofile=200:500');
        my %wraps = (500 => [@lower, $root && has('SETPCAP') && have('setpriv') ? without('SYS_RESOURCE') : ()]);

        delete $wraps{500} if has('SYS_RESOURCE') && @{ $wraps{500} } == 2;
        $wraps{$nr_open} = \@lower if has('SYS_RESOURCE');
        for my $highest (sort { $a <=> $b } keys %wraps) {
                my $t = BrokerTest->new(services => <<'Y', wrap => $wraps{$highest});
all: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--out=fd:3"], ulimits: {nofile: unlimited}}
hard: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--out=fd:3"], ulimits: {nofile: {soft: 100, hard: unlimited}}}
Y
                is_deeply($t->ask_probe('all')->{rlimits}{nofile}, [$highest, $highest], "unlimited is $highest");
                is_deeply($t->ask_probe('hard')->{rlimits}{nofile}, [100, $highest], 'also as the hard limit alone');
                like(slurp("/proc/$t->{main_pid}/limits"), qr/^Max open files\s+\d+\s+500\s/m, 'the broker\'s own is as it was');
                release($t);
        }
        my $above = $nr_open + 1;
        my ($text, $status) = check("ulimits: {nofile: $above}\n", @lower);
        like($text, qr{^F:6:14: services.a.ulimits.nofile: warning: $above is more than the kernel gives any program; they get $nr_open, }, 'more than that is said by the check');
        is($status, 0, 'and no error');
        like((check("ulimits: {nofile: {soft: $nr_open, hard: unlimited}}\n", @lower))[0], qr/no warnings/, 'as much is nothing to speak of');
        skip_part 'higher limits are given by those with SYS_RESOURCE only' unless has('SYS_RESOURCE');
        my $t = BrokerTest->new(services => <<"Y");
above: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--out=fd:3"], ulimits: {nofile: $above}}
both: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--out=fd:3"], ulimits: {nofile: {soft: 7, hard: $above}}}
soft: {listen: 127.0.0.1:0, wait: no, handoff: fds, command: [%PROBE%, "--out=fd:3"], ulimits: {nofile: {soft: $above, hard: unlimited}}}
Y
        is_deeply($t->ask_probe('above')->{rlimits}{nofile}, [$nr_open, $nr_open], 'they do');
        is_deeply($t->ask_probe('both')->{rlimits}{nofile}, [7, $nr_open], 'of the hard limit');
        is_deeply($t->ask_probe('soft')->{rlimits}{nofile}, [$nr_open, $nr_open], 'and of the soft one');
        release($t);
};

part 'every step that fails is named, and gives its place back' => sub {
        my %fails = (
                dir     => ['dir', 'working_dir: /nonexistent', 'entering working_dir'],
                program => ['program', 'working_dir: /', 'executing the program'],
        );
        my @wrap = have('prlimit') ? ('prlimit', '--core=0:0') : ();

        $fails{ulimits} = ['limit', 'ulimits: {core: 1}', 'setting ulimits'] if @wrap && !has('SYS_RESOURCE');
        if ($root && has('SETPCAP') && have('setpriv')) {
                $fails{ulimits} = ['limit', 'ulimits: {core: 1}', 'setting ulimits'] if @wrap;
                push @wrap, without(qw(SYS_NICE SYS_RESOURCE SETUID SETGID));
                $fails{nice} = ['nice', 'nice: -20', 'setting nice'];
                $fails{group} = ['group', 'group: games', 'changing the group'];
                $fails{groups} = ['groups', 'group_add: [games]', 'setting groups'];
                $fails{secret} = ['secret', 'user: nobody', 'setting groups'];
        }
        my $conf = join '', map {
                my $command = $_ eq 'program' ? '%DIR%/script' : 'cat';
                "$_: {listen: 127.0.0.1:0, wait: no, command: $command, instances: 1, "
                        . "restart_delay: 1ms, restart_delay_max: 10ms, $fails{$_}[1]}\n"
        } sort keys %fails;
        my $t = BrokerTest->new(later => 1);

        $t->write_file('script', "#!/nonexistent/interpreter\n");
        chmod 0755, $t->dir . '/script';
        $t->write_conf($conf);
        $t->start(wrap => \@wrap);
        my @open;
        # With a single place, the next one is served only when the one before has given it back.
        for my $round (1 .. 3) {
                for my $service (sort keys %fails) {
                        is($t->ask($service, ''), '', "$service, $round: the connection is closed");
                        my $end = $t->wait_message('connection ended', service => $service);
                        is($end->{failed}, $fails{$service}[2], "and the log names the step: $fails{$service}[2]");
                        is($end->{status}, $service eq 'program' ? 'exit:127' : 'exit:126', 'and the status');
                        my $paused = $t->wait_message(qr/^paused/, service => $service);
                        like($paused->{message}, qr/: \Q$fails{$service}[2]\E: \w/, 'and why it pauses');
                }
                push @open, scalar keys %{ $t->fds };
        }
        is($open[2], $open[0], 'no descriptor is left open');
        release($t);
};

part 'only the change of user fails' => sub {
        skip_part 'rights can be taken away from root only, by setpriv' unless $root && has('SETPCAP') && have('setpriv');
        my $t = BrokerTest->new(services => <<'Y', wrap => [without('SETUID')]);
a: {listen: 127.0.0.1:0, wait: no, command: cat, <<: &short {instances: 1, restart_delay: 1ms, restart_delay_max: 10ms}, user: nobody}
b: {listen: 127.0.0.1:0, wait: no, command: cat, <<: *short, user: nobody, cap_add: KILL}
Y
        for my $service (qw(a b a)) {
                is($t->ask($service, ''), '', "$service: no program runs as somebody else");
                is($t->wait_message('connection ended', service => $service)->{failed}, 'changing the user', 'it is said');
        }
        release($t);
};

# Runs a program with a child; returns the socket that both hold, and the child's pid.
sub with_child {
        my ($t, $service) = @_;
        my $socket = $t->connect($service);
        my $line = BrokerTest::read_line($socket) // '';

        like($line, qr/^\d+$/, "$service runs, and its child") or diag($t->log_text);
        return ($socket, $line =~ /(\d+)/);
}

# What a server leaves behind that nobody has told to end: the one who accepts is its child.
part 'the group of a server that ends by itself' => sub {
        my ($major, $minor) = (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/;
        skip_part('the kernel cannot signal a group by its descriptor') if $major < 6 || $major == 6 && $minor < 9;
        my $t = BrokerTest->new(later => 1);
        my $server = $t->write_file('server.pl', <<'P');
use Socket;
open my $listener, '+<&=', shift or die;
if (fork) { sleep }
while (accept my $client, $listener) {
        syswrite $client, "$$\n";
        sysread $client, my $byte, 1;
}
P
        $t->write_conf(<<"Y");
fds: &a {listen: 127.0.0.1:0, wait: yes, stop_grace_period: 10min, command: [$^X, $server, 3]}
process: {<<: *a, kill_mode: process}
stdio: {<<: *a, handoff: stdio, command: [$^X, $server, 0]}
Y
        $t->start;
        for my $service (qw(fds process stdio)) {
                my ($socket, $child) = with_child($t, $service);
                my $main = $t->wait_message('server started', service => $service, -from => 0)->{pid};

                kill 'KILL', $main;
                ok($t->wait_message('server ended', service => $service, pid => $main), "$service: the server is killed");
                if ($service ne 'fds') {
                        ok(kill(0, $child), 'its child lives on');
                        kill 'KILL', $child;
                }
                is(BrokerTest::read_all($socket), '', 'its child ends') if $service eq 'fds';
                (undef, my $next) = with_child($t, $service);
                isnt($next, $child, 'and another server serves');
                kill 'KILL', $next;
        }
        is(($t->verb('stop', 'fds'))[0], 0, 'it is stopped');
        is(($t->verb('start', 'fds'))[0], 0, 'and its address is free');
        $t->stop;
};

part 'kill_mode' => sub {
        my $t = BrokerTest->new(services => <<'Y');
group: &a
  listen: 127.0.0.1:0
  wait: no
  command: [sh, -c, "tail -f /dev/null & echo $!; wait"]
  max_runtime: 200ms
  stop_grace_period: 200ms
process: {<<: *a, kill_mode: process}
stubborn-group: &b
  <<: *a
  command: [sh, -c, "trap '' TERM; tail -f /dev/null & echo $!; while :; do wait; done"]
stubborn-process: {<<: *b, kill_mode: process}
stop:
  listen: 127.0.0.1:0
  wait: no
  kill_mode: process
  stop_signal: SIGHUP
  command: [sh, -c, "tail -f /dev/null & echo $!; kill -STOP $$$$; wait"]
  max_runtime: 200ms
  stop_grace_period: 1s
drain: {<<: *a, max_runtime: infinity, kill_mode: process}
changed: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, --serve, --fork-hold], stop_grace_period: 1s}
Y
        for my $service (qw(group stubborn-group)) {
                my ($socket) = with_child($t, $service);
                # The socket is closed when the last of them has ended.
                is(BrokerTest::read_all($socket), '', "$service: the child ends as well");
        }
        for my $service (qw(process stubborn-process stop)) {
                my ($socket, $child) = with_child($t, $service);
                my $end = $t->wait_message('connection ended', service => $service);
                is($end->{status}, { process => 'signal:TERM', 'stubborn-process' => 'signal:KILL', stop => 'signal:HUP' }->{$service},
                        "$service: the program has ended") or diag($t->log_text);
                ok(kill(0, $child), 'its child has not');
                kill 'KILL', $child;
                is(BrokerTest::read_all($socket), '', 'until we end it');
        }
        # A reload changes it for what runs already.
        is($t->ask('changed', "x\n") =~ /^pid=(\d+)/ ? 'served' : '', 'served', 'a server runs');
        my $server = $t->wait_message('server started', service => 'changed')->{pid};
        my ($child) = split ' ', slurp("/proc/$server/task/$server/children") // '';
        ok($child, 'and its child') or diag($t->log_text);
        my $conf = slurp($t->dir . '/conf/test.yaml');
        $conf =~ s/^(  changed: \{)/$1kill_mode: process, /m or die;
        $t->write_file('conf/test.yaml', $conf);
        ok($t->reload, 'reloaded');
        $t->ask('changed', "x\n");
        ok(kill(0, $server), 'kill_mode changed: the server goes on');

        my ($socket, $held) = with_child($t, 'drain');
        $conf =~ s/^  (changed|drain): .*\n//mg;
        $t->write_file('conf/test.yaml', $conf);
        ok($t->reload, 'the service is taken away');
        ok($t->wait_message('server ended', service => 'changed'), 'its server ends');
        ok(kill('KILL', $child), 'its child was left alone');
        $t->stop(status => 0);
        ok(kill('KILL', $held), 'and so was that of a program which was told to end with the broker');
};

part 'environment' => sub {
        my $t = BrokerTest->new(later => 1);

        $t->write_file('one.env', "A=one\nB: 'it\\'s'\nexport C=\"x\\ty\" # comment\nKEPT\nNOT_THERE\nE=\$HOME \${pid}\n");
        $t->write_file('two.env', "A=two\r\nD=\r\n");
        $t->write_conf(<<'Y');
list: &a
  listen: 127.0.0.1:0
  wait: no
  command: [%PROBE%, --out=stdout]
  env_file: [../one.env, {path: ../two.env}, {path: ../none.env, required: no}]
  environment: ["A", "L=a=b", "EMPTY=", "KEPT", "NOWHERE"]
  pass_environment: no
map: {<<: *a, env_file: {path: ../one.env, required: yes}, environment: {A: , L: 1.50, YES: yes, EMPTY: "", NULL_TEXT: "null"}}
some: {<<: *a, env_file: ../two.env, environment: {}, pass_environment: [KEPT, PATH]}
all: {<<: *a, env_file: [], environment: {KEPT: changed}, pass_environment: yes}
Y
        $t->start(env => { KEPT => 'kept', A => 'of the broker', LISTEN_FDNAMES => 'x', WATCHDOG_PID => 1, SO_COOKIE => 'x' });
        my %env = map { $_ => $t->ask_probe($_)->{env} } qw(list map some all);
        my %own = map { $_ => 1 } grep { /^(REMOTE|SERVER|TCP|PROTO$|SO_COOKIE$)/ } keys %{ $env{list} };
        delete @{ $env{$_} }{ keys %own } for qw(list map some);
        is_deeply($env{list}, {
                A => 'of the broker', B => q(it's), C => "x\ty", D => '', E => '$HOME ${pid}', L => 'a=b', EMPTY => '', KEPT => 'kept',
        }, 'env_file, a later file over an earlier one, and environment as a list over both; nothing else');
        is_deeply($env{map}, {
                A => 'of the broker', B => q(it's), C => "x\ty", E => '$HOME ${pid}', L => '1.50', YES => 'yes', EMPTY => '',
                NULL_TEXT => 'null', KEPT => 'kept',
        }, 'environment as a mapping: the text as it is written');
        is_deeply($env{some}, { A => 'two', D => '', KEPT => 'kept', PATH => $ENV{PATH} }, 'pass_environment: those named');
        is($env{all}{KEPT}, 'changed', 'environment over what is passed');
        is($env{all}{A}, 'of the broker', 'pass_environment: yes');
        is($env{all}{PATH}, $ENV{PATH}, 'all of it');
        ok(!exists $env{all}{$_}, "but $_") for qw(LISTEN_FDNAMES WATCHDOG_PID NOTIFY_SOCKET);
        isnt($env{all}{SO_COOKIE}, 'x', 'nor that of another connection');
        release($t);
};

part 'stdout and stderr' => sub {
        my $t = BrokerTest->new(services => <<'Y');
inherit: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, "--stderr=as it is\\n"], stderr: inherit}
files: &a
  listen: 127.0.0.1:0
  wait: no
  handoff: fds
  command: [%PROBE%, "--stdout=out\\n", "--stderr=err\\n", "--out=fd:3"]
  stdout: "append:%DIR%/out"
  stderr: "append:%DIR%/both"
same: {<<: *a, stdout: "append:%DIR%/both"}
nothing: {<<: *a, stdout: null, stderr: null}
to-client: {<<: *a, command: [%PROBE%, "--stdout=out\\n", "--stderr=err\\n"], stdout: socket, stderr: socket}
server: {listen: 127.0.0.1:0, wait: yes, command: [%PROBE%, "--stdout=of a server\\n", --serve, --count=1], stderr: null}
Y
        $t->ask('inherit');
        ok($t->wait_log(sub { ($_->{text} // '') eq 'as it is' }), 'stderr: inherit');
        ok($t->ask_probe('files'), 'append, each to its file') for 1, 2;
        ok($t->ask_probe('same'), 'append, both to one');
        is(slurp($t->dir . '/out'), "out\n" x 2, 'stdout: append');
        is(slurp($t->dir . '/both'), "err\nerr\nout\nerr\n", 'nothing is written over');
        my $probe = $t->ask_probe('nothing');
        is(join(' ', map { $_->{target} } grep { $_->{fd} =~ /^[12]$/ } @{ $probe->{fds} }), '/dev/null /dev/null', 'null');
        is($t->ask('to-client'), "out\nerr\n", 'socket');
        $t->ask('server', "x\n");
        is($t->wait_message('of a server', service => 'server', -from => 0)->{stream}, 'stdout', 'stdout of a server: log');
        release($t);
};

part 'users and groups' => sub {
        skip_part 'only root can change users' unless $root;
        my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
        my ($games) = (getgrnam 'games')[2];
        local $ENV{HOME} = '/of/the/broker';
        my $t = BrokerTest->new(services => <<"Y");
number: &a {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout], user: "$uid", working_dir: /}
pair: {<<: *a, user: "$uid:games"}
wins: {<<: *a, user: "nobody:daemon", group: games}
none: {<<: *a, groups: no}
group: {<<: *a, user: nobody, group: games, environment: {HOME: /tmp}}
server: {<<: *a, wait: yes, user: nobody, command: [%PROBE%, --out=conn]}
Y
        my $probe = $t->ask_probe('number');
        is($probe->{env}{USER}, 'nobody', 'a number that the database knows has a name');
        is($probe->{env}{HOME}, (getpwnam 'nobody')[7], 'and a home');
        is($probe->{ids}{rgid}, $gid, 'and a group');
        is($t->ask_probe($_)->{ids}{egid}, $games, "$_: the group") for qw(pair wins group);
        is_deeply($t->ask_probe('none')->{ids}{groups}, [], 'groups: no');
        is($t->ask_probe('group')->{env}{HOME}, '/tmp', 'environment wins over what the user brings');
        $probe = $t->ask_probe('server');
        is(join(' ', @{ $probe->{ids} }{qw(ruid euid suid rgid egid sgid)}), "$uid $uid $uid $gid $gid $gid", 'a server, too');
        isnt($probe->{pdeathsig}, 0, 'its end is tied to the broker\'s, which a change of user would undo');
        release($t);
};

part 'under nohup, with signals blocked and ignored' => sub {
        my $t = BrokerTest->new(
                services => "a: {listen: 127.0.0.1:0, wait: no, command: [%PROBE%, --out=stdout]}\n"
                        . "b: {listen: 127.0.0.1:0, wait: no, command: [cat]}\n",
                wrap  => have('nohup') ? ['nohup'] : [],
                setup => sub {
                        $SIG{$_} = 'IGNORE' for qw(HUP PIPE QUIT USR2 TTOU XFSZ);
                        POSIX::sigprocmask(POSIX::SIG_BLOCK, POSIX::SigSet->new(POSIX::SIGHUP, POSIX::SIGUSR1, POSIX::SIGTERM));
                },
        );
        my $probe = $t->ask_probe('a');
        is($probe->{signals}{$_} =~ s/^0+//r, '', "signals $_: none") for qw(blocked ignored);
        my $pid = hold($t, 'b');
        my $status = status_of($pid);
        is($status->{$_} =~ s/^0+//r, '', "$_ of a program that changes none") for qw(SigBlk SigIgn SigCgt);
        is(join(' ', sort { $a <=> $b } map { m{(\d+)$} } glob "/proc/$pid/fd/*"), '0 1 2', 'no stray descriptor');
        my ($session) = (slurp("/proc/$pid/stat") =~ s/^.*\) //r) =~ /^\S+ \S+ \d+ (\d+)/;
        is($session, $pid, 'a session of its own');
        release($t);
};

done_testing;
