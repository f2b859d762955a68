/* What nodes said when they were asked for their role, and what that is worth. */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_CHECK_H
#define BELLWETHER_TOPOLOGY_JUDGE_CHECK_H

#include "bellwether/topology/decide.h"

/* The role checks of a node that is not published. */
struct check {
    bool wanted;
    struct endpoint node;
    int64_t epoch;
    bool outstanding; /* asked, not answered */
    int64_t asked_ms;
    int64_t next_ms; /* when to ask (again), unless outstanding */
    unsigned failures;
    unsigned misses; /* questions in a row that came to nothing */
    bool answered;
    enum role_answer answer;
    int64_t answered_ms;
    int64_t since_ms; /* it has answered the same ever since */
};

/*
 * CHECK_MAJORITY: a majority names it, and it is neither published nor the candidate. CHECK_RETURN:
 * an adoption is to be undone. CHECK_DEPOSED: the former master, until it says that it is none.
 */
enum { CHECK_CANDIDATE, CHECK_MAJORITY, CHECK_RETURN, CHECK_DEPOSED, CHECKS };

/* The role checks of the published node. */
struct verification {
    bool answered; /* since the publication or the last gap */
    enum role_answer answer;
    int64_t answered_ms;
    int64_t since_ms; /* it has answered the same ever since */
    /* it said master, or that its role may not be asked, and nothing since that takes it back */
    bool alive;
    enum role_answer alive_answer;
    int64_t alive_ms;
    unsigned refusals; /* since then */
    unsigned failures;
    int64_t retry_ms; /* ask it then without waiting for the next interval, -1: no */
};

/*
 * Have `node` asked, because it is named at `epoch`; what it said already stays. A question that
 * the owner never reported on has timed out.
 */
void check_want(struct check *check, const struct judge_config *config, const struct endpoint *node,
                int64_t epoch, int64_t now_ms);
void check_drop(struct check *check);
void check_answer(struct check *check, const struct judge_config *config, enum role_answer answer,
                  int64_t now_ms);
/* The former master need not be asked as often as one that may become the answer. */
void check_rest(struct check *check, int64_t now_ms);
/*
 * Whether the check lets its node be published: it says master, or a majority names it and its role
 * is unknowable.
 */
bool check_allows(const struct check *check, const struct judge_config *config, bool majority,
                  int64_t now_ms);
/* Whether it said last that it is a master, or that its role may not be asked. */
bool check_is_good(const struct check *check);
/*
 * Whether what it said before is worth nothing any more: it says otherwise, or two questions in a
 * row came to nothing. One can for harmless reasons.
 */
bool check_takes_back(const struct check *check);
/* The node to ask now, marked as asked, or NULL. */
const struct endpoint *checks_ask(struct check checks[CHECKS], int64_t now_ms);
int64_t checks_next_ms(const struct check checks[CHECKS], const struct judge_config *config,
                       int64_t now_ms);
void verification_answer(struct verification *verification, enum role_answer answer,
                         int64_t now_ms);
void verification_reset(struct verification *verification);
/* Whether its last good answer is recent enough. */
bool verification_alive(const struct verification *verification, const struct judge_config *config,
                        int64_t now_ms);

#endif
