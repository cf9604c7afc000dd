#!/usr/bin/perl
# The examples of the pages, run as they stand, but for the definitions (92-docs.t) and the guides (94-guides.t): ports become
# free ones, paths of the system those of a directory that is made for each example, and programs that need not be there a
# stand-in that reports what it got. An example of a kind that is not known here is a failure.
use strict;
use warnings;

use ActivateTest qw(eventually reports);
use BrokerTest;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Files qw(slurp spew);
use Getopt::Long qw(GetOptionsFromArray);
use IO::Socket::INET;
use Pages qw(commands definitions_pass examples output pages);
use Part;
use Test::More;
use Text::ParseWords qw(shellwords);

my $broker = $BrokerTest::BROKER;
my $me = getpwuid $>;

# What cannot be run, by the page and the beginning of the example, and why.
my %left_out = (
        'docs/architecture.md main ' => 'a drawing',
        'docs/architecture.md {"format"' => 'an outline, with gaps',
        'docs/performance.md clients' => 'what a benchmark says, on a quiet machine',
        'docs/performance.md 1 at a time' => 'what a benchmark says, on a quiet machine',
        'docs/performance.md UDP, 1 at a time' => 'what a benchmark says, on a quiet machine',
        'docs/containers.md docker run' => 'takes an engine and an image',
        'docs/coming-from-iotcpd.md iotcpd ' => 'what there was before',
        'docs/coming-from-s6.md #!/bin/execlineb' => 'what there was before',
        'docs/coming-from-tcpserver.md #!/bin/sh' => 'what there was before',
        'docs/broker.8.scd 2026-11-21T10:15:03' => 'comes ten seconds later; 35-admission.t waits for it',
);

