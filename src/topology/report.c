/*
 * The report behind /status: its making and freeing, and the decision in words. The words name only
 * what is there: an epoch that no Sentinel gives or an age that nobody knows is left out.
 */
#include "bellwether/topology/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"

/* ---- life ---- */

struct status_report *status_report_new(size_t n_masters, size_t n_links)
{
    struct status_report *report = mem_new(1, sizeof(*report));

    report->masters = mem_new(n_masters + 1, sizeof(*report->masters));
    report->n_masters = n_masters;
    report->links = mem_new(n_links + 1, sizeof(*report->links));
    report->n_links = n_links;
    return report;
}

struct status_report *status_report_of_snapshot(const struct snapshot *snapshot, int64_t wall_ms)
{
    size_t n = snapshot ? snapshot->n_masters : 0;
    struct status_report *report = status_report_new(n, 0);

    report->wall_ms = wall_ms;
    for (size_t i = 0; i < n; i++) {
        struct status_master *master = &report->masters[i];

        master->shown = snapshot_master_ref(snapshot->masters[i]);
        master->voices = mem_new(master->shown->n_sentinels + 1, sizeof(*master->voices));
        master->high_water = EPOCH_UNKNOWN;
        master->verification.age_ms = master->verification.master_age_ms = STATUS_AGE_UNKNOWN;
        for (size_t j = 0; j < master->shown->n_sentinels; j++) {
            master->voices[j] =
                (struct status_vote){.age_ms = STATUS_AGE_UNKNOWN, .interval_ms = -1};
        }
    }
    return report;
}

void status_report_free(struct status_report *report)
{
    if (!report) {
        return;
    }
    for (size_t i = 0; i < report->n_masters; i++) {
        snapshot_master_unref(report->masters[i].shown);
        free(report->masters[i].voices);
    }
    free(report->masters);
    free(report->links);
    free(report);
}

/* ---- names ---- */

const char *decide_rule_text(enum decide_rule rule)
{
    switch (rule) {
    case DECIDE_NOTHING: return "nothing_heard";
    case DECIDE_STANDS: return "stands";
    case DECIDE_HIGHER_EPOCH: return "higher_epoch";
    case DECIDE_EQUAL_MAJORITY: return "equal_majority";
    case DECIDE_BELOW_MAJORITY: return "below_majority";
    case DECIDE_NO_EPOCH: return "no_epoch";
    case DECIDE_CONFLICT: return "conflict";
    case DECIDE_NO_MAJORITY: return "no_majority";
    case DECIDE_ADOPTED: return "adopted";
    case DECIDE_UNDONE: return "adoption_undone";
    case DECIDE_WAIT: return "waiting";
    }
    return "nothing_heard";
}

const char *role_answer_text(enum role_answer answer)
{
    switch (answer) {
    case ROLE_MASTER: return "master";
    case ROLE_OTHER: return "other_role";
    case ROLE_NOPERM: return "noperm";
    case ROLE_NOAUTH: return "noauth";
    case ROLE_LOADING: return "loading";
    case ROLE_REFUSED: return "refused";
    case ROLE_CLOSED: return "closed";
    case ROLE_TIMEOUT: return "timeout";
    case ROLE_TLS: return "tls";
    case ROLE_ERROR: return "error";
    }
    return "error";
}

/* ---- words ---- */

struct words {
    char *out;
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(words->out + words->length, words->size - words->length, format, arguments);
    va_end(arguments);
    if (n > 0) {
        size_t room = words->size - 1 - words->length;

        /* Some of it is what nodes and Sentinels say, and people read it in terminals. */
        for (char *c = words->out + words->length; *c; c++) {
            if ((unsigned char)*c < 0x20 || *c == 0x7f) {
                *c = '?';
            }
        }
        words->length += (size_t)n < room ? (size_t)n : room;
    }
}

static void say_address(struct words *words, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    say(words, "%s", address_format(address, text));
}

const char *status_say_age(int64_t age_ms, char out[32])
{
    if (age_ms < 0) {
        snprintf(out, 32, "never");
    } else if (age_ms < 1000) {
        snprintf(out, 32, "%" PRId64 " ms", age_ms);
    } else if (age_ms < 60000) {
        snprintf(out, 32, "%" PRId64 ".%" PRId64 " s", age_ms / 1000, age_ms % 1000 / 100);
    } else if (age_ms < INT64_C(2) * 3600000) {
        snprintf(out, 32, "%" PRId64 " min", age_ms / 60000);
    } else if (age_ms < INT64_C(2) * 86400000) {
        snprintf(out, 32, "%" PRId64 " h", age_ms / 3600000);
    } else {
        snprintf(out, 32, "%" PRId64 " days", age_ms / 86400000);
    }
    return out;
}

static void say_age(struct words *words, int64_t age_ms)
{
    char text[32];

    if (age_ms >= 0) {
        say(words, " %s ago", status_say_age(age_ms, text));
    }
}

