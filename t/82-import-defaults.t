#!/usr/bin/perl
# `broker import` says once, in `defaults`, what several services say alike. The services are the same as without that: for
# the inputs of t/80-import.t, the real files of t/81-import-corpus.t, and a few where a default would reach too far.
use strict;
use warnings;

use File::Basename qw(basename);
use File::Temp qw(tempdir);
use Files qw(spew);
use FindBin;
use ImportTest qw(run_import run_plain_import check_same corpus_sets);
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my ($shown, $shared) = (0, 0);

sub test_same {
        my ($kind, $in, @files) = @_;
        my (undef, $yaml) = run_import($kind, $in, @files);
        my ($same, $problems, $any) = check_same(run_plain_import($kind, $in, @files), $yaml);

        ok($same, "$kind: @files") or diag($problems);
        $shown++ if $any;
        $shared++ if $yaml =~ /^defaults:$/m;
        return $yaml;
}

for my $kind (qw(xinetd inetd systemd)) {
        for my $input (grep { !/\.(?:yaml|err)$/ } glob "$FindBin::Bin/import/$kind/*") {
                if (!-d $input) {
                        test_same($kind, "$FindBin::Bin/import/$kind", basename($input));
                } elsif (-e "$input/$kind.conf") {
                        test_same($kind, $input, "$kind.conf");
                } else {
                        test_same($kind, $input, map { basename($_) } grep { -f } glob "$input/*");
                }
        }
}
SKIP: {
        my @sets = corpus_sets($dir);

        skip 'there are no real files: $BROKER_CORPUS is not a directory with xinetd, inetd and systemd in it', 1 if !@sets;
        test_same(@$_) for @sets;
}
cmp_ok($shown, '>=', 30, 'most can be shown');
cmp_ok($shared, '>=', 10, 'many have something to share');

# One xinetd service for each LINES at a port of its own.
sub services {
        my $port = 5000;

        return map {
                $port++;
                "service s$port\n{\n type = UNLISTED\n socket_type = stream\n wait = no\n user = root\n server = /bin/cat\n"
                        . " port = $port\n$_\n}\n"
        } @_;
}

spew("$dir/two", join '', services('', ''));
unlike(test_same('xinetd', $dir, 'two'), qr/^defaults:/m, 'two services are left as they are');
spew("$dir/three", join '', services('', '', ''));
like(test_same('xinetd', $dir, 'three'), qr/^defaults:\n  groups: no\n/m, 'three share what they can');
spew("$dir/own", join '', services(('') x 3, ('instances = 7') x 2));
like(test_same('xinetd', $dir, 'own'), qr/^  instances: unlimited\n.*^    instances: 7\n/ms, 'others say what is theirs');
spew("$dir/silent", join '', services(('groups = no') x 3, 'groups = yes'));
unlike(test_same('xinetd', $dir, 'silent'), qr/^  groups:/m, 'nothing is given to a service that has our default');
spew("$dir/out", join '', services(('max_load = 3') x 3, 'redirect = localhost 80', 'type += nonsense'));
like(test_same('xinetd', $dir, 'out'), qr/^    max_load: 3\n/m, 'a proxy would get it, too');

done_testing;
