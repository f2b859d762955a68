/*
 * The daemon's side of faults: linked into a daemon of its own, these stand in front of the
 * functions of libc, for its libraries too. What they refuse is what a kernel might: a descriptor
 * that epoll has already is never without room, and only who is woken again while there is
 * something to do is told to wait (libmicrohttpd waits for edges, so its connections get small
 * buffers instead). The allocator's are called by archives in which the names of malloc and kin
 * were replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../faults.h"

void *faulty_malloc(size_t size);
void *faulty_calloc(size_t n, size_t size);
void *faulty_realloc(void *old, size_t size);
void *faulty_reallocarray(void *old, size_t n, size_t size);
char *faulty_strdup(const char *text);

enum { DESCRIPTORS = 65536 };

static struct faults *faults;
static _Atomic bool dialled[DESCRIPTORS];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(FAULTS_VARIABLE);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *table = fd < 0 ? MAP_FAILED
                         : mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (table != MAP_FAILED) {
        faults = table;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static bool is_due(enum fault what)
{
    unsigned every = faults ? atomic_load(&faults->every[what]) : 0;

    if (every == 0 || (atomic_fetch_add(&faults->calls[what], 1) + 1) % every != 0) {
        return false;
    }
    atomic_fetch_add(&faults->met[what], 1);
    return true;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static void note(int fd, bool is_dialled)
{
    if (fd >= 0 && fd < DESCRIPTORS) {
        atomic_store(&dialled[fd], is_dialled);
    }
}

static bool is_dialled(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && atomic_load(&dialled[fd]);
}

/* ---- descriptors ---- */

int socket(int domain, int type, int protocol)
{
    int fd =
        is_due(FAULT_SOCKET) ? refuse(EMFILE) : (int)syscall(SYS_socket, domain, type, protocol);

    note(fd, true);
    return fd;
}

int accept4(int listener, struct sockaddr *from, socklen_t *size, int flags)
{
    const int least = 1;
    int fd = is_due(FAULT_ACCEPT) ? refuse(EMFILE)
                                  : (int)syscall(SYS_accept4, listener, from, size, flags);

    note(fd, false);
    if (fd >= 0 && is_due(FAULT_SMALL)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
    }
    return fd;
}

int close(int fd)
{
    note(fd, false);
    return (int)syscall(SYS_close, fd);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    int result = (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);

    if (op == EPOLL_CTL_ADD && result == 0 && is_due(FAULT_EPOLL)) {
        (void)syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, fd, event);
        result = refuse(ENOSPC);
    }
    return result;
}

/* ---- what goes through them ---- */

/* @return false: nothing, with errno. */
static bool may_pass(int fd, size_t *size, bool writes)
{
    if (!is_dialled(fd) || *size == 0) {
        return true;
    }
    if (is_due(FAULT_AGAIN) || (writes && is_due(FAULT_AGAIN_WRITE))) {
        errno = EAGAIN;
        return false;
    }
    if (is_due(FAULT_SHORT) || (writes && is_due(FAULT_SHORT_WRITE))) {
        *size = (*size + 1) / 2;
    }
    return true;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    return may_pass(fd, &size, true) ? (ssize_t)syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0)
                                     : -1;
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    return may_pass(fd, &size, false)
               ? (ssize_t)syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL)
               : -1;
}

static bool is_watcher(void)
{
    char name[16] = "";

    return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "watcher") == 0;
}

/* OpenSSL's words for the same. */
ssize_t write(int fd, const void *bytes, size_t size)
{
    if (!is_dialled(fd) && is_watcher() && is_due(FAULT_PAUSE)) {
        (void)nanosleep(&(struct timespec){PAUSE_MS / 1000, PAUSE_MS % 1000 * 1000000L}, NULL);
    }
    return may_pass(fd, &size, true) ? (ssize_t)syscall(SYS_write, fd, bytes, size) : -1;
}

ssize_t read(int fd, void *bytes, size_t size)
{
    return may_pass(fd, &size, false) ? (ssize_t)syscall(SYS_read, fd, bytes, size) : -1;
}

/* ---- memory ---- */

static bool has_none(void)
{
    if (is_due(FAULT_MEMORY)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

void *faulty_malloc(size_t size)
{
    return has_none() ? NULL : malloc(size);
}

void *faulty_calloc(size_t n, size_t size)
{
    return has_none() ? NULL : calloc(n, size);
}

void *faulty_realloc(void *old, size_t size)
{
    return has_none() ? NULL : realloc(old, size);
}

void *faulty_reallocarray(void *old, size_t n, size_t size)
{
    return has_none() ? NULL : reallocarray(old, n, size);
}

char *faulty_strdup(const char *text)
{
    return has_none() ? NULL : strdup(text);
}
