/*
 * The state and its reason in words: for an operator who reads a 503 or a log line and wants to
 * know which node, which Sentinels, since when. Made anew in every step, so they are as true as the
 * counts beside them; and no time in them moves while nothing else does (it is when something
 * began, never when it was last asked), so that a body does not change with every poll.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "judge_memory.h"

struct words {
    char *out;
    size_t length;
    struct judge *judge; /* but for its stamps it stays as it is */
    int64_t now_ms, wall_ms;
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

static void say_time(struct words *words, struct stamp *stamp, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (stamp->at_ms != at_ms || stamp->wall_ms == 0) {
        *stamp = (struct stamp){at_ms, words->wall_ms - (words->now_ms - at_ms)};
    }
    clock_format_utc(stamp->wall_ms, text);
    say(words, "%s", text);
}

static void say_epoch(struct words *words, int64_t epoch)
{
    if (epoch != EPOCH_UNKNOWN) {
        say(words, " at epoch %" PRId64, epoch);
    }
}

static void say_votes(struct words *words, size_t votes, int64_t epoch)
{
    say(words, "named by %zu of %zu known Sentinels", votes, words->judge->decision.known);
    say_epoch(words, epoch);
}

/* ---- the parts ---- */

/*
 * @param since set to the word that goes before the time at which that began; NULL: it needs none.
 */
static const char *answer_words(enum role_answer answer, const char **since)
{
    *since = " since ";
    switch (answer) {
    case ROLE_MASTER: *since = NULL; return "says master";
    case ROLE_NOPERM: *since = NULL; return "does not let its role be asked (NOPERM)";
    case ROLE_NOAUTH: *since = NULL; return "refuses the credentials (NOAUTH or WRONGPASS)";
    case ROLE_OTHER: return "says it is not a master";
    case ROLE_LOADING: return "is loading its data set";
    case ROLE_REFUSED: return "can't be connected to";
    case ROLE_CLOSED: *since = " at "; return "closed the connection";
    case ROLE_TIMEOUT: return "does not answer in time";
    case ROLE_TLS: return "fails in TLS";
    case ROLE_ERROR: break;
    }
    return "answers with an error";
}

static void say_answer(struct words *words, enum role_answer answer, struct stamp *stamp,
                       int64_t since_ms)
{
    const char *since, *what = answer_words(answer, &since);

    say(words, "%s", what);
    if (since) {
        say(words, "%s", since);
        say_time(words, stamp, since_ms);
    }
    if (answer == ROLE_TLS && words->judge->tls_words) {
        say(words, " (%s)", words->judge->tls_words);
    }
}

static void say_verification(struct words *words)
{
    struct judge *judge = words->judge;
    const struct verification *verification = &judge->verification;
    bool good = verification->answer == ROLE_MASTER || role_unknowable(verification->answer);

    if (!judge->config.verify) {
        say(words, "is not asked for its role (--verify off)");
        return;
    }
    if (!verification->answered) {
        say(words, "has not been asked for its role yet");
        return;
    }
    if (!good || verification_alive(verification, &judge->config, words->now_ms)) {
        say_answer(words, verification->answer, &judge->answer_stamp, verification->since_ms);
        if (good || verification->alive_ms == 0) {
            return;
        }
        say(words, ", ");
    }
    say(words, "last %s at ",
        verification->alive_answer == ROLE_MASTER ? "said master" : "answered, its role unknown,");
    say_time(words, &judge->alive_stamp, verification->alive_ms);
}

static void say_published(struct words *words)
{
    const struct judge *judge = words->judge;

    say_address(words, &judge->published.master.name);
    say(words, " ");
    say_verification(words);
    say(words, "; ");
    say_votes(words, judge->decision.published_votes, judge->decision.published_epoch);
    if (judge->adoption.stands) {
        say(words, "; adopted in a failover at epoch %" PRId64 ", not announced yet",
            judge->adoption.epoch);
    }
}

static void say_candidate(struct words *words)
{
    struct judge *judge = words->judge;
    const struct decision *decision = &judge->decision;
    const struct check *check = &judge->checks[CHECK_CANDIDATE];

    say_address(words, &decision->candidate.name);
    say(words, ", ");
    say_votes(words, decision->candidate_votes, decision->epoch);
    if (decision->has_candidate && check->wanted && check->answered) {
        say(words, ", ");
        say_answer(words, check->answer, &judge->check_stamp, check->since_ms);
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
    } else if (judge->reason != REASON_NO_SENTINEL_REACHABLE) { /* which says it already */
        say(words, "%zu of %zu Sentinels can be reached", judge->links.reachable,
            judge->links.dialled);
    }
}

/*
 * The address beside the published one: the candidate, else one that a counting observation names.
 */
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

static void say_lead(struct words *words)
{
    const struct judge *judge = words->judge;
    const struct judge_links *links = &judge->links;
    struct address other;

    switch (judge->reason) {
    case REASON_STARTING: say(words, "waiting for the first answers: "); break;
    case REASON_WATCHER_STALLED:
        say(words, "confirming again after a gap in this daemon's time: ");
        break;
    case REASON_NO_SENTINEL_REACHABLE:
        say(words, "no Sentinel of %zu can be reached%s", links->dialled,
            judge->has_published ? ": " : "");
        break;
    case REASON_SENTINEL_AUTH:
        say(words, "%zu of %zu Sentinels refuse the credentials (NOAUTH or WRONGPASS): ",
            links->auth_failed, links->dialled);
        break;
    case REASON_SENTINEL_TLS:
        say(words, "%zu of %zu Sentinels fail in TLS: ", links->tls, links->dialled);
        break;
    case REASON_SENTINEL_DENIED:
        say(words, "%zu of %zu Sentinels deny something: ", links->denied + links->denied_extra,
            links->dialled);
        break;
    case REASON_UNKNOWN_NAME:
        say(words, "%zu of %zu Sentinels know no master named %.64s: ", links->unknown_name,
            links->dialled, judge->name);
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
        other = other_address(judge, words->now_ms);
        say_address(words, &other);
        say(words, " instead: ");
        break;
    default: break;
    }
}

/* ---- the whole ---- */

void judge_say(struct judge *judge, int64_t now_ms, int64_t wall_ms)
{
    struct words words = {
        .out = judge->detail, .judge = judge, .now_ms = now_ms, .wall_ms = wall_ms};

    judge->detail[0] = '\0';
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
