#!/usr/bin/perl
# The layers of docs/architecture.md: every #include against the table, and no cycle in it.
use strict;
use warnings;
use Test::More;

# What each layer may include beside itself. "net/addr.h" stands for that file alone.
my %may = (
        base => [],
        net => [qw(base)],
        conf => [qw(base net/addr.h net/options.h net/prefix.h net/prefixtrie.h)],
        proc => [qw(base)],
        handoff => [qw(base net proc)],
        core => [qw(base net conf proc handoff)],
        ctl => [qw(base net core config.h)],
        client => [qw(base)],
        import => [qw(base net/addr.h net/prefix.h conf)],
        sockbroker => [],
        broker => [qw(base net conf proc handoff core ctl client import config.h controlpath.h options.h)],
        activate => [qw(base net proc sockbroker config.h)],
        'activate/request' => [qw(base net proc handoff activate config.h)],
);

# Outside libraries: the files or folders that may use each.
my %outside = (
        'yaml.h' => qr{^broker/conf/yaml\.c$},
        'systemd/sd-event.h' => qr{^(broker/(handoff|core|ctl)|activate/request)/},
        'systemd/sd-bus.h' => qr{^broker/(ctl|client|sockbroker)/},
        'microhttpd.h' => qr{^broker/ctl/},
        'libmnl/libmnl.h' => qr{^broker/net/},
        'jansson.h' => qr{^broker/(core|ctl|client)/},
        'uthash.h' => qr{^broker/},
        'sys/capability.h' => qr{^broker/base/capability\.c$},
);

sub layer_of {
        my ($file) = @_;

        return $1 if $file =~ m{^(activate(?:/request)?)/};
        return $1 if $file =~ m{^broker/(\w+)/};
        return 'broker';
}

my @files = sort grep { m{\.[ch]$} } split /\n/, `find broker activate -name '*.[ch]'`;
ok(@files > 40, 'there are sources to look at');
my @wrong;
for my $file (@files) {
        my $layer = layer_of($file);
        fail("$file: the layer '$layer' is not in the table") unless $may{$layer};
        open my $fh, '<', $file or die "$file: $!";
        while (<$fh>) {
                if (/^#\s*include\s+"([^"]+)"/) {
                        my $header = $1;
                        my $to = $header =~ m{^(activate/request|\w+)/} && (-e "broker/$header" || -e $header) ? $1 : $header;
                        next if $to eq $layer;
                        next if grep { $_ eq $to || $_ eq $header } @{ $may{$layer} };
                        push @wrong, "$file:$.: $layer must not include $header";
                } elsif (/^#\s*include\s+<([^>]+)>/ && $outside{$1} && $file !~ $outside{$1}) {
                        push @wrong, "$file:$.: <$1> is not for this file";
                }
        }
}
ok(!@wrong, 'every include is within its layer') or diag(join "\n", @wrong);
@wrong = ();

# The table itself: a layer that could reach itself would be a cycle.
my %reach = map { my $l = $_; $l => { map { (exists $may{$_} ? $_ : (split m{/})[0]) => 1 } @{ $may{$l} } } } keys %may;
for my $k (keys %may) {
        for my $i (keys %may) {
                for my $j (keys %may) {
                        $reach{$i}{$j} = 1 if $reach{$i}{$k} && $reach{$k}{$j};
                }
        }
}
is_deeply([grep { $reach{$_}{$_} } sort keys %may], [], 'the layers have no cycle');

open my $doc, '<', 'docs/architecture.md' or die "docs/architecture.md: $!";
my $text = do { local $/; <$doc> };
for my $file (@files) {
        my ($noun) = $file =~ m{([^/]+)\.[ch]$};
        push @wrong, $file unless $text =~ /\b\Q$noun\E\b/;
}
ok(!@wrong, 'docs/architecture.md names every file') or diag(join "\n", @wrong);
done_testing;
