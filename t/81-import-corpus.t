#!/usr/bin/perl
# `broker import` with files as distributions ship them: ../shared/corpus beside the repository, or $BROKER_CORPUS. Every
# file is imported, what comes out is accepted by `broker check`, and no line of it is dropped in silence.
use strict;
use warnings;

use File::Temp qw(tempdir);
use ImportTest qw(run_import check_problems silent_lines corpus_sets);
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my %machine; # what only this machine has against a definition, counted
my %sets;    # by directory

push @{ $sets{ $_->[1] } }, $_ for corpus_sets($dir);
plan skip_all => 'there are no files to import: $BROKER_CORPUS is not a directory with xinetd, inetd and systemd in it'
        if !%sets;

for my $in (sort keys %sets) {
        my @sets = @{ $sets{$in} };
        my ($origin) = $in =~ m{([^/]+/[^/]+)$};

        for my $set (@sets) {
                my ($kind, undef, @files) = @$set;
                my $what = "$origin: @files";
                my ($status, $yaml, $err) = run_import($kind, $in, @files);

                like($status, qr/^[01]$/, "$what: exit status") or diag($err);
                my ($problems, $machine) = check_problems($yaml);
                is_deeply($problems, [], "$what: broker check accepts it") or diag(join "\n", @$problems, $yaml);
                $machine{s/'[^']*'/'…'/gr =~ s/^\S+: \S+: //r}++ for @$machine;
        }
        my @silent = map { silent_lines(@$_) } @sets;
        # A line of a file that was not imported this time is not dropped.
        my %times;
        $times{$_}++ for @silent;
        @silent = grep { $times{$_} == @sets } sort keys %times;
        is_deeply(\@silent, [], "$origin: every line makes a difference") or diag(join "\n", @silent);
}
diag("$machine{$_} times: $_") for sort keys %machine;

done_testing;
