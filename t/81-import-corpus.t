#!/usr/bin/perl
# `broker import` with files as distributions ship them: ../shared/corpus beside the repository, or $BROKER_CORPUS. Every
# file is imported, what comes out is accepted by `broker check`, and no line of it is dropped in silence.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use FindBin;
use ImportTest qw(run_import check_problems silent_lines slurp);
use Test::More;

my $corpus = abs_path($ENV{BROKER_CORPUS} // "$FindBin::Bin/../../shared/corpus");
plan skip_all => 'there are no files to import: $BROKER_CORPUS is not a directory with xinetd, inetd and systemd in it'
        unless defined $corpus && -d "$corpus/xinetd" && -d "$corpus/inetd" && -d "$corpus/systemd";

my $dir = tempdir(CLEANUP => 1);
my %machine; # what only this machine has against a definition, counted

# Names are ORIGIN__NAME; files of one origin lie in a directory of their own, under their real names.
my %origins; # KIND/ORIGIN: [names]
for my $kind (qw(xinetd inetd systemd)) {
        for my $file (sort glob "$corpus/$kind/*") {
                my ($origin, $name) = basename($file) =~ /^(.*?)__(.*)$/ or next;

                mkdir "$dir/$kind";
                mkdir "$dir/$kind/$origin";
                copy($file, "$dir/$kind/$origin/$name") or die "$file: $!";
                push @{ $origins{"$kind/$origin"} }, $name;
        }
}

# What is imported at once: of systemd all units of an origin, else each file.
sub sets_of {
        my ($kind, @names) = @_;

        return $kind eq 'systemd' ? [@names] : map { [$_] } @names;
}

for my $origin (sort keys %origins) {
        my ($kind) = $origin =~ m{^(\w+)/};
        my @sets = sets_of($kind, @{ $origins{$origin} });

        for my $set (@sets) {
                my $what = "$origin: @$set";
                my ($status, $yaml, $err) = run_import($kind, "$dir/$origin", @$set);

                like($status, qr/^[01]$/, "$what: exit status") or diag($err);
                my ($problems, $machine) = check_problems($yaml);
                is_deeply($problems, [], "$what: broker check accepts it") or diag(join "\n", @$problems, $yaml);
                $machine{s/'[^']*'/'…'/gr =~ s/^\S+: \S+: //r}++ for @$machine;
        }
        my @silent = map { silent_lines($kind, "$dir/$origin", @$_) } @sets;
        # A line of a file that was not imported this time is not dropped.
        my %times;
        $times{$_}++ for @silent;
        @silent = grep { $times{$_} == @sets } sort keys %times;
        is_deeply(\@silent, [], "$origin: every line makes a difference") or diag(join "\n", @silent);
}
diag("$machine{$_} times: $_") for sort keys %machine;

done_testing;
