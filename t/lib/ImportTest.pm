# What the tests of `broker import` share: running it, passing what comes out to `broker check`, and finding lines of the
# input that make no difference.
package ImportTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

our @EXPORT_OK = qw(run_import check_problems silent_lines slurp spew);

my $broker = abs_path(($ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n") . '/broker/broker');
my $services = abs_path(dirname(__FILE__) . '/../import/services');
my $dir = tempdir(CLEANUP => 1);

# Lines that say what holds without them, by kind.
my %defaults = (
        xinetd => qr/^\s*(?:
                service\s.* | defaults | [{}]
                | disable\s*=\s*no
                | flags\s*=\s*(?:(?:REUSE|IPv6|NOLIBWRAP)\s*)*
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

sub slurp {
        my ($file) = @_;

        open my $fh, '<:raw', $file or return;
        local $/;
        return scalar(<$fh>) // '';
}

sub spew {
        my ($file, $text) = @_;

        open my $fh, '>:raw', $file or die "$file: $!";
        print $fh $text;
        close $fh or die "$file: $!";
        return $file;
}

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
