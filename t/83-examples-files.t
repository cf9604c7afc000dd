#!/usr/bin/perl
# The files of examples/: an index that names all of them, READMEs of a screen that name their files, and manifests that
# follow their schemas.
use strict;
use warnings;

use BrokerTest;
use Container;
use Part;
use Test::More;

my $examples = source_dir() . '/examples';
my @names = map { m{([^/]+)/$} } glob "$examples/*/";
my $index = read_text("$examples/README.md");

is_deeply([sort $index =~ /\]\((\w[\w-]*)\)/g], \@names, 'the index names every example once');
like(read_text(source_dir() . '/README.md'), qr{\]\(examples\)}, 'README.md names the index');
for my $name (@names) {
        # That of the demonstration is what bootstrap shows.
        my ($readme) = grep { -e } "$examples/$name/README.md", "$examples/$name/README";

        ok($readme, "$name says what it is") or next;
        my $text = read_text($readme);
        cmp_ok(scalar(() = $text =~ /\n/g), '<=', 45, "$name: on a screen");
        my @files = map { m{([^/]+)$} } grep { !m{/README} } glob "$examples/$name/*";
        is_deeply([grep { $text !~ /(^|[\s`\/])\Q$_\E\b/m } @files], [], "$name: all of its files");
        my @missing = map { $text =~ /\]\(([^)#:]+)\)/g } 1;
        is_deeply([grep { !-e "$examples/$name/$_" } @missing], [], "$name: its links lead somewhere");
        is_deeply([grep { read_text($_) =~ /\A#!/ && !-x } glob "$examples/$name/*"], [], "$name: its scripts are executable");
}

part 'shell scripts' => sub {
        is(system('sh', '-n', $_), 0, "$_: the shell can read it")
                for grep { read_text($_) =~ m{\A#!/bin/sh} } glob "$examples/*/*";
};

part 'schemas' => sub {
        skip_part('Node is not installed') if !has_program('node');
        my %manifest = (
                kubernetes => [map { "$examples/kubernetes/$_.yaml" } qw(deployment service hpa)],
                compose => [glob "$examples/*/compose.yaml"],
        );
        for my $kind (sort keys %manifest) {
                part $kind => sub {
                        my $out = `node t/lib/manifests.js $kind @{ $manifest{$kind} } 2>&1`;

                        skip_part($out =~ s/\n//r) if $? >> 8 == 77;
                        is($?, 0, "$kind: the manifests follow the schema") or diag($out);
                };
        }
};

done_testing;
