/*
 * A kernel that has no room for one more watch (fs.epoll.max_user_watches), as this program sees
 * it.
 */
#ifndef BELLWETHER_TESTS_UNIT_BASE_FULL_EPOLL_H
#define BELLWETHER_TESTS_UNIT_BASE_FULL_EPOLL_H

#include <stdbool.h>

/** From now on epoll_ctl(EPOLL_CTL_ADD) fails, or does not. Thread: any. */
void full_epoll(bool is);

#endif
