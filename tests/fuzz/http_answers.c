/* See http_answers.h. */
#include "http_answers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/server/problem.h"
#include "outside.h"

static void show(const struct client *client)
{
    fprintf(stderr, "---- said:\n%.*s\n---- heard:\n%.*s\n----\n", (int)client->said.size,
            client->said.bytes ? client->said.bytes : "", (int)client->heard.size,
            client->heard.bytes ? client->heard.bytes : "");
}

void client_broken(const struct client *client, const char *what)
{
    show(client);
    outside_broken(what, client->probe ? "probe listener" : "listener");
}

static bool is_ours(unsigned status)
{
    static const unsigned others[] = {100, 200, 204, 304, 503};

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (status == others[i]) {
            return true;
        }
    }
#define X(kind, word, slug, number, title) \
    if (status == (number)) { \
        return true; \
    }
    PROBLEMS(X)
#undef X
    /* libmicrohttpd's own, before a request is ours */
    return status == 411 || status == 414 || status == 431 || status == 501 || status == 505;
}

/* The value of a header, or "". @param head terminated. */
static const char *header(const char *head, const char *name, char out[256])
{
    size_t len = strlen(name);

    out[0] = '\0';
    for (const char *at = strstr(head, "\r\n"); at; at = strstr(at + 2, "\r\n")) {
        if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':') {
            (void)snprintf(out, 256, "%.*s", (int)strcspn(at + 4 + len, "\r"), at + 4 + len);
            break;
        }
    }
    return out;
}

static void hold_head(const struct client *client, const char *head)
{
    for (const char *at = strstr(head, "\r\n") + 2; *at && *at != '\r';
         at = strstr(at, "\r\n") + 2) {
        size_t name = strcspn(at, ":\r\n"), line = strcspn(at, "\r\n");

        if (name == 0 || at[name] != ':' || at[line] != '\r') {
            client_broken(client, "a header that is none");
        }
        for (size_t i = 0; i < line; i++) {
            if ((unsigned char)at[i] < ' ' && at[i] != '\t') {
                client_broken(client, "a control character in a header");
            }
        }
    }
}

static void hold_body(const struct client *client, unsigned status, const char *head,
                      const char *body, size_t size)
{
    char type[256];
    json_t *json;

    if (!strstr(header(head, "content-type", type), "json") || size == 0) {
        return;
    }
    json = json_loadb(body, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json) {
        client_broken(client, "a body that is no JSON");
    }
    if (strstr(type, "problem") &&
        json_integer_value(json_object_get(json, "status")) != (json_int_t)status) {
        client_broken(client, "a problem of another status");
    }
    json_decref(json);
}

/* A chunked body from `at`. @return how much it takes; 0: it is not whole. */
static size_t take_chunks(const struct client *client, const char *bytes, size_t size)
{
    size_t at = 0;

    for (;;) {
        const char *end = memmem(bytes + at, size - at, "\r\n", 2);
        char *behind;
        size_t n;

        if (!end) {
            return 0;
        }
        n = strtoul(bytes + at, &behind, 16);
        if (behind == bytes + at || behind > end) {
            client_broken(client, "a chunk without a size");
        }
        at = (size_t)(end - bytes) + 2;
        if (n + 2 > size - at) {
            return 0;
        }
        if (memcmp(bytes + at + n, "\r\n", 2) != 0) {
            client_broken(client, "a chunk that is longer than its size");
        }
        at += n + 2;
        if (n == 0) {
            return at;
        }
    }
}

/* One answer from `bytes`, which are terminated. @return how much it takes; 0: it is not whole. */
static size_t take_answer(const struct client *client, const char *bytes, size_t size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    char *head, length[256], coding[256];
    size_t at, n = 0;
    unsigned status;
    int behind = 0;

    if (size >= 7 && strncmp(bytes, "HTTP/1.", 7) != 0) {
        client_broken(client, "no HTTP");
    }
    if (!end) {
        return 0;
    }
    at = (size_t)(end - bytes) + 4;
    head = strndup(bytes, at);
    if (!head || sscanf(head, "HTTP/1.%*1[01] %3u %n", &status, &behind) != 1 || behind == 0 ||
        !is_ours(status)) {
        client_broken(client, "a status that is none of ours");
        abort();
    }
    hold_head(client, head);
    header(head, "content-length", length);
    header(head, "transfer-encoding", coding);
    if (length[0] != '\0' && coding[0] != '\0') {
        client_broken(client, "two lengths");
    }
    if (status == 100 || status == 204 || status == 304 ||
        (client->may_head && (size == at || strncmp(bytes + at, "HTTP/1.", 7) == 0))) {
        n = 0;
    } else if (coding[0] != '\0') {
        n = take_chunks(client, bytes + at, size - at);
        at = n == 0 ? 0 : at;
    } else if (length[0] != '\0') {
        n = strtoul(length, NULL, 10);
        if (n > size - at) {
            free(head);
            return 0;
        }
        hold_body(client, status, head, bytes + at, n);
    } else if (client->closed) {
        n = size - at; /* until the end */
    } else {
        at = 0;
    }
    free(head);
    return at + n;
}

void client_hold(struct client *client)
{
    size_t at = 0, n = 1;

    if (getenv("FUZZ_LOG") && client->said.size > 0) {
        show(client);
    }
    buffer_add(&client->heard, "", 1); /* an end for functions that take a text */
    client->heard.size--;
    while (at < client->heard.size && n > 0) {
        n = take_answer(client, client->heard.bytes + at, client->heard.size - at);
        at += n;
    }
    if (at < client->heard.size && client->closed && !client->gone) {
        client_broken(client, "closed in the middle of an answer");
    }
    buffer_release(&client->heard);
    buffer_release(&client->said);
}
