#!/usr/bin/perl
# examples/listen-fds and examples/pass: the same server and the same worker in every language that is installed.
use strict;
use warnings;

use BrokerTest;
use Container;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Select;
use Part;
use Test::More;

my $examples = source_dir() . '/examples';
my $library = "$ENV{BROKER_BUILD}/broker/sockbroker";
my $dir = tempdir('broker-languages-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $dir;

sub works { return system("@_ >/dev/null 2>&1") == 0 }

# Each says how SOURCE is run, as an argv, or leaves the part.
my %language = (
        C => sub {
                my ($source) = @_;
                my $program = "$dir/" . ($source =~ s{.*/(.*)\.c$}{$1}r) . '-c';

                skip_part('there is no C compiler') if !works('cc --version');
                skip_part('the library is one of sanitizers') if $ENV{BROKER_SANITIZED};
                is(system('cc', qw(-Wall -Wextra -Werror -Ibroker/sockbroker -o), $program, $source, "$library/libsockbroker.so.0",
                        "-Wl,-rpath,$library"), 0, 'it compiles');
                return $program;
        },
        Python => sub {
                skip_part('there is no Python with socket.recv_fds') if !works("python3 -c 'import socket; socket.recv_fds'");
                return ('python3', $_[0]);
        },
        Perl => sub {
                skip_part('Socket::MsgHdr is not installed') if $_[0] =~ /worker/ && !works("$^X -MSocket::MsgHdr -e 1");
                return ($^X, $_[0]);
        },
        Node => sub {
                my ($source) = @_;

                skip_part('Node is not installed') if !works('node --version');
                return ('node', $source) if $source !~ /worker/;
                my ($headers) = grep { -e "$_/node_api.h" } '/usr/include/node', '/usr/include/nodejs/src';
                skip_part('the headers of Node are not installed') if !$headers;
                skip_part('there is no C compiler') if !works('cc --version');
                my $addon = $source =~ s{[^/]*$}{queue.c}r;
                is(system('cc', qw(-Wall -Wextra -Werror -shared -fPIC), "-I$headers", '-o', "$dir/queue.node", $addon), 0,
                        'queue.c compiles');
                copy($source, "$dir/worker.js") or die "copy: $!\n";
                return ('node', "$dir/worker.js");
        },
        Go => sub {
                my ($source) = @_;
                my $program = "$dir/" . ($source =~ s{.*/(.*)\.go$}{$1}r) . '-go';

                skip_part('Go is not installed') if !works('go version');
                local %ENV = (%ENV, GOCACHE => "$dir/cache", GOPATH => "$dir/go", GO111MODULE => 'off', GOPROXY => 'off', GOTOOLCHAIN => 'local');
                is(`gofmt -l $source`, '', 'it is formatted') if works('command -v gofmt');
                is(system("go vet $source"), 0, 'go vet has nothing to say');
                is(system("go build -o $program $source"), 0, 'it compiles');
                return $program;
        },
        Tcl => sub {
                skip_part('Tcl is not installed') if !works('command -v tclsh');
                skip_part('critcl is not installed') if !works("echo 'package require critcl' | tclsh");
                skip_part('there is no C compiler') if !works('cc --version');
                my @tclsh = ('env', "HOME=$dir", 'tclsh', $_[0]);
                is(system(@tclsh, '--compile'), 0, 'its commands in C compile');
                return @tclsh;
        },
);
my %suffix = (C => 'c', Python => 'py', Perl => 'pl', Node => 'js', Go => 'go', Tcl => 'tcl');

# The services of the example, with addresses that are free here, and COMMAND for its program.
sub broker_of {
        my ($example, @command) = @_;
        my ($services) = read_text("$examples/$example/broker.yaml") =~ /^services:\n(.*)/ms;
        my $command = join ', ', map { qq("$_") } @command;

        $services =~ s/^( *)command: .*$/$1command: [$command]/m or die "no command\n";
        $services =~ s/\b(7070|4243)\b/127.0.0.1:0/g;
        $services =~ s{/run/}{%DIR%/};
        $services =~ s/^ *user: .*\n//m;
        return BrokerTest->new(services => $services =~ s/^  //mgr);
}

for my $language (sort keys %language) {
        part "listen-fds: $language" => sub {
                my @command = $language{$language}->("$examples/listen-fds/server.$suffix{$language}");
                my $t = broker_of('listen-fds', @command);
                my $datagrams = $t->connect('server', index => 2);

                # The first one starts it, and is answered then.
                syswrite $datagrams, 'hello';
                my $text = '';
                sysread $datagrams, $text, 100 if IO::Select->new($datagrams)->can_read($BrokerTest::TIMEOUT);
                is($text, 'hello', 'UDP');
                my $answer = BrokerTest::read_all($t->connect('server')) // '';
                my ($pid) = $answer =~ /process (\d+)/;
                is($answer, "web: served by $language, process $pid\n", 'TCP');
                is(BrokerTest::read_all($t->connect('server', index => 1)), "admin: served by $language, process $pid\n", 'AF_UNIX');
                BrokerTest::read_all($t->connect('server')) for 1 .. 20;
                is($t->wait_message('server started', -from => 0)->{pid}, $pid, 'it is the process that was started');
                is(scalar(grep { ($_->{message} // '') eq 'server started' } @{ $t->{log} }), 1, 'the only one');
                $t->stop;
                isnt(system(join(' ', 'LISTEN_FDS= LISTEN_PID=', @command, ">$dir/out 2>&1", '</dev/null')), 0, 'not by hand');
                like(read_text("$dir/out"), qr/not socket-activated/, 'as it says');
        };

        part "pass: $language" => sub {
                my $t = broker_of('pass', $language{$language}->("$examples/pass/worker.$suffix{$language}"));

                for (1 .. 3) {
                        my $client = $t->connect('hello');
                        is(BrokerTest::read_line($client), 'hello 127.0.0.1 ' . $client->sockport . "\n", 'who it is');
                        for my $line ("there\n", "again\n") {
                                syswrite $client, $line;
                                is(BrokerTest::read_line($client), $line, 'its line');
                        }
                        syswrite $client, "one\ntwo \xff\nthree\n";
                        is(join('', map { BrokerTest::read_line($client) // '(none)' } 1 .. 3), "one\ntwo \xff\nthree\n",
                                'several that come at once, and what is no UTF-8');
                }
                my $served = $t->connect('hello');
                BrokerTest::read_line($served);
                $t->signal('TERM');
                ok($t->wait_message(qr/^SIGTERM/), 'the broker is told to end');
                syswrite $served, "still here\n";
                is(BrokerTest::read_line($served), "still here\n", 'who is served is served to the end');
                close $served;
                ok(defined $t->wait_exit, 'and then it ends');
                is(scalar(grep { ($_->{message} // '') eq 'worker ended' && $_->{status} ne 'exit:0' } @{ $t->{log} }), 0,
                        'all workers with 0') or diag($t->log_text);
                $t->stop(ended => 1);
        };
}

done_testing;
