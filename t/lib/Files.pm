# Files as texts.
package Files;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(slurp spew);

# The bytes of a file, those of /proc included; undef where there is none.
sub slurp {
        my ($file) = @_;

        open my $fh, '<:raw', $file or return undef;
        local $/ = undef;
        return <$fh> // '';
}

# Writes a file; returns its name.
sub spew {
        my ($file, $text) = @_;

        open my $fh, '>:raw', $file or die "$file: $!\n";
        print $fh $text;
        close $fh or die "$file: $!\n";
        return $file;
}

1;
