#!/usr/bin/perl
# A stand-in for squidGuard: a URL rewriter as squid has them, without its concurrency channels. Each line is a URL and
# what squid knows of who asks; the answer is ERR where nothing is to be changed, or where to go instead. The one
# argument is a file with a domain a line, which are blocked with all below them.
use strict;
use warnings;

my ($file) = @ARGV;
my $instead = 'http://localhost/blocked';
my %blocked;

die "usage: filter.pl FILE\n" if @ARGV != 1;
open my $list, '<', $file or die "$file: $!\n";
while (my $domain = <$list>) {
        chomp $domain;
        $domain =~ s/\s*(?:#.*)?$//;
        $blocked{ lc $domain } = 1 if length $domain;
}
close $list;

sub is_blocked {
        my ($host) = @_;

        while (length $host) {
                return 1 if $blocked{$host};
                return 0 if $host !~ s/^[^.]*\.//;
        }
        return 0;
}

$| = 1;
while (my $line = <STDIN>) {
        my ($host) = $line =~ m{^(?:[a-z]+://)?(?:[^/\@\s]*\@)?([^/:\s]+)}i;

        print defined $host && is_blocked(lc $host) ? qq(OK status=302 url="$instead"\n) : "ERR\n";
}
