# What stands for a container engine in the tests of examples/: bubblewrap, with a root made of this machine's own files, in
# a network namespace where nothing else listens, so that examples run with the addresses that they have.
package Container;

use strict;
use warnings;

use BrokerTest;
use Cwd qw(getcwd);
use Exporter qw(import);
use IO::Socket::IP;
use Test::More;

our @EXPORT = qw(own_network has_program in_container start_container http read_text source_dir);

# Starts the script again where it has the network for itself; leaves it out where that cannot be had. The examples change
# users, so it is for root.
sub own_network {
        return if $ENV{CONTAINER_NETWORK};
        plan skip_all => 'only root can change users' if $> != 0;
        my $up = 'ip link set lo up';

        plan skip_all => 'no network namespace can be made here' if system("unshare --net $up >/dev/null 2>&1") != 0;
        # As a container of root's is made, and as one of somebody else's.
        my $probe = 'bwrap --ro-bind / / --unshare-pid --proc /proc --dev /dev true >/dev/null 2>&1';
        for my $as ('', 'setpriv --reuid=nobody --clear-groups ') {
                plan skip_all => 'bubblewrap can make no container here' if has_program('bwrap') && system("$as$probe") != 0;
        }
        $ENV{CONTAINER_NETWORK} = 1;
        exec 'unshare', '--net', 'sh', '-c', "$up; exec \"\$0\" \"\$\@\"", $^X, (map { "-I$_" } @INC), $0 or die "exec: $!\n";
}

sub has_program {
        my ($name) = @_;

        return grep { -x "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin', '/sbin';
}

# Where the examples are: tests run at the top of the sources.
sub source_dir { return getcwd() }

sub read_text {
        my ($file) = @_;

        open my $fh, '<', $file or die "$file: $!\n";
        local $/ = undef;
        return scalar <$fh>;
}

# What every container gets: its own processes, of which the program is the first, and the directory where a test has its
# notify socket.
sub isolation {
        my ($t) = @_;

        return ('bwrap', qw(--unshare-pid --unshare-ipc --unshare-uts --as-pid-1 --die-with-parent --proc /proc --dev /dev),
                '--bind', $t->dir, $t->dir);
}

# A root like that of a Debian image: /usr, a few files of /etc, and nothing else. files: where a file or directory of
# ours is to be, in order, as path => source. writable: directories.
sub debian_root {
        my (%arg) = @_;
        my @etc = grep { -e } map { "/etc/$_" } qw(passwd group nsswitch.conf ld.so.cache services protocols alternatives
                ssl mime.types localtime);
        my @argv = ('--ro-bind', '/usr', '/usr');
        my @files = @{ $arg{files} // [] };

        for my $dir (qw(bin sbin lib lib64)) {
                push @argv, -l "/$dir" ? ('--symlink', "usr/$dir", "/$dir") : -e "/$dir" ? ('--ro-bind', "/$dir", "/$dir") : ();
        }
        push @argv, '--dir', '/etc', map { ('--ro-bind', $_, $_) } @etc;
        push @argv, '--tmpfs', '/usr/local', '--tmpfs', '/usr/share/doc';
        unshift @files, '/usr/local/bin/broker' => $BrokerTest::BROKER, '/usr/local/bin/activate' => $BrokerTest::ACTIVATE,
                '/usr/share/doc/sockbroker/examples' => source_dir() . '/examples';
        while (my ($path, $source) = splice @files, 0, 2) {
                # Those that bwrap makes for a file are for nobody else.
                my @parents = split m{/}, $path =~ s{/[^/]*$}{}r;
                push @argv, map { ('--dir', join '/', @parents[0 .. $_]) } 1 .. $#parents;
                push @argv, '--ro-bind', $source, $path;
        }
        push @argv, '--remount-ro', '/usr/local', '--remount-ro', '/usr/share/doc';
        push @argv, map { (qw(--perms 1777 --tmpfs), $_) } @{ $arg{writable} // [qw(/run /tmp)] };
        return @argv;
}

# The command that a container is started through. root: a directory that is its root, else it is like Debian's;
# read_only; capabilities: those that are left; environment.
sub container {
        my ($t, %arg) = @_;
        my @argv = $arg{root}
                ? ('--ro-bind', $arg{root}, '/', map({ (qw(--perms 1777 --tmpfs), $_) } @{ $arg{writable} // [] }))
                : debian_root(%arg);
        my ($bwrap, @isolation) = isolation($t);

        if ($arg{capabilities}) {
                push @argv, qw(--cap-drop ALL), map { ('--cap-add', "CAP_$_") } @{ $arg{capabilities} };
        }
        for my $name (sort keys %{ $arg{environment} // {} }) {
                push @argv, '--setenv', $name, $arg{environment}{$name};
        }
        # Root comes first: what is mounted on it is to be seen.
        return ($bwrap, @argv, @isolation, $arg{read_only} ? qw(--remount-ro /) : (), '--chdir', '/', '--');
}

# For a container that runs as one user without any rights; bubblewrap is to be started by it.
sub setpriv {
        my ($user) = @_;

        return ('setpriv', "--reuid=$user", "--regid=$user", '--clear-groups', '--no-new-privs', '--bounding-set=-all',
                '--inh-caps=-all');
}

# A broker as the entrypoint of a container; conf: what its arguments are; the rest as above.
sub start_container {
        my (%arg) = @_;
        my $t = BrokerTest->new(later => 1);

        $t->start(
                wrap => [container($t, %arg)], program => '/usr/local/bin/broker', conf => $arg{conf} // [], setup => $arg{setup},
                env => { BROKER_CONTROL => '/run/broker/control', PATH => '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
        );
        return $t;
}

# Runs a command beside the broker, as `docker exec` does. Returns its status and what it wrote.
sub in_container {
        my ($t, @command) = @_;
        my $pid = open(my $fh, '-|') // die "fork: $!\n";

        if (!$pid) {
                open STDERR, '>&', \*STDOUT;
                exec 'nsenter', '-t', $t->{main_pid}, qw(--mount --pid --), @command or POSIX::_exit(98);
        }
        local $/ = undef;
        my $text = <$fh> // '';
        close $fh;
        return ($? >> 8, $text);
}

# The status and the body of what an HTTP server says; (0, why) where none does. from: the client's address; body: what it sends.
sub http {
        my ($port, $path, %arg) = @_;
        my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port, $arg{from} ? (LocalHost => $arg{from}) : ())
                or return (0, "connect: $@");
        my $body = $arg{body} // '';
        my $method = length $body ? 'POST' : 'GET';

        syswrite $socket, "$method $path HTTP/1.0\r\nHost: localhost\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        my $answer = BrokerTest::read_all($socket) // return (0, 'no answer');
        my ($head, $text) = $answer =~ /^(.*?)\r?\n\r?\n(.*)$/s or return (0, $answer);
        my ($status) = $head =~ m{^HTTP/\S+ (\d+)};
        return ($status // 0, $text);
}

1;