sub has_program {
        my ($name) = @_;

        return grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

sub script {
        my ($file, @lines) = @_;

        spew($file, join "\n", '#!/bin/sh', @lines, '');
        chmod 0755, $file;
        return;
}

sub free_port { return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport }

# A directory with what examples expect of the system they are typed in at.
sub world {
        my $dir = tempdir(CLEANUP => 1);
        my @port = map { free_port() } 1 .. 2;

        chmod 0755, $dir;
        make_path(map { "$dir/$_" } qw(bin run units etc/broker etc/xinetd.d etc/systemd/system lib/systemd/system));
        script("$dir/bin/broker",
                '# Without -c it reads /etc/broker, which is another one here.',
                'case "${1-run} $* " in',
                '*" -c "*) ;;',
                'run* | check* | show*) set -- "$@" -c "${0%/bin/*}/etc/broker" ;;',
                'esac',
                "exec $broker \"\$\@\"");
        symlink $BrokerTest::ACTIVATE, "$dir/bin/activate";
        script("$dir/bin/wrapper", '"$@"', 'exit');
        script("$dir/bin/promtool", 'grep -q "^# HELP sockbroker_"') unless has_program('promtool');
        spew("$dir/etc/broker/services.yaml", "services:\n  git: {listen: 127.0.0.1:0, wait: no, command: cat}\n");
        spew("$dir/services.yaml", slurp("$dir/etc/broker/services.yaml"));
        spew("$dir/etc/xinetd.conf", "defaults\n{\n\tinstances = 60\n}\nincludedir $dir/etc/xinetd.d\n");
        spew("$dir/etc/xinetd.d/git", "service git\n{\n\ttype = UNLISTED\n\tport = $port[0]\n\tbind = 127.0.0.1\n"
                . "\tsocket_type = stream\n\twait = no\n\tuser = $me\n\tgroups = yes\n\tserver = /bin/cat\n}\n");
        spew("$dir/etc/inetd.conf", "127.0.0.1:$port[0] stream tcp nowait $me /bin/cat cat\n");
        for my $unit ('lib/systemd/system/ssh', 'etc/systemd/system/gate@', 'units/one') {
                spew("$dir/$unit.socket", "[Socket]\nListenStream=127.0.0.1:$port[0]\n");
                spew("$dir/$unit.service", "[Service]\nExecStart=/bin/cat\n");
        }
        return $dir;
}

# The same text for that directory.
sub moved {
        my ($text, $dir) = @_;

        return $text =~ s{(?<![\w/.])/(?=(?:etc|run|lib/systemd)/)}{$dir/}gr;
}

sub environment {
        my ($dir, %more) = @_;

        return { PATH => "$dir/bin:$ENV{PATH}", BROKER_CONTROL => "$dir/run/own", %more };
}

# activate: a program is started by a client, and reports.

sub activate_options {
        my (@words) = @_;
        my %option = (listen => []);

        Getopt::Long::Configure(qw(bundling require_order no_ignore_case));
        GetOptionsFromArray(\@words, \%option, 'listen|l=s@', 'accept|a', 'instances=i', 'per-source=i', 'workers=i', 'pass',
                'request', 'keep-alive', 'error=s', 'spare=i', 'wait|w', 'now', 'inetd', 'datagram|d', 'fdname=s', 'claim=s',
                'user|u=s') or die "an option that this test does not know\n";
        return (\%option, @words);
}

# What a program does that stands for one that is started with these options.
sub role {
        my ($option) = @_;

        return '--serve-lines' if $option->{request};
        return '--serve-queue' if $option->{pass};
        return '--read-line' if !$option->{wait};
        return '--serve' . ($option->{inetd} ? '-stdio' : '') . ' --count=' . (@{ $option->{listen} } || 1);
}

sub stand_in {
        my ($dir, $program, $option) = @_;
        my ($name) = $program =~ m{([^/]+)$};

        return if $name eq 'cat' || $name eq 'broker';
        script("$dir/bin/$name", "exec $BrokerTest::PROBE --out=file:$dir/report " . role($option) . ' -- "$0" "$@"');
        return;
}

# What the page may say of a command, behind it or above the example, and the options that it is true with: these are tried.
my @claims = (
        [qr/LISTEN_FDS|systemd's socket activation/, sub { $_[0]{wait} && !$_[0]{inetd} }],
        [qr/first (?:traffic|datagram)/, sub { $_[0]{wait} && !$_[0]{now} }],
        [qr/the same at once/, sub { $_[0]{wait} && $_[0]{now} }],
        [qr/one connection,/, sub { !$_[0]{wait} }],
        [qr/per connection|\bas its own process/, sub { $_[0]{accept} && !$_[0]{workers} }],
        [qr/two processes/, sub { $_[0]{spare} == 2 }],
        [qr/four (?:workers|processes)/, sub { $_[0]{workers} == 4 }],
        [qr/out of a queue/, sub { $_[0]{pass} }],
        [qr/answer lines|many requests/, sub { $_[0]{request} }],
        [qr/two sockets/, sub { @{ $_[0]{listen} } == 2 }],
        [qr/as somebody else/, sub { defined $_[0]{user} }],
);

sub check_claims {
        my ($where, $option, $said) = @_;

        ok($_->[1]->($option), "$where: so it does what is said: $said") for grep { $said =~ $_->[0] } @claims;
        return;
}

# The words of a command line as they are run here: ports that the kernel chooses, this user, this directory.
sub local_words {
        my ($dir, @words) = @_;
        my $after = '';

        for my $word (@words) {
                my $is = $after;
                $after = $word;
                $word =~ s/\b\d+$/0/ if $is eq '-l' && $word !~ m{^/};
                $word = "$dir$word" if $is eq '-l' && $word =~ m{^/};
                $word = $me if $is eq '-u';
                $word =~ s{^/usr/s?bin/}{$dir/bin/};
        }
        return @words;
}

sub converse {
        my ($address, $text) = @_;
        my $client = BrokerTest::connect_to($address);

        syswrite $client, "$text\n";
        if ($address =~ /^udp:/) {
                my $answer = '';
                IO::Select->new($client)->can_read($BrokerTest::TIMEOUT) && $client->recv($answer, 65536);
                return $answer;
        }
        shutdown $client, 1;
        return BrokerTest::read_all($client) // 'no end';
}

sub children {
        my ($pid) = @_;

        return split ' ', slurp("/proc/$pid/task/$pid/children") // '';
}

# One answer of a stand-in as a hash; of cat, which says nothing of itself, what it was sent.
sub answer {
        my ($where, $address, $fd) = @_;
        my $text = converse($address, 'hello');

        return { pid => 0 } if $text eq "hello\n";
        like($text, qr/^pid=\d+ fd=$fd line=hello\n\z/, "$where: the program has the client, as descriptor $fd");
        return { $text =~ /(pid|fd)=(\d+)/g };
}

sub check_accepting {
        my ($where, $activate, $option, $address) = @_;
        my $count = $option->{workers} // $option->{spare};

        is(eventually(sub { children($activate->pid) == $count && $count }), $count, "$where: it has made $count processes")
                if $count;
        my $fd = $option->{pass} ? 3 : 0;
        my @pids = map { answer($where, $address, $fd)->{pid} } 1 .. 2;
        cmp_ok($pids[0], '!=', $pids[1], "$where: each client has a process") if $pids[0] && !$option->{workers};
        if ($option->{'keep-alive'}) {
                my $client = BrokerTest::connect_to($address);
                for my $text (qw(one two)) {
                        syswrite $client, "$text\n";
                        like(BrokerTest::read_line($client), qr/ line=$text$/, "$where: request $text of a connection");
                }
        }
        if (defined $option->{error}) {
                my $error = $option->{error} =~ s/\\n/\n/gr;
                is(converse($address, 'x' x 65536), $error, "$where: a client that gets no reply gets $option->{error}");
        }
        $activate->signal('TERM');
        is($activate->ended, 0, "$where: it goes on until it is told to stop");
        return;
}

sub check_becoming {
        my ($where, $activate, $option, @addresses) = @_;
        my $own = $option->{wrapped} ? 0 : $activate->pid;
        my $name = sub { (slurp('/proc/' . $activate->pid . '/comm') // '') =~ s/\n//r };

        if (!$option->{wait} || !$option->{now}) {
                is($name->(), 'activate', "$where: it waits for traffic");
        } elsif (!$option->{wrapped}) {
                ok(eventually(sub { $name->() ne 'activate' }), "$where: it does not wait for traffic");
        }
        for my $i (0 .. $#addresses) {
                my $answer = answer($where, $addresses[$i], $option->{wait} && !$option->{inetd} ? 3 + $i : 0);
                is($answer->{pid}, $own, "$where: it has become the program") if $answer->{pid} && $own;
        }
        is($activate->ended, 0, "$where: and ends as that does");
        return;
}

# What the stand-in has found when it was started.
sub check_report {
        my ($where, $dir, $option, @command) = @_;
        my ($report) = reports(slurp("$dir/report") // '');
        my @argv = @{ $report->{argv} // [] };

        shift @argv while @argv && $argv[0] ne '--';
        is_deeply([@argv[2 .. $#argv]], [@command[1 .. $#command]], "$where: the program has its arguments");
        is($report->{env}{LISTEN_FDNAMES}, $option->{fdname}, "$where: and the names of its descriptors")
                if defined $option->{fdname};
        return;
}

# A broker with the services that the pages speak of, for examples that ask one.
sub running_broker {
        my ($start) = @_;

        return BrokerTest->new(head => "broker: {log: {format: json, level: debug}, metrics: 127.0.0.1:0}\n", services => <<END);
git: {listen: 127.0.0.1:0, wait: no, command: cat}
web: {listen: 127.0.0.1:0, wait: yes, start: $start, ready: notify, command: [%PROBE%, --notify=READY=1, --serve]}
END
}

sub run_activate {
        my ($where, $command, $said) = @_;
        my $dir = world();
        my @words = shellwords($command);
        my $wrapped = $words[0] eq 'wrapper' ? shift @words : '';
        my ($option, @program) = activate_options(@words[1 .. $#words]);
        my $running = defined $option->{claim} ? running_broker('on-demand') : undef;
        my $inherits = !@{ $option->{listen} } && !$running;

        check_claims($where, $option, $said);
        stand_in($dir, $program[0], $option);
        @words = local_words($dir, @words);
        # Its sockets are those of whoever starts the wrapper.
        @words = ('activate', '-w', '--now', '-l', '127.0.0.1:0', '--', 'wrapper', @words) if $inherits;
        $option->{wrapped} = $wrapped || $inherits;
        splice @words, 1, 0, '-v';
        spew("$dir/etc/broker/services.yaml", "services:\n  web: {listen: \"fd:$option->{fdname}\", wait: no, command: cat}\n")
                if $program[0] eq 'broker';
        my $activate = ActivateTest->start(
                program => $BrokerTest::ACTIVATE, args => [@words[1 .. $#words]], setup => sub { chdir "$dir/bin" },
                env => environment($dir, $running ? (BROKER_CONTROL => $running->control) : ()),
        );
        my @addresses = $running ? $running->address('web') : $activate->addresses($inherits ? 1 : scalar @{ $option->{listen} });
        $addresses[0] =~ s/^(?!udp:)/udp:/ if $option->{datagram};
        if ($running) {
                ok($running->wait_message('claimed', service => 'web'), "$where: the service is claimed");
        }
        if ($program[0] eq 'broker') {
                is(converse($addresses[0], 'hello'), "hello\n", "$where: the broker serves on the socket");
                $activate->signal('TERM');
                is($activate->ended, 0, "$where: and ends");
        } elsif ($option->{accept}) {
                check_accepting($where, $activate, $option, $addresses[0]);
        } else {
                check_becoming($where, $activate, $option, @addresses);
        }
        check_report($where, $dir, $option, @program) if $program[0] !~ /^(?:cat|broker)$/;
        $running->stop if $running;
        return;
}

# Commands that end by themselves, but for a broker in the foreground and --watch.

sub run_until {
        my ($where, $dir, $command, $env, $signal, $pattern) = @_;
        my @words = shellwords($command);
        my $seen = "$dir/stdout";
        my $process = ActivateTest->start(
                program => "$dir/bin/" . shift @words, args => \@words, env => $env, stdout => $seen, setup => sub { chdir $dir },
        );

        if ($signal eq 'TERM') {
                ok($process->line($pattern), "$where: $command");
        } else {
                ok(eventually(sub { (slurp($seen) // '') =~ $pattern }), "$where: $command");
        }
        $process->signal($signal);
        is($process->ended, $signal eq 'TERM' ? 0 : 'signal 2', "$where: it goes on until SIG$signal");
        return;
}

sub run_command {
        my ($where, $dir, $running, $command) = @_;
        my $asks = $command =~ /\b(?:status|start|stop|restart|kill|replace|reload|upgrade)\b/;
        my $env = environment($dir, $running && $asks ? (BROKER_CONTROL => $running->control) : ());

        return run_until($where, $dir, $command, $env, 'TERM', qr/ info ready services=/)
                if $command =~ /^broker(?: run)?(?: -c \S+)?$/;
        return run_until($where, $dir, $command, $env, 'INT', qr/^web\s/m) if $command =~ /--watch/;
        my ($text, $status) = output('env', '-C', $dir, (map { "$_=$env->{$_}" } sort keys %$env),
                'timeout', $BrokerTest::TIMEOUT, 'sh', '-c', $command);
        is($status, 0, "$where: $command") or diag($text);
        return;
}

sub run_commands {
        my ($example) = @_;
        my $dir = world();
        my $running;

        for my $command (commands($example->{text})) {
                my ($program) = $command =~ /^(\w+)/;

                if ($program eq 'activate' || $program eq 'wrapper') {
                        my ($said) = $example->{text} =~ /^\Q$command\E\s+#\s+(.*)$/m;
                        run_activate($example->{where}, $command, $said // $example->{lead});
                        next;
                }
                if (!has_program($program) && $program ne 'broker') {
                        SKIP: { skip "$example->{where}: $program is not installed", 1 }
                        next;
                }
                if ($command !~ /^broker(?: (?:import|check|show|run)\b(?!.*&&)| -c|$)/) {
                        $running //= running_broker('boot');
                        $running->verb('start', 'web');
                        my $control = $running->control;
                        my $metrics = $running->{metrics} //= metrics_address($running);
                        $command =~ s{/run/broker/control}{$control};
                        $command =~ s{127\.0\.0\.1:9464}{$metrics};
                }
                run_command($example->{where}, $dir, $running, moved($command, $dir));
        }
        $running->stop if $running;
        return;
}

sub metrics_address {
        my ($running) = @_;

        return $running->wait_message('metrics can be asked for', -from => 0)->{address};
}

# Those that take minutes, a compiler or the network: what they name is there, with these options.
sub look_at_tree {
        my ($example) = @_;

        for my $command (commands($example->{text})) {
                my @words = shellwords($command =~ s/\$PWD\///r);
                my @missing;
                my $source = '';

                for my $word (@words) {
                        my ($path) = $word =~ m{^(?:\./)?((?:t|build|\.ci)/\S+|bootstrap)$} or next;
                        $path =~ s{^build/(t/.*)$}{-e "$1.c" ? "$1.c" : $1}e;
                        $path =~ s{^build/(broker)/broker$}{$1/main.c};
                        push @missing, $word if !-e $path;
                        $source ||= -f $path && slurp($path) // '';
                }
                push @missing, grep { index($source, $_) < 0 } map { /^--([\w-]+)$/ ? $1 : () } @words;
                push @missing, grep { !-e "t/$_.t" } grep { /^\d\d-[a-z-]+$/ } @words;
                push @missing, grep { index($source, $_) < 0 } $words[1] // () if $words[0] eq './bootstrap';
                is_deeply(\@missing, [], "$example->{where}: $command: what it names is there");
        }
        return;
}

# Part of a definition: a service without its name, services without "services", or a key of one.
sub check_fragment {
        my ($example) = @_;
        my ($text) = $example->{text};
        my ($keys) = output($broker, 'explain');
        my %key = map { $_ => 1 } $keys =~ /^  (\w+)\s/mg;

        if (!grep { !$key{$_} } $text =~ /^(\w+):/mg) {
                $text .= "listen: 80\n" if $text !~ /^listen:/m;
                $text .= "wait: yes\ncommand: /bin/cat\n";
                $text = "example:\n" . $text =~ s/^/  /mgr;
        }
        definitions_pass($broker, spew(world() . '/example.yaml', "services:\n" . $text =~ s/^/  /mgr), $example->{where});
        return;
}

# An image's file: what it names is what examples/container has, which is built and run.
sub check_containerfile {
        my ($example) = @_;
        my @known = map { slurp($_) } glob 'examples/*/Containerfile';
        my $known = join '', @known;
        my %installed = map { $_ => 1 } map { split ' ' } join('', map { s/\\\n//gr } @known) =~ /install -y (.*?)&&/g;
        my @wrong;

        for my $line (grep { !/^#|^\s*$/ } split /\n/, $example->{text} =~ s/\\\n//gr) {
                if ($line =~ /^RUN .*install -y (.*?)&&/) {
                        push @wrong, grep { !$installed{$_} } split ' ', $1;
                } elsif ($line =~ /^COPY (\S+\.yaml) \/etc\/broker\/$/) {
                        push @wrong, $line if slurp($example->{file}) !~ m{^# \S*\Q$1\E}m;
                } else {
                        push @wrong, $line if $known !~ /^\Q$line\E$/m;
                }
        }
        is_deeply(\@wrong, [], "$example->{where}: it is as in examples/container");
        return;
}

# C: what is not ours in it is declared, and it compiles beside the header.
sub compile {
        my ($example) = @_;
        my $synopsis = $example->{text} =~ /^#include/;
        my $file = spew(world() . '/example.c', join "\n", '#include <err.h>', '#include <sockbroker.h>',
                'void serve(int fd, const char *client);', 'void serve_all(int fd);', 'void example(void);',
                $synopsis ? $example->{text} : ('void example(void) {', $example->{text}, '}'), '');

        SKIP: {
                skip "$example->{where}: cc is not installed", 1 unless has_program('cc');
                my ($text, $status) = output('cc', '-std=gnu17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                        '-I', 'broker/sockbroker', $file);
                is($status, 0, "$example->{where}: it compiles") or diag($text);
        }
        return;
}

# What another program reads, and the definitions that follow it: an import says the same. Units have their names above them.
sub import_example {
        my ($example, $next) = @_;
        my $dir = world();
        my %part = $example->{text} =~ /^# (\S+\.\w+)\n(.*?)(?=^# \S+\.\w+\n|\z)/msg;
        my @files = map { spew("$dir/$_", $part{$_}) } sort keys %part;

        @files = spew("$dir/imported", $example->{text}) if !@files;
        my ($text) = output($broker, 'import', $example->{language}, grep { !/\.service$/ } @files);
        my @shown = map { (output($broker, 'show', '-c', $_))[0] }
                spew("$dir/imported.yaml", $text), spew("$dir/page.yaml", $next->{text});
        # In the order of their names: that of the files need not be the page's.
        my @services = map { join '', sort split /^(?=  \w)/m, $_ } @shown;

        SKIP: {
                skip "$example->{where}: $me cannot run programs as other users", 1 if "@shown" =~ /only root can/;
                is($services[0], $services[1], "$example->{where}: becomes what $next->{where} says");
        }
        return;
}

# Log records: a broker that serves and refuses writes the same messages and fields.
sub compare_log {
        my ($example) = @_;
        my $json = $example->{text} =~ /^\{/;
        my $form = sub { return join "\n", map { s/^\S+Z /N /r =~ s/(?<=[=":])[\d.:TZ-]+(?=[ ",}]|$)/N/gr } split /\n/, $_[0] };
        my $expected = $form->($example->{text});
        my $dir = world();
        my $port = free_port();

        spew("$dir/etc/broker/services.yaml", 'broker: {log: {format: ' . ($json ? 'json' : 'text') . "}}\n"
                . "services:\n  git: {listen: 127.0.0.1:$port, wait: no, command: cat}\n");
        my $process = ActivateTest->start(program => "$dir/bin/broker", args => [], env => environment($dir));
        $process->line(qr/\bready\b/) or die "the broker is not ready\n";
        converse("127.0.0.1:$port", 'hello');
        $process->line(qr/connection ended/);
        $process->signal('TERM');
        is($process->ended, 0, "$example->{where}: the broker ends");
        my $got = $form->($process->rest);
        my @missing = grep { index("\n$got\n", "\n$_\n") < 0 } split /\n/, $expected;
        is_deeply(\@missing, [], "$example->{where}: the log has such lines") or diag($got);
        return;
}

sub run_script {
        my ($example) = @_;
        my ($text, $status) = output($^X, '-I', 't/lib', spew(world() . '/example.t', $example->{text}));

        is($status, 0, "$example->{where}: passes") or diag($text);
        return;
}

my $tree = qr{^(?:\./bootstrap|\.ci/run|t/|build/|meson |ninja |CC=|BROKER_BUILD=)};
my $guide = 'docs/first-service.md';
# In this order; the first that takes an example runs it.
my @kinds = (
        [sub { $_[0]{text} =~ /^services:/m && $_[0]{language} =~ /^(?:yaml)?$/ }, undef],
        [sub { $_[0]{file} eq $guide && $_[0]{language} =~ /^(?:console|python)$/ }, undef],
        [sub { $_[0]{language} eq 'dockerfile' || $_[0]{text} =~ /^ENTRYPOINT/ }, \&check_containerfile],
        [sub { $_[0]{language} =~ /^(?:inetd|systemd|xinetd)$/ }, \&import_example],
        [sub { $_[0]{language} eq 'perl' }, \&run_script],
        [sub { $_[0]{file} =~ /\.3\.scd$/ }, \&compile],
        [sub { $_[0]{text} =~ /^(?:\d{4}-\d\d-\d\dT|\{"time":)/ }, \&compare_log],
        [sub { $_[0]{text} =~ /^\w+:(?: |$)/m && $_[0]{text} !~ /^[^\w ]|^\w+ /m }, \&check_fragment],
        [sub { !grep { !/$tree/ } commands($_[0]{text}) }, \&look_at_tree],
        [sub { !grep { !/^(?:activate|broker|busctl|curl|wrapper)\b/ } commands($_[0]{text}) }, \&run_commands],
);

my %used;
for my $file (pages()) {
        my @examples = examples($file);

        EXAMPLE: for my $i (0 .. $#examples) {
                my $example = $examples[$i];
                my ($lost) = $example->{text} =~ /(\?\?.)/;

                ok(!defined $lost, "$example->{where}: a reader sees all backslashes") if $file =~ /\.scd/;
                for my $left (grep { index("$file $example->{text}", $_) == 0 } sort keys %left_out) {
                        $used{$left} = 1;
                        next EXAMPLE;
                }
                my ($kind) = grep { $_->[0]->($example) } @kinds;
                if (!$kind) {
                        fail("$example->{where}: an example that this script knows how to run");
                        next;
                }
                part($example->{where}, sub { $kind->[1]->($example, $examples[$i + 1]) }) if $kind->[1];
        }
}
is_deeply([grep { !$used{$_} } sort keys %left_out], [], 'what is left out is there');
like(slurp('t/94-guides.t'), qr/'\Q$guide\E'/, "94-guides.t types in $guide");

done_testing;
