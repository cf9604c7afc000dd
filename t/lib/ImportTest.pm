# What the tests of `broker import` share: running it, passing what comes out to `broker check`, and finding lines of the
# input that make no difference.
package ImportTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Files qw(slurp spew);

our @EXPORT_OK = qw(run_import run_plain_import check_problems check_same silent_lines corpus_sets);

my $broker = abs_path(($ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n") . '/broker/broker');
my $tool = abs_path("$ENV{BROKER_BUILD}/t/unit/conf_tool");
my $services = abs_path(dirname(__FILE__) . '/../import/services');
my $dir = tempdir(CLEANUP => 1);

# Lines that say what holds without them, by kind.
my %defaults = (
        xinetd => qr/^\s*(?:
                service\s.* | defaults | [{}]
                | disable\s*=\s*no
                | flags\s*=\s*(?:REUSE\s*)?
                | socket_type\s*=\s*(?:stream|dgram) | protocol\s*=\s*(?:tcp|udp)
                | type\s*=\s*UNLISTED
                | groups\s*=\s*no
                | instances\s*=\s*UNLIMITED | per_source\s*=\s*UNLIMITED
                | max_load\s*=\s*0 | v6only\s*=\s*no
        )\s*$/xi,
        inetd => qr/^\*:\s*$/,
        systemd => qr/^\s*(?:
                \[Unit\] | \[Install\] | \[Socket\] | \[Service\]
                | SocketGroup=root # the group of SocketUser=root
        )\s*$/x,
);

# Runs the broker in the directory IN. Returns its status, stdout and stderr.
sub run_broker {
        my ($in, @args) = @_;
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                chdir $in or exit 126;
                open STDOUT, '>', "$dir/out" or exit 126;
                open STDERR, '>', "$dir/err" or exit 126;
                exec $broker, @args or exit 127;
        }
        waitpid $pid, 0;
        return ($? & 127 ? "signal $?" : $? >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

# Imports FILES, whose names are seen from the directory IN; the names of ports are those of import/services.
sub run_import {
        my ($kind, $in, @files) = @_;

        return run_broker($in, 'import', $kind, "--services=$services", @files);
}

# What the same import would print with nothing in `defaults`.
sub run_plain_import {
        my ($kind, $in, @files) = @_;
        my $pid = open(my $fh, '-|') // die "fork: $!";

        if (!$pid) {
                chdir $in or exit 126;
                exec $tool, 'import', $kind, $services, @files or exit 127;
        }
        local $/;
        my $yaml = <$fh> // '';
        close $fh;
        return $yaml;
}

# Names and files that this machine may not have are taken out of YAML, so that `broker show` accepts it.
sub without_machine {
        my ($yaml) = @_;

        $yaml =~ s/\b((?:socket_)?(?:user|group)): [^,}\n]+/$1: root/g;
        $yaml =~ s/^    (?:env_file|group_add|banner\w*): .*\n(?:      .*\n)*//mg;
        return $yaml;
}

# Whether two texts define the same services; what `broker show` has against them otherwise.
sub check_same {
        my ($one, $other) = map { without_machine($_) } @_;
        my $file = spew("$dir/same.yaml", $one);
        my ($status, $out, $err) = run_broker('/', 'show', '-c', $file);

        spew($file, $other);
        my ($other_status, $other_out, $other_err) = run_broker('/', 'show', '-c', $file);
        return ($status == $other_status && $out eq $other_out, "$err$other_err", $out ne '');
}

# What `broker check` has against YAML: a list of problems, and one of those that come from this machine alone.
sub check_problems {
        my ($yaml) = @_;
        my $file = spew("$dir/import.yaml", $yaml);
        my ($status, $out, $err) = run_broker('/', 'check', '-c', $file);
        my (@problems, @machine);

        for (split /\n/, $err) {
                next if /: warning: /; # such as a program that is not installed
                if (/there is no (?:user|group) '|only root can|cannot be looked up|No such file or directory|does not exist|no such (?:network )?interface|the broker (?:itself )?does not have|than the broker may go without|the broker can(?:not)? .*(?:without|only with) [A-Z]/) {
                        push @machine, $_;
                } else {
                        push @problems, $_;
                }
        }
        push @problems, "status $status without a reason" if $status != 0 && !@problems && !@machine;
        push @problems, "status $status with: $err" if $status != 0 && $status != 78;
        return (\@problems, \@machine);
}

# Real files of ../shared/corpus or $BROKER_CORPUS, copied to TO: those of one origin into a directory of their own, under
# their real names. Returns lists of kind, directory and the names of what is to be imported at once: of systemd all units of
# an origin, else each file. Nothing where there is no corpus.
sub corpus_sets {
        my ($to) = @_;
        my $corpus = abs_path($ENV{BROKER_CORPUS} // dirname(__FILE__) . '/../../../shared/corpus');
        my (%origins, @sets);

        return if !defined $corpus || grep { !-d "$corpus/$_" } qw(xinetd inetd systemd);
        for my $file (map { sort glob "$corpus/$_/*" } qw(xinetd inetd systemd)) {
                my ($kind, $origin, $name) = $file =~ m{([^/]+)/([^/]*?)__([^/]*)$} or next;

                mkdir "$to/$kind";
                mkdir "$to/$kind/$origin";
                copy($file, "$to/$kind/$origin/$name") or die "$file: $!";
                push @{ $origins{"$kind/$origin"} }, $name;
        }
        for my $origin (sort keys %origins) {
                my ($kind) = $origin =~ m{^(\w+)/};

                push @sets, map { [$kind, "$to/$origin", @$_] }
                        $kind eq 'systemd' ? $origins{$origin} : map { [$_] } @{ $origins{$origin} };
        }
        return @sets;
}

# Lines of FILES in IN that could be left out without any difference, neither in what is printed nor in what is said, and
# that are not known to say what holds anyway. Each as FILE:LINE: TEXT.
sub silent_lines {
        my ($kind, $in, @files) = @_;
        my (undef, $yaml, $err) = run_import($kind, $in, @files);
        my @silent;

        for my $file (glob("$in/*"), map { glob "$_/*" } grep { -d } glob("$in/*")) {
                next unless -f $file;
                my $text = slurp($file);
                my @lines = split /\n/, $text;
                for my $i (0 .. $#lines) {
                        next if $lines[$i] =~ /^\s*(?:[#;].*)?$/ || $lines[$i] =~ $defaults{$kind};
                        spew($file, join("\n", @lines[0 .. $i - 1], '#', @lines[$i + 1 .. $#lines]) . "\n");
                        my (undef, $other_yaml, $other_err) = run_import($kind, $in, @files);
                        push @silent, "$file:" . ($i + 1) . ": $lines[$i]" if $other_yaml eq $yaml && $other_err eq $err;
                }
                spew($file, $text);
        }
        return @silent;
}

1;
