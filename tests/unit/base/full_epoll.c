/* See the header. */
#include "full_epoll.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool full;

void full_epoll(bool is)
{
    atomic_store(&full, is);
}

/* In the place of libc's, for this program and the libraries that it uses. */
int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    if (what == EPOLL_CTL_ADD && atomic_load(&full)) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll_fd, what, fd, event);
}
