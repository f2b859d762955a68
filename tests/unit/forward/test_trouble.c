/* What can not be had: a certificate, an address, a login, a listening socket. */
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop/resolve.h"
#include "bellwether/base/error.h"
#include "forward_fixture.h"

TestSuite(forward_trouble, .timeout = 60);

#define LOGIN "*2\r\n$4\r\nAUTH\r\n$6\r\nsesame\r\n"

/* The line that a client gets whose time is over. */
static void expect_told(struct forward_stage *stage, int client, const char *words)
{
    const struct address at = stage->says.address;
    char text[ADDRESS_TEXT_SIZE], wanted[256];

    snprintf(wanted, sizeof(wanted), "-NOTSENT no connection within %d ms: %s: %s\r\n",
             (int)stage->config.wait_ms, address_format(&at, text), words);
    EXPECT_COMES(stage, client, wanted);
    RUN_UNTIL(stage, forward_stage_ended(client));
}

/* ---- certificates ---- */

static void *no_certificate(void *data, const struct forward_listen *listen, int fd)
{
    (*(int *)data)++;
    cr_expect(listen->place.tls && fd >= 0);
    return NULL;
}

/* Whoever begins with TLS is closed, and whoever does not is told so as always. */
Test(forward_trouble, no_certificate_can_be_used)
{
    int asked = 0, to, client;
    struct forward_stage stage = {.config = {.handshake_timeout_ms = 20000},
                                  .listen = {[1] = {.place = {.tls = true}}},
                                  .tls = {.begin = no_certificate, .data = &asked}};
    const struct metrics_forward *counts;

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    counts = metrics_forward(stage.metrics, 0, 1);
    for (int i = 1; i <= 3; i++) {
        client = forward_stage_client_of(&stage, 1);
        forward_stage_run_for(&stage, 10);
        cr_expect_eq(asked, i - 1, "it has not spoken");
        forward_stage_send(client, "\x16\x03\x01");
        RUN_UNTIL(&stage, forward_stage_ended(client));
        cr_expect_eq(asked, i);
        cr_expect_eq(metric_read(&counts->closed[METRIC_FORWARD_END_TLS]), (uint64_t)i);
        close(client);
    }
    client = forward_stage_client_of(&stage, 1); /* a health check: it has not failed */
    RUN_UNTIL(&stage, metric_look(&counts->handshakes) == 1);
    close(client);
    RUN_UNTIL(&stage, metric_look(&counts->handshakes) == 0);
    cr_expect_eq(metric_read(&counts->closed[METRIC_FORWARD_END_CLIENT]), 1);
    cr_expect_eq(metric_read(&counts->closed[METRIC_FORWARD_END_TLS]), 3);
    client = forward_stage_client_of(&stage, 1);
    forward_stage_send(client, "PING\r\n");
    EXPECT_COMES(&stage, client, "-ERR TLS is spoken here, and this is no TLS\r\n");
    close(client);
    cr_expect_eq(asked, 3);
    client = forward_stage_joined(&stage, 0, &to); /* of the other forward */
    close(client);
    close(to);
    forward_stage_close(&stage);
}

/* ---- logins ---- */

static void end_softly(int fd)
{
    close(fd);
}

static void end_hard(int fd)
{
    const struct linger hard = {.l_onoff = 1};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
}

/* The next attempt is as good as the first, and nothing of its client goes there before. */
static void close_at_the_login(void (*end)(int fd), const char *answer)
{
    struct forward_stage stage = {.listen = {{.auth = true}}, .password = "sesame"};
    int client, to;

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    client = forward_stage_client(&stage);
    forward_stage_send(client, "PING\r\n");
    for (int i = 0; i < 3; i++) {
        to = forward_stage_accept(&stage, 0);
        EXPECT_COMES(&stage, to, LOGIN);
        forward_stage_send(to, answer);
        forward_stage_run_for(&stage, 5);
        cr_expect_str_eq(forward_stage_take(to), "");
        end(to);
    }
    to = forward_stage_accept(&stage, 0);
    cr_expect_gt(stage.suspicions, 0, "the watcher is not told");
    EXPECT_COMES(&stage, to, LOGIN);
    forward_stage_send(to, "+OK\r\n");
    EXPECT_COMES(&stage, to, "PING\r\n");
    forward_stage_send(to, "+PONG\r\n");
    EXPECT_COMES(&stage, client, "+PONG\r\n");
    close(client);
    close(to);
    forward_stage_close(&stage);
}

