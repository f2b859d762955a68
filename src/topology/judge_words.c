/*
 * The state and its reason in words: for an operator who reads a 503 or a log line and wants to know
 * which node, which Sentinels, since when. Made anew only when state, reason or an address they speak
 * of changes, so that a body does not change with every poll.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "judge_internal.h"

struct words {
    char *out;
    size_t length;
    const struct judge *judge;
    int64_t now_ms, wall_ms;
    struct address other; /* the address beside the published one, if any */
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(words->out + words->length, DETAIL_SIZE - words->length, format, arguments);
    va_end(arguments);
    if (n > 0) {
        size_t room = DETAIL_SIZE - 1 - words->length;

        words->length += (size_t)n < room ? (size_t)n : room;
    }
}

static void say_address(struct words *words, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    say(words, "%s", address_format(address, text));
}

static void say_time(struct words *words, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_utc(words->wall_ms - (words->now_ms - at_ms), text);
    say(words, "%s", text);
}

static void say_epoch(struct words *words, int64_t epoch)
{
    if (epoch != EPOCH_UNKNOWN) {
        say(words, " at epoch %" PRId64, epoch);
    }
}

static void say_voices(struct words *words, size_t voices, int64_t epoch)
{
    say(words, "named by %zu of %zu known Sentinels", voices, words->judge->decision.known);
    say_epoch(words, epoch);
}

/* ---- the parts ---- */

static const char *answer_words(enum role_answer answer)
{
    switch (answer) {
    case ROLE_MASTER: return "said master";
    case ROLE_OTHER: return "says it is not a master";
    case ROLE_NOPERM: return "does not let its role be asked (NOPERM)";
    case ROLE_NOAUTH: return "refuses the credentials (NOAUTH or WRONGPASS)";
    case ROLE_LOADING: return "is loading its data set";
    case ROLE_REFUSED: return "can't be connected to";
    case ROLE_CLOSED: return "closed the connection";
    case ROLE_TIMEOUT: return "did not answer in time";
    case ROLE_ERROR: return "answered with an error";
    }
    return "gave no answer";
}

static void say_published(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct verification *verification = &judge->verification;

    say_address(words, &judge->published.master.name);
    if (!judge->config.verify) {
        say(words, " is not asked for its role (--verify off)");
    } else if (!verification->answered) {
        say(words, " has not been asked for its role yet");
    } else {
        say(words, " %s at ", answer_words(verification->answer));
        say_time(words, verification->answered_ms);
        if (verification->alive && verification->alive_ms != verification->answered_ms) {
            say(words, ", last said %s at ",
                verification->alive_answer == ROLE_MASTER ? "master" : "anything");
            say_time(words, verification->alive_ms);
        }
    }
    say(words, "; ");
    say_voices(words, judge->decision.published_voices, judge->decision.published_epoch);
    if (judge->adoption.stands) {
        say(words, "; adopted in a failover at epoch %" PRId64 ", not announced yet", judge->adoption.epoch);
    }
}

static void say_candidate(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct decision *decision = &judge->decision;
    const struct check *check = &judge->checks[CHECK_CANDIDATE];

    say_address(words, &decision->candidate.name);
    say(words, ", ");
    say_voices(words, decision->candidate_voices, decision->epoch);
    if (decision->has_candidate && check->wanted && check->answered) {
        say(words, ", %s at ", answer_words(check->answer));
        say_time(words, check->answered_ms);
    }
}

static void say_conflict(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct observation *one = NULL;

    say(words, "Sentinels name different addresses");
    say_epoch(words, judge->decision.epoch);
    for (size_t i = 0; i < judge->n_seen; i++) {
        const struct observation *seen = &judge->seen[i];

        if (!observation_counts(seen, words->now_ms) || seen->epoch != judge->decision.epoch ||
            (one && endpoint_equal(&one->master, &seen->master))) {
            continue;
        }
        say(words, one ? " and " : ": ");
        say_address(words, &seen->master.name);
        if (one) {
            break; /* two are enough to show it */
        }
        one = seen;
    }
    say(words, ", none with a majority of the %zu known", judge->decision.known);
}

