# Programs of the distribution, servers and clients, for the scripts that test with them.
package Programs;

use strict;
use warnings;

use BrokerTest;
use Exporter qw(import);
use Part;
use POSIX ();
use Test::More;

our @EXPORT = qw(have need run must works);

# The programs of the distribution, not those that somebody has in front of them; and no detours for curl.
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin';
delete @ENV{grep { /_proxy$/i || /^GIT_/ || /^PYTHON/ } keys %ENV};

sub have {
        my ($program) = @_;
        my ($found) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};

        return $found;
}

# Says why the part cannot run where one of the programs is missing.
sub need {
        my (@programs) = @_;

        for my $program (@programs) {
                skip_part "$program is not installed" unless have($program);
        }
        return;
}

# What a client wrote, stderr too, and its exit status. A client that hangs is ended and has failed with 124.
sub run {
        my (@command) = @_;
        my $pid = open my $out, '-|';

        defined $pid or die "fork: $!";
        if (!$pid) {
                $SIG{PIPE} = 'DEFAULT';
                open STDERR, '>&', \*STDOUT;
                open STDIN, '<', '/dev/null';
                { exec 'timeout', $BrokerTest::TIMEOUT, @command }
                POSIX::_exit(127);
        }
        local $/ = undef;
        my $text = <$out> // '';
        close $out;
        return ($text, $? & 127 ? 'signal ' . ($? & 127) : $? >> 8);
}

sub must {
        my (@command) = @_;
        my ($text, $status) = run(@command);

        die "@command: $status\n$text" if $status;
        return $text;
}

sub works {
        my ($what, $want, @command) = @_;
        my ($text, $status) = run(@command);

        return is_deeply([$status, $text], [0, $want], $what);
}

1;