Test(forward_trouble, closed_when_it_was_logged_in_to)
{
    close_at_the_login(end_softly, "");
}

Test(forward_trouble, closed_in_the_middle_of_the_answer_to_the_login)
{
    close_at_the_login(end_softly, "+O");
}

Test(forward_trouble, reset_when_it_was_logged_in_to)
{
    close_at_the_login(end_hard, "");
}

/* @return how many clients were told that there is no node. */
static uint64_t hang_up(struct forward_stage *stage)
{
    int to = accept4(stage->nodes[0], NULL, NULL, SOCK_CLOEXEC);

    if (to >= 0) {
        close(to);
    }
    return forward_stage_closed(stage, METRIC_FORWARD_END_NO_NODE);
}

Test(forward_trouble, closed_whenever_it_is_logged_in_to)
{
    struct forward_stage stage = {
        .listen = {{.auth = true}}, .password = "sesame", .config = {.wait_ms = 3000}};
    int client;

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    client = forward_stage_client(&stage);
    RUN_UNTIL(&stage, hang_up(&stage) > 0);
    expect_told(&stage, client, "it closed when it was logged in to");
    close(client);
    forward_stage_close(&stage);
}

/* ---- names ---- */

static _Atomic bool knows_names;

static int service(const char *host, const char *port, const struct addrinfo *hints,
                   struct addrinfo **out)
{
    return strcmp(host, "node.test") == 0 && atomic_load(&knows_names)
               ? getaddrinfo("127.0.0.1", port, hints, out)
               : EAI_NONAME;
}

static void name_the_node(struct forward_stage *stage, bool known)
{
    atomic_store(&knows_names, known);
    resolve_use(service);
    forward_stage_open(stage);
    snprintf(stage->says.address.host, sizeof(stage->says.address.host), "node.test");
    forward_stage_publish(stage);
}

Test(forward_trouble, a_name_without_an_address)
{
    struct forward_stage stage = {.config = {.wait_ms = 3000}};
    int client;

    name_the_node(&stage, false);
    client = forward_stage_client(&stage);
    expect_told(&stage, client, gai_strerror(EAI_NONAME));
    cr_expect_gt(stage.suspicions, 0);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_NO_NODE), 1);
    close(client);
    forward_stage_close(&stage);
}

Test(forward_trouble, a_name_that_has_an_address_later)
{
    struct forward_stage stage = {.config = {.wait_ms = 10000}};
    int client, to;

    name_the_node(&stage, false);
    client = forward_stage_client(&stage);
    forward_stage_send(client, "PING\r\n");
    RUN_UNTIL(&stage, stage.suspicions > 0);
    cr_expect_not(forward_stage_ended(client));
    atomic_store(&knows_names, true);
    to = forward_stage_accept(&stage, 0);
    EXPECT_COMES(&stage, to, "PING\r\n");
    close(client);
    close(to);
    forward_stage_close(&stage);
}

/* ---- listening ---- */

/* What is another worker's by now is nobody's twice. */
Test(forward_trouble, no_socket_to_listen_on)
{
    struct forward_stage stage = {0};
    const struct forward_hooks hooks = {0};
    struct forwards *second;
    int client, to;

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    second = forwards_new(stage.loop, stage.shared, 0, &hooks);
    cr_expect_eq(forwards_open(second), -BW_EIO);
    forwards_free(second);
    client = forward_stage_joined(&stage, 0, &to);
    close(client);
    close(to);
    forward_stage_close(&stage);
}

/* ---- the start ---- */

Test(forward_trouble, a_socket_that_can_not_be_watched_is_named)
{
    struct forward_stage stage = {0};
    const struct forward_hooks hooks = {.data = &stage};
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    char said[512] = "";

    forward_stage_open(&stage); /* takes what one worker has */
    struct forwards *more = forwards_new(stage.loop, stage.shared, 0, &hooks);
    cr_assert_geq(dup2(fileno(log), STDERR_FILENO), 0);
    const int failure = forwards_open(more);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(log);
    cr_expect_gt(fread(said, 1, sizeof(said) - 1, log), 0);
    (void)fclose(log);
    cr_expect_eq(failure, -BW_EIO);
    cr_expect(strstr(said, "cannot watch the socket of a forward") &&
                  strstr(said, "forward=127.0.0.1:0") && strstr(said, "ad file descriptor"),
              "%s", said);
    forwards_free(more);
    forward_stage_close(&stage);
}
