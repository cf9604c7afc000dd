#!/usr/bin/perl
# The definitions in units/: each as it is shipped, but for the ports, paths and users that are named below, with its own
# program and client, for a transaction as its users have it.
use strict;
use warnings;

use BrokerTest;
use File::Path qw(make_path);
use Files qw(slurp);
use IO::Select;
use IO::Socket::IP;
use IPC::Open2 qw(open2);
use Part;
use Programs;
use Socket qw(SHUT_WR SOCK_DGRAM);
use Test::More;

my $root = $> == 0;
# Who is not root runs all as himself.
my @as_myself = $root ? () : ("    user: nobody\n", '');

# The shipped file, with other texts in the places of some, each of which has to be there.
sub unit {
        my ($file, @changes) = @_;
        my $text = slurp("units/$file");

        while (my ($from, $to) = splice @changes, 0, 2) {
                my $n = $text =~ s/(?<![\w.])\Q$from\E(?!\w)/$to/g;
                die "$file has no '$from'\n" unless $n;
                note("$file: '$from' is '$to'" =~ s/\n//gr);
        }
        return $text;
}

# A broker that is not started yet, for files to be made in its directory.
sub prepare { return BrokerTest->new(later => 1) }

# Starts it with shipped files.
sub start_with {
        my ($b, $units, @how) = @_;

        $b->write_file('conf/00-test.yaml', "broker: {log: {format: json, level: debug}}\n");
        $b->write_file("conf/$_", $b->fill($units->{$_})) for keys %$units;
        return $b->start(@how);
}

# What a process may at most: the bounding set, as hexadecimal digits; and whether it can gain rights by executing. The
# log tells of it before it has become the program, and no event tells that it has.
sub rights {
        my ($pid) = @_;
        my $until = time + $BrokerTest::TIMEOUT;

        select undef, undef, undef, 0.01 while (readlink("/proc/$pid/exe") // "") =~ m{/broker$} && time < $until;
        my $text = slurp("/proc/$pid/status");

        return join ' ', $text =~ /^CapBnd:\s*0*(\w+)$/m, $text =~ /^NoNewPrivs:\s*(\d)$/m;
}

# An address of this machine that is not loopback; undef where it has none.
sub own_address {
        my $socket = IO::Socket::IP->new(PeerHost => '192.0.2.1', PeerPort => 9, Type => SOCK_DGRAM) or return;
        my $address = $socket->sockhost;

        return $address =~ /^127\./ ? undef : $address;
}

# Whoever is not on this machine is turned away: what comes from another address of it stands for that.
sub closed_to_others {
        my ($b, $service) = @_;

        SKIP: {
                my $address = own_address() or skip 'this machine has no address but loopback', 2;
                my $client = BrokerTest::connect_to("$address:" . $b->port($service));
                is(BrokerTest::read_all($client) // '', '', "$service: $address gets nothing");
                ok($b->wait_message('connection refused', service => $service, limit => 'only_from', -from => 0), 'it was refused');
        }
        return;
}

part 'every file' => sub {
        my @files = map { s{^units/}{}r } sort glob 'units/*.yaml';
        my $b = prepare();
        my $readme = slurp('README.md');

        for my $file (@files) {
                my $text = slurp("units/$file");

                like($text, qr/\A# .*\n(?:# .*\n)*#\n# Install: .*\n(?:# .*\n)*# Open to: .*\n(?:# .*\n)*# Try it:  .*\n(?:# .*\n)*\nservices:\n/,
                        "$file begins with what to install, whom it lets in, and how to try it");
                like($readme, qr{\Q(units/$file)\E}, 'README.md names it');
                # As it is. A machine without ScarletDME has no such group, which is an error, as it ought to be.
                my ($said, $status) = run($BrokerTest::BROKER, 'check', '-c', "units/$file");
                my @others = grep { !/: warning: there is no program '/ } split /\n/, $said;
                if (grep { /there is no group 'qmusers'/ } @others) {
                        is(scalar @others, 1, 'broker check has nothing to say but that the group is missing') or diag($said);
                } elsif (!$root && grep { /only root can run programs as other users/ } @others) {
                        is($status, 78, 'broker check tells who is not root what he cannot have') or diag($said);
                } else {
                        is($status, 0, 'broker check accepts it') or diag($said);
                        like(join("\n", @others), qr/^\d+ services?, no errors, (no|\d) warnings?$/, 'and warns of nothing but missing programs');
                }

                SKIP: {
                        skip 'users and rights need root', 2 unless $root;
                        my @changes = $text =~ /qmusers/ ? ('group: qmusers', 'group: daemon') : ();
                        my $missing = unit($file, @changes) =~ s{(?<=[\[ ])/(?:usr/)?s?bin/}{/nowhere/}gr;
                        ($said, $status) = run($BrokerTest::BROKER, 'check', '-c', $b->write_file("missing.yaml", $missing));
                        is($status, 0, 'a missing program is no error') or diag($said);
                        is(scalar(() = $said =~ /: warning: there is no program '/g), scalar(() = $missing =~ /^    command:/mg),
                                'but a warning');
                }
        }

        # All at once, as links: no two of them want the same name or address.
        SKIP: {
                skip 'users and rights need root', 1 unless $root;
                for my $file (@files) {
                        my $text = slurp("units/$file") =~ s/group: qmusers/group: daemon/r;
                        symlink $b->write_file($file, $text), $b->dir . "/conf/$file";
                }
                my ($said, $status) = run($BrokerTest::BROKER, 'check', '-c', $b->dir . '/conf');
                is($status, 0, 'links to all of them can stand side by side') or diag($said);
        }
};

part 'git-daemon.yaml' => sub {
        need('git');
        my $b = prepare();
        my $dir = $b->dir;

        local $ENV{HOME} = $dir;
        local $ENV{GIT_CONFIG_GLOBAL} = $b->write_file('gitconfig', "[user]\nname = T\nemail = t\@example.org\n");
        local $ENV{GIT_CONFIG_NOSYSTEM} = 1;
        make_path("$dir/git");
        # Root's, or mine: not nobody's, as which git daemon runs.
        must('git', 'init', '-q', '--bare', "$dir/git/$_") for qw(test.git other.git);
        must('git', 'clone', '-q', "$dir/git/test.git", "$dir/work");
        $b->write_file('work/file', "of git\n");
        must('git', '-C', "$dir/work", @$_) for ['add', 'file'], ['commit', '-q', '-m', 'the commit'], ['push', '-q', 'origin', 'HEAD'];
        $b->write_file('git/test.git/git-daemon-export-ok', '');

        start_with($b, { 'git-daemon.yaml' => unit('git-daemon.yaml', 'listen: 9418' => 'listen: 0', '/srv/git' => "$dir/git", @as_myself) });
        my $url = 'git://127.0.0.1:' . $b->port('git');
        my ($said, $status) = run('git', 'clone', '-q', "$url/test.git", "$dir/clone");
        is($status, 0, 'git clone') or diag($said, $b->log_text);
        is(slurp("$dir/clone/file"), "of git\n", 'the file is there');
        ($said, $status) = run('git', 'ls-remote', "$url/other.git");
        isnt($status, 0, 'a repository without git-daemon-export-ok is not served');
        ($said, $status) = run('git', '-C', "$dir/clone", 'push', '-q', 'origin', 'HEAD:other');
        isnt($status, 0, 'nobody can push') or diag($said);
        my @clients = map { $b->connect('git') } 1 .. 5;
        ok($b->wait_message('connection refused', service => 'git', limit => 'per_source'), 'five clients of one address are one too many');
        $b->stop;
};

part 'rsync.yaml' => sub {
        need('rsync');
        skip_part 'it changes its user and its root directory: needs root' unless $root;
        my $b = prepare();
        my $dir = $b->dir;

        make_path("$dir/files", "$dir/outside");
        $b->write_file('files/file', "of rsync\n");
        $b->write_file('outside/file', "of others\n");
        symlink "$dir/outside/file", "$dir/files/link";
        # What the head of the file says.
        my ($conf) = slurp('units/rsync.yaml') =~ m{and in /etc/rsyncd.conf:\n((?:#  .*\n)*)};
        $b->write_file('rsyncd.conf', $conf =~ s/^#\s*//mgr =~ s{/srv/files}{$dir/files}r);

        start_with($b, { 'rsync.yaml' => unit('rsync.yaml', 'listen: 873' => 'listen: 0', '/etc/rsyncd.conf' => "$dir/rsyncd.conf") });
        my $url = 'rsync://127.0.0.1:' . $b->port('rsync');
        like(must('rsync', "$url/"), qr/^files\b/, 'the list of modules');
        like(must('rsync', "$url/files/"), qr/ file$/m, 'the list of files');
        works('a copy', '', 'rsync', '--archive', "$url/files/file", "$dir/copy");
        is(slurp("$dir/copy"), "of rsync\n", 'the file is there');
        my ($said, $status) = run('rsync', '--copy-links', "$url/files/link", "$dir/escaped");
        ok($status && !-e "$dir/escaped", 'nothing outside of the module can be had') or diag($said);
        ($said, $status) = run('rsync', "$dir/copy", "$url/files/new");
        ok($status && !-e "$dir/files/new", 'nothing can be written') or diag($said);

        my $client = $b->connect('rsync');
        like(BrokerTest::read_line($client), qr/^\@RSYNCD: /, 'one that is connected');
        my $accepted = $b->wait_message('connection accepted', service => 'rsync', peer => $client->sockhost . ':' . $client->sockport, -from => 0);
        is(rights($accepted->{pid}), '400c0 1', 'is served by one that may change its user and its root directory, and no more');
        close $client;
        $b->stop;
};

part 'tftp.yaml' => sub {
        need(qw(in.tftpd tftp));
        skip_part 'it changes its user and its root directory: needs root' unless $root;
        skip_part 'there is no user tftp, which its Debian package makes' unless getpwnam 'tftp';
        my $b = prepare();
        my $dir = $b->dir;
        my $text = join '', map { "line $_ of the file\n" } 1 .. 2000;

        make_path("$dir/tftp");
        $b->write_file('tftp/file', $text);
        chmod 0600, $b->write_file('tftp/secret', "not for all\n");
        start_with($b, { 'tftp.yaml' => unit('tftp.yaml', 'udp:69' => 'udp:0', '/srv/tftp' => "$dir/tftp") });
        my @get = ('tftp', '-m', 'octet', '127.0.0.1', $b->port('tftp'), '-c', 'get');

        my ($said, $status) = run(@get, 'file', "$dir/got");
        is($status, 0, 'tftp') or diag($said);
        ok((slurp("$dir/got") // '') eq $text, 'the file has come');
        ($said) = run(@get, 'secret', "$dir/secret");
        like($said, qr/Permission denied/, 'one that not all may read has not');
        my $started = $b->wait_message('server started', service => 'tftp', -from => 0);
        is(rights($started->{pid}), '400c0 1', 'the server may change its user and its root directory, and no more');
        $b->stop;
};

part 'ssh.yaml' => sub {
        need(qw(sshd ssh ssh-keygen));
        skip_part 'logins need root' unless $root;
        skip_part 'root is locked' if ((getpwuid 0)[1] // '') =~ /^!/;
        my $b = prepare();
        my $dir = $b->dir;

        must('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/$_") for qw(host user);
        $b->write_file('sshd_config', <<"END");
HostKey $dir/host
AuthorizedKeysFile $dir/user.pub
AuthenticationMethods publickey
PermitRootLogin yes
UsePAM no
StrictModes no
END
        start_with($b, { 'ssh.yaml' => unit('ssh.yaml', 'listen: 22' => 'listen: 0', '-i -e' => "-i -e -f $dir/sshd_config") });
        my $port = $b->port('ssh');
        $b->write_file('known_hosts', "[127.0.0.1]:$port " . slurp("$dir/host.pub"));
        my @ssh = ('ssh', '-F', 'none', '-p', $port, '-o', "UserKnownHostsFile=$dir/known_hosts", '-o', 'StrictHostKeyChecking=yes',
                '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none');

        my ($said, $status) = run(@ssh, '-i', "$dir/user", 'root@127.0.0.1', 'echo $((6 * 7)) of $(id -un)');
        is_deeply([$status, $said], [0, "42 of root\n"], 'a command by ssh, with a key') or diag($b->log_text);
        ok($b->wait_message(qr/Accepted publickey for root/, service => 'ssh', -from => 0), 'what sshd says is in the log');
        ($said, $status) = run(@ssh, '-i', "$dir/host", 'root@127.0.0.1', 'true');
        is($status, 255, 'another key does not do');
        like($said, qr/Permission denied \(publickey\)/, 'and ssh is told so');
        $b->stop;
};

part 'svnserve.yaml' => sub {
        need(qw(svnserve svn svnadmin));
        my $b = prepare();
        my $dir = $b->dir;

        make_path("$dir/svn", "$dir/import", "$dir/home");
        local $ENV{HOME} = "$dir/home";
        must('svnadmin', 'create', "$dir/svn/test");
        $b->write_file('import/file', "of svn\n");
        must('svn', 'import', '-q', '-m', 'the commit', "$dir/import", "file://$dir/svn/test");
        start_with($b, { 'svnserve.yaml' => unit('svnserve.yaml', 'listen: 3690' => 'listen: 0', '/srv/svn' => "$dir/svn", @as_myself) });
        my $url = 'svn://127.0.0.1:' . $b->port('svn') . '/test';

        my ($said, $status) = run('svn', 'checkout', '-q', '--non-interactive', $url, "$dir/copy");
        is($status, 0, 'svn checkout') or diag($said, $b->log_text);
        is(slurp("$dir/copy/file"), "of svn\n", 'the file is there');
        $b->write_file('copy/file', "changed\n");
        ($said, $status) = run('svn', 'commit', '--non-interactive', '-m', 'another', "$dir/copy");
        isnt($status, 0, 'nobody can commit') or diag($said);
        $b->stop;
};

part 'distcc.yaml' => sub {
        need(qw(distcc distccd gcc));
        skip_part 'it changes its user: needs root' unless $root;
        skip_part 'there is no user distccd, which its Debian package makes' unless getpwnam 'distccd';
        my $b = prepare();
        my $dir = $b->dir;

        make_path("$dir/distcc");
        $b->write_file('answer.c', "int answer(void) { return 42; }\n");
        $b->write_file('main.c', "int answer(void);\nint main(void) { return answer(); }\n");
        start_with($b, { 'distcc.yaml' => unit('distcc.yaml', 'listen: 3632' => 'listen: 0') });
        {
                local $ENV{DISTCC_HOSTS} = '127.0.0.1:' . $b->port('distcc');
                local $ENV{DISTCC_FALLBACK} = 0;
                local $ENV{DISTCC_DIR} = "$dir/distcc";
                for my $name (qw(answer main)) {
                        my ($said, $status) = run('distcc', 'gcc', '-c', "$dir/$name.c", '-o', "$dir/$name.o");
                        is($status, 0, "distcc gcc $name.c") or diag($said, $b->log_text);
                }
        }
        ok($b->wait_message(qr/COMPILE_OK.*answer\.c/, service => 'distcc', -from => 0), 'distccd says that it has done it');
        must('gcc', '-o', "$dir/program", "$dir/answer.o", "$dir/main.o");
        is((run("$dir/program"))[1], 42, 'the program does what it should');

        my $client = $b->connect('distcc');
        my $accepted = $b->wait_message('connection accepted', service => 'distcc', peer => $client->sockhost . ':' . $client->sockport, -from => 0);
        is(rights($accepted->{pid}), 'c0 1', 'distccd may change its user, and no more');
        close $client;
        closed_to_others($b, 'distcc');
        $b->stop;
};

part 'finger.yaml' => sub {
        need(qw(in.fingerd finger));
        my $b = prepare();
        my $user = getpwuid $>;
        my @netns = ('unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh');

        # The client knows the port 79 and no other: the file as it is, in a network of its own.
        SKIP: {
                skip 'needs root for a network namespace', 3 unless $root;
                skip 'no network namespace can be made here', 3 if (run(@netns, 'true'))[1];
                my $n = prepare();
                start_with($n, { 'finger.yaml' => unit('finger.yaml') }, wrap => \@netns);
                my ($said, $status) = run('nsenter', '-t', $n->pid, '--net', 'finger', "$user\@127.0.0.1");
                like($said, qr/Login: \Q$user\E\b/, 'finger');
                $n->stop;
        }
        start_with($b, { 'finger.yaml' => unit('finger.yaml', '127.0.0.1:79' => '127.0.0.1:0', @as_myself) });
        like($b->ask('finger', "$user\r\n", keep_open => 1), qr/Login: \Q$user\E\b/, 'a query');
        like($b->ask('finger', "\r\n", keep_open => 1), qr/Please supply a username/, 'there is no list of all');
        $b->stop;
};

part 'telnet.yaml' => sub {
        need(qw(telnetd telnet));
        skip_part 'logins need root' unless $root;
        open my $pty, '+<', '/dev/ptmx' or skip_part "no pseudo-terminal can be had here: $!";
        close $pty;
        my $b = prepare();

        start_with($b, { 'telnet.yaml' => unit('telnet.yaml', '127.0.0.1:23' => '127.0.0.1:0') });
        my $pid = open2(my $out, my $in, 'timeout', $BrokerTest::TIMEOUT, 'telnet', '127.0.0.1', $b->port('telnet'));
        my $said = '';
        while ($said !~ /login: $/ && IO::Select->new($out)->can_read($BrokerTest::TIMEOUT)) {
                sysread $out, $said, 4096, length $said or last;
        }
        like($said, qr/login: $/, 'telnet comes to the question who one is') or diag($b->log_text);
        close $in;
        kill 'TERM', $pid;
        waitpid $pid, 0;
        ok($b->wait_message('connection ended', service => 'telnet', -from => 0), 'and telnetd ends with its client');
        $b->stop;
};

# Debian has no such agent; where none is installed a program with the same conventions stands in for it.
part 'check-mk-agent.yaml' => sub {
        my $b = prepare();
        my @agent = -x '/usr/bin/check_mk_agent' ? () : ('/usr/bin/check_mk_agent' => $b->write_file('agent', <<'END'));
#!/bin/sh
echo "<<<check_mk>>>"
echo "AgentOS: linux"
echo "OnlyFrom: ${REMOTE_HOST:-$REMOTE_ADDR}"
END
        chmod 0755, $agent[1] if @agent;
        start_with($b, { 'check-mk-agent.yaml' => unit('check-mk-agent.yaml', 'listen: 6556' => 'listen: 0', @agent, $root ? () : ("    user: root\n" => '')) });
        my $said = $b->ask('check-mk-agent', undef) // '';
        like($said, qr/\A<<<check_mk>>>\n(?:.*\n)*AgentOS: linux\n/, 'the agent says what it knows, and ends');
        like($said, qr/^OnlyFrom: 127\.0\.0\.1$/m, 'it knows who asks') if @agent;
        closed_to_others($b, 'check-mk-agent');
        $b->stop;
};

part 'builtins.yaml' => sub {
        my $b = prepare();
        my $text = unit('builtins.yaml') =~ s/(?<=127\.0\.0\.1:)\d+/0/gr;

        note('builtins.yaml: every port is 0');
        start_with($b, { 'builtins.yaml' => $text, 'cat.yaml' => "services:\n  Cat: {tcpmux: yes, wait: no, command: [cat]}\n" });
        my %udp = map { $_ => BrokerTest::connect_to($b->address($_, 1)) } qw(echo discard daytime chargen time);
        my $datagram = sub {
                my ($service, $question) = @_;
                send $udp{$service}, $question, 0;
                IO::Select->new($udp{$service})->can_read($BrokerTest::TIMEOUT) or return;
                recv $udp{$service}, my $answer, 65_536, 0;
                return $answer;
        };
        my $date = qr/\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\r\n/;
        my $is_time = sub { my $t = unpack('N', $_[0] // '') // 0; return abs($t - 2_208_988_800 - time) < 60 };

        is($b->ask('echo', "what is said\n"), "what is said\n", 'echo');
        is($datagram->('echo', 'a datagram'), 'a datagram', 'echo over UDP');
        is($b->ask('discard', "what is said\n"), '', 'discard');
        send $udp{discard}, 'x', 0;
        is($datagram->('echo', 'after'), 'after', 'the broker takes a datagram for discard');
        like($b->ask('daytime', undef), qr/\A$date\z/, 'daytime');
        like($datagram->('daytime', ' ' x 26), qr/\A$date\z/, 'daytime over UDP');
        ok($is_time->($b->ask('time', undef)), 'time');
        ok($is_time->($datagram->('time', ' ' x 4)), 'time over UDP');
        my $gen = $b->connect('chargen');
        like(BrokerTest::read_line($gen), qr/\A !"#.{68}\r\n\z/, 'chargen');
        close $gen;
        # Of a length that chance decides (RFC 864).
        my $characters = $datagram->('chargen', 'x') // 'nothing';
        is(substr($characters, 0, 4), substr(' !"#', 0, length $characters), 'chargen over UDP');
        is($b->ask('tcpmux', "help\n"), "daytime\r\nCat\r\n", 'tcpmux has the names of services');
        is($b->ask('tcpmux', "cat\r\nhello\n"), "+Go\r\nhello\n", 'and leads to them');
        like($b->ask('tcpmux', "daytime\r\n"), qr/\A\+Go\r\n$date\z/, 'also to what the broker answers itself');
        is($b->ask('status', undef), "ok\n", 'status');
        $b->stop;
};

# ScarletDME is no package: a program with its conventions stands in for it, which takes -n for "the network is my stdin".
part 'qmserver.yaml and qmclient.yaml' => sub {
        my $b = prepare();
        my $dir = $b->dir;
        my @whom = $root ? ('group: qmusers' => 'group: daemon')
                : ("    user: root\n" => '', "    group: qmusers\n" => '', "    group_add: [root]\n" => '');

        make_path("$dir/qmsys/bin");
        $b->write_file('qmsys/bin/qm', <<"END");
#!$^X
use Cwd qw(getcwd);
\$| = 1;
die "no -n\\n" unless shift eq '-n';
getpeername STDIN or die "stdin: \$!\\n";
my \$quiet = (shift // '') eq '-q';
print "Username: " unless \$quiet;
my \$user = <STDIN> =~ s/\\s+\\z//r;
printf "%s, umask %o, in %s, group %s, stdout %s\\n", \$user, umask, getcwd, scalar getgrgid(\$)), getpeername(STDOUT) ? 'too' : 'not';
END
        chmod 0755, "$dir/qmsys/bin/qm";
        start_with($b, {
                'qmserver.yaml' => unit('qmserver.yaml', 'listen: 4242' => 'listen: 0', '/usr/qmsys' => "$dir/qmsys", @whom),
                'qmclient.yaml' => unit('qmclient.yaml', 'listen: 4243' => 'listen: 0', '/usr/qmsys' => "$dir/qmsys", @whom),
        });
        my $group = $root ? 'daemon' : getgrgid $);
        my $session = "umask 2, in $dir/qmsys, group $group, stdout too\n";

        is($b->ask('qmserver', "me\r\n"), "Username: me, $session", 'qmserver') or diag($b->log_text);
        is($b->ask('qmclient', "program\r\n"), "program, $session", 'qmclient');
        $b->stop;
};

done_testing;
