/* systemd's notify protocol against a socket of the test's own. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bellwether/base/systemd_notify.h"

static int listen_on(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@') {
        at.sun_path[0] = '\0';
    }
    cr_assert_eq(bind(fd, (struct sockaddr *)&at,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect_arrives(int fd, const char *message)
{
    char got[256] = "";

    notify_send(message);
    ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    cr_expect_eq(n, (ssize_t)strlen(message));
    cr_expect_str_eq(got, message);
    close(fd);
}

Test(base_notify, abstract_socket)
{
    char name[64];

    snprintf(name, sizeof(name), "@bellwether-test-%d", (int)getpid());
    expect_arrives(listen_on(name), "READY=1\nSTATUS=all is well");
}

Test(base_notify, socket_with_a_path)
{
    char name[64];

    snprintf(name, sizeof(name), "/tmp/bellwether-notify-%d", (int)getpid());
    unlink(name);
    expect_arrives(listen_on(name), "STOPPING=1");
    unlink(name);
}

Test(base_notify, nothing_happens_without_a_manager)
{
    const int lowest = dup(STDIN_FILENO);
    char too_long[300];

    cr_assert_geq(lowest, 0);
    close(lowest);
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", "/tmp/bellwether-nobody-listens-here", 1);
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", "vsock:1:2", 1);
    notify_send("READY=1");
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[0] = '/';
    too_long[sizeof(too_long) - 1] = '\0';
    setenv("NOTIFY_SOCKET", too_long, 1);
    notify_send("READY=1");
    const int lowest_now = dup(STDIN_FILENO);
    cr_expect_eq(lowest_now, lowest, "no socket is left open");
    close(lowest_now);
}

Test(base_notify, watchdog)
{
    char pid[32];

    setenv("NOTIFY_SOCKET", "@x", 1);
    cr_expect_eq(notify_watchdog_interval_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    cr_expect_eq(notify_watchdog_interval_ms(), 15000);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    cr_expect_eq(notify_watchdog_interval_ms(), 15000);
    setenv("WATCHDOG_PID", "1", 1);
    cr_expect_eq(notify_watchdog_interval_ms(), getpid() == 1 ? 15000 : 0,
                 "meant for another process");
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    cr_expect_eq(notify_watchdog_interval_ms(), 0);
    setenv("WATCHDOG_USEC", "100", 1);
    cr_expect_eq(notify_watchdog_interval_ms(), 1);
    unsetenv("NOTIFY_SOCKET");
    cr_expect_eq(notify_watchdog_interval_ms(), 0);
}
