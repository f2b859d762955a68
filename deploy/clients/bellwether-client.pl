#!/usr/bin/env perl
# Who is the master? Asked of bellwether with modules that Perl brings, and IO::Socket::SSL for https.
#
#     bellwether-client.pl [ask|wait|follow [URL [NAME]]]
#
# `ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Time::HiRes qw(sleep time);

$| = 1;
my ($mode, $base, $name) = (@ARGV, ('ask', 'http://127.0.0.1:8380', 'mymaster')[@ARGV .. 2]);
if (@ARGV > 3 || $mode !~ /\A(?:ask|wait|follow)\z/) {
    print STDERR "usage: bellwether-client.pl [ask|wait|follow [URL [NAME]]]\n";
    exit 2;
}
# Seconds: over the 30 of a wait, and the 15 at which a silent stream sends a comment. A proxy would cut what waits.
my %no_proxy = (http_proxy => undef, https_proxy => undef, proxy => undef);
my $http = HTTP::Tiny->new(timeout => 45, %no_proxy, keep_alive => 0, verify_SSL => 1);
my ($current, $last_id, $retry_after) = (undef, '', 0);

# 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is an error.
sub get {
    my ($url, %options) = @_;
    my $answer = $http->get($url, {%options, headers => {'Last-Event-ID' => $last_id}});
    my $of = $answer->{headers};
    return $answer if $answer->{status} == 200 || ($answer->{status} == 503 && $of->{'x-bellwether-index'});
    $retry_after = $of->{'retry-after'} // 0;
    die $answer->{status} == 599 ? $answer->{content} : "status $answer->{status}\n";
}

# Here your Redis client would connect anew. undef: there is no master now.
sub tell_of {
    my ($address) = @_;
    print "$address\n" if defined $address && $address ne ($current // '');
    $current = $address;
    exit 0 if defined $address && $mode eq 'ask';
}

# Each answer comes when something about the master has changed, or the daemon was started again.
sub wait_for_changes {
    my $query = '';
    while (1) {
        my $answer = get("$base/masters/$name$query");
        tell_of($answer->{success} ? decode_json($answer->{content})->{address} : undef);
        my $last = $query;
        $query = "?wait=30s&index=$answer->{headers}{'x-bellwether-index'}&instance=$answer->{headers}{'x-bellwether-instance'}";
        sleep rand if $query eq $last; # nothing new, as when the daemon is about to stop: do not spin
    }
}

# A stream that broke off goes on behind the last event that was seen.
sub follow {
    my $text = '';
    get("$base/events?master=$name", data_callback => sub {
        $text .= shift;
        while ($text =~ s/\A(.*?)\n\n//s) {
            my %of = $1 =~ /^(\w+): (.*)$/mg;
            $last_id = $of{id} // $last_id;
            next unless ($of{event} // '') eq 'master';
            my $master = decode_json($of{data});
            tell_of($master->{state} =~ /^(?:ok|unverified)$/ ? $master->{address} : undef);
        }
    });
    die "the stream ended\n";
}

for (my $failures = 0;;) { # again and again, with jitter: all clients lose a daemon at the same moment
    my $began = time;
    eval { $mode eq 'follow' ? follow() : wait_for_changes() };
    warn "again soon: $@";
    $failures = time - $began > 5 ? 0 : $failures < 5 ? $failures + 1 : 5;
    sleep $retry_after + 0.05 + 0.2 * 2**$failures * rand;
    $retry_after = 0;
}
