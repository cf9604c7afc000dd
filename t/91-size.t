#!/usr/bin/perl
# The budgets of the house: functions of at most 60 lines, files of 500, five parameters, 120 columns.
use strict;
use warnings;
use Test::More;

my @files = sort split /\n/, `find broker activate t -name '*.[ch]'`;
my (@long_files, @long_functions, @wide, @parameters, @tabs);
for my $file (@files) {
        open my $fh, '<', $file or die "$file: $!";
        my @lines = <$fh>;
        push @long_files, "$file: " . @lines if @lines > 500;
        my ($name, $start, $head);
        for my $i (0 .. $#lines) {
                my $line = $lines[$i];
                push @wide, "$file:" . ($i + 1) if length($line) > 121;
                push @tabs, "$file:" . ($i + 1) if $line =~ /\t/;
                if ($line =~ /^[A-Za-z_].*\b([a-z_0-9]+)\(/ && $line !~ /;\s*$/ && $line !~ /=\s*\{?$/ && $line !~ /^#|^typedef/) {
                        ($name, $start, $head) = ($1, $i, $line);
                        $head .= $lines[++$i] while $head !~ /[{;]\s*$/ && $i < $#lines;
                        if ($head =~ /;\s*$/) { $name = undef; next }
                        my ($list) = $head =~ /\((.*)\)/s;
                        my $count = () = ($list // '') =~ /,/g;
                        push @parameters, "$file:" . ($start + 1) . ": $name" if $count >= 5 && $list !~ /\(\*|^sd_bus \*/; # sd-bus gives its callbacks seven
                }
                if (defined $name && $lines[$i] =~ /^\}/) {
                        my $length = $i - $start + 1;
                        push @long_functions, "$file: $name is $length lines long"
                                if $length > 60 && $name !~ /^(options_parse|parse_option|options_print_help)/;
                        $name = undef;
                }
        }
}
# A system call takes its number and five values; a handler of libmicrohttpd's requests is what the library calls.
@parameters = grep { !/: (rawcall|pages_answer)$/ } @parameters;

sub none {
        my ($what, @found) = @_;

        ok(!@found, $what) or diag(join "\n", @found);
}
none('no file has more than 500 lines', @long_files);
none('no function has more than 60 lines', @long_functions);
none('no function takes more than five parameters', @parameters);
none('no line is wider than 120 columns', @wide);
none('no tabs', @tabs);
done_testing;
