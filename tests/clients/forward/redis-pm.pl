# Perl's Redis, which comes back only when it is told to by `reconnect`, and from within a transaction not even then.
# Arguments: MODE PORT NAME.
use strict;
use warnings;
use JSON::PP qw(encode_json);
use Redis;
use Time::HiRes qw(sleep);

$| = 1;
my ($mode, $port, $name) = @ARGV;
my $redis;

sub connect_it { $redis = Redis->new(server => "127.0.0.1:$port", reconnect => 60, every => 20_000) }
connect_it();

sub say_so { print encode_json({@_}), "\n" }

sub attempt {
    my ($work) = @_;
    eval { $work->(); 1 } and return 1;
    say_so(failed => "$@");
    sleep 0.02;
    return 0;
}

my @kinds = (
    [add => sub { $redis->sadd("$name:set", $_[0]); $redis->incr("$name:count") }],
    [pipe => sub {
        my ($n) = @_;
        my @errors;
        $redis->sadd("$name:set", "$n.$_", sub { push @errors, $_[1] if defined $_[1] }) for 0 .. 4;
        $redis->wait_all_responses;
        die $errors[0] if @errors;
    }],
    [swap => sub {
        my ($n) = @_;
        $redis->watch("$name:at");
        $redis->get("$name:at");
        $redis->multi;
        $redis->set("$name:at", $n);
        $redis->rpush("$name:log", $n);
        my @replies = $redis->exec;
        die "nothing was done" unless @replies == 2;
    }],
    [push => sub { $redis->rpush("$name:queue", $_[0]); $redis->publish("$name:news", $_[0]) }],
);

for (my $n = 0; $mode eq 'write'; $n++) {
    my ($kind, $work) = @{ $kinds[$n % 4] };
    attempt(sub { $work->($n); say_so(did => $kind, n => $n) }) or $kind ne 'swap' or attempt(\&connect_it);
    sleep 0.01;
}
if ($mode eq 'news') {
    $redis->subscribe("$name:news", sub { say_so(news => $_[0]) });
    attempt(sub { $redis->wait_for_messages(60) }) while 1;
}
while ($mode eq 'pop') {
    attempt(sub { say_so(popped => ($redis->blpop("$name:queue", 0))[1]) });
}
