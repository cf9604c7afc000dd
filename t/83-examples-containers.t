#!/usr/bin/perl
# examples/container and examples/distroless: what their files say is done with bubblewrap in an engine's place, and tried as
# their READMEs say.
use strict;
use warnings;

use BrokerTest;
use Container;
use CPAN::Meta::YAML;
use File::Temp qw(tempdir);
use Part;
use Test::More;

own_network();
plan skip_all => "there is no $_" for grep { !has_program($_) } qw(bwrap nsenter setpriv);

my $examples = source_dir() . '/examples';
my $dir = tempdir('broker-container-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $dir;

sub compose {
        my ($file) = @_;

        return CPAN::Meta::YAML->read_string(read_text($file))->[0]{services}{broker};
}

# A root as the instructions of a Containerfile's last stage make it, of this machine's files.
sub copied_files {
        my ($containerfile) = @_;
        my ($stage) = read_text($containerfile) =~ /.*^(FROM .*)/ms;
        my @files;

        while ($stage =~ m{^COPY (examples/\S+) (\S+)$}mg) {
                my ($source, $target) = ($1, $2);
                my ($name) = $source =~ m{([^/]+)$};
                push @files, $target . ($target =~ m{/$} ? $name : ''), source_dir() . "/$source";
        }
        return @files;
}

part 'Containerfiles and compose files' => sub {
        for my $file (glob "$examples/*/Containerfile") {
                my $text = read_text($file);
                my @sources = $text =~ m{^(?:COPY|RUN) (?:cc .* )?(examples/\S+)}mg;
                my ($name) = $file =~ m{([^/]+)/Containerfile$};
                my $definitions = read_text("$examples/$name/broker.yaml");
                my @listens = sort $definitions =~ /^ *(?:listen|metrics): (?:\{address: )?(\d+)/mg;

                is_deeply([grep { !-e source_dir() . "/$_" } @sources], [], "$name: what it copies is there: @sources");
                like($text, qr/^EXPOSE @listens$/m, "$name: its ports are those of the definitions");
        }
        for my $file (glob "$examples/*/compose.yaml") {
                my $service = compose($file);
                my ($expose) = read_text(source_dir() . "/$service->{build}{dockerfile}") =~ /^EXPOSE (.*)$/m;

                is(join(' ', map { (split /:/)[1] } @{ $service->{ports} }), $expose, "$file: its ports are those of the image");
        }
};

part 'container: what is installed is what the broker is linked to' => sub {
        skip_part('there is no dpkg') if !has_program('dpkg');
        skip_part('sanitizers are linked too') if $ENV{BROKER_SANITIZED};
        my ($installed) = read_text("$examples/container/Containerfile") =~ /apt-get install -y --no-install-recommends (.*?)&&/s;
        my %installed = map { $_ => 1 } split /[\s\\]+/, $installed;
        my @direct = `readelf -d $BrokerTest::BROKER 2>/dev/null` =~ /NEEDED.*\[(\S+?)\]/g;
        my %packages = map { m{^(\S+?)(?::\S+)?: /(?:usr/)?lib/[^/]+/[^/]+$} ? ($1 => 1) : () }
                map { `dpkg -S '*/$_' 2>/dev/null` } @direct;

        skip_part('the libraries belong to no packages') if !%packages;
        delete $packages{libc6};
        is_deeply([grep { !$installed{$_} } sort keys %packages], [], 'all libraries: ' . join ' ', sort keys %packages);
};

part 'container' => sub {
        skip_part('gunicorn is not installed') if !-x '/usr/bin/gunicorn';
        skip_part('git is not installed') if !-x '/usr/bin/git';
        my $compose = compose("$examples/container/compose.yaml");
        my $nobody = getpwnam 'nobody';

        system("git init -q --bare $dir/git/test.git && chown -R nobody $dir/git") == 0 or die "git init\n";
        my $t = start_container(
                files => [copied_files("$examples/container/Containerfile"), '/srv/git' => "$dir/git"],
                read_only => $compose->{read_only} eq 'true', writable => $compose->{tmpfs}, capabilities => $compose->{cap_add},
        );
        is_deeply($compose->{cap_drop}, ['ALL'], 'all capabilities are dropped');
        my ($status, $text) = in_container($t, '/bin/sh', '-c', 'touch /x /etc/x 2>&1');
        like($text, qr/Read-only file system.*Read-only file system/s, 'the root is read-only');

        my ($first) = (http(8080, '/'))[1] =~ /^Served by process (\d+)\.$/m;
        ok($first, 'the web application is started by its first client');
        is((http(8080, '/'))[1], "Served by process $first.\n", 'and stays');
        is(system("git -c protocol.version=2 ls-remote git://127.0.0.1/test.git >$dir/out 2>&1"), 0, 'git serves the repository')
                or diag(read_text("$dir/out"));
        my $ended = $t->wait_message('connection ended', service => 'git');
        is($ended->{status}, 'exit:0', 'in a process that ends with the connection');

        my @health = @{ $compose->{healthcheck}{test} };
        is(shift @health, 'CMD', 'the health check is a command');
        ($status, $text) = in_container($t, @health);
        is($status, 0, 'which finds the broker well');
        like($text, qr/^web\s+running.*\n?/m, 'it shows the web server');
        like($text, qr/^git\s+listening/m, 'and git');
        my ($file) = read_text("$examples/container/Containerfile") =~ /^HEALTHCHECK .*CMD \[(.*)\]$/m;
        is($file, join(', ', map { qq("$_") } @health), "the image's is the same");
        $t->signal('STOP');
        ($status) = in_container($t, @health, '--timeout=1');
        is($status, 1, 'a broker that hangs is not well');
        $t->signal('CONT');

        $t->signal('HUP');
        ok($t->wait_message('reloaded'), 'kill -s HUP reads the definitions again');
        $t->stop;
};

# Whether there is a C compiler for the program.
sub compile {
        my ($source, $program) = @_;

        skip_part('there is no C compiler') if system('cc --version >/dev/null 2>&1') != 0;
        is(system('cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', $program, $source), 0, "$source compiles");
        return;
}

part 'distroless' => sub {
        my $root = "$dir/root";

        compile("$examples/distroless/hello.c", "$dir/hello");
        is(system("$examples/distroless/assemble", $root, $BrokerTest::BROKER, "$dir/hello"), 0, 'the root is assembled');
        my @files = copied_files("$examples/distroless/Containerfile");
        is(system('cp', $files[1], "$root$files[0]"), 0, 'with the definitions');
        my ($user) = read_text("$examples/distroless/Containerfile") =~ /^USER (\d+):/m;
        my $t = BrokerTest->new(later => 1);
        # The notify socket is the harness's.
        system('mkdir', '-p', $root . $t->dir);
        my @bwrap = Container::container($t, root => $root, read_only => 1, writable => ['/run/broker'], environment => {
                PATH => '/bin', BROKER_CONTROL => '/run/broker/control' });
        $t->start(wrap => [Container::setpriv($user), @bwrap], program => '/bin/broker', conf => []);

        is((http(8080, '/', from => '127.0.0.2'))[1], "Hello 127.0.0.2, there is no shell in here.\n", 'the program answers');
        is((http(9464, '/readyz'))[1], "ok\n", '/readyz');
        is((http(9464, '/healthz'))[0], 200, '/healthz');
        my ($status, $text) = in_container($t, '/bin/broker', 'status');
        is($status, 0, 'the health check works without a shell');
        like($text, qr/^hello\s+listening/m, 'and shows the service');
        ($status, $text) = in_container($t, 'sh', '-c', 'true');
        isnt($status, 0, 'there is no shell');
        like(read_text("/proc/$t->{main_pid}/status"), qr/^Uid:\s+$user\b.*^CapEff:\s+0+\n.*^CapBnd:\s+0+\n/ms, 'no rights');
        my @programs = map { m{([^/]+)$} } grep { -f && -x } glob "$root/bin/* $root/usr/bin/* $root/sbin/*";
        is_deeply([sort @programs], [qw(broker hello)], 'two programs');
        my @unexpected = grep { !m{/lib(64)?/} && !m{^\Q$root\E/(bin/(broker|hello)|etc/(passwd|group|broker/broker\.yaml))$} }
                split /\n/, `find $root -type f`;
        is_deeply(\@unexpected, [], 'and nothing else but libraries');
        $t->stop;
};

done_testing;
