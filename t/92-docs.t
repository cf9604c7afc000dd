#!/usr/bin/perl
# The documents against the programs: options, keys, exit statuses, examples, and whether the manuals are well-formed.
use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;

my $build = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";
my $broker = "$build/broker/broker";
my $activate = "$build/activate/activate";
my $dir = tempdir(CLEANUP => 1);

sub slurp {
        my ($file) = @_;

        open my $fh, '<', $file or return;
        local $/;
        return scalar <$fh>;
}

sub spew {
        my ($file, $text) = @_;

        open my $fh, '>', $file or die "$file: $!";
        print $fh $text;
        close $fh or die "$file: $!";
        return $file;
}

# Runs a command; its stdout and stderr together, and its status.
sub run {
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

sub has_program {
        my ($name) = @_;

        return grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

# Options that somebody can type, without those of systemd-socket-activate.
sub options_in {
        my ($text) = @_;

        return sort keys %{ { map { $_ => 1 } $text =~ /(?<![\w-])(--?[a-zA-Z][\w-]*)/g } };
}

# Those that a scdoc page has as entries: lines such as "*-c*, *--config*=_PATH_". What is said of another program's command
# line, under a heading with its name, is left out.
sub documented_options {
        my ($page) = @_;
        my @sections = grep { !/^# .*systemd/i } split /^(?=# )/m, $page =~ s/\\(.)/$1/gr;

        return options_in(join "\n", map { /^(\*-.*)$/mg } @sections);
}

# Those at the start of a line of --help, before what is said about them.
sub helped_options {
        my ($text) = @_;

        return options_in(join "\n", map { /^\s+(-.*?)(?:\s{2,}|$)/ ? $1 : () } split /\n/, $text);
}

# Not in --help since nobody types it: it makes the manual.
my %only_documented = (broker => { '--scdoc' => 1 }, activate => {});

my %page = (broker => 'docs/broker.8.scd', activate => 'docs/activate.1.scd');
my %program = (broker => $broker, activate => $activate);
for my $name (sort keys %page) {
        my $text = slurp($page{$name});

        ok(defined $text, "$page{$name} is there") or next;
        my ($help, $status) = run($program{$name}, '--help');
        is($status, 0, "$name --help ends with 0");
        my @helped = helped_options($help);
        my @documented = grep { !$only_documented{$name}{$_} } documented_options($text);
        cmp_ok(scalar @helped, '>', 2, "$name --help has options");
        is_deeply(\@documented, \@helped, "$name: the options of --help and of the manual are the same");
        for my $code ($name eq 'broker' ? (0, 1, 2, 78, 126, 127) : (0, 1, 2, 126, 127)) {
                my ($section) = $text =~ /^# EXIT STATUS\n(.*?)(?=^# |\z)/ms;
                like($section // '', qr/\b$code\b/, "$name: the manual says what $code means");
        }
}

# Verbs.
{
        my $text = slurp('docs/broker.8.scd') // '';
        my ($help) = run($broker, '--help');
        my %seen = map { $_ => 1 } $help =~ /^(?:Usage:|\s+)\s*broker \[?(\w+)/mg;

        like($text, qr/^\*\Q$_\E\*/m, "the manual has the verb $_") for sort keys %seen;
        cmp_ok(scalar keys %seen, '>=', 4, 'broker --help has verbs');
        like($text, qr/\*SIG$_\*/, "the manual has SIG$_") for qw(TERM INT HUP USR1 USR2);
}

# Keys are in broker.yaml(5) by construction; what remains is that the construction is there, and that it works.
my $yaml_page = "$dir/broker.yaml.5.scd";
like(slurp('docs/broker.yaml.5.scd.in') // '', qr/^\@KEYS\@$/m, 'broker.yaml.5.scd.in has the line @KEYS@');
{
        my ($out, $status) = run($^X, 'docs/make-yaml-page', $broker, 'docs/broker.yaml.5.scd.in', $yaml_page);
        my $text = (slurp($yaml_page) // '') =~ s/\\(.)/$1/gr;

        is($status, 0, 'make-yaml-page ends with 0') or diag($out);
        my ($list) = run($broker, 'explain');
        my @keys = $list =~ /^  (\w+)\s/mg;
        cmp_ok(scalar @keys, '>', 40, 'broker explain lists keys');
        my @missing = grep { $text !~ /^\*\Q$_\E\*/m } @keys;
        is_deeply(\@missing, [], 'every key of broker explain is in broker.yaml(5)');
}

# Manuals. scdoc itself writes paragraph macros that mandoc finds superfluous; that is not ours to mend.
for my $file ('docs/broker.8.scd', 'docs/broker-bus.5.scd', 'docs/activate.1.scd', 'docs/sockbroker.3.scd', $yaml_page) {
        my ($name) = $file =~ m{([^/]+)\.scd$};

        SKIP: {
                skip 'scdoc is not installed', 2 unless has_program('scdoc');
                my ($page, $status) = run('sh', '-c', 'exec scdoc < "$1"', 'sh', $file);
                is($status, 0, "scdoc takes $name") or diag($page);
                skip 'there is no page', 1 if $status != 0;
                skip 'mandoc is not installed', 1 unless has_program('mandoc');
                my ($lint) = run('mandoc', '-T', 'lint', '-W', 'warning', spew("$dir/$name", $page));
                my @lines = grep { !/skipping paragraph macro/ } split /\n/, $lint;
                is_deeply(\@lines, [], "mandoc finds nothing wrong with $name");
        }
}

# Every example that is a definition file must be one. Users, groups and files that this machine lacks are not its fault.
sub check_definitions {
        my ($file, $where) = @_;
        my ($text, $status) = run($broker, 'check', '-c', $file);
        my @wrong = grep {
                /^\S+:\d+:\d+: / && !/: warning: /
                        && !/there is no (user|group) '/
                        && !/only root can run programs/
                        && !/(env_file|working_dir).*(No such file|does not exist)/
        } split /\n/, $text;

        ok($status == 0 || ($status == 78 && !@wrong), "$where passes broker check") or diag($text);
        return;
}

for my $file ('README.md', 'CONTRIBUTING.md', sort glob 'docs/*.md docs/*.scd docs/*.scd.in') {
        my $text = slurp($file) // '';
        my $n = 0; # of those that are definitions

        while ($text =~ /^```(\w*)\n(.*?)^```$/msg) {
                my ($language, $block) = ($1, $2);
                next unless $block =~ /^services:/m && ($language eq '' || $language eq 'yaml');
                $n++;
                check_definitions(spew("$dir/example.yaml", $block), "example $n of $file");
        }
}
check_definitions($_, $_) for sort glob 'units/*.yaml examples/*/broker.yaml examples/demo/*.yaml';

# Links between the documents.
for my $file ('README.md', 'CONTRIBUTING.md', sort glob 'docs/*.md') {
        my ($base) = $file =~ m{^(.*/)?};
        my @targets = (slurp($file) // '') =~ /\]\((?!https?:)([^)#]+)/g;
        my @missing = grep { !-e(($base // '') . $_) } @targets;

        is_deeply(\@missing, [], "the links of $file lead somewhere");
}

like(slurp('NEWS.md') // '', qr/^## \Q$1\E\b/m, 'NEWS.md has the version of meson.build')
        if (slurp('meson.build') // '') =~ /version: '([\d.]+)',/;
like((run($broker, '--version'))[0], qr/^sockbroker [\d.]+\n\z/, 'broker --version');

done_testing;
