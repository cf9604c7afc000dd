#!/usr/bin/perl
# Programs that people have, unchanged, with the clients that people have: each gets its definition as its user would
# write it, and what is checked is that the client is served. What a program is given in detail is in 80-contract.t.
use strict;
use warnings;

use BrokerTest;
use File::Path qw(make_path);
use Part;
use Programs;
use Test::More;

# Fetches by HTTP what must be there; curl waits as long as the server takes to start.
sub curl_gets {
    my ($what, $want, $url) = @_;
    return works($what, $want, 'curl', '-sS', '--fail', '--max-time', $BrokerTest::TIMEOUT, $url);
}

# The pid of the next server that is started.
sub server_pid {
    my ($b, $service) = @_;
    my $record = $b->wait_message('server started', service => $service);
    ok($record, "$service is started") or return;
    return $record->{pid};
}

# Kills the server and waits until the broker knows.
sub server_killed {
    my ($b, $service, $pid) = @_;
    kill 'KILL', $pid;
    return ok($b->wait_message('server ended', service => $service, pid => $pid), "$service was killed");
}

part 'git daemon --inetd' => sub {
    need('git');
    my $b = BrokerTest->new(services => <<'END');
git:
  listen: 127.0.0.1:0
  wait: no
  command: git daemon --inetd --export-all --verbose --log-destination=stderr --base-path=%DIR%/git
  environment: {HOME: "%DIR%", GIT_CONFIG_GLOBAL: "%DIR%/gitconfig"}
END
    my $dir = $b->dir;

    local $ENV{HOME} = $dir;
    local $ENV{GIT_CONFIG_GLOBAL} = $b->write_file('gitconfig', <<'END');
[user]
    name = Test
    email = test@example.org
[init]
    defaultBranch = main
END
    must('git', 'init', '-q', "$dir/git/repo");
    $b->write_file('git/repo/file', "of git\n" x 1000);
    must('git', '-C', "$dir/git/repo", 'add', 'file');
    must('git', '-C', "$dir/git/repo", 'commit', '-q', '-m', 'the commit');
    my $url = 'git://127.0.0.1:' . $b->port('git') . '/repo';

    my ($text, $status) = run('git', 'clone', $url, "$dir/clone");
    is($status, 0, 'git clone') or diag($text, $b->log_text);
    is(must('git', '-C', "$dir/clone", 'log', '--format=%s'), "the commit\n", 'the commit is there');
    is(
        must('git', '-C', "$dir/clone", 'rev-parse', 'HEAD'),
        must('git', '-C', "$dir/git/repo", 'rev-parse', 'HEAD'),
        'and the same one'
    );
    ok(-s "$dir/clone/file", 'and the file');
    # It learns who the client is from REMOTE_ADDR and REMOTE_PORT.
    my $accepted = $b->wait_message('connection accepted', service => 'git', -from => 0);
    ok($b->wait_message(qr/Connection from \Q$accepted->{peer}\E$/, -from => 0), 'git daemon knows its client');
    ok($b->wait_message('connection ended', service => 'git', status => 'exit:0', -from => 0), 'it has ended well');

    ($text, $status) = run('git', 'ls-remote', 'git://127.0.0.1:' . $b->port('git') . '/none');
    isnt($status, 0, 'a repository that is not there: the error reaches the client');
    like($text, qr/access denied or repository not exported/, 'in the words of git daemon');
    $b->stop;
};

