# A broker that becomes another binary, for the tests of `broker upgrade`.
package UpgradeTest;

use strict;
use warnings;

use BrokerTest;
use Exporter qw(import);
use File::Copy qw(copy);
use POSIX ();
use Test::More;

our @EXPORT = qw(new_broker install install_script upgrade verb_beside outcome line);

# A broker whose binary is a copy of the one that was built, which a test may replace.
sub new_broker {
        my ($services, %arg) = @_;
        my $t = BrokerTest->new(services => $services, later => 1, %arg);

        install($t, $BrokerTest::BROKER);
        $t->start(program => $t->dir . '/broker', %arg);
        return $t;
}

# As a package manager does it: the new file takes the place of the old one.
sub install {
        my ($t, $from) = @_;

        copy($from, $t->dir . '/broker.new') or die "$from: $!";
        chmod 0755, $t->dir . '/broker.new';
        rename $t->dir . '/broker.new', $t->dir . '/broker' or die "rename: $!";
        return;
}

sub install_script {
        my ($t, $text) = @_;

        return install($t, $t->write_file('script', "#!/bin/sh\n$text\n"));
}

# `broker upgrade`; what it says is in $t->{said}. Whether it was done.
sub upgrade {
        my ($t) = @_;
        my ($status, $out, $err) = $t->verb('upgrade');

        $t->{said} = $out . $err;
        return $status == 0 && $out =~ /^sockbroker \S+ has taken over\n\z/;
}

# The last record about it.
sub outcome {
        my ($t) = @_;

        1 while $t->read_log(0);
        my @outcomes = grep { ($_->{message} // '') =~ /^(?:upgraded$|upgrade: refused)/ } @{ $t->{log} };
        return $outcomes[-1];
}

# `broker VERB...` beside this process: the outcome is there when the code that is returned is called.
sub verb_beside {
        my ($t, @verb) = @_;
        my $file = $t->dir . "/beside-$verb[0]";
        my $pid = fork // die "fork: $!";

        if (!$pid) {
                $ENV{BROKER_CONTROL} = $t->control;
                open STDOUT, '>', $file or POSIX::_exit(99);
                open STDERR, '>&', \*STDOUT or POSIX::_exit(99);
                { exec $BrokerTest::BROKER, @verb }
                POSIX::_exit(98);
        }
        return sub {
                waitpid $pid, 0;
                my $status = $? >> 8;
                open my $fh, '<', $file or die "$file: $!";
                local $/ = undef;
                return ($status, <$fh> // '');
        };
}

sub line {
        my ($socket, $text) = @_;

        syswrite $socket, "$text\n";
        return BrokerTest::read_line($socket) // 'nothing';
}

1;