static void say_outcome(struct words *words, const struct status_verification *verification)
{
    switch (verification->answer) {
    case ROLE_MASTER: say(words, "ROLE master"); break;
    case ROLE_OTHER: say(words, "ROLE %s, not master,", verification->words); break;
    case ROLE_NOPERM: say(words, "ROLE not allowed to be asked (NOPERM)"); break;
    case ROLE_NOAUTH: say(words, "ROLE refused for want of a good password"); break;
    case ROLE_LOADING: say(words, "loading its data set"); break;
    case ROLE_REFUSED: say(words, "can't be connected to"); break;
    case ROLE_CLOSED: say(words, "closed the connection"); break;
    case ROLE_TIMEOUT: say(words, "ROLE unanswered, asked"); break;
    case ROLE_TLS: say(words, "TLS failed: %s,", verification->words); break;
    case ROLE_ERROR: say(words, "ROLE answered with %s", verification->words); break;
    }
}

static void say_verification(struct words *words, const struct status_master *master)
{
    const struct status_verification *verification = &master->verification;

    if (!verification->known) {
        say(words,
            master->shown->verified ? "ROLE last known to be master" : "its role is not known");
    } else if (!verification->enabled) {
        say(words, "not asked for its role (--verify off)");
    } else if (!verification->answered) {
        say(words, "not asked for its role yet");
    } else {
        say_outcome(words, verification);
        say_age(words, verification->age_ms);
        if (verification->answer != ROLE_MASTER && verification->master_age_ms >= 0) {
            say(words, " (last said master");
            say_age(words, verification->master_age_ms);
            say(words, ")");
        }
    }
}

const char *status_say_verification(const struct status_master *master, char *out, size_t size)
{
    struct words words = {out, size, 0};

    out[0] = '\0';
    if (master->shown->has_address) {
        say_verification(&words, master);
    }
    return out;
}

static void say_epoch(struct words *words, int64_t epoch)
{
    if (epoch != EPOCH_UNKNOWN) {
        say(words, " at epoch %" PRId64, epoch);
    }
}

bool status_disagrees(const struct status_master *master, size_t sentinel)
{
    const struct snapshot_sentinel *shown = &master->shown->sentinels[sentinel];

    return !shown->reachable || !shown->has_says || !master->shown->has_address ||
           !(shown->agrees || address_equal(&shown->says, &master->shown->address));
}

/* What a Sentinel says that is not what is published; `still` where its epoch is older. */
static void say_dissent(struct words *words, const struct snapshot_master *shown,
                        const struct snapshot_sentinel *sentinel)
{
    bool older = shown->has_address && sentinel->config_epoch != EPOCH_UNKNOWN &&
                 sentinel->config_epoch < shown->config_epoch;

    say(words, "; ");
    say_address(words, &sentinel->address);
    if (!sentinel->reachable) {
        say(words, " can't be reached");
        if (sentinel->error_text[0] != '\0') {
            say(words, " (%s)", sentinel->error_text);
        }
    } else if (!sentinel->has_says) {
        say(words, " gives no address");
        if (sentinel->error_text[0] != '\0') {
            say(words, " (%s)", sentinel->error_text);
        }
    } else {
        say(words, " %ssays ", older ? "still " : "");
        say_address(words, &sentinel->says);
        say_epoch(words, sentinel->config_epoch);
    }
}

static void say_published(struct words *words, const struct status_master *master)
{
    const struct snapshot_master *shown = master->shown;

    say_address(words, &shown->address);
    say(words, ": ");
    if (shown->config_epoch != EPOCH_UNKNOWN) {
        say(words, "epoch %" PRId64 " ", shown->config_epoch);
    }
    say(words, "from %zu of %zu Sentinel%s, ", shown->agreeing, shown->known,
        shown->known == 1 ? "" : "s");
    say_verification(words, master);
}

/* Another address is the candidate, and what keeps it from being published. */
static void say_candidate(struct words *words, const struct status_master *master)
{
    const struct decision *decision = &master->decision;

    if (!master->has_decision || !decision->has_candidate || decision->rule == DECIDE_STANDS ||
        (master->shown->has_address &&
         snapshot_master_is_at(master->shown, &decision->candidate.name))) {
        return;
    }
    say(words, "; candidate ");
    say_address(words, &decision->candidate.name);
    say(words, " from %zu of %zu", decision->candidate_votes, decision->known);
    say_epoch(words, decision->epoch);
    say(words, decision->rule == DECIDE_NO_MAJORITY ? ", which needs a majority"
                                                    : ", published once it says master");
}

const char *status_say_decision(const struct status_master *master, char out[STATUS_WORDS_SIZE])
{
    struct words words = {out, STATUS_WORDS_SIZE, 0};
    const struct snapshot_master *shown = master->shown;

    out[0] = '\0';
    if (shown->has_address) {
        say_published(&words, master);
    } else {
        say(&words, "no address yet: %s",
            shown->detail && *shown->detail ? shown->detail : "nothing was heard");
    }
    say_candidate(&words, master);
    for (size_t i = 0; i < shown->n_sentinels; i++) {
        if (status_disagrees(master, i) && (shown->has_address || shown->sentinels[i].has_says)) {
            say_dissent(&words, shown, &shown->sentinels[i]);
        }
    }
    return out;
}
