/* Looking at /master over a time and keeping each change. */
#include "trail.h"

#include <stdio.h>
#include <string.h>

#include "scene.h"

char node_letter(const struct cluster *cluster, const struct server *node)
{
    return (char)('A' + (node - cluster->nodes));
}

struct trail *trail_start(const struct daemon *daemon, const struct cluster *cluster)
{
    struct trail *trail = scene_alloc(sizeof(*trail));

    trail->daemon = daemon;
    trail->cluster = cluster;
    trail_look(trail);
    return trail;
}

void trail_look(struct trail *trail)
{
    const struct http_answer *answer = daemon_get(trail->daemon, "/master");
    char now[64];

    (void)snprintf(now, sizeof(now), "%ld %s", answer->status, http_string(answer, "state"));
    if (answer->status == 200) {
        (void)snprintf(now, sizeof(now), "200 %s", http_string(answer, "address"));
        for (size_t i = 0; i < trail->cluster->n_nodes; i++) {
            if (strcmp(http_string(answer, "address"), trail->cluster->nodes[i].address) == 0) {
                (void)snprintf(now, sizeof(now), "200 %c",
                               node_letter(trail->cluster, &trail->cluster->nodes[i]));
            }
        }
    } else if (trail->left_ok_ms == 0) {
        trail->left_ok_ms = answer->answered_ms;
    }
    if (strcmp(now, trail->last) != 0) {
        const size_t used = strlen(trail->said);

        (void)snprintf(trail->said + used, sizeof(trail->said) - used, "%s%s",
                       used == 0 ? "" : ", ", now);
        (void)snprintf(trail->last, sizeof(trail->last), "%s", now);
    }
}

void trail_until(struct trail *trail, const struct server *node, int64_t bound_ms)
{
    const char *wanted = text("200 %c", node_letter(trail->cluster, node));

    for (const int64_t end = wait_ends_ms(bound_ms); strcmp(trail->last, wanted) != 0; nap_ms(10)) {
        cr_assert(now_ms() < end, "not \"%s\" within %lld ms but: %s\nlog: %s", wanted,
                  (long long)bound_ms, trail->said, daemon_log(trail->daemon));
        trail_look(trail);
    }
}

struct server *trail_wait_switch(struct trail *trail, struct cluster *cluster,
                                 const struct server *old)
{
    struct server *master = NULL;

    for (const int64_t end = wait_ends_ms(30000);
         cluster_is_before_switch(cluster, old) || !(master = cluster_master(cluster));) {
        cr_assert(now_ms() < end, "Sentinels did not fail over; /master said %s", trail->said);
        trail_look(trail);
    }
    cluster->left = NULL;
    return master;
}

struct server *trail_fail_over(struct trail *trail, struct cluster *cluster,
                               const struct server *old)
{
    cluster_failover(cluster);
    return trail_wait_switch(trail, cluster, old);
}

void trail_for(struct trail *trail, int64_t span_ms)
{
    for (const int64_t end = now_ms() + span_ms; now_ms() < end; nap_ms(10)) {
        trail_look(trail);
    }
}

const char *trail_said(const struct trail *trail)
{
    char *list = text("%s", trail->said), *save = NULL, *rest = list;
    const char *kept = "", *last = "";

    if (daemon_pauses(trail->daemon) == 0) {
        return trail->said;
    }
    for (char *one; (one = strtok_r(rest, ",", &save)); rest = NULL) {
        one += strspn(one, " ");
        if (strncmp(one, "503", 3) != 0 && strcmp(one, last) != 0) {
            kept = text("%s%s%s", kept, *kept == '\0' ? "" : ", ", one);
            last = one;
        }
    }
    return kept;
}

void trail_check(const struct trail *trail, const struct server *from, const struct server *to)
{
    const char old[] = {'2', '0', '0', ' ', node_letter(trail->cluster, from), '\0'};
    const char new[] = {'2', '0', '0', ' ', node_letter(trail->cluster, to), '\0'};
    const char *first_new = strstr(trail->said, new);

    cr_assert(count_in(trail->said, "200 ") ==
                  count_in(trail->said, old) + count_in(trail->said, new),
              "a third address was answered: %s\nlog: %s", trail->said, daemon_log(trail->daemon));
    cr_assert(!first_new || !strstr(first_new, old), "the answer went back: %s\nlog: %s",
              trail->said, daemon_log(trail->daemon));
}
