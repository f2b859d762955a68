/*
 * What all files of a connection stand on: its state, its memory while callbacks run, its timer,
 * and its last words.
 */
#include "conn_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"

void conn_move(struct redis_conn *conn, enum conn_state state)
{
    if (conn->state == CONN_FREED) {
        return;
    }
    conn->state = state;
    conn->session += state == CONN_CLOSED || state == CONN_LOOKUP || state == CONN_CONNECT;
}

void conn_lost(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    conn->reports->lost(conn, why, words);
}

void conn_enter(struct redis_conn *conn)
{
    conn->depth++;
}

void conn_leave(struct redis_conn *conn)
{
    if (--conn->depth > 0 || conn->state != CONN_FREED) {
        return;
    }
    budget_free(conn->commands);
    free(conn->found);
    free(conn->tls_host);
    free(conn);
}

void conn_arm(struct redis_conn *conn, int64_t at_ms)
{
    conn->timer_ms = at_ms;
    loop_timer_start(conn->timer, at_ms - clock_boot_ms());
}

void conn_disarm(struct redis_conn *conn)
{
    conn->timer_ms = 0;
    if (conn->timer) {
        loop_timer_stop(conn->timer);
    }
}

const char *conn_say(struct redis_conn *conn, const char *format, ...)
{
    char text[CONN_WORDS_SIZE]; /* arguments may point into conn->words */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    memcpy(conn->words, text, sizeof(conn->words));
    return conn->words;
}
