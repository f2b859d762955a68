/* The checks of /readyz, one condition at a time. */
#include <criterion/criterion.h>
#include <string.h>

#include "fixture.h"
#include "http/routes/ready.h"

#define EVERY_CHECK ((1U << READY_CHECKS_COUNT) - 1)

static struct ready_report report;

static bool passes(const struct snapshot *snapshot, enum ready_when when)
{
    ready_evaluate(snapshot, NULL, false, false, when, &report);
    return ready_passes(&report, EVERY_CHECK);
}

static bool ok(enum ready_check check)
{
    return report.results[check].ok;
}

Test(http_ready, before_the_first_snapshot)
{
    cr_expect_not(passes(NULL, READY_WHEN_RESOLVED));
    cr_expect_not(ok(READY_RESOLVED));
    cr_expect(ok(READY_SHUTDOWN));
    cr_expect_not(ok(READY_MASTER) || ok(READY_SENTINEL) || ok(READY_QUORUM));
}

Test(http_ready, all_well)
{
    struct snapshot *snapshot = make_snapshot(make_master("a"), NULL, NULL);

    cr_expect(passes(snapshot, READY_WHEN_ALL));
    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        cr_expect(ok((enum ready_check)i), "%s", report.results[i].words);
    }
    snapshot_unref(snapshot);
}

Test(http_ready, a_lost_master_counts_only_when_asked_for)
{
    struct snapshot *snapshot =
        make_snapshot(make_master_in("a", MASTER_DOWN, REASON_REDIS_UNREACHABLE), NULL, NULL);

    cr_expect(passes(snapshot, READY_WHEN_RESOLVED));
    cr_expect_not(ok(READY_MASTER));
    cr_expect_str_eq(report.results[READY_MASTER].words, "a is down, redis_unreachable");
    cr_expect_not(passes(snapshot, READY_WHEN_DEFAULT));
    cr_expect_not(passes(snapshot, READY_WHEN_ANY));
    cr_expect_not(passes(snapshot, READY_WHEN_ALL));
    snapshot_unref(snapshot);
}

Test(http_ready, default_any_all)
{
    struct snapshot *snapshot = make_snapshot(
        make_master("a"), make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE), NULL);

    cr_expect(passes(snapshot, READY_WHEN_DEFAULT));
    cr_expect(passes(snapshot, READY_WHEN_ANY));
    cr_expect_not(passes(snapshot, READY_WHEN_ALL));
    cr_expect(passes(snapshot, READY_WHEN_RESOLVED) && ok(READY_MASTER));
    snapshot_unref(snapshot);
}

Test(http_ready, several_and_no_default)
{
    struct snapshot *snapshot =
        make_several(make_master("a"), make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE));

    cr_expect(passes(snapshot, READY_WHEN_RESOLVED));
    cr_expect_not(ok(READY_MASTER), "every one must serve");
    cr_expect_not(passes(snapshot, READY_WHEN_DEFAULT));
    cr_expect(strstr(report.results[READY_MASTER].words, "no default"));
    snapshot_unref(snapshot);
}

Test(http_ready, no_master_at_all)
{
    struct snapshot *snapshot = make_snapshot(NULL, NULL, NULL);

    cr_expect_not(passes(snapshot, READY_WHEN_ALL));
    cr_expect_not(passes(snapshot, READY_WHEN_ANY));
    cr_expect_not(passes(snapshot, READY_WHEN_DEFAULT));
    snapshot->all_resolved = false;
    cr_expect_not(passes(snapshot, READY_WHEN_RESOLVED));
    snapshot_unref(snapshot);
}

Test(http_ready, shutdown_and_a_silent_watcher)
{
    struct snapshot *snapshot = make_snapshot(make_master("a"), NULL, NULL);

    ready_evaluate(snapshot, NULL, false, true, READY_WHEN_RESOLVED, &report);
    cr_expect_not(ready_passes(&report, EVERY_CHECK));
    cr_expect(ready_passes(&report, EVERY_CHECK & ~(1U << READY_SHUTDOWN)), "excluded");
    ready_evaluate(snapshot, NULL, true, false, READY_WHEN_DEFAULT, &report);
    cr_expect(ok(READY_RESOLVED));
    cr_expect_not(ok(READY_MASTER) || ok(READY_SENTINEL) || ok(READY_QUORUM));
    cr_expect_not(ready_passes(&report, EVERY_CHECK));
    snapshot_unref(snapshot);
}

Test(http_ready, quorum)
{
    struct snapshot_master *master = make_master("a");
    struct snapshot *snapshot = make_snapshot(master, NULL, NULL);

    passes(snapshot, READY_WHEN_RESOLVED);
    cr_expect(ok(READY_QUORUM));
    master->reachable = 1;
    passes(snapshot, READY_WHEN_RESOLVED);
    cr_expect_not(ok(READY_QUORUM));
    master->reachable = 2;
    master->quorum = 3;
    passes(snapshot, READY_WHEN_RESOLVED);
    cr_expect_not(ok(READY_QUORUM), "the configured quorum is higher than a majority");
    master->quorum = 2;
    master->sentinels[0].has_ckquorum = true;
    passes(snapshot, READY_WHEN_RESOLVED);
    cr_expect_not(ok(READY_QUORUM), "the only one that was asked says no");
    master->sentinels[1].has_ckquorum = master->sentinels[1].ckquorum_ok = true;
    passes(snapshot, READY_WHEN_RESOLVED);
    cr_expect(ok(READY_QUORUM));
    snapshot_unref(snapshot);
}

Test(http_ready, one_master_of_several)
{
    struct snapshot_master *down = make_master_in("b", MASTER_UNKNOWN, REASON_UNKNOWN_NAME);
    struct snapshot *snapshot = make_snapshot(make_master("a"), down, NULL);

    ready_evaluate(snapshot, down, false, false, READY_WHEN_RESOLVED, &report);
    cr_expect_not(ok(READY_RESOLVED));
    cr_expect_not(ok(READY_MASTER));
    ready_evaluate(snapshot, snapshot->masters[0], false, false, READY_WHEN_RESOLVED, &report);
    cr_expect(ok(READY_RESOLVED) && ok(READY_MASTER));
    snapshot_unref(snapshot);
}
