#!/usr/bin/perl
# `broker import systemd`: what is imported runs, and the program finds what systemd would have given it. And which files
# are found: services beside their sockets, sockets of a service, instances of templates, aliases.
use strict;
use warnings;
use BrokerTest;
use File::Temp qw(tempdir);
use Files qw(slurp spew);
use FindBin;
use ImportTest qw(run_import check_problems);
use JSON::PP qw(decode_json);
use Test::More;

my $t = BrokerTest->new(later => 1);
my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/units" or die;
chmod 0755, $dir;

my $port = 0;

# Port 0, by which tests run, is none to systemd: units get one each, and what they become is changed back.
sub unit {
        my ($name, $text) = @_;

        $text =~ s/127\.0\.0\.1:0\b/'127.0.0.1:' . ++$port/ge;
        spew("$dir/units/$name", $t->fill($text =~ s/%DIR%/$dir/gr));
        return;
}

# Imports units, which must be all there is to say but for warnings. Returns the services, and the section `defaults`.
sub import_units {
        my (@names) = @_;
        my ($status, $yaml, $err) = run_import('systemd', "$dir/units", @names);

        is($status, 0, "imported: @names") or diag($err);
        $yaml =~ s/127\.0\.0\.1:\d+/127.0.0.1:0/g;
        my ($defaults, $services) = $yaml =~ /^(defaults:\n(?:  .*\n)+)?\n?^services:\n(.*)/ms;
        return ($services =~ s/^  //mgr, $defaults // '');
}

# --- what runs
unit('echo.socket', "[Socket]\nListenStream=127.0.0.1:0\nAccept=yes\nMaxConnections=1\n");
unit('echo@.service', "[Service]\nExecStart=-/bin/cat -u\nStandardInput=socket\n");
unit('report.socket', "[Socket]\nListenStream=127.0.0.1:0\nAccept=yes\n");
unit('report@.service', <<'U');
[Service]
ExecStart=%PROBE% --out=stdout -- ${REMOTE_ADDR} $WORDS "a  b" '$$x' \x41 $NONE
Environment="WORDS=one 'two  three'" VALUE=%%x$y
StandardInput=socket
StandardError=journal
Nice=5
LimitNOFILE=300:400
UMask=0027
WorkingDirectory=/tmp
U
unit('conn.socket', "[Socket]\nListenStream=127.0.0.1:0\nAccept=yes\n");
unit('conn@.service', "[Service]\nExecStart=%PROBE% --out=fd:3\nLimitNOFILE=infinity\n");
unit('three.socket', "[Socket]\nListenStream=127.0.0.1:0\nListenStream=%DIR%/three.sock\n");
unit('three-more.socket', "[Socket]\nListenStream=127.0.0.1:0\nFileDescriptorName=more\nService=three.service\n");
unit('three.service', "[Service]\nType=notify\nExecStart=%PROBE% --out=file:%DIR%/three.json --notify=READY=1 --serve\n");
unit('wait.socket', "[Socket]\nListenDatagram=127.0.0.1:0\n");
unit('wait.service', "[Service]\nStandardInput=socket\nStandardOutput=journal\nExecStart=%PROBE% --out=file:%DIR%/wait.json --stdout=said --serve-stdio --idle-ms=100\n");
spew("$dir/first.env", "OPTIONS=--exit=0  --stderr=x*y\nBOTH=file\n");
unit('vars.socket', "[Socket]\nListenStream=127.0.0.1:0\n");
unit('vars.service', <<'U');
[Service]
Environment=OPTIONS=--never BOTH=unit "ONLY=it's mine"
EnvironmentFile=%DIR%/first.env
EnvironmentFile=-%DIR%/none.env
UnsetEnvironment=LISTEN_FDNAMES
ExecStart=%PROBE% --out=file:%DIR%/vars.json $OPTIONS --serve --count=1 -- "${ONLY}!" ${BOTH}
U
unit('steps.socket', "[Socket]\nListenStream=127.0.0.1:0\n");
unit('steps.service', <<'U');
[Service]
Type=oneshot
ExecStart=%PROBE% --out=file:%DIR%/step1.json "a  b" ; -/bin/false
ExecStart=%PROBE% --out=file:%DIR%/step2.json --serve --count=1
U

my ($yaml, $defaults) = import_units('echo.socket', 'report.socket', 'conn.socket', 'three-more.socket', 'three.socket', 'wait.socket',
        'vars.socket', 'steps.socket');
like($defaults, qr/^  working_dir: \/$/m, 'what they share is said once');
$t->write_conf($yaml, head => "broker: {log: {format: json, level: debug}}\n$defaults");
$t->start(env => {HOME => '/nowhere', SECRET => 'secret', LANG => 'C'});

is($t->ask('echo', "hello\n"), "hello\n", 'Accept=yes with StandardInput=socket: an inetd service');
$t->wait_message('connection ended', service => 'echo');
{
        my $first = $t->served('echo');
        ok($first, 'MaxConnections=1: one');
        ok(!defined $t->served('echo'), 'MaxConnections=1: the second is refused');
}
my $p = $t->ask_probe('report');
is_deeply([@{ $p->{argv} }[-6 .. -1]], ['127.0.0.1', 'one', 'two  three', 'a  b', '$x', 'A'], 'words of ExecStart') or diag(explain($p->{argv}));
is($p->{env}{VALUE}, '%x$y', 'a value of Environment');
is($p->{env}{PATH}, $ENV{PATH}, 'PATH is passed on');
ok(!exists $p->{env}{$_}, "$_ is not") for qw(SECRET HOME);
is($p->{env}{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
is($p->{cwd}, '/tmp', 'WorkingDirectory');

$p = $t->ask_probe('conn');
is($p->{env}{LISTEN_FDS}, 1, 'Accept=yes without StandardInput: LISTEN_FDS');
is($p->{env}{LISTEN_FDNAMES}, 'connection', 'LISTEN_FDNAMES');
is($p->{env}{LISTEN_PID}, $p->{pid}, 'LISTEN_PID');
is($p->{rlimits}{nofile}[0], $p->{rlimits}{nofile}[1], 'LimitNOFILE=infinity is the highest there is');
is($p->{cwd}, '/', 'the working directory is / when nobody says otherwise');

sub report {
        my ($name) = @_;

        return decode_json((split /\n/, slurp("$dir/$name.json"))[0]);
}

sub serve {
        my ($name, $index) = @_;
        my $c = $t->connect($name, index => $index // 0);

        syswrite $c, "hi\n";
        return BrokerTest::read_line($c);
}

like(serve('three', 2), qr/fd=5 line=hi/, 'three sockets, one server');
is(report('three')->{env}{LISTEN_FDNAMES}, 'more:three.socket:three.socket', 'what they are called');
ok(report('three')->{env}{NOTIFY_SOCKET}, 'Type=notify');
is($t->wait_message('server is ready', service => 'three')->{service}, 'three', 'it said that it is ready');

{
        my $s = $t->connect('wait');
        send $s, "ping\n", 0;
        $t->wait_log(sub { ($_->{message} // '') =~ /said/ && ($_->{service} // '') eq 'wait' });
        pass('stdin is the socket, stdout the log');
}

like(serve('vars'), qr/line=hi/, 'a server whose arguments take a shell');
$p = report('vars');
is_deeply([@{ $p->{argv} }[-3 .. -1]], ['--', q{it's mine!}, 'file'], '${NAME}: one word each');
is_deeply([grep { /^--(?:exit|stderr|never)/ } @{ $p->{argv} }], ['--exit=0', '--stderr=x*y'], '$NAME: cut into words');
is($p->{env}{BOTH}, 'file', 'a file wins over the unit');
is($p->{env}{ONLY}, q{it's mine}, 'what the unit alone sets is there');
is($p->{env}{LISTEN_PID}, $p->{pid}, 'LISTEN_PID is right behind the shell');
ok(!exists $p->{env}{LISTEN_FDNAMES}, 'UnsetEnvironment');

like(serve('steps'), qr/line=hi/, 'the last of several commands');
$p = report('step1');
is($p->{argv}[-1], 'a  b', 'the first one has its words');
is($p->{env}{LISTEN_PID}, $p->{pid}, 'and its own LISTEN_PID');
ok(!exists $p->{env}{LISTEN_PIDFDID}, 'and nothing that contradicts it');
isnt($p->{pid}, report('step2')->{pid}, 'the last one has another');
is(report('step2')->{env}{LISTEN_PID}, report('step2')->{pid}, 'which is right, too');
$t->stop;

# --- what is found
unit('tmpl@.socket', "[Socket]\nListenStream=%DIR%/tmpl-%i.sock\n");
unit('tmpl@.service', "[Service]\nExecStart=/bin/true %i\n");
unit('tmpl@.service.d/10.conf', "[Service]\nNice=1\n") if mkdir "$dir/units/tmpl\@.service.d";
unit('tmpl@b.service.d/20.conf', "[Service]\nNice=2\n") if mkdir "$dir/units/tmpl\@b.service.d";
my ($status, $out, $err) = run_import('systemd', "$dir/units", 'tmpl@a.socket', 'tmpl@b.service', 'tmpl@.socket');
is($status, 0, 'instances of a template') or diag($err);
like($out, qr/^  tmpl\@$_:\n.*?tmpl-$_\.sock.*?\[\/bin\/true, $_\]/ms, "instance $_") for qw(a b);
is_deeply([$out =~ /^    nice: (\d)$/mg], [1, 2], 'drop-ins of the template and of the instance');

mkdir "$dir/units/odd-.service.d";
unit('odd-.service.d/x.conf', "[Service]\nNice=3\n");
unit('odd-\x5fname@.socket', "[Socket]\nListenStream=%DIR%/%I.sock\n[Install]\nDefaultInstance=main\n");
unit('odd-\x5fname@.service', "[Service]\nExecStart=/bin/true\n");
($status, $out, $err) = run_import('systemd', "$dir/units", 'odd-\x5fname@.socket');
is($status, 0, 'the default instance of a template') or diag($err);
like($out, qr{/main\.sock}, 'is imported');
like($out, qr/^    nice: 3$/m, 'with drop-ins for all of its prefix');
like($out, qr/ name: odd-_x5fname\@main\.socket,/m, 'and a name that its socket can have');

($status, $out, $err) = run_import('systemd', $dir, "$dir/units/echo\@.service");
is($status, 0, 'a service alone finds its socket');
like($out, qr/^  echo:\n    listen: 127\.0\.0\.1:\d+$/m, 'and is imported with it');

symlink 'three.service', "$dir/units/alias.service";
unit('by-alias.socket', "[Socket]\nListenStream=1\nService=alias.service\n");
unit('by-install.socket', "[Socket]\nListenStream=2\nService=installed.service\n");
unit('real.service', "[Service]\nExecStart=/bin/true\n[Install]\nAlias=installed.service\n");
($status, $out, $err) = run_import('systemd', "$dir/units", 'by-alias.socket', 'by-install.socket', 'real.service');
is($status, 0, 'aliases') or diag($err);
like($out, qr/^  $_:$/m, "the service is $_") for qw(three real);

mkdir "$dir/elsewhere";
spew("$dir/elsewhere/far.socket", "[Socket]\nListenStream=3\n");
unit('far.service', "[Service]\nExecStart=/bin/true\n");
($status) = run_import('systemd', $dir, 'elsewhere/far.socket');
is($status, 1, 'a service that is not beside its socket');
($status) = run_import('systemd', $dir, 'elsewhere/far.socket', 'units/far.service');
is($status, 0, 'unless it is named, too');

($status, $out, $err) = run_import('systemd', "$dir/units", 'none.socket', 'x.target', '-');
is($status, 1, 'what cannot be imported');
is($err, <<'E', 'is said');
none.socket: none.socket cannot be read: No such file or directory
x.target: x.target is neither NAME.socket nor NAME.service
-: - is neither NAME.socket nor NAME.service
E
($status, $out, $err) = run_import('systemd', $dir, 'elsewhere');
is($status, 1, 'a directory: its sockets are imported');
like($err, qr/^elsewhere\/far\.socket: far: there is no far\.service beside it$/m, 'each of them');
mkdir "$dir/bare";
spew("$dir/bare/some.service", "[Service]\nExecStart=/bin/true\n");
($status, $out, $err) = run_import('systemd', $dir, 'bare');
is($status, 0, 'a directory without sockets');
is($err, "bare: warning: there are no socket units in bare, and nothing else is imported of a directory\n", 'is warned of');
like($out, qr/^# there are no socket units in bare.*^services: \{\}$/ms, 'also in what comes out');

# A user's own units.
system('mkdir', '-p', "$dir/systemd/user") == 0 or die;
spew("$dir/systemd/user/mine.socket", "[Socket]\nListenStream=%t/mine.sock\n");
spew("$dir/systemd/user/mine.service", "[Service]\nExecStart=/bin/true %h \${HOME}\n");
{
        local @ENV{qw(XDG_RUNTIME_DIR HOME)} = ('/run/mine', '/home/me');
        ($status, $out, $err) = run_import('systemd', $dir, 'systemd/user/mine.socket');
}
is($status, 0, "a user's units");
like($out, qr{address: /run/mine/mine\.sock}, '%t is XDG_RUNTIME_DIR');
like($out, qr{exec /bin/true /home/me }, '%h is HOME');
unlike($out, qr/pass_environment|umask/, 'they have the environment of their manager');

# Every directive that the systemd of this machine knows is known, and named in the page about it.
SKIP: {
        my ($systemd) = grep { -x } qw(/lib/systemd/systemd /usr/lib/systemd/systemd);
        skip 'there is no systemd to list its directives', 2 unless $systemd;
        my $page = slurp("$FindBin::Bin/../docs/coming-from-systemd.md");
        my (%text, %unnamed, $section);

        my @prefixes = $page =~ /`(\w+)\*`/g;
        for (split /\n/, `$systemd --dump-configuration-items`) {
                $section = $1 if /^\[(\w+)\]/;
                my ($name) = /^(\w+)=/ or next;

                next unless $section =~ /^(?:Unit|Install|Socket|Service)$/;
                my @types = $section eq 'Socket' ? 'socket' : $section eq 'Service' ? 'service' : qw(socket service);
                $text{$_} .= "[$section]\n$name=1\n" for @types;
                $unnamed{$name} = 1 if $page !~ /\b$name\b/ && !grep { index($name, $_) == 0 } @prefixes;
        }
        spew("$dir/all.$_", $text{$_}) for qw(socket service);
        ($status, $out, $err) = run_import('systemd', $dir, 'all.socket', 'all.service');
        is_deeply([grep { /there is no such directive/ } split /\n/, $err], [], 'all directives are known');
        is_deeply([sort keys %unnamed], [], 'docs/coming-from-systemd.md has those of sockets and services');
}

# The page names what the importer knows, of whatever version of systemd it is.
{
        my $page = slurp("$FindBin::Bin/../docs/coming-from-systemd.md");
        my @prefixes = $page =~ /`(\w+)\*`/g;
        my %known = map { $_ => 1 } slurp("$FindBin::Bin/../broker/import/systemddirectives.c") =~ /"([A-Z]\w+)\*?"/g;

        delete @known{qw(Unit Install Socket Service)};
        cmp_ok(scalar(keys %known), '>', 200, 'the importer has a table of directives');
        is_deeply([grep { my $name = $_; $page !~ /\b$name\b/ && !grep { index($name, $_) == 0 } @prefixes } sort keys %known],
                [], 'docs/coming-from-systemd.md has all of them');
}

# What the page shows is what there is.
{
        my ($yaml) = slurp("$FindBin::Bin/../docs/coming-from-systemd.md") =~ /^```yaml\n(.*?)^```$/ms;
        is_deeply((check_problems($yaml))[0], [], 'the example of the page is accepted');
}

done_testing;
