package RT::Action::PostTransferWebhook;

use strict;
use warnings;
use base qw(RT::Action);

use Digest::SHA qw(hmac_sha256_hex);
use HTTP::Tiny  ();
use JSON        ();

=head1 NAME

RT::Action::PostTransferWebhook - announces a ticket to Customer Transfer

=head1 DESCRIPTION

Posts one signed event for what just happened to a ticket. Meant for a scrip with the condition
"On Transaction" in the stage "Batch": only after RT's own database transaction has ended can the
receiver read the ticket back.

The event is a doorbell. Nothing in it is believed by its receiver, which reads the ticket back.
RT sends each event once; what is lost, because the receiver is away, the receiver finds by itself.

=head1 CONFIGURATION

    Set($TransferWebhookURL, 'https://transfers.example.com/rt');
    Set($TransferWebhookSecret, '...');

or TRANSFER_WEBHOOK_URL and TRANSFER_WEBHOOK_SECRET in the environment of RT's server, which count
where the site configuration has none. Without a URL and a secret nothing is sent.

=cut

# Seconds that a person who files a ticket waits at most for a receiver that does not answer.
our $TIMEOUT = 5;

# What is announced, the most telling first: of one batch, one event is sent.
our @EVENTS = (
    [ 'ticket.create',      sub { $_[0]->Type eq 'Create' } ],
    [ 'ticket.correspond',  sub { $_[0]->Type eq 'Correspond' } ],
    [ 'ticket.status',      sub { $_[0]->Type eq 'Status' && _Closes( $_[0] ) } ],
    [ 'ticket.subject',     sub { $_[0]->Type eq 'Set' && ( $_[0]->Field || '' ) eq 'Subject' } ],
    [ 'ticket.customfield', sub { $_[0]->Type eq 'CustomField' } ],
    [ 'ticket.watchers',    sub { $_[0]->Type =~ /^(?:Add|Del|Set)Watcher$/ } ],
);

sub Describe { return 'Announce the ticket to Customer Transfer' }

sub Prepare { return 1 }

sub Commit {
    my $self = shift;

    # Whatever goes wrong here is no reason to refuse somebody's ticket.
    eval { $self->_Announce; 1 } or RT->Logger->error("Transfer webhook: $@");
    return 1;
}

sub URL {
    return RT->Config->Get('TransferWebhookURL') || $ENV{TRANSFER_WEBHOOK_URL};
}

sub Secret {
    return RT->Config->Get('TransferWebhookSecret') || $ENV{TRANSFER_WEBHOOK_SECRET};
}

sub _Announce {
    my $self = shift;

    my ( $url, $secret ) = ( $self->URL, $self->Secret );
    return unless $url && $secret;

    my ( $event, $transaction ) = $self->_MostTelling;
    return unless $event;

    my $ticket = $self->TicketObj;
    my $body   = JSON->new->utf8->canonical->encode( {
        event          => $event,
        transaction_id => $transaction->id + 0,
        ticket_id      => $ticket->id + 0,
        queue          => $ticket->QueueObj->Name,
        status         => $ticket->Status,
        creator        => $transaction->CreatorObj->Name,
        created        => $transaction->CreatedObj->W3CDTF( Timezone => 'UTC' ),
    } );
    my $now       = time;
    my $signature = hmac_sha256_hex( "$now.$body", $secret );

    # Redirects are not followed: they would carry the event to a place that nobody configured.
    my $client = HTTP::Tiny->new( timeout => $TIMEOUT, max_redirect => 0, verify_SSL => 1 );
    my $answer = $client->post(
        $url,
        {   headers => {
                'Content-Type'   => 'application/json',
                'X-RT-Event'     => $event,
                'X-RT-Delivery'  => $transaction->id,
                'X-RT-Signature' => "t=$now,v1=$signature",
            },
            content => $body,
        }
    );
    return if $answer->{success};
    RT->Logger->error(
        sprintf 'Transfer webhook: transaction %d of ticket %d was not taken: %s %s',
        $transaction->id, $ticket->id, $answer->{status}, $answer->{reason}
    );
    return;
}

# RT opens a ticket at any reply, in a batch of its own: that is no news. Only what closes it is.
sub _Closes {
    my $transaction = shift;

    my $lifecycle = $transaction->Object->LifecycleObj;
    return $lifecycle->IsInactive( $transaction->NewValue )
        && !$lifecycle->IsInactive( $transaction->OldValue );
}

# In the stage "Batch" the transaction at hand is but the first one of its batch.
sub _MostTelling {
    my $self = shift;

    my $batch        = $self->TicketObj->TransactionBatch;
    my @transactions = $batch && @$batch ? @$batch : ( $self->TransactionObj );
    for my $kind (@EVENTS) {
        my ( $event, $is_it ) = @$kind;
        for my $transaction (@transactions) {
            return ( $event, $transaction ) if $transaction && $is_it->($transaction);
        }
    }
    return;
}

RT::Base->_ImportOverlays();

1;
