/*
 * Requests through libcurl: one connection each, so that no test depends on what another left
 * behind.
 */
#include "http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* Longer ones are no matter of form. */
#define RECORDED_BYTES ((size_t)1 << 20)

static void drop_json(void *value)
{
    json_decref(value);
}

static size_t take_body(char *bytes, size_t one, size_t n, void *data)
{
    struct http_answer *answer = data;

    (void)one;
    const size_t needed = answer->body_len + n + 1;
    if (needed > answer->body_room) {
        size_t room = 1024;

        while (room < needed) {
            room *= 2;
        }
        char *longer = scene_alloc(room);
        if (answer->body_len > 0) {
            memcpy(longer, answer->body, answer->body_len);
        }
        answer->body = longer;
        answer->body_room = room;
    }
    memcpy(answer->body + answer->body_len, bytes, n);
    answer->body_len += n;
    answer->body[answer->body_len] = '\0';
    return n;
}

static size_t take_header(char *bytes, size_t one, size_t n, void *data)
{
    struct http_answer *answer = data;

    (void)one;
    char *line = text("%.*s", (int)n, bytes);
    char *colon = strchr(line, ':');
    if (!colon) {
        return n;
    }
    *colon = '\0';
    for (char *c = line; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    (void)json_object_set_new(answer->headers, line,
                              json_stringn_nocheck(value, strcspn(value, "\r\n")));
    return n;
}

struct http_answer *http_answer_new(void)
{
    struct http_answer *answer = scene_alloc(sizeof(*answer));

    answer->headers = scene_keep(json_object(), drop_json);
    answer->body = text("%s", "");
    answer->problem = "no answer";
    return answer;
}

static void answer_finish(struct http_answer *answer)
{
    answer->answered_ms = now_ms();
    if (answer->status == 0) {
        return;
    }
    answer->problem = NULL;
    if (strstr(http_header(answer, "content-type"), "json")) {
        answer->json = json_loadb(answer->body, answer->body_len, 0, NULL);
    }
    if (answer->json) {
        (void)scene_keep(answer->json, drop_json);
    }
}

/* What libmicrohttpd answers by itself has none of our headers, and is not in openapi.yaml. */
bool http_answer_from_the_library(const struct http_answer *answer)
{
    return *http_header(answer, "content-type") == '\0' &&
           *http_header(answer, "cache-control") == '\0' &&
           *http_header(answer, "x-content-type-options") == '\0';
}

/* ---- TLS ---- */

static struct {
    uint16_t port;
    const char *folder;
} secured[16];

void http_secure(uint16_t port, const char *folder)
{
    size_t i = 0;

    while (secured[i].port != 0 && secured[i].port != port) {
        i++;
        cr_assert(i < sizeof(secured) / sizeof(*secured));
    }
    secured[i].port = port;
    secured[i].folder = folder;
}

const char *http_secured(uint16_t port)
{
    for (size_t i = 0; i < sizeof(secured) / sizeof(*secured); i++) {
        if (secured[i].port == port) {
            return secured[i].folder;
        }
    }
    return NULL;
}

static void trust(CURL *curl, const struct http_request *request)
{
    const char *colon = strrchr(request->base, ':');
    const char *folder = http_secured((uint16_t)strtoul(colon + 1, NULL, 10));

    if (folder) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, text("%s/ca.crt", folder));
    }
    if (request->cert) {
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, request->cert);
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, request->key);
    }
}

struct http_answer *http_send(const struct http_request *request)
{
    struct http_answer *answer = http_answer_new();
    const char *method = !request->method ? "GET" : request->method;
    struct curl_slist *headers = NULL;

    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        headers = curl_slist_append(headers, request->headers[i]);
    }
    CURL *curl = curl_easy_init();
    cr_assert(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, text("%s%s", request->base, request->path));
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                           (long)patient(request->bound_ms == 0 ? 5000 : request->bound_ms));
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    trust(curl, request);
    if (request->unix_socket) {
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    }
    if (strcmp(method, "HEAD") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    if (request->body) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->body_len);
    }
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST,
                           strcmp(method, "HEAD") == 0 ? NULL : method);
    answer->asked_ms = now_ms();
    const CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    if (code != CURLE_OK) {
        answer->status = 0;
    }
    answer_finish(answer);
    if (code != CURLE_OK) {
        answer->problem = text("%s", curl_easy_strerror(code));
    } else if (!request->unrecorded && answer->body_len <= RECORDED_BYTES) {
        scene_record(method, request->path, answer->status, answer->headers, answer->body,
                     answer->body_len, http_answer_from_the_library(answer));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return answer;
}

const char *http_header(const struct http_answer *answer, const char *name)
{
    const char *value = json_string_value(json_object_get(answer->headers, name));

    return !value ? "" : value;
}

json_t *http_value(const struct http_answer *answer, const char *path)
{
    json_t *value = answer->json;
    char *copy = text("%s", path);

    for (char *save = NULL, *at = strtok_r(copy, ".", &save); value && at;
         at = strtok_r(NULL, ".", &save)) {
        value = json_is_array(value) ? json_array_get(value, strtoul(at, NULL, 10))
                                     : json_object_get(value, at);
    }
    return value;
}

const char *http_string(const struct http_answer *answer, const char *path)
{
    const char *value = json_string_value(http_value(answer, path));

    return !value ? "" : value;
}

long long http_number(const struct http_answer *answer, const char *path)
{
    return json_integer_value(http_value(answer, path));
}

bool http_true(const struct http_answer *answer, const char *path)
{
    return json_is_true(http_value(answer, path));
}

const char *http_text(const struct http_answer *answer)
{
    return answer->status == 0 ? answer->problem : text("%ld %s", answer->status, answer->body);
}

/* An answer out of raw bytes, or NULL while it is not whole. */
struct http_answer *http_answer_parse(const char *bytes, size_t n, bool ended)
{
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);

    if (!end) {
        return NULL;
    }
    struct http_answer *answer = http_answer_new();
    answer->status = strtol(bytes + strcspn(bytes, " "), NULL, 10);
    char *head = text("%.*s", (int)(end - bytes), bytes);
    for (char *save = NULL, *line = strtok_r(head, "\r\n", &save); line;
         line = strtok_r(NULL, "\r\n", &save)) {
        (void)take_header(line, 1, strlen(line), answer);
    }
    const char *length = http_header(answer, "content-length");
    const size_t there = n - (size_t)(end + 4 - bytes);
    const size_t wanted = *length == '\0' ? there : strtoul(length, NULL, 10);
    if ((*length == '\0' && !ended && answer->status != 204 && answer->status != 304) ||
        there < wanted) {
        return NULL;
    }
    (void)take_body((char *)(uintptr_t)(end + 4), 1, wanted, answer);
    answer_finish(answer);
    return answer;
}
