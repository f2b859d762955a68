/* See forward_fixture.h. All runs on the test's one thread. */
#include "forward_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"

static void on_timer(void *data)
{
    loop_stop(((struct forward_stage *)data)->loop);
}

static void on_suspect(void *data, enum suspicion what, const char *master,
                       const struct address *address)
{
    ((struct forward_stage *)data)->suspected = what;
    cr_expect_str_eq(master, "mymaster");
    cr_expect(address_is_set(address));
    ((struct forward_stage *)data)->suspicions++;
}

static int listen_somewhere(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0 &&
              listen(fd, 64) == 0);
    return fd;
}

struct address forward_stage_node(const struct forward_stage *stage, size_t node)
{
    struct sockaddr_in at = {0};
    struct address address = {0};
    socklen_t size = sizeof(at);
    char text[32], words[128];

    cr_assert_eq(getsockname(stage->nodes[node], (struct sockaddr *)&at, &size), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
    cr_assert_eq(address_parse(text, 0, &address, words, sizeof(words)), 0);
    return address;
}

void forward_stage_refuse(struct forward_stage *stage, size_t node)
{
    const int on = 1;
    struct sockaddr_in at = {0};
    socklen_t size = sizeof(at);

    cr_assert_eq(getsockname(stage->nodes[node], (struct sockaddr *)&at, &size), 0);
    close(stage->nodes[node]);
    stage->nodes[node] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(setsockopt(stage->nodes[node], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    cr_assert_eq(bind(stage->nodes[node], (const struct sockaddr *)&at, sizeof(at)), 0);
}

static void on_ask_heard(void *data)
{
    ((struct forward_stage *)data)->heard_asked++;
}

static void beat(struct forward_stage *stage)
{
    if (stage->silent) {
        return;
    }
    atomic_store(&stage->pulse.at_boot_ms, clock_boot_ms() + 60000);
}

void forward_stage_open(struct forward_stage *stage)
{
    char error[256], words[128];
    const struct forward_hooks hooks = {
        .suspect = on_suspect, .ask_heard = on_ask_heard, .data = stage, .tls = stage->tls};

    signal(SIGPIPE, SIG_IGN);
    stage->loop = loop_new();
    stage->timer = loop_timer_new(stage->loop, on_timer, stage);
    stage->metrics = metrics_new(1);
    stage->secret = secret_new(NULL, stage->password, error, sizeof(error));
    stage->login = (struct redis_login){.password = stage->secret};
    for (size_t i = 0; i < 2; i++) {
        struct address *address = &stage->listen[i].place.address;

        cr_assert_eq(address_parse("127.0.0.1:1", 0, address, words, sizeof(words)), 0);
        address->port = 0;
    }
    stage->config.listens = stage->listen;
    stage->config.n_listens = 2;
    stage->config.n_workers = 1;
    stage->config.max_forwards = stage->config.max_forwards > 0 ? stage->config.max_forwards : 100;
    stage->config.wait_ms = stage->config.wait_ms > 0 ? stage->config.wait_ms : 8000;
    if (stage->config.connect_timeout_ms == 0) {
        stage->config.connect_timeout_ms = 4000; /* longer than this process stands still */
    }
    stage->config.lost_ms = stage->config.lost_ms > 0 ? stage->config.lost_ms : 60000;
    stage->config.logins = &stage->login;
    stage->config.n_logins = 1;
    stage->config.metrics = stage->metrics;
    stage->shared = forward_shared_open(&stage->config, error, sizeof(error));
    cr_assert_not_null(stage->shared, "%s", error);
    stage->forwards = forwards_new(stage->loop, stage->shared, 0, &hooks);
    cr_assert_eq(forwards_open(stage->forwards), 0);
    stage->counts = metrics_forward(stage->metrics, 0, 0);
    for (size_t i = 0; i < FORWARD_STAGE_NODES; i++) {
        stage->nodes[i] = listen_somewhere();
    }
    stage->says.state = MASTER_OK;
    stage->says.has_address = true;
    stage->says.address = forward_stage_node(stage, 0);
    beat(stage);
}

static void hand_out(struct forward_stage *stage, struct snapshot_master *master)
{
    struct snapshot *snapshot = snapshot_new(master ? 1 : 0);

    snapshot->default_name = mem_strdup("mymaster");
    snapshot->pulse = &stage->pulse;
    snapshot->fences = stage->pulse.fences;
    if (master) {
        snapshot->masters[0] = snapshot_master_ref(master);
    }
    snapshot_master_unref(stage->master);
    stage->master = master;
    forwards_take(stage->forwards, snapshot);
    snapshot_unref(snapshot);
}

void forward_stage_publish(struct forward_stage *stage)
{
    struct snapshot_master *master = snapshot_master_new("mymaster");

    master->state = stage->says.state;
    master->reason = stage->says.reason;
    master->has_address = stage->says.has_address;
    master->address = stage->says.address;
    master->switches = stage->says.switches;
    master->fence = stage->says.fence;
    master->promoting_ms = stage->says.promoting_ms;
    master->contradicted = stage->says.contradicted;
    master->n_replicas = stage->n_replicas;
    master->replicas = mem_new(FORWARD_STAGE_REPLICAS, sizeof(*master->replicas));
    memcpy(master->replicas, stage->replicas, sizeof(stage->replicas));
    hand_out(stage, master);
}

void forward_stage_publish_nothing(struct forward_stage *stage)
{
    hand_out(stage, NULL);
}

void forward_stage_publish_the_same(struct forward_stage *stage)
{
    hand_out(stage, snapshot_master_ref(stage->master));
}

void forward_stage_turn(struct forward_stage *stage)
{
    beat(stage);
    loop_timer_start(stage->timer, 2);
    loop_run(stage->loop);
}

void forward_stage_run_for(struct forward_stage *stage, int64_t ms)
{
    const int64_t end_ms = clock_boot_ms() + ms;

    for (int turns = 0; turns < 3 || clock_boot_ms() < end_ms; turns++) {
        forward_stage_turn(stage);
    }
}

static bool is_busy(const struct forward_stage *stage)
{
    return metric_look(&stage->counts->waiting) != 0 ||
           metric_look(&stage->counts->handshakes) != 0 ||
           metric_look(&stage->counts->connections[METRIC_FORWARD_TO_MASTER]) != 0 ||
           metric_look(&stage->counts->connections[METRIC_FORWARD_TO_REPLICA]) != 0;
}

void forward_stage_close(struct forward_stage *stage)
{
    forwards_free(stage->forwards);
    cr_expect_not(is_busy(stage), "counted still");
    forward_shared_free(stage->shared);
    snapshot_master_unref(stage->master);
    for (size_t i = 0; i < FORWARD_STAGE_NODES; i++) {
        close(stage->nodes[i]);
    }
    metrics_free(stage->metrics);
    secret_free(stage->secret);
    loop_timer_free(stage->timer);
    loop_free(stage->loop);
    cr_expect_eq(budget_used(), 0, "%zu bytes are still counted", budget_used());
}

/* ---- sockets ---- */

int forward_stage_client(const struct forward_stage *stage)
{
    return forward_stage_client_of(stage, 0);
}

int forward_stage_client_of(const struct forward_stage *stage, size_t forward)
{
    const struct address *at = forward_shared_address(stage->shared, forward);
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(at->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

int forward_stage_accept(struct forward_stage *stage, size_t node)
{
    int fd = -1;

    RUN_UNTIL(stage,
              (fd = accept4(stage->nodes[node], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    return fd;
}

int forward_stage_joined(struct forward_stage *stage, size_t node, int *to)
{
    int client = forward_stage_client(stage);

    *to = forward_stage_accept(stage, node);
    forward_stage_send(client, "PING\r\n");
    EXPECT_COMES(stage, *to, "PING\r\n");
    forward_stage_send(*to, "+PONG\r\n");
    EXPECT_COMES(stage, client, "+PONG\r\n");
    return client;
}

int forward_stage_open_joined(struct forward_stage *stage, int *to)
{
    forward_stage_open(stage);
    forward_stage_publish(stage);
    return forward_stage_joined(stage, 0, to);
}

void forward_stage_close_joined(struct forward_stage *stage, int client, int node)
{
    close(client);
    close(node);
    forward_stage_close(stage);
}

void forward_stage_send(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

const char *forward_stage_take(int fd)
{
    static char bytes[256];
    ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

    bytes[n > 0 ? n : 0] = '\0';
    return bytes;
}

void forward_stage_expect(struct forward_stage *stage, int fd, const char *text, int line)
{
    const int64_t end_ms = clock_boot_ms() + 15000;
    char so_far[512] = "";

    for (size_t n = 0; strcmp(so_far, text) != 0;) {
        cr_assert(clock_boot_ms() < end_ms && n < sizeof(so_far) - 256,
                  "line %d: \"%s\", not \"%s\"", line, so_far, text);
        forward_stage_turn(stage);
        n += (size_t)snprintf(so_far + n, sizeof(so_far) - n, "%s", forward_stage_take(fd));
    }
}

bool forward_stage_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

uint64_t forward_stage_closed(const struct forward_stage *stage, enum metric_forward_end why)
{
    return metric_read(&stage->counts->closed[why]);
}
