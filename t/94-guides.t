#!/usr/bin/perl
# The guides are typed in as they stand: files are written, commands are run, and what is shown has to come. Numbers are
# not compared, and a port 4242 is one that is free.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Files qw(slurp spew);
use IO::Socket::INET;
use Test::More;

my $build = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";
my $top = getcwd();
my $timeout = $ENV{BROKER_TEST_TIMEOUT} // 30;

# With job control, and nothing on the stdin of the commands.
my $reader = 'set -m; exec 9<&0 </dev/null; while read -r -u 9 line; do eval "$line"; done 2>&1';

# A shell that commands are typed into one after the other.
sub shell {
        my ($dir) = @_;

        pipe my $in, my $to or die "pipe: $!";
        pipe my $from, my $out or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
                setpgrp 0, 0;
                close $to;
                close $from;
                open STDIN, '<&', $in or exit 126;
                open STDOUT, '>&', $out or exit 126;
                open STDERR, '>&', $out or exit 126;
                chdir $dir or exit 126;
                # Nor anything that says where a broker is, as for users without a session.
                delete @ENV{qw(NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES BROKER_CONTROL XDG_RUNTIME_DIR)};
                $ENV{PATH} = "$build/broker:$build/activate:$ENV{PATH}";
                exec 'bash', '--norc', '--noprofile', '-c', $reader or exit 127;
        }
        $to->autoflush(1);
        return { pid => $pid, to => $to, from => $from, count => 0 };
}

sub type {
        my ($shell, $command) = @_;
        my $mark = 'done-' . ++$shell->{count};
        my $text = '';

        print { $shell->{to} } "$command\n";
        # Whoever looks at what it listens to would have it ready by then.
        print { $shell->{to} } "until broker status >/dev/null 2>&1; do :; done\n" if $command =~ /&\s*$/;
        print { $shell->{to} } "echo $mark\n";
        local $SIG{ALRM} = sub { die "'$command' does not end\n" };
        alarm $timeout;
        while ($text !~ /^\Q$mark\E\n/m) {
                sysread($shell->{from}, $text, 65536, length $text) or die "the shell has ended in '$command': $text\n";
        }
        alarm 0;
        return $text =~ s/^\Q$mark\E\n//mr;
}

# The same but for numbers, and for how far columns are apart.
sub normal {
        my ($text) = @_;

        $text =~ s/<?\d[\d.]*/N/g;
        $text =~ s/[ \t]+/ /g;
        $text =~ s/ $//mg;
        # What a shell says of jobs.
        return $text =~ s/^\[N\].*\n//mgr;
}

# What only tells may not be true yet.
sub settles { return $_[0] =~ /^(?:broker status|cut|cat|grep|curl)\b/ }

sub run_command {
        my ($shell, $where, $command, $expected) = @_;
        my $until = time + $timeout;
        my $got;

        do {
                $got = type($shell, $command);
        } while (normal($got) ne normal($expected) && settles($command) && time < $until);
        is(normal($got), normal($expected), "$where: $command");
        return;
}

sub run_guide {
        my ($file) = @_;
        my $dir = tempdir(CLEANUP => 1);
        my $port = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
        my $text = slurp($file) =~ s/\b4242\b/$port/gr;
        my $shell = shell($dir);

        while ($text =~ /^```(\w*)\n(.*?)^```$/msg) {
                my ($language, $block) = ($1, $2);

                if ($block =~ /\A# ([\w.-]+\.\w+)\n/) {
                        spew("$dir/$1", $block);
                } elsif ($language eq 'console') {
                        run_command($shell, $file, split /\n/, $_, 2)
                                for map { /\n\z/ ? $_ : "$_\n" } grep { length } split /^\$ /m, $block;
                }
        }
        close $shell->{to};
        waitpid $shell->{pid}, 0;
        is($?, 0, "$file: the shell ends");
        kill 'KILL', -$shell->{pid};
        return;
}

# The messages that somebody may look for are those of the programs.
sub check_messages {
        my ($file) = @_;
        my $sources = join '', map { slurp($_) } glob 'broker/*.c broker/*/*.c activate/*.c';

        $sources =~ s/"\s*"//g;
        for my $message (map { /`([^`]* [^`]*)`/ ? $1 : () } slurp($file) =~ /^\*\*(.*?)\*\*/mg) {
                my @parts = split /…|FILE:LINE:COLUMN: |: Address already in use/, $message;
                my @missing = grep { length > 3 && index($sources, $_) < 0 } @parts;

                is_deeply(\@missing, [], "$file: $message");
        }
        return;
}

run_guide($_) for 'docs/first-service.md';
check_messages('docs/troubleshooting.md');
done_testing;
