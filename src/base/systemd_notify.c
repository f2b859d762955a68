/* systemd's notify protocol, without libsystemd: one datagram a message. */
#include "bellwether/base/systemd_notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bellwether/base/units.h"

void notify_send(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = !path ? 0 : strlen(path);

    if (length < 2 || length >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(to.sun_path, path, length);
    if (path[0] == '@') { /* an abstract socket; its name has no end mark */
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    /* a manager that is gone or busy is no reason to stop serving */
    (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)close(fd);
}

int64_t notify_watchdog_interval_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    int64_t value;

    if (!usec || !getenv("NOTIFY_SOCKET") || integer_parse(usec, 1, INT64_MAX, &value) != 0) {
        return 0;
    }
    if (pid && *pid != '\0') {
        int64_t meant;

        if (integer_parse(pid, 1, INT64_MAX, &meant) != 0 || meant != (int64_t)getpid()) {
            return 0;
        }
    }
    return value / 2000 > 0 ? value / 2000 : 1;
}
