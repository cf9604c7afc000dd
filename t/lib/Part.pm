# Parts of a test script with a name each. Not subtests: meson takes TAP without nesting only.
package Part;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

our @EXPORT = qw(part skip_part);

# Runs CODE; its points are the script's own. A part that dies is a failed point, and the script goes on.
sub part {
        my ($name, $code) = @_;

        note($name);
        return if eval { $code->(); 1 };
        my $error = $@;
        if (ref $error eq 'Part::Skip') {
                SKIP: { skip "$name: $$error", 1 }
                return;
        }
        fail("$name: it goes to its end");
        diag($error);
        return;
}

# Leaves the part it is called in.
sub skip_part {
        my ($reason) = @_;

        die bless \$reason, 'Part::Skip';
}

1;
