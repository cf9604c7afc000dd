# The pages of the documentation, and the examples in them, as a reader sees them.
package Pages;

use strict;
use warnings;

use Exporter qw(import);
use Files qw(slurp spew);
use Test::More;

our @EXPORT_OK = qw(output pages examples commands definitions_pass);

# Runs a command; its stdout and stderr together, and its status.
sub output {
        my (@command) = @_;
        my $pid = open(my $fh, '-|') // die "fork: $!";

        if (!$pid) {
                open STDERR, '>&', \*STDOUT or exit 126;
                exec { $command[0] } @command or exit 127;
        }
        local $/;
        my $text = <$fh> // '';
        close $fh;
        return ($text, $? >> 8);
}

sub pages { return ('README.md', 'CONTRIBUTING.md', sort glob 'docs/*.md docs/*.scd docs/*.scd.in') }

# Fenced blocks, in .md files also paragraphs that are indented by four blanks: file, line, language, text, and the line
# above it. In a manual a backslash is written twice; one alone, which a reader would not see, stays visible here as two
# question marks.
sub examples {
        my ($file) = @_;
        my @lines = split /^/, slurp($file) // die "$file: $!\n";
        my @found;

        for (my $i = 0; $i < @lines; $i++) {
                my %example = (file => $file, line => $i + 1, language => '', text => '', lead => $i > 1 ? $lines[$i - 2] =~ s/\n//r : '');

                if ($lines[$i] =~ /^\s*```(\w*)$/) {
                        $example{language} = $1;
                        $example{text} .= $lines[$i] while ++$i < @lines && $lines[$i] !~ /^\s*```$/;
                        $example{text} =~ s/^\t//mg;
                } elsif ($file =~ /\.md$/ && $i > 0 && $lines[$i - 1] eq "\n" && $lines[$i] =~ /^    \S/) {
                        $example{text} .= $lines[$i++] while $i < @lines && $lines[$i] =~ /^    /;
                        $example{text} =~ s/^    //mg;
                } else {
                        next;
                }
                $example{text} =~ s/\\(.)/$1 eq '\\' ? '\\' : "??$1"/ge if $file =~ /\.scd/;
                $example{where} = "$file:$example{line}";
                push @found, \%example;
        }
        return @found;
}

# The lines of an example of commands, without the prompt and what is said about them, and in one piece.
sub commands {
        my ($text) = @_;

        $text =~ s/\\\n\s*//g;
        return map { s/^\$ //r =~ s/\s+#\s.*//r } grep { /\S/ } split /\n/, $text;
}

# What `broker check` holds against definitions, as lines, but for what this machine or who runs this lacks: users, groups,
# files, hosts, rights. Nothing where they are right.
sub complaints {
        my ($broker, $file) = @_;
        my ($text, $status) = output($broker, 'check', '-c', $file);
        my @wrong = grep {
                /^\S+:\d+:\d+: |^\(and / && !/: warning: /
                        && !/there is no (user|group) '/
                        && !/only root can\b/
                        && !/the broker itself does not have|which it does not have itself|without SYS_CHROOT/
                        && !/(env_file|working_dir|banner).*(No such file|does not exist)/
                        && !/cannot be looked up/
        } split /\n/, $text;

        return $status == 0 ? () : $status == 78 ? @wrong : ("status $status", $text);
}

sub definitions_pass {
        my ($broker, $file, $where) = @_;
        my @wrong = complaints($broker, $file);

        return ok(!@wrong, "$where passes broker check") || diag(join "\n", @wrong);
}

1;
