#!/usr/bin/perl
# examples/kubernetes and examples/quadlet: what the manifests say is done by hand, with bubblewrap as the engine: the pod's
# rights, its probes, its end, the autoscaler's metric; the sockets of systemd, from outside to the program inside.
use strict;
use warnings;

use BrokerTest;
use Container;
use CPAN::Meta::YAML;
use File::Temp qw(tempdir);
use Files qw(spew);
use IO::Select;
use IO::Socket::IP;
use Part;
use Socket qw(SOMAXCONN);
use Test::More;

own_network();
plan skip_all => "there is no $_" for grep { !has_program($_) } qw(bwrap nsenter setpriv);

my $examples = source_dir() . '/examples';
my $dir = tempdir('broker-clusters-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $dir;

my %object = map { $_ => CPAN::Meta::YAML->read_string(read_text("$examples/kubernetes/$_.yaml"))->[0] }
        qw(deployment service hpa kustomization prometheus-adapter);
my $pod = $object{deployment}{spec}{template};
my $container = $pod->{spec}{containers}[0];
my %port = map { $_->{name} => $_->{containerPort} } @{ $container->{ports} };

part 'kubernetes: what refers to each other' => sub {
        my $labels = $pod->{metadata}{labels};

        is_deeply($object{deployment}{spec}{selector}{matchLabels}, $labels, 'the Deployment finds its pods');
        is_deeply($object{service}{spec}{selector}, $labels, 'so does the Service');
        ok($port{ $object{service}{spec}{ports}[0]{targetPort} }, "the Service's port is one of the container's");
        is_deeply($object{hpa}{spec}{scaleTargetRef},
                { apiVersion => $object{deployment}{apiVersion}, kind => 'Deployment', name => $object{deployment}{metadata}{name} },
                'the autoscaler scales the Deployment');
        is($pod->{metadata}{annotations}{'prometheus.io/port'}, $port{metrics}, 'Prometheus asks at the port of the metrics');
        my ($map) = grep { $_->{configMap} } @{ $pod->{spec}{volumes} };
        is($map->{configMap}{name}, $object{kustomization}{configMapGenerator}[0]{name}, 'the definitions are the ConfigMap');
        is_deeply($object{kustomization}{configMapGenerator}[0]{files}, ['broker.yaml'], 'of the file');
        is_deeply([grep { !-e "$examples/kubernetes/$_" } @{ $object{kustomization}{resources} }], [], 'all resources are there');
        my %mount = map { $_->{name} => $_->{mountPath} } @{ $container->{volumeMounts} };
        is_deeply([sort keys %mount], [sort map { $_->{name} } @{ $pod->{spec}{volumes} }], 'all volumes are mounted');
        is($object{hpa}{spec}{metrics}[0]{pods}{metric}{name}, $object{'prometheus-adapter'}{rules}[0]{name}{as},
                'the metric is the one that the rule makes');
        my ($grace) = read_text("$examples/kubernetes/broker.yaml") =~ /stop_grace_period: (\d+)s/;
        cmp_ok($pod->{spec}{terminationGracePeriodSeconds}, '>', $grace + $container->{lifecycle}{preStop}{sleep}{seconds},
                'there is time for the pause and for the last client');
        my ($instances) = read_text("$examples/kubernetes/broker.yaml") =~ /instances: (\d+)/;
        cmp_ok($object{hpa}{spec}{metrics}[0]{pods}{target}{averageValue}, '<', $instances, 'it grows before a pod is full');
};

# The status of what the probe NAME of the container asks.
sub probe {
        my ($name) = @_;
        my $get = $container->{$name}{httpGet};

        return (http($port{ $get->{port} }, $get->{path}))[0];
}

sub metrics { return (http($port{metrics}, '/metrics'))[1] }

# What Prometheus makes of the rule's query for a pod that says TEXT.
sub evaluate {
        my ($text, $want) = @_;
        my $rule = $object{'prometheus-adapter'}{rules}[0];
        my $query = $rule->{metricsQuery} =~ s/<<\.LabelMatchers>>/namespace="default",pod=~"hello-1|hello-2"/gr =~ s/<<\.GroupBy>>/pod/gr;
        my @series = $text =~ /^(sockbroker_(?:connections_active|queue_length)\{.*\} \d+)$/mg;
        my @lines = map { my ($name, $labels, $value) = /^(\w+)\{(.*)\} (\d+)$/;
                map { qq(      - series: '$name\{$labels,namespace="default",pod="$_"}'\n        values: '$value'\n) } qw(hello-1 hello-2 other)
        } @series;

        spew("$dir/rules.yaml", "groups:\n  - name: adapter\n    rules:\n      - record: clients\n        expr: '$query'\n");
        spew("$dir/test.yaml", "rule_files: [rules.yaml]\ntests:\n  - interval: 1m\n    input_series:\n" . join('', @lines)
                . "    promql_expr_test:\n      - expr: clients\n        eval_time: 0\n        exp_samples:\n"
                . join '', map { qq(          - {labels: 'clients{pod="$_"}', value: $want}\n) } qw(hello-1 hello-2));
        my $out = `cd $dir && promtool test rules test.yaml 2>&1`;
        is($?, 0, "the autoscaler sees $want clients") or diag($out, $text);
        return;
}

part 'kubernetes: the pod' => sub {
        skip_part('there is no C compiler') if system('cc --version >/dev/null 2>&1') != 0;
        my $root = "$dir/root";
        system('cc', '-o', "$dir/hello", "$examples/distroless/hello.c") == 0 or die "hello.c\n";
        system("$examples/distroless/assemble", $root, $BrokerTest::BROKER, "$dir/hello") == 0 or die "assemble\n";
        system('cp', "$examples/kubernetes/broker.yaml", "$root/etc/broker/") == 0 or die "cp\n";
        my $t = BrokerTest->new(later => 1);
        system('mkdir', '-p', $root . $t->dir);
        my $security = { %{ $pod->{spec}{securityContext} }, %{ $container->{securityContext} } };

        is($security->{runAsNonRoot}, 'true', 'it is not root');
        my @bwrap = Container::container($t, root => $root, read_only => $security->{readOnlyRootFilesystem} eq 'true',
                writable => [map { $_->{mountPath} } grep { $_->{name} eq 'control' } @{ $container->{volumeMounts} }],
                environment => { PATH => '/bin', BROKER_CONTROL => '/run/broker/control' });
        $t->start(wrap => [Container::setpriv($security->{runAsUser}), @bwrap], program => '/bin/broker', conf => []);

        is(probe($_), 200, $_) for qw(livenessProbe readinessProbe);
        my $address = '127.0.0.1:' . $port{ $object{service}{spec}{ports}[0]{targetPort} };
        is((http($port{http}, '/'))[1], "Hello 127.0.0.1, there is no shell in here.\n", 'the program answers');
        $t->wait_message('connection ended');
        like(metrics(), qr/^sockbroker_connections_active\{service="hello"\} 0$/m, 'the series that the rule asks for');
        like(metrics(), qr/^sockbroker_queue_length\{service="hello"\} 0$/m, 'and the other one');
        my @clients = map { BrokerTest::connect_to($address) } 1 .. 23;
        $t->wait_message('connection accepted', -from => 0) for 1 .. 20;
        my $text = '';
        for (1 .. 1000) {
                $text = metrics();
                last if $text =~ /^sockbroker_connections_active\{.*\} 20$/m && $text =~ /^sockbroker_queue_length\{.*\} 3$/m;
        }
        SKIP: {
                skip 'promtool is not installed', 1 if !has_program('promtool');
                evaluate($text, 23);
        }
        splice @clients, 1;
        $t->signal('TERM');
        ok($t->wait_message(qr/^SIGTERM/), 'it is told to end');
        is(probe('readinessProbe'), 503, 'and takes no more');
        is(probe('livenessProbe'), 200, 'but lives');
        syswrite $clients[0], "GET / HTTP/1.0\r\n\r\n";
        like(BrokerTest::read_all($clients[0]), qr/^Hello/m, 'its last client is served');
        ok(defined $t->wait_exit, 'and then it ends');
        $t->stop(ended => 1);
};

# The sections of a unit file, as names => lists of [key, value].
sub unit {
        my ($name) = @_;
        my (%section, $in);

        for (split /\n/, read_text("$examples/quadlet/$name")) {
                if (/^\[(.*)\]$/) { $in = $1 }
                elsif (/^(\w+)=(.*)$/) { push @{ $section{$in} }, [$1, $2] }
                elsif (!/^(#.*)?$/) { die "$name: $_\n" }
        }
        return \%section;
}

sub values_of {
        my ($unit, $section, $key) = @_;

        return map { $_->[0] eq $key ? $_->[1] : () } @{ $unit->{$section} };
}

# Of podman-systemd.unit(5), 4.5.
my %quadlet_key = map { $_ => 1 } qw(AddCapability AddDevice Annotation ContainerName DropCapability Environment EnvironmentFile
        EnvironmentHost Exec ExposeHostPort Group HealthCmd HealthInterval HealthOnFailure HealthRetries HealthStartPeriod HealthTimeout
        Image IP IP6 Label LogDriver Mount Network NoNewPrivileges Notify PodmanArgs PublishPort ReadOnly Rootfs RunInit SeccompProfile
        Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel SecurityLabelType Timezone Tmpfs User UserNS VolatileTmp Volume);
my ($quadlet) = grep { -x } qw(/usr/libexec/podman/quadlet /usr/lib/podman/quadlet);

part 'quadlet: the units' => sub {
        my $unit = unit('web.container');

        is_deeply([grep { !$quadlet_key{$_} } map { $_->[0] } @{ $unit->{Container} }], [], 'podman knows all keys');
        skip_part('systemd-analyze is not installed') if !has_program('systemd-analyze');
        # The service that podman would make, as far as systemd is concerned.
        my $service = join '', map { my $section = $_; ("[$section]\n", map { "$_->[0]=$_->[1]\n" } @{ $unit->{$section} }) } qw(Unit Service);
        mkdir "$dir/units";
        spew("$dir/units/web.service", $service . "Type=notify\nNotifyAccess=all\nExecStart=/bin/true\n");
        system('cp', glob("$examples/quadlet/*.socket"), "$dir/units") == 0 or die "cp\n";
        my $out = `cd $dir/units && systemd-analyze verify --man=no ./web.socket ./web-git.socket ./web.service 2>&1`;
        is(join('', grep { /^(\.\/|\/.*)?(web|.*units\/)/ } split /^/, $out), '', 'systemd finds nothing wrong');
};

part 'quadlet: podman' => sub {
        skip_part('there is no quadlet generator: podman is older than 4.4, or not installed') if !$quadlet;
        local $ENV{QUADLET_UNIT_DIRS} = "$examples/quadlet";
        my $out = `$quadlet -dryrun -user 2>&1`;

        is($?, 0, 'it takes the file') or diag($out);
        like($out, qr/^ExecStart=.*podman run .*--sdnotify=container/m, 'and makes a service of it');
};

# What systemd does with the sockets: they are the descriptors 3 and up, under their names; what crun does: LISTEN_PID.
sub handing_over {
        my (@sockets) = @_;

        return sub {
                my @high = map { POSIX::dup2(fileno($sockets[$_][1]), 200 + $_); 200 + $_ } 0 .. $#sockets;
                for my $i (0 .. $#sockets) {
                        POSIX::dup2($high[$i], 3 + $i);
                        POSIX::close($high[$i]);
                }
                @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)} = (scalar @sockets, 1, join ':', map { $_->[0] } @sockets);
        };
}

sub quadlet_container {
        my ($sockets, $conf) = @_;
        my $unit = unit('web.container');
        my $t = BrokerTest->new(later => 1);
        my @bwrap = Container::container($t,
                files => ['/srv/app/app.py' => "$examples/container/app.py", '/srv/git' => "$dir/git", '/etc/broker/broker.yaml' => $conf],
                read_only => (values_of($unit, 'Container', 'ReadOnly'))[0] eq 'true', writable => [values_of($unit, 'Container', 'Tmpfs')],
                capabilities => [map { split } values_of($unit, 'Container', 'AddCapability')],
        );
        splice @bwrap, 1, 0, (values_of($unit, 'Container', 'Network'))[0] eq 'none' ? '--unshare-net' : ();
        $t->start(wrap => \@bwrap, program => '/usr/local/bin/broker', conf => [], setup => handing_over(@$sockets),
                env => { BROKER_CONTROL => '/run/broker/control', PATH => '/usr/local/bin:/usr/bin:/bin' });
        return $t;
}

part 'quadlet: from systemd to the program inside' => sub {
        skip_part('gunicorn is not installed') if !-x '/usr/bin/gunicorn';
        skip_part('git is not installed') if !-x '/usr/bin/git';
        system("git init -q --bare $dir/git/test.git && chown -R nobody $dir/git") == 0 or die "git init\n";
        my @sockets = map {
                my $unit = unit($_);
                my ($name) = values_of($unit, 'Socket', 'FileDescriptorName');
                my ($port) = values_of($unit, 'Socket', 'ListenStream');
                [$name, IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port, Listen => SOMAXCONN, ReuseAddr => 1) // die "listen: $@\n"]
        } qw(web-git.socket web.socket);
        my $client = BrokerTest::connect_to('127.0.0.1:8080');
        ok(IO::Select->new(map { $_->[1] } @sockets)->can_read($BrokerTest::TIMEOUT), 'the first client, of whom systemd hears');
        my $t = quadlet_container(\@sockets, "$examples/quadlet/broker.yaml");

        syswrite $client, "GET / HTTP/1.0\r\n\r\n";
        like(BrokerTest::read_all($client), qr/Served by process \d+\./, 'is answered by the program inside');
        is(system("git ls-remote git://127.0.0.1/test.git >$dir/out 2>&1"), 0, 'the other socket') or diag(read_text("$dir/out"));
        my ($status, $text) = in_container($t, '/bin/cat', '/proc/net/dev');
        unlike($text, qr/eth/, 'and there is no network inside');
        $t->stop;

        my $text_now = read_text("$examples/quadlet/broker.yaml") =~ s/idle_exit: 10min/idle_exit: 200ms/r;
        $t = quadlet_container(\@sockets, spew("$dir/idle.yaml", $text_now));
        is(system("git ls-remote git://127.0.0.1/test.git >$dir/out 2>&1"), 0, 'somebody comes and leaves') or diag(read_text("$dir/out"));
        is($t->wait_exit, 0, 'idle_exit ends the container');
        $client = BrokerTest::connect_to('127.0.0.1:8080');
        ok($client, "systemd's socket is open all the time");
        $t->stop(ended => 1);
        $t = quadlet_container(\@sockets, "$examples/quadlet/broker.yaml");
        syswrite $client, "GET / HTTP/1.0\r\n\r\n";
        like(BrokerTest::read_all($client), qr/Served by process \d+\./, 'the next client starts it again');
        $t->stop;
};

done_testing;
