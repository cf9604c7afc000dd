#!/usr/bin/perl
# Definitions that are refused: every file of conf/bad gives exactly the messages of its .expect, all at once.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Files qw(slurp);
use FindBin;
use POSIX qw(mkfifo);
use Test::More;

my $tool = ($ENV{BROKER_BUILD} // die "BROKER_BUILD is not set\n") . '/t/unit/conf_tool';
$tool = getcwd() . "/$tool" if $tool !~ m{^/};

# Copies, since root refuses definitions that belong to others, as those of a checkout may.
my $dir = tempdir(CLEANUP => 1);
copy($_, $dir) or die "$_: $!" for glob "$FindBin::Bin/conf/bad/*";
chdir $dir or die "$dir: $!";

# Runs conf_tool check; returns its output, errors of sanitizers included, and its exit status.
sub check {
    my @paths = @_;
    open my $out, '-|', "$tool check @paths 2>&1" or die "$tool: $!";
    local $/ = undef;
    my $text = <$out> // '';
    close $out;
    return ($text, $? & 127 ? "signal $?" : $? >> 8);
}

sub spew {
    my ($path, $text, $mode) = @_;
    open my $out, '>', $path or die "$path: $!";
    print $out $text;
    close $out or die "$path: $!";
    chmod $mode // 0644, $path or die "$path: $!";
    return $path;
}

sub refused {
    my ($name, $paths, $expected) = @_;
    my ($text, $status) = check(@$paths);
    ref $expected ? like($text, $expected, "$name: message") : is($text, $expected, "$name: message");
    return is($status, 78, "$name: exit status");
}

for my $file (map { basename($_) } sort glob '*.yaml') {
    my $name = $file =~ s/\.yaml$//r;
    refused($name, [$file], slurp("$name.expect"));
}

# Whatever goes wrong in several files at once.
my $service = 'listen: %s, wait: yes, command: x';
mkdir 'many' or die;
spew('many/b.yaml', sprintf "broker: {}\nservices: {web: {$service}, other: {$service, nice: x}}\n", 80, 81);
spew('many/a.yml',  sprintf "broker: {}\nservices: {web: {$service}}\n", 81);
spew('many/c.yaml', "services: [\n");
spew('many/.hidden.yaml', "x\n");
spew('many/readme.txt',   "x\n");
refused('several files', ['many'], <<'END');
many/b.yaml:1:1: broker: stands in another file already, at many/a.yml:1:1
many/b.yaml:2:12: services.web: is defined already, at many/a.yml:2:12
many/b.yaml:2:70: services.other.listen: '81' is taken already by services.web, at many/a.yml:2:26
many/b.yaml:2:103: services.other.nice: 'x' is not a number; write -20 to 19
many/c.yaml:2:1: is not YAML: did not find expected node content (while parsing a flow node)
END

refused('no such file', ['none.yaml', 'none/', 'boolean.yaml'],
    "none.yaml: cannot be read: No such file or directory\nnone/: cannot be read: No such file or directory\n"
        . slurp('boolean.expect'));
mkdir 'dir.yaml'      or die;
mkdir 'dir.yaml/a.yaml' or die;
refused('a directory with the name of a file', ['dir.yaml'], "dir.yaml/a.yaml: is not a regular file\n");
refused('too large', [spew('large.yaml', '#' x (16 * 1024 * 1024 + 1))], "large.yaml: is larger than 16777216 bytes\n");

# Opening a FIFO waits for its other end, and reading a device may wait for ever; loading waits for
# nobody. Whoever has the FIFO open for writing changes nothing about that.
mkfifo("fifo$_", 0644) or die "mkfifo: $!" for qw(.yaml .env);
alarm 60;
refused('a FIFO for a definition', ['fifo.yaml'], "fifo.yaml: is not a regular file\n");
my $with_env = "services:\n  a: {listen: 80, wait: yes, command: x, env_file: %s}\n";
refused("$_ for an env_file", [spew('special.yaml', sprintf $with_env, $_)],
    "special.yaml:2:52: services.a.env_file: '$_' is not a regular file\n")
    for qw(fifo.env /dev/null /dev/zero);
open my $writer, '+<', 'fifo.env' or die "fifo.env: $!";
refused('a FIFO with a writer', [spew('fifo2.yaml', sprintf $with_env, 'fifo.env')],
    "fifo2.yaml:2:52: services.a.env_file: 'fifo.env' is not a regular file\n");
close $writer;
alarm 0;
# What the C library says about it depends on whether there is anybody to ask.
{
    local $ENV{RES_OPTIONS} = 'timeout:1 attempts:1';
    my $hosts = 'only_from: [localhost, none.invalid], proxy_protocol: accept, proxy_protocol_from: none.invalid';
    my $why = qr/'none\.invalid' cannot be looked up: \S.*/;
    refused('a host that nobody knows', [spew('host.yaml', "services: {a: {listen: 1, wait: no, command: x, $hosts}}\n")],
        qr/\A\S+: services\.a\.only_from\[1\]: $why\n\S+: services\.a\.proxy_protocol_from: $why\n\z/);
}

mkdir 'void' or die;
my ($text, $status) = check('void');
is($text, "void: warning: no definitions in this directory\n", 'an empty directory: a warning');
is($status, 0, 'an empty directory: no error');

# More errors than anybody reads.
my ($many_text, $many_status) =
    check(spew('errors.yaml', "services:\n" . join '', map { "  s$_: {listen: x, wait: x, command: x}\n" } 1 .. 5000));
is(() = $many_text =~ /\n/g, 1001, 'a thousand messages, and one about the others');
like($many_text, qr/\(and 9000 more\)\n\z/, 'the rest is counted');
is($many_status, 78, 'many errors: exit status');

SKIP: {
    skip 'root reads everything', 2 if $> == 0;
    refused('not readable', [spew('secret.yaml', '', 0)], "secret.yaml: cannot be read: Permission denied\n");
}

SKIP: {
    skip 'only root is that careful', 10 if $> != 0;
    my $why = 'since everybody can write to it';
    refused('writable by all', [spew('open.yaml', '', 0666)], qr/^open\.yaml: is refused, $why \(mode 0666\)/);
    spew('alien.yaml', '');
    chown 1, 1, 'alien.yaml' or die;
    refused('of another user', ['alien.yaml'], qr/^alien\.yaml: is refused, since it belongs to user 1;/);
    mkdir 'open' or die;
    spew('open/a.yaml', '');
    chmod 0777, 'open' or die;
    refused('directory writable by all', ['open'], qr/^open: is refused, $why \(mode 0777\)/);
    refused('file in such a directory', ['open/a.yaml'], qr/^open: is refused, $why/);
    chmod 01777, 'open' or die;
    is((check('open'))[1], 0, 'a sticky directory is fine');
    chmod 0644, 'open.yaml' or die;
    is((check('open.yaml'))[1], 0, 'mode 0644 is fine');
}

done_testing();
