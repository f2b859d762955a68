/*
 * What the kernel and the allocator refuse, on order: a daemon that was linked with
 * tests/support/faults/inject.c shares a table with the test, which says how often each call is to
 * fail, and sees how often it did.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_FAULTS_H
#define BELLWETHER_TESTS_SUPPORT_FAULTS_H

#include <stdatomic.h>

enum fault {
    FAULT_ACCEPT, /* accept4: EMFILE */
    FAULT_SOCKET, /* socket: EMFILE */
    FAULT_EPOLL,  /* epoll_ctl, a descriptor that is not there yet: ENOSPC */
    /* the buffers of an accepted connection are as small as the kernel makes them: short writes */
    FAULT_SMALL,
    FAULT_SHORT, /* half of what is read from or written to a connection that was dialled */
    FAULT_AGAIN, /* none of it: EAGAIN */
    /*
     * The same of writes only. Who is told of changes (loop_poll_by_change) takes a read that was
     * not filled for all that is there, as the kernel has it.
     */
    FAULT_SHORT_WRITE,
    FAULT_AGAIN_WRITE,
    FAULT_PAUSE,  /* the watcher stands still for PAUSE_MS where it wakes another thread */
    FAULT_MEMORY, /* malloc and kin of the daemon, libmicrohttpd and hiredis: NULL */
    FAULTS_COUNT
};

enum { PAUSE_MS = 1500 };

#define FAULTS_VARIABLE "FAULTS_TABLE" /* names its file */

struct faults {
    _Atomic unsigned every[FAULTS_COUNT]; /* each so manieth fails; 0: none */
    _Atomic unsigned calls[FAULTS_COUNT], met[FAULTS_COUNT];
};

/* ---- the test's side ---- */

/** A table in which nothing fails yet. Kept until the test ends. */
struct faults *faults_new(void);
/** The variable that gives it to a daemon. */
const char *faults_variable(void);
/** The daemon of the build under test that has faults: daemon_spec.binary. */
const char *faults_binary(void);
/** None from now on. */
void faults_end(struct faults *faults);

#endif