part 'in.tftpd, wait: yes with the socket as stdin' => sub {
    need(qw(in.tftpd tftp));
    skip_part 'in.tftpd changes its user and its root directory: needs root' if $>;
    my $b = BrokerTest->new(services => <<'END');
tftp:
  listen: udp:127.0.0.1:0
  wait: yes
  handoff: stdio
  command: [in.tftpd, --secure, --user, nobody, --timeout, "1", "%DIR%/tftp"]
END
    my $dir = $b->dir;
    my $text = join '', map { "line $_ of the file\n" } 1 .. 2000;

    make_path("$dir/tftp");
    $b->write_file('tftp/file', $text);
    for my $round (1, 2) {
        my @get = ('-c', 'get', 'file', "$dir/got$round");
        my ($said, $status) = run('tftp', '-m', 'binary', '127.0.0.1', $b->port('tftp'), @get);
        is($status, 0, "tftp $round") or diag($said);
        open my $got, '<', "$dir/got$round" or do { fail("the file has come: $!"); next };
        local $/ = undef;
        ok(<$got> eq $text, "the file has come, $round");
        my $pid = server_pid($b, 'tftp') // last;
        # It ends when nobody asked for a second, as it does under inetd.
        my $ended = $b->wait_message('server ended', service => 'tftp', pid => $pid);
        is($ended && $ended->{status}, 'exit:0', 'it ends by itself, and the next request starts another one');
    }

    # A request in the time of an idle server finds that server.
    SKIP: {
        skip 'curl is not installed, or has no tftp', 1 unless have('curl') && must('curl', '--version') =~ /\btftp\b/;
        my $url = 'tftp://' . ($b->address('tftp') =~ s/^udp://r) . '/file';
        ok(must('curl', '-sS', $url) eq $text && must('curl', '-sS', $url) eq $text, 'curl, twice');
    }
    $b->stop;
};

part 'lighttpd with server.systemd-socket-activation' => sub {
    need(qw(lighttpd curl));
    my $b = BrokerTest->new(services => <<'END');
web:
  listen: [127.0.0.1:0, "%DIR%/web.sock"]
  wait: yes
  command: [lighttpd, -D, -f, "%DIR%/lighttpd.conf"]
END
    my $dir = $b->dir;

    make_path("$dir/www");
    $b->write_file('www/file.txt', "of lighttpd\n");
    $b->write_file('lighttpd.conf', <<"END");
server.systemd-socket-activation = "enable"
server.document-root = "$dir/www"
mimetype.assign = (".txt" => "text/plain")
END
    my $url = 'http://' . $b->address('web') . '/file.txt';

    curl_gets('curl gets the file', "of lighttpd\n", $url);
    my $first = server_pid($b, 'web');
    works('and through the other socket', "of lighttpd\n",
        'curl', '-sS', '--unix-socket', "$dir/web.sock", 'http://x/file.txt');
    curl_gets('again', "of lighttpd\n", $url);
    is(scalar(grep { ($_->{message} // '') eq 'server started' } @{ $b->{log} }), 1, 'by one server');

    server_killed($b, 'web', $first);
    curl_gets('the next curl starts another one', "of lighttpd\n", $url);
    isnt(server_pid($b, 'web'), $first, 'which is not the first one');
    $b->stop;
};

part 'gunicorn, which takes LISTEN_FDS by itself' => sub {
    need(qw(gunicorn curl));
    my $b = BrokerTest->new(services => <<'END');
app:
  listen: 127.0.0.1:0
  wait: yes
  # A worker that is being booted while the server is told to end is only found after the graceful timeout.
  command: gunicorn --workers 1 --graceful-timeout 3 application:answer
  working_dir: "%DIR%"
END
    $b->write_file('application.py', <<'END');
def answer(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'of gunicorn: ' + environ['PATH_INFO'].encode() + b'\n']
END
    my $url = 'http://' . $b->address('app');

    curl_gets('curl gets an answer', "of gunicorn: /one\n", "$url/one");
    my $first = server_pid($b, 'app');
    curl_gets('and another', "of gunicorn: /two\n", "$url/two");
    # Its workers would go on for a while without it, with the socket; SIGTERM ends all of them.
    kill 'TERM', $first;
    my $ended = $b->wait_message('server ended', service => 'app', pid => $first);
    is($ended && $ended->{status}, 'exit:0', 'it ends on SIGTERM');
    curl_gets('the next one is served by another server', "of gunicorn: /three\n", "$url/three");
    isnt(server_pid($b, 'app'), $first, 'which is not the first one');
    $b->stop;
};

part 'stunnel in inetd mode' => sub {
    need(qw(stunnel4 openssl));
    my $b = BrokerTest->new(services => <<'END');
tls:
  listen: 127.0.0.1:0
  wait: no
  command: [stunnel4, "%DIR%/stunnel.conf"]
END
    my $dir = $b->dir;

    must(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost),
        '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
    # No [service] section: stunnel takes its connection from stdin.
    $b->write_file('stunnel.conf', <<"END");
syslog = no
cert = $dir/cert.pem
key = $dir/key.pem
exec = /usr/bin/head
execArgs = head -n 1
END
    for my $round (1, 2) {
        my $answer = must('sh', '-c', "echo round $round | openssl s_client -quiet -verify_return_error -CAfile \"\$1\""
                . ' -connect "$2" 2>/dev/null', 'sh', "$dir/cert.pem", $b->address('tls'));
        is($answer, "round $round\n", "the command behind stunnel answers, $round");
    }
    $b->stop;
};

part 'a Python server with LISTEN_FDS' => sub {
    need('python3');
    my $b = BrokerTest->new(services => <<'END');
python:
  listen:
    - {address: 127.0.0.1:0, name: tcp}
    - {address: "%DIR%/python.sock", name: local}
  wait: yes
  command: [python3, "%DIR%/server.py"]
END
    $b->write_file('server.py', <<'END');
import os, selectors, socket

assert int(os.environ['LISTEN_PID']) == os.getpid()
names = os.environ['LISTEN_FDNAMES'].split(':')
assert len(names) == int(os.environ['LISTEN_FDS'])
selector = selectors.DefaultSelector()
for number, name in enumerate(names, 3):
    selector.register(socket.socket(fileno=number), selectors.EVENT_READ, name)
while True:
    for key, _ in selector.select():
        connection, _ = key.fileobj.accept()
        with connection, connection.makefile() as lines:
            connection.sendall(f'{key.data}: {lines.readline()}'.encode())
END
    is($b->ask('python', "one\n"), "tcp: one\n", 'its first socket');
    is($b->ask('python', "two\n", index => 1), "local: two\n", 'its second socket');
    my $first = server_pid($b, 'python');
    server_killed($b, 'python', $first);
    is($b->ask('python', "three\n", index => 1), "local: three\n", 'the second one starts it as well');
    isnt(server_pid($b, 'python'), $first, 'anew');
    $b->stop;
};

# A program that wants to be told the number of the descriptor. Not memcached, which would be the example everybody
# knows: 1.6 has no option for a socket that is there already. socat takes any number, but Debian 12's that of a
# connection only: ACCEPT-FD, for listening sockets, came later.
part 'socat and ${fd:NAME}' => sub {
    need('socat');
    my $b = BrokerTest->new(services => <<'END');
echo:
  listen: 127.0.0.1:0
  wait: no
  handoff: fds
  command: [socat, "FD:${fd:connection}", "EXEC:sed -u s/^/${remote_addr}-/"]
END
    my @clients = map { $b->connect('echo') } 1 .. 3;

    # All of them are there before the first one has said a word: none waits for another.
    for my $n (reverse 0 .. 2) {
        syswrite $clients[$n], "client $n\n";
        is(BrokerTest::read_line($clients[$n]), "127.0.0.1-client $n\n", "client $n is answered");
    }
    close $_ for @clients;
    is($b->ask('echo', "last\n"), "127.0.0.1-last\n", 'what it still has to say when its input has ended arrives');
    $b->stop;
};

part 'socat and ${fd:NAME}, a listening socket' => sub {
    need('socat');
    skip_part 'this socat has no ACCEPT-FD' unless (run('socat', '-hhh'))[0] =~ /^\s*accept-fd\b/m;
    my $b = BrokerTest->new(services => <<'END');
echo:
  listen:
    - {address: "%DIR%/unused.sock", name: unused}
    - {address: 127.0.0.1:0, name: web}
  wait: yes
  command: [socat, "ACCEPT-FD:${fd:web},fork", "EXEC:cat"]
END
    for my $n (1, 2) {
        is($b->ask('echo', "client $n\n", index => 1), "client $n\n", "client $n is answered");
    }
    $b->stop;
};

# And a listening socket: gunicorn takes a number too, but prefers LISTEN_FDS where that is set.
part 'gunicorn and ${fd:NAME}, a listening socket' => sub {
    need(qw(gunicorn curl));
    my $b = BrokerTest->new(services => <<'END');
app:
  listen:
    - {address: "%DIR%/unused.sock", name: unused}
    - {address: 127.0.0.1:0, name: web}
  wait: yes
  command: [env, -u, LISTEN_FDS, gunicorn, --bind, "fd://${fd:web}", application:answer]
  working_dir: "%DIR%"
END
    $b->write_file('application.py', <<'END');
def answer(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'of gunicorn\n']
END
    curl_gets("curl gets an answer, $_", "of gunicorn\n", 'http://' . $b->address('app', 1)) for 1, 2;
    $b->stop;
};

part '/bin/cat' => sub {
    my $b = BrokerTest->new(services => <<'END');
cat:
  listen: [127.0.0.1:0, "%DIR%/cat.sock"]
  wait: no
  command: /bin/cat
END
    my @clients = map { $b->connect('cat', index => $_ % 2) } 0 .. 3;

    for my $n (reverse 0 .. 3) {
        syswrite $clients[$n], "client $n\n";
        is(BrokerTest::read_line($clients[$n]), "client $n\n", "client $n is answered");
    }
    shutdown $_, 1 for @clients;
    is(BrokerTest::read_all($_), '', 'the end of the input is the end of the connection') for @clients;
    for (1 .. 4) {
        my $ended = $b->wait_message('connection ended', service => 'cat');
        is($ended && $ended->{status}, 'exit:0', 'a cat has ended');
    }
    $b->stop;
};

part 'rsync --daemon' => sub {
    need('rsync');
    my $b = BrokerTest->new(services => <<'END');
rsync:
  listen: 127.0.0.1:0
  wait: no
  command: [rsync, --daemon, "--config=%DIR%/rsyncd.conf"]
END
    my $dir = $b->dir;

    make_path("$dir/files");
    $b->write_file('files/file', "of rsync\n");
    $b->write_file('rsyncd.conf', "use chroot = no\n[module]\npath = $dir/files\n");
    works('rsync', '', 'rsync', '--archive', 'rsync://' . $b->address('rsync') . '/module/', "$dir/copy/");
    is(-s "$dir/copy/file", 9, 'the file is there');
    $b->stop;
};

done_testing;
