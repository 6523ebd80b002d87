package RT::REST2::Resource::TransferMemberships;

use strict;
use warnings;

use Moose;
use namespace::autoclean;

extends 'RT::REST2::Resource';

use Encode qw(decode_utf8);
use JSON ();

=head1 NAME

RT::REST2::Resource::TransferMemberships - in which groups somebody is

=head1 DESCRIPTION

C<GET /REST/2.0/transfer/memberships?user=NAME> answers C<{"user": NAME, "groups": [NAME, ...]}>:
the names of the user-defined groups that a user is in, directly or by another group.

RT's own way to ask needs the right AdminUsers or AdminGroupMembership, with which one can also
change who is in a group. This one only reads, and needs SeeGroup. A user that does not exist, or
is disabled, is in no group.

=cut

# Groups of one user that are answered at most: who is in more is in none that counts.
our $MOST = 500;

has 'user_name' => ( is => 'ro', isa => 'Str', required => 1 );

sub dispatch_rules {
    return Path::Dispatcher::Rule::Regex->new(
        regex => qr{^/transfer/memberships/?$},
        block => sub {
            my ( $match, $request ) = @_;
            return { user_name => decode_utf8( $request->param('user') // '' ) };
        },
    );
}

sub forbidden {
    my $self = shift;
    return !$self->current_user->HasRight( Right => 'SeeGroup', Object => RT->System );
}

sub charsets_provided { return ['utf-8'] }
sub default_charset   { return 'utf-8' }

sub content_types_provided { return [ { 'application/json' => 'to_json' } ] }

sub to_json {
    my $self = shift;
    return JSON::to_json( { user => $self->user_name, groups => $self->_groups } );
}

# Read as RT itself: who may ask is decided above, once for all groups.
sub _groups {
    my $self = shift;

    my $user = RT::User->new( RT->SystemUser );
    $user->LoadByCols( Name => $self->user_name );
    return [] if !$user->id || $user->PrincipalObj->Disabled;

    my @names = map { $_->Name } @{ $user->OwnGroups->ItemsArrayRef };
    return @names > $MOST ? [] : [ sort @names ];
}

__PACKAGE__->meta->make_immutable;

1;