/* Why nothing was published yet. */
static void say_unresolved(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct decision *decision = &judge->decision;

    if (decision->rule == DECIDE_CONFLICT) {
        say_conflict(words);
    } else if (decision->counting > 0 && address_is_set(&decision->candidate.name)) {
        say_candidate(words);
    } else {
        say(words, "%zu of %zu Sentinels can be reached", judge->links.reachable, judge->links.dialled);
    }
}

static void say_lead(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct judge_links *links = &judge->links;

    switch (judge->reason) {
    case REASON_STARTING:
        say(words, judge->gap ? "confirming again after a gap in this daemon's time: "
                              : "waiting for the first answers: ");
        break;
    case REASON_NO_SENTINEL_REACHABLE:
        say(words, "no Sentinel of %zu can be reached: ", links->dialled);
        break;
    case REASON_SENTINEL_AUTH:
        say(words, "%zu of %zu Sentinels refuse the credentials (NOAUTH or WRONGPASS): ", links->auth_failed,
            links->dialled);
        break;
    case REASON_SENTINEL_DENIED:
        say(words, "%zu of %zu Sentinels deny a command (NOPERM): ", links->denied + links->denied_extra,
            links->dialled);
        break;
    case REASON_UNKNOWN_NAME:
        say(words, "%zu of %zu Sentinels know no master named %.64s: ", links->unknown_name, links->dialled,
            judge->name);
        break;
    case REASON_NO_MAJORITY: say(words, "no majority: "); break;
    case REASON_FAILING_OVER: say(words, "a failover is under way: "); break;
    case REASON_CONFLICT:
        if (judge->has_published) {
            say_conflict(words);
            say(words, "; ");
        }
        break;
    case REASON_DISPUTED:
        say(words, "a Sentinel names ");
        say_address(words, &words->other);
        say(words, " instead: ");
        break;
    default: break;
    }
}

/* ---- the whole ---- */

/* The address beside the published one: the candidate, else one that a counting observation names. */
static struct address other_address(const struct judge *judge, int64_t now_ms)
{
    const struct decision *decision = &judge->decision;

    if (decision->has_candidate &&
        !(judge->has_published && endpoint_equal(&decision->candidate, &judge->published.master))) {
        return decision->candidate.name;
    }
    for (size_t i = 0; i < judge->n_seen; i++) {
        const struct observation *seen = &judge->seen[i];

        if (observation_counts(seen, now_ms) &&
            !(judge->has_published && endpoint_equal(&seen->master, &judge->published.master))) {
            return seen->master.name;
        }
    }
    return (struct address){.port = 0};
}

static bool same_address(const struct address *a, const struct address *b)
{
    return address_is_set(a) == address_is_set(b) && (!address_is_set(a) || address_equal(a, b));
}

static bool same_key(const struct words_key *a, const struct words_key *b)
{
    return a->state == b->state && a->reason == b->reason && a->adopted == b->adopted &&
           same_address(&a->published, &b->published) && same_address(&a->other, &b->other);
}

void judge_say(struct judge *judge, int64_t now_ms, int64_t wall_ms)
{
    struct words_key key = {
        .state = judge->state, .reason = judge->reason, .adopted = judge->adoption.stands};
    struct words words = {.out = judge->detail, .judge = judge, .now_ms = now_ms, .wall_ms = wall_ms};

    if (judge->has_published) {
        key.published = judge->published.master.name;
    }
    key.other = other_address(judge, now_ms);
    if (judge->has_words && same_key(&key, &judge->words_key)) {
        return;
    }
    judge->has_words = true;
    judge->words_key = key;
    judge->detail[0] = '\0';
    words.other = key.other;
    say_lead(&words);
    if (!judge->has_published) {
        say_unresolved(&words);
        return;
    }
    say_published(&words);
    if (judge->decision.has_candidate &&
        !endpoint_equal(&judge->decision.candidate, &judge->published.master)) {
        say(&words, "; ");
        say_candidate(&words);
    }
}
