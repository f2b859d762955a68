/* INFO replication as masters write it, and as nobody should. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/offsets.h"

static int64_t parse(const char *text, struct replica_offset **out, size_t *n)
{
    return offsets_parse(text, strlen(text), out, n);
}

Test(watch_offsets, a_master_with_two_replicas)
{
    struct replica_offset *found;
    size_t n;
    int64_t own = parse("# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
                        "slave0:ip=10.0.0.2,port=6379,state=online,offset=1200,lag=0\r\n"
                        "slave1:ip=fd00::3,port=6380,state=online,offset=900,lag=1\r\n"
                        "master_failover_state:no-failover\r\nmaster_repl_offset:1234\r\n",
                        &found, &n);

    cr_assert_eq(own, 1234);
    cr_assert_eq(n, 2);
    cr_assert_str_eq(found[0].replica.host, "10.0.0.2");
    cr_assert_eq(found[0].replica.port, 6379);
    cr_assert_eq(found[0].offset, 1200);
    cr_assert_str_eq(found[1].replica.host, "fd00::3");
    cr_assert_eq(found[1].offset, 900);
    free(found);
}

Test(watch_offsets, a_replica_that_is_not_online_has_no_offset)
{
    struct replica_offset *found;
    size_t n;
    int64_t own =
        parse("slave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0\n"
              "slave1:ip=10.0.0.3,port=6379,state=send_bulk,offset=0,lag=0\nmaster_repl_offset:7\n",
              &found, &n);

    cr_assert_eq(own, 7);
    cr_assert_eq(n, 0);
    cr_assert_null(found);
}

Test(watch_offsets, fields_in_any_order_and_more_of_them)
{
    struct replica_offset *found;
    size_t n;

    (void)parse("slave12:state=online,offset=5,new=1,port=1,ip=a.example\n", &found, &n);
    cr_assert_eq(n, 1);
    cr_assert_str_eq(found[0].replica.host, "a.example");
    cr_assert_eq(found[0].offset, 5);
    free(found);
}

Test(watch_offsets, garbage_is_passed_over)
{
    static const char *const texts[] = {
        "",
        "\n\n\r\n",
        "slave0",
        "slave0:",
        "slave0:ip=,port=1,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=0,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=70000,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=1,state=online,offset=-1\n",
        "slave0:ip=10.0.0.2,port=1,state=online,offset=99999999999999999999\n",
        "slave0:ip=10.0.0.2,port=1,state=online\n",
        "slaves:ip=10.0.0.2,port=1,state=online,offset=1\n",
        "slave_repl_offset:12\nslave_priority:100\n",
        "master_repl_offset:\n",
        "master_repl_offset:12x\n",
        "master_repl_offset2:12\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct replica_offset *found;
        size_t n;

        cr_assert_eq(parse(texts[i], &found, &n), -1, "%s", texts[i]);
        cr_assert_eq(n, 0, "%s", texts[i]);
        free(found);
    }
}
