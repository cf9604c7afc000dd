#!/usr/bin/perl
# examples/demo, blue-green, proxy, haproxy, fastcgi: run as they are, with the ports they have, and tried as their READMEs say.
use strict;
use warnings;

use BrokerTest;
use Container;
use File::Temp qw(tempdir);
use Files qw(spew);
use IO::Select;
use Part;
use Test::More;

own_network();
plan skip_all => "there is no $_" for grep { !has_program($_) } qw(bwrap nsenter);

my $examples = source_dir() . '/examples';
my $dir = tempdir('broker-servers-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $dir;

# The broker of an example in a container, with a log that can be waited for; edit: what is different, as a substitution.
sub example {
        my ($name, %arg) = @_;
        my $text = read_text("$examples/$name/broker.yaml");

        $text =~ s/^broker:\n/broker:\n  log: {format: json}\n/m or $text = "broker: {log: {format: json}}\n$text";
        if (my $edit = delete $arg{edit}) {
                local $_ = $text;
                $edit->() or die "$name: nothing to edit\n";
                $text = $_;
        }
        spew("$dir/$name.yaml", $text);
        return start_container(%arg, files => ['/etc/broker/broker.yaml' => "$dir/$name.yaml", @{ $arg{files} // [] }]);
}

sub release { return (http(8080, '/'))[1] =~ s/, process.*\n//r }

# How often each release has answered CLIENTS times, in a process of its own, until FILE is there.
sub clients {
        my ($file) = @_;
        my $parent = $$;
        my $pid = open(my $fh, '-|') // die "fork: $!\n";

        if (!$pid) {
                my %count;
                until (-e $file || getppid() != $parent) { $count{ release() }++ }
                print map { "$_: $count{$_}\n" } sort keys %count;
                close STDOUT;
                POSIX::_exit(0);
        }
        return $fh;
}

# The answer to TEXT at a port of the demonstration.
sub say_to {
        my ($port, $text) = @_;
        my $client = BrokerTest::connect_to("127.0.0.1:$port");

        syswrite $client, $text if length $text;
        shutdown $client, Socket::SHUT_WR;
        return BrokerTest::read_all($client) // 'no answer';
}

part 'demo' => sub {
        my $t = start_container(conf => ['-c', '/examples/demo'], files => ['/examples' => $examples]);

        is(say_to(7007, "hello\n"), "hello\n", 'what one types');
        like(say_to(7008, ''), qr/^REMOTE_ADDR=127\.0\.0\.1$/m, 'the environment of a connection');
        like(say_to(7013, ''), qr/\b20\d\d\b/, 'the time of day');
        like(say_to(7014, ''), qr/\S/, 'whether all is well');
        like(say_to(7001, "help\r\n"), qr/^env\b/mi, 'services by their names');
        like(say_to(7001, "env\r\n"), qr/^REMOTE_ADDR=127\.0\.0\.1$/m, 'one of them');
        like((http(7080, '/'))[1], qr/^Served by process \d+ on the socket 'http'\.$/, 'a server on demand');
        $t->stop;
};

part 'blue-green: broker replace' => sub {
        skip_part('there is no /usr/bin/python3') if !-x '/usr/bin/python3';
        system('mkdir', '-p', map { "$dir/web/releases/$_" } qw(blue green broken)) == 0 or die "mkdir\n";
        system('cp', "$examples/blue-green/server.py", "$dir/web/releases/$_/server.py") == 0 or die "cp\n" for qw(blue green);
        spew("$dir/web/releases/broken/server.py", "#!/bin/sh\nexit 1\n");
        chmod 0755, "$dir/web/releases/broken/server.py";
        symlink 'releases/blue', "$dir/web/current";
        my $t = example('blue-green', files => ['/srv/web' => "$dir/web"]);
        # Who changes files is outside.
        local $ENV{WEB} = "$dir/web";
        local $ENV{PATH} = "$dir/path:$ENV{PATH}";
        mkdir "$dir/path";
        spew("$dir/path/broker", "#!/bin/sh\nexec nsenter -t $t->{main_pid} --mount --pid -- /usr/local/bin/broker \"\$@\"\n");
        chmod 0755, "$dir/path/broker";

        is(release(), 'blue', 'blue is in service');
        my $log = clients("$dir/stop");
        is(system("$examples/blue-green/switch", 'green'), 0, 'switch green');
        is(release(), 'green', 'green is in service');
        is(system("$examples/blue-green/switch", 'blue'), 0, 'and back');
        is(system("$examples/blue-green/switch broken 2>$dir/err"), 1 << 8, 'one that does not become ready is refused');
        is(readlink "$dir/web/current", 'releases/blue', 'the link is as it was');
        is(release(), 'blue', 'so is the server');
        is(system("$examples/blue-green/switch no 2>>$dir/err"), 2 << 8, 'a release that is not there');
        spew("$dir/stop", '');
        my %count = map { /^(.*): (\d+)$/ } <$log>;
        is_deeply([grep { !/^(blue|green)$/ } keys %count], [], 'no client was refused: ' . join ', ', map { "$count{$_} $_" } sort keys %count);

        # By claiming the socket.
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
                open STDERR, '>', "$dir/claim.err";
                exec 'nsenter', '-t', $t->{main_pid}, qw(--mount --pid -- /usr/local/bin/activate --claim=web -w --now --),
                        '/srv/web/releases/green/server.py' or POSIX::_exit(98);
        }
        ok($t->wait_message(qr/^claimed/), 'green has claimed the socket') or diag(read_text("$dir/claim.err"));
        my %seen;
        for (1 .. 10_000) {
                $seen{ release() }++;
                last if $seen{green};
        }
        ok($seen{green}, 'green serves');
        is_deeply([grep { !/^(blue|green)$/ } keys %seen], [], 'beside blue');
        is((in_container($t, '/usr/local/bin/broker', 'kill', 'web'))[0], 0, 'broker kill web');
        is(release(), 'green', 'only green is left') for 1 .. 5;
        unlink "$dir/web/current";
        symlink 'releases/green', "$dir/web/current";
        # nsenter waits for the program.
        my ($child) = split ' ', read_text("/proc/$pid/task/$pid/children");
        kill 'TERM', $child;
        waitpid $pid, 0;
        ok($t->wait_message('given back'), 'the socket is given back');
        is(release(), 'green', 'the broker starts what the link points to');
        $t->stop;
};

part 'proxy' => sub {
        skip_part('there is no /usr/bin/python3') if !-x '/usr/bin/python3';
        my $t = example('proxy', edit => sub { s/idle_stop: 5min/idle_stop: 200ms/ });
        my ($status, $text) = in_container($t, '/usr/local/bin/broker', 'status', '--json', 'files');

        is(JSON::PP::decode_json($text)->{services}[0]{process_count}, 0, 'nothing runs');
        ($status, $text) = http(8080, '/sockbroker/examples/README.md');
        is($status, 200, 'the first client is held until the server answers');
        is($text, read_text("$examples/README.md"), 'and gets the file');
        ok($t->wait_message(qr/^server started/, service => 'files', -from => 0), 'the server was started');
        ok($t->wait_message(qr/^server ended/, service => 'files'), 'it is ended when nobody needs it');
        is((http(8080, '/'))[0], 200, 'the next client starts it again');
        $t->stop;
};

# A line of what HAProxy says.
sub said {
        my ($fh, $pattern) = @_;
        my $line;

        while (defined($line = BrokerTest::read_line($fh))) { last if $line =~ $pattern || $line eq '' }
        return $line // '';
}

part 'haproxy' => sub {
        skip_part('haproxy is not installed') if !has_program('haproxy');
        is(system("haproxy -c -q -f $examples/haproxy/haproxy.cfg >$dir/out 2>&1"), 0, 'haproxy takes the file') or diag(read_text("$dir/out"));
        my $t = example('haproxy');
        pipe my $log, my $write or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
                open STDERR, '>&', $write;
                open STDOUT, '>&', $write;
                exec 'haproxy', '-W', '-f', "$examples/haproxy/haproxy.cfg" or POSIX::_exit(98);
        }
        close $write;
        like(said($log, qr/Loading success/), qr/success/, 'haproxy is ready');

        my $ask = sub {
                my ($from) = @_;
                return BrokerTest::connect_to('127.0.0.1:4242', from => $from);
        };
        for my $address ('127.0.0.1', '127.0.0.2') {
                is(BrokerTest::read_line($ask->($address)), "You are $address.\n", "the client is $address");
        }
        is(BrokerTest::read_line($ask->('127.0.0.3')), '', 'no_access holds for the client');
        my $direct = BrokerTest::connect_to('127.0.0.1:14242');
        syswrite $direct, "hello\n";
        is(BrokerTest::read_all($direct), '', 'without a header nobody is served');
        my @five = map { my $c = $ask->('127.0.0.2'); BrokerTest::read_line($c); $c } 1 .. 5;
        is(BrokerTest::read_line($ask->('127.0.0.2')), '', 'per_source counts the client');
        my $other = $ask->('127.0.0.4');
        is(BrokerTest::read_line($other), "You are 127.0.0.4.\n", 'not HAProxy');

        $t->signal('TERM');
        like(said($log, qr/is DOWN/), qr{brokers/one is DOWN.*code: 503}, 'a broker that drains is taken out');
        syswrite $other, "still here\n";
        is(BrokerTest::read_line($other), "still here\n", 'its clients go on');
        is(BrokerTest::read_all($ask->('127.0.0.5')), '', 'there is no other server for the next one');
        close $_ for @five, $other;
        ok(defined $t->wait_exit, 'the broker ends with the last of them');
        kill 'TERM', $pid;
        waitpid $pid, 0;
        $t->stop(ended => 1);
};

part 'fastcgi' => sub {
        for my $program (qw(lighttpd fcgiwrap)) { skip_part("$program is not installed") if !-x "/usr/sbin/$program" }
        skip_part('there is no user www-data') if !defined getpwnam 'www-data';
        my $t = example('fastcgi');

        is((http(8080, '/hello.cgi?a=b', from => '127.0.0.2'))[1], "GET /hello.cgi?a=b from 127.0.0.2\n", 'FastCGI');
        is((http(8080, '/hello.cgi', body => "some\ntext"))[1], "POST /hello.cgi? from 127.0.0.1\nsome\ntext", 'with a body');
        is((http(8080, '/scgi/x?a=b', from => '127.0.0.2'))[1], "GET /scgi/x?a=b from 127.0.0.2\n", 'SCGI');
        my $long = 'x' x 100_000 . "\n";
        is((http(8080, '/scgi/x', body => $long))[1], "POST /scgi/x? from 127.0.0.1\n$long", 'with a body');
        is($t->wait_message('connection ended', service => 'scgi', -from => 0)->{status}, 'exit:0', 'a process per request');
        is((http(8080, '/scgi-cgi'))[0], 200, 'other files are the web server\'s');
        is(scalar(grep { ($_->{message} // '') eq 'server started' } @{ $t->{log} }), 2, 'one lighttpd, one fcgiwrap');

        # What scgi-cgi makes of what is not SCGI.
        my $cgi = "$examples/fastcgi/scgi-cgi";
        my %answer = ('' => 0, "GET / HTTP/1.0\r\n" => 255, "3:a\0b," => 255, "7:SCGI\0001\0x" => 255, "999:a" => 255, '123456:' => 255);
        for my $request (sort keys %answer) {
                open my $to, '|-', "$cgi env >$dir/out 2>$dir/err" or die "scgi-cgi: $!\n";
                print {$to} $request;
                close $to;
                is($? >> 8, $answer{$request}, 'scgi-cgi: ' . ($request =~ s/[\0\r\n]/./gr || 'nothing'));
        }
        open my $to, '|-', "env -i PATH=/usr/bin:/bin $cgi env >$dir/out" or die "scgi-cgi: $!\n";
        my $head = join '', map { "$_\0" } CONTENT_LENGTH => 0, SCGI => 1, HTTP_PROXY => 'evil', 'LD_x' => 1, QUERY_STRING => '', A => 'b=c';
        print {$to} length($head) . ":$head,";
        close $to;
        is_deeply([sort split /\n/, read_text("$dir/out")],
                [qw(A=b=c CONTENT_LENGTH=0 GATEWAY_INTERFACE=CGI/1.1 PATH=/usr/bin:/bin QUERY_STRING= SCGI=1)], 'the head is the environment');
        $t->stop;
};

done_testing;
