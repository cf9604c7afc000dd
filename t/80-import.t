#!/usr/bin/perl
# `broker import`: for every NAME.yaml in import/KIND the input NAME beside it, a file or a directory of files, gives exactly
# that on stdout and NAME.err on stderr (none: nothing), `broker check` accepts it, and no line of the input makes no difference. In a
# directory the file KIND.conf is imported where there is one, else all files. With BROKER_ACCEPT=1 what comes out is
# written down as what is expected, to be read.
use strict;
use warnings;
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Files qw(slurp spew);
use FindBin;
use BrokerTest;
use ImportTest qw(run_import check_problems silent_lines);
use Test::More;

my $dir = tempdir(CLEANUP => 1);

# A copy of the input, since its lines are taken out one by one. Returns where it is, and the files to name.
sub copy_input {
        my ($kind, $name, $input) = @_;
        my $in = "$dir/$kind-$name";

        mkdir $in or die "$in: $!";
        if (-d $input) {
                system('cp', '-r', "$input/.", $in) == 0 or die "cp $input";
                return ($in, "$kind.conf") if -e "$in/$kind.conf";
                return ($in, map { basename($_) } sort grep { -f } glob "$in/*");
        }
        copy($input, $in) or die "$input: $!";
        return ($in, $name);
}

sub test_input {
        my ($kind, $name, $expected) = @_;
        my ($in, @files) = copy_input($kind, $name, "$FindBin::Bin/import/$kind/$name");
        my ($status, $yaml, $err) = run_import($kind, $in, @files);

        if ($ENV{BROKER_ACCEPT}) {
                spew("$expected.yaml", $yaml);
                $err eq '' ? unlink "$expected.err" : spew("$expected.err", $err);
        }
        is($yaml, slurp("$expected.yaml"), "$kind/$name: what is printed");
        is($err, slurp("$expected.err") // '', "$kind/$name: what is said");
        is($status, (grep { !/: warning: / } split /\n/, $err) ? 1 : 0, "$kind/$name: exit status");
        my ($problems) = check_problems($yaml);
        is_deeply($problems, [], "$kind/$name: broker check accepts it") or diag(join "\n", @$problems);
        my @silent = silent_lines($kind, $in, @files);
        is_deeply(\@silent, [], "$kind/$name: every line makes a difference") or diag(join "\n", @silent);
        return;
}

my $count = 0;
for my $kind (qw(xinetd inetd systemd)) {
        my @inputs = grep { !/\.(?:yaml|err)$/ } glob "$FindBin::Bin/import/$kind/*";

        for my $input (@inputs) {
                test_input($kind, basename($input), $input);
                $count++;
        }
}

# What goes on around.
{
        my ($status, $out, $err) = run_import('xinetd', $dir, 'nowhere');

        is($status, 1, 'a file that is not there: exit status');
        is($err, "nowhere: nowhere cannot be read: No such file or directory\n", 'a file that is not there: message');
        is($out, "# nowhere cannot be read: No such file or directory\n\nservices: {}\n", 'a file that is not there: a comment');
        ($status, undef, $err) = run_import('xinetd', $dir);
        is($status, 2, 'no file is a usage error');
        ($status, undef, $err) = run_import('launchd', $dir, 'x');
        is($status, 2, 'so is another kind');
        like($err, qr/write xinetd, inetd or systemd/, 'which says what there is');
        spew("$dir/nul", "service x\0\n");
        ($status, undef, $err) = run_import($_, $dir, 'nul') and is($status, 1, "$_: a NUL byte") for qw(xinetd inetd systemd);
}
cmp_ok($count, '>=', 30, 'there are inputs');

# Many services, all of one name; whatever looks at all others for each of them would take minutes.
{
        my $service = "service s\n{\n type = UNLISTED\n socket_type = stream\n wait = no\n user = root\n server = /bin/cat\n";

        spew("$dir/many.xinetd", join '', map { "$service port = $_\n}\n" } 10000 .. 19999);
        spew("$dir/many.inetd", join '', map { "$_ stream tcp nowait root /bin/cat cat\n" } 10000 .. 19999);
        for my $kind (qw(xinetd inetd)) {
                my ($status, $yaml) = run_import($kind, $dir, "many.$kind");
                my %names = map { $_ => 1 } $yaml =~ /^  ([\w-]+):$/mg;

                is($status, 0, "$kind: 10,000 services of one name");
                is(scalar keys %names, 10000, "$kind: each is called otherwise");
        }
        spew("$dir/wrong.inetd", join '', map { "$_ stream tcp nowait root\n" } 1 .. 2000);
        my ($status, undef, $err) = run_import('inetd', $dir, 'wrong.inetd');
        is($status, 1, 'many messages: exit status');
        is(scalar(() = $err =~ /^wrong\.inetd:\d+: \S+: there are 5 fields/mg), 2000, 'many messages: all are there');
}

# A pair of services as databases bring them, with a services file of their own: imported, it runs.
SKIP: {
        skip 'programs run as root and group daemon, which takes root', 5 if $> != 0;
        my ($status, $yaml) = run_import('xinetd', "$FindBin::Bin/import/xinetd/database", 'dbserver', 'dbclient');

        is($status, 0, 'a pair of services is imported');
        like($yaml, qr/^    listen: $_$/m, "its port is that of the services file, $_") for 4244, 4245;
        $yaml =~ s/^services:\n//m;
        $yaml =~ s/^    listen: \d+$/    listen: 127.0.0.1:0/mg;
        $yaml =~ s/^  //mg;
        my $t = BrokerTest->new(services => $yaml);
        is($t->ask("db$_", "hello\n"), "$_:hello\n", "db$_ answers") for qw(server client);
}

# What is said is enough to fail a build that wants nothing lost.
{
        my $in = "$FindBin::Bin/import/xinetd";

        is((run_import('xinetd', $in, '--strict', 'nameinargs'))[0], 1, '--strict: a refusal');
        is((run_import('xinetd', $in, '--strict', 'program'))[0], 1, '--strict: a warning');
        is((run_import('xinetd', $in, 'program'))[0], 0, 'a warning alone');
        is((run_import('xinetd', $in, '--strict', 'blanks'))[0], 0, '--strict: nothing to say');
        my ($status, $yaml) = run_import('xinetd', $in, 'database');
        is($status, 0, 'a directory');
        is($yaml, slurp("$in/database.yaml"), 'a directory: what is in it');
        is((run_import('xinetd', $in, '--services=nowhere', 'blanks'))[0], 1, 'no services file');
        my $pid = open(my $fh, '-|', "'$BrokerTest::BROKER' import xinetd - < '$in/blanks'") // die "fork: $!";
        like(join('', <$fh>), qr/^  ssh:$/m, 'stdin');
}

done_testing;
