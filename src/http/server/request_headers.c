/* The one place that goes over the headers of a request. */
#include "request_headers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "access.h"
#include "bellwether/base/utf8.h"

#define NAMED(wanted) \
    (name_len == sizeof(wanted) - 1 && strncasecmp(name, wanted, sizeof(wanted) - 1) == 0)

/* Of a header that is there twice the first one counts. */
static void keep(const char **slot, const char *value)
{
    *slot = *slot ? *slot : value;
}

/* Where proxies and servers would differ on which of two it is, it is neither. */
static void keep_only(struct request_headers *headers, const char **slot, const char *name,
                      const char *value)
{
    headers->twice = *slot ? name : headers->twice;
    keep(slot, value);
}

static enum MHD_Result read_one(void *data, enum MHD_ValueKind kind, const char *name,
                                size_t name_len, const char *value, size_t value_len)
{
    struct request_headers *headers = data;

    if (kind == MHD_GET_ARGUMENT_KIND) {
        headers->has_query = headers->special = true;
    } else if (!value) {
        return MHD_YES;
    } else if ((name_len == 4 && memcmp(name, "Host", 4) == 0) || NAMED("Host")) {
        /* mostly spelled so */
        keep_only(headers, &headers->host, "Host", value);
    } else if (NAMED("Accept")) {
        if (value_len != 3 || memcmp(value, "*/*", 3) != 0) {
            accept_add(&headers->accept, value, value_len);
            headers->special = true;
        }
    } else if (NAMED("Authorization")) {
        keep_only(headers, &headers->authorization, "Authorization", value);
    } else if (NAMED("Content-Length")) {
        keep(&headers->content_length, value);
    } else if (NAMED("Origin")) {
        keep_only(headers, &headers->origin, "Origin", value);
    } else if (NAMED("If-None-Match")) {
        headers->if_none_match = value;
        headers->special = true;
    } else if (NAMED("Prefer") && headers->prefer_wait_ms == 0) {
        headers->prefer_wait_ms = prefer_wait_ms(value, value_len);
    } else if (NAMED("Upstash-Encoding")) {
        keep_only(headers, &headers->encoding, "Upstash-Encoding", value);
    } else if (NAMED("Upstash-Response-Format")) {
        keep_only(headers, &headers->response_format, "Upstash-Response-Format", value);
    } else if (NAMED("Upstash-Sync-Token")) {
        keep(&headers->sync_token, value);
    } else if (NAMED("Sec-Fetch-Site")) {
        keep_only(headers, &headers->fetch_site, "Sec-Fetch-Site", value);
    } else if (NAMED("Expect")) {
        headers->expects = true;
    }
    return MHD_YES;
}

/* @return the authority that is none of ours; NULL: it is one. */
static const char *foreign_host(struct listener *listener, const char *host, const char *url)
{
    const struct http_config *config = listener->worker->config;
    const char *authority;

    if (!listener->loopback) {
        return NULL;
    }
    authority = *url == '/' ? NULL : strstr(url, "://");
    if (authority) {
        authority += 3;
        return access_is_own_host(authority, strcspn(authority, "/?"), config) ? NULL : authority;
    }
    if (!host || !*host || strcmp(host, listener->usual_host) == 0) { /* HTTP/1.0 needs none */
        return NULL;
    }
    if (!access_is_own_host(host, strlen(host), config)) {
        return host;
    }
    if (strlen(host) < sizeof(listener->usual_host)) {
        memcpy(listener->usual_host, host, strlen(host) + 1);
    }
    return NULL;
}

void request_headers_say_foreign(const char *foreign, char out[QUERY_ERROR_SIZE])
{
    char shown[QUERY_SHOWN_SIZE];

    utf8_copy(foreign, strcspn(foreign, "/?"), shown, sizeof(shown));
    snprintf(out, QUERY_ERROR_SIZE,
             "Host is \"%s\": neither an IP address nor localhost nor one of option allow-host, "
             "as a browser's would be that was led here by a name",
             shown);
}

void request_headers_read(struct request_headers *out, struct listener *listener,
                          struct MHD_Connection *connection, const char *url)
{
    *out = (struct request_headers){.accept = ACCEPT_NOTHING};
    out->n = (size_t)MHD_get_connection_values_n(
        connection, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, read_one, out);
    out->foreign = foreign_host(listener, out->host, url);
}
