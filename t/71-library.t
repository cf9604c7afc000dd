#!/usr/bin/perl
# libsockbroker as somebody else's program meets it: what it exports and needs, its header in C and C++, pkg-config.
use strict;
use warnings;

use File::Temp qw(tempdir);
use Files qw(slurp spew);
use Test::More;

my $build = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";
my $library = "$build/broker/sockbroker/libsockbroker.so.0";
my $dir = tempdir(CLEANUP => 1);

sub has_program {
        my ($name) = @_;

        return grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

sub functions_in {
        my ($text) = @_;

        return sort keys %{ { map { $_ => 1 } $text =~ /\b(broker_\w+)\s*\(/g } };
}

my ($synopsis) = slurp('docs/sockbroker.3.scd') =~ /^# SYNOPSIS\n(.*?)^# /ms;
my @documented = functions_in($synopsis // '');
my $header = slurp('broker/sockbroker/sockbroker.h') =~ s{/\*.*?\*/}{}gsr;

ok(-e $library, 'the library has its version in its name');
cmp_ok(scalar @documented, '>', 10, 'sockbroker(3) has functions');
is_deeply([functions_in($header)], \@documented, 'the header declares what is documented');
SKIP: {
        skip 'nm is not installed', 1 unless has_program('nm');
        my @symbols = sort map { /\b[TDBRVW] ([\w.]+)/ ? $1 : () } split /\n/, `nm -D --defined-only '$library'`;
        is_deeply(\@symbols, \@documented, 'it exports what is documented and nothing else');
}
SKIP: {
        skip 'readelf is not installed', 2 unless has_program('readelf');
        skip 'sanitizers have libraries of their own', 2 if $ENV{BROKER_SANITIZED};
        my $dynamic = `readelf -d '$library'`;
        my @needed = grep { !/^(libdl|ld-linux)/ } $dynamic =~ /NEEDED.*\[([^\]]+)\]/g;
        like(join(' ', @needed), qr/^lib(c|c\.musl-\w+)\.so[.\d]*$/, 'it needs the C library only');
        like($dynamic, qr/SONAME.*\[libsockbroker\.so\.0\]/, 'its soname');
}

# What pkg-config says before it is installed is what it says afterwards, but for the folders.
my $client = <<'END';
#include <sockbroker.h>
#include <stdio.h>

int main(void) {
        struct broker_claim *claim = NULL;
        char **names = NULL, *message = NULL;
        int count = broker_listen_fds(true, &names);
        int r = broker_claim("web", "/nonexistent/control", &claim, &message);

        printf("%d %d %s\n", count, r, message ? message : "");
        return broker_claim_free(claim) || broker_names_free(names);
}
END
SKIP: {
        my $pkg_config = "$build/meson-uninstalled";

        skip 'pkg-config is not installed', 4 unless has_program('pkg-config');
        skip 'sanitizers have to be linked first', 4 if $ENV{BROKER_SANITIZED};
        local $ENV{PKG_CONFIG_PATH} = $pkg_config;
        my $flags = `pkg-config --cflags --libs libsockbroker`;
        is($?, 0, 'pkg-config knows it');
        chomp $flags;
        # There the header stands where it is written; installed it has no folder of its own.
        $flags .= ' -Ibroker/sockbroker';
        my %language = (c => ['cc', '-std=c99 -Wstrict-prototypes'], cc => ['c++', '-std=c++11']);
        for my $suffix (sort keys %language) {
                my ($compiler, $more) = @{ $language{$suffix} };
                SKIP: {
                        skip "$compiler is not installed", $suffix eq 'c' ? 2 : 1 unless has_program($compiler);
                        my $source = spew("$dir/client.$suffix", $client);
                        my $said = `$compiler -Wall -Wextra -pedantic -Werror $more -o $dir/client $source $flags 2>&1`;

                        is($?, 0, "a client in $compiler") or diag($said);
                        next if $suffix ne 'c';
                        local $ENV{LD_LIBRARY_PATH} = "$build/broker/sockbroker";
                        like(`$dir/client`, qr{^0 -2 there is no broker at '/nonexistent/control'$}, 'and it runs');
                }
        }
}
done_testing;
