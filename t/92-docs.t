#!/usr/bin/perl
# The documents against the programs: options, keys, exit statuses, examples, and whether the manuals are well-formed.
use strict;
use warnings;

use File::Temp qw(tempdir);
use Files qw(slurp spew);
use Pages qw(definitions_pass examples output pages);
use Test::More;

my $build = $ENV{BROKER_BUILD} // die "BROKER_BUILD does not say where the build is\n";
my $broker = "$build/broker/broker";
my $activate = "$build/activate/activate";
my $dir = tempdir(CLEANUP => 1);

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
        my ($help, $status) = output($program{$name}, '--help');
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
        my ($help) = output($broker, '--help');
        my %seen = map { $_ => 1 } $help =~ /^(?:Usage:|\s+)\s*broker \[?(\w+)/mg;

        like($text, qr/^\*\Q$_\E\*/m, "the manual has the verb $_") for sort keys %seen;
        cmp_ok(scalar keys %seen, '>=', 4, 'broker --help has verbs');
        like($text, qr/\*SIG$_\*/, "the manual has SIG$_") for qw(TERM INT HUP USR1 USR2);
}

# Keys are in broker.yaml(5) by construction; what remains is that the construction is there, and that it works.
my $yaml_page = "$dir/broker.yaml.5.scd";
like(slurp('docs/broker.yaml.5.scd.in') // '', qr/^\@KEYS\@$/m, 'broker.yaml.5.scd.in has the line @KEYS@');
{
        my ($out, $status) = output($^X, 'docs/make-yaml-page', $broker, 'docs/broker.yaml.5.scd.in', $yaml_page);
        my $text = (slurp($yaml_page) // '') =~ s/\\(.)/$1/gr;

        is($status, 0, 'make-yaml-page ends with 0') or diag($out);
        my ($list) = output($broker, 'explain');
        my @keys = $list =~ /^  (\w+)\s/mg;
        cmp_ok(scalar @keys, '>', 40, 'broker explain lists keys');
        my @missing = grep { $text !~ /^\*\Q$_\E\*/m } @keys;
        is_deeply(\@missing, [], 'every key of broker explain is in broker.yaml(5)');
}

# What `broker explain` says of a key, as a mapping.
my %explained;
sub explained {
        my ($name) = @_;

        return $explained{$name} //= do {
                my ($text, $status) = output($broker, 'explain', $name);
                { status => $status, text => $text, $text =~ /^  (Value|Default|Example): +(.*)$/mg };
        };
}

# Services that have little more than what makes a key mean something: each a list of lines.
my @bases = (
        ['listen: 80', 'wait: no', 'command: /bin/cat'],
        ['listen: 80', 'wait: yes', 'command: /bin/cat'],
        ['listen: 80', 'wait: yes', 'command: /bin/cat', 'start: boot', 'ready: notify'],
        ['listen: {address: 80, reuse_port: yes}', 'wait: yes', 'command: /bin/cat'],
        ['listen: /run/x.sock', 'wait: no', 'command: /bin/cat'],
        ['listen: 80', 'wait: no', 'proxy: 127.0.0.1:8080', 'command: /bin/cat'],
        ['listen: 80', 'wait: no', 'handoff: pass', 'command: /bin/cat'],
        ['listen: 80', 'wait: no', 'handoff: request', 'command: /bin/cat'],
        ['listen: "udp:127.0.0.1:80"', 'wait: no', 'builtin: discard'],
        ['listen: 80', 'wait: no'],
        ['listen: [80, /run/x.sock]', 'wait: no', 'command: /bin/cat', 'proxy_protocol: accept', 'proxy_protocol_from: 10.0.0.0/8'],
);
my @addresses = ('80', '"udp:80"', '/run/x.sock', 'fifo:/run/x', 'mqueue:/x', 'special:/dev/null');

# Keys whose line stands in a mapping below another one, on one line each.
sub inside {
        my ($key, @lines) = @_;

        return ("$key:", map { "  $_" } @lines);
}

# All services, as lists of lines, in which the line LINE of the section PATH below services.NAME may stand.
sub services_with {
        my ($path, $line) = @_;
        my ($key) = $line =~ /^(\w+)/;
        my (undef, undef, @above) = split /\./, $path;
        my @lists = ([$line]);

        if (@above && $above[0] eq 'listen') {
                @lists = map { ["address: $_", $line] } @addresses if $key ne 'address';
                @lists = ['address: 80', inside($above[1], $line)] if @above > 1;
        } elsif ($path eq 'services.NAME.env_file.' && $key ne 'path') {
                unshift @{ $lists[0] }, 'path: /nonexistent';
        }
        @lists = map { [inside($above[0], @$_)] } @lists if @above;
        return map {
                my $list = $_;
                my ($own) = $list->[0] =~ /^(\w+)/;
                map { [@$list, grep { !/^\Q$own\E:/ } @$_] } @above && $above[0] eq 'listen' ? @bases[0, 1] : @bases;
        } @lists;
}

# Of services, numbered, those that are not right. That they share addresses, or are `main`, is no matter.
sub bad_services {
        my (@services) = @_;
        my @lines = map { inside("c$_", @{ $services[$_] }) } 0 .. $#services;
        my %bad;

        for my $line (Pages::complaints($broker, spew("$dir/example.yaml", join "\n", inside('services', @lines), ''))) {
                next if $line =~ /is taken already by services\.|is main already/;
                $line =~ /^\S+ services\.c(\d+)\b/ ? ($bad{$1} = 1) : die "a file of examples is no file: $line\n";
        }
        return \%bad;
}

# Of labels with lists of services, those labels of which no service is right. Many of them are one file, but not more than
# have a message each: broker check shows the first thousand.
sub labels_without {
        my (%services) = @_;
        my @all = map { my $label = $_; map { [$label, $_] } @{ $services{$label} } } sort keys %services;
        my %right;

        while (my @some = splice @all, 0, 200) {
                my $bad = bad_services(map { $_->[1] } @some);
                $right{ $some[$_][0] } = 1 for grep { !$bad->{$_} } 0 .. $#some;
        }
        return grep { !$right{$_} } sort keys %services;
}

# Every key is explained: type, default, and an example that is right in some definition.
{
        my ($list) = output($broker, 'explain');
        my (@bare, @wrong, %services, $path);
        my $count = 0;

        for my $line (split /\n/, $list) {
                $path = $line =~ /^(\S+\.)/ ? $1 : '' if $line =~ /^\S/;
                my ($key) = $line =~ /^  (\w+)\s/ or next;
                my $told = explained("$path$key");
                my $example = $told->{Example} // '';
                my @lines = $example;

                push @bare, "$path$key: $told->{text}"
                        if $told->{status} != 0 || grep { ($told->{$_} // '') eq '' } qw(Value Default Example);
                push @wrong, "$path: $example" if $example !~ /^\Q$key\E: /;
                $count++;
                if ($path =~ /^services\./) {
                        $services{"$path: $example"} = [services_with($path, $example)];
                        next;
                }
                @lines = inside($_, @lines) for reverse split /\./, $path;
                push @lines, inside('services', inside('web', @{ $bases[1] })) if $key ne 'services';
                push @wrong, Pages::complaints($broker, spew("$dir/example.yaml", join "\n", @lines, ''));
        }
        cmp_ok($count, '>', 100, 'broker explain has the keys of all sections');
        is(join("\n", @bare), '', 'every key has a type, a default and an example');
        is(join("\n", @wrong, labels_without(%services)), '', 'the example of every key is one');
}

# So is what tables of the pages have in their last column, where it has a key and all of its value,
# and not a word or letter that stands for one, nor the name of a host, for which a name server would be asked.
{
        my %keys = map { $_ => 1 } (output($broker, 'explain'))[0] =~ /^  (\w+)\s/mg;
        my %services;

        for my $file (grep { /\.md$/ } pages()) {
                my $cells = join "\n", (slurp($file) // '') =~ /^\|.*\|(.*)\|$/mg;
                for my $line ($cells =~ /`(\w+: [^`…]+)`/g) {
                        my ($key, $value) = $line =~ /^(\w+): (.*)/;
                        next if !$keys{$key} || $key eq 'broker';
                        next if $value =~ /\b(?:n|HOST|IP|NAME|NUM|PORT)\b|\bname:|example\.org|^\{[\w, ]+\}$/;
                        $services{$line} = [map { services_with($_, $line) } 'services.NAME.', 'services.NAME.listen.'];
                }
        }
        cmp_ok(scalar keys %services, '>', 50, 'tables have definitions');
        is(join("\n", labels_without(%services)), '', 'those are right');
}

# The defaults that it names are those in force, be it with one `wait` or the other. Some are texts that say whose choice it
# is; these are not in `broker show`.
for my $base (@bases) {
        my ($out, $status) = output($broker, 'show', '-c',
                spew("$dir/example.yaml", join "\n", inside('services', inside('web', @$base)), ''));
        my %given = map { /^(\w+): (.*)/ ? ($1 => $2) : () } @$base;
        my @wrong;

        next if $status != 0;
        while ($out =~ /^    (\w+): (.*)$/mg) {
                my ($key, $value) = ($1, $2);
                my $default = explained("services.NAME.$key")->{Default};
                ($default) = $default =~ /(\w+) with `wait: $given{wait}`/ if $default =~ / with `wait: /;
                push @wrong, "$key: $value is in force, $default in broker explain"
                        if !exists $given{$key} && $default ne $value;
        }
        is_deeply(\@wrong, [], 'the defaults in force are those of broker explain: ' . join ', ', @$base);
}

# Manuals. scdoc itself writes paragraph macros that mandoc finds superfluous; that is not ours to mend.
for my $file ('docs/broker.8.scd', 'docs/broker-bus.5.scd', 'docs/activate.1.scd', 'docs/sockbroker.3.scd', $yaml_page) {
        my ($name) = $file =~ m{([^/]+)\.scd$};

        SKIP: {
                skip 'scdoc is not installed', 2 unless has_program('scdoc');
                my ($page, $status) = output('sh', '-c', 'exec scdoc < "$1"', 'sh', $file);
                is($status, 0, "scdoc takes $name") or diag($page);
                skip 'there is no page', 1 if $status != 0;
                skip 'mandoc is not installed', 1 unless has_program('mandoc');
                my ($lint) = output('mandoc', '-T', 'lint', '-W', 'warning', spew("$dir/$name", $page));
                my @lines = grep { !/skipping paragraph macro/ } split /\n/, $lint;
                is_deeply(\@lines, [], "mandoc finds nothing wrong with $name");
        }
}

# Every example that is a definition file must be one. Fragments, and what is no YAML, are for 95-examples.t.
for my $file (pages()) {
        definitions_pass($broker, spew("$dir/example.yaml", $_->{text}), "the example at $_->{where}")
                for grep { $_->{text} =~ /^services:/m && $_->{language} =~ /^(?:yaml)?$/ } examples($file);
}
definitions_pass($broker, $_, $_) for sort glob 'units/*.yaml examples/*/broker.yaml examples/demo/*.yaml';

# Links between the documents.
for my $file ('README.md', 'CONTRIBUTING.md', sort glob 'docs/*.md') {
        my ($base) = $file =~ m{^(.*/)?};
        my @targets = (slurp($file) // '') =~ /\]\((?!https?:)([^)#]+)/g;
        my @missing = grep { !-e(($base // '') . $_) } @targets;

        is_deeply(\@missing, [], "the links of $file lead somewhere");
}

like(slurp('NEWS.md') // '', qr/^## \Q$1\E\b/m, 'NEWS.md has the version of meson.build')
        if (slurp('meson.build') // '') =~ /version: '([\d.]+)',/;
like((output($broker, '--version'))[0], qr/^sockbroker [\d.]+\n\z/, 'broker --version');

done_testing;
