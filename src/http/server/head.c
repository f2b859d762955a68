/*
 * The rules are libmicrohttpd's at the discipline level that listener.c asks for, and no others:
 * whatever it takes has to pass. It answers by itself what it does not like, without asking
 * anybody, so this looks first.
 */
#include "head.h"

#include <string.h>
#include <strings.h>

#define LENGTH_MOST "18446744073709551614"

static bool refuse(struct head *head, enum problem_kind kind, const char *words)
{
    head->kind = kind;
    head->fault = words;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t count_parameters(const char *target, size_t n)
{
    const char *at = memchr(target, '?', n), *end = target + n;
    size_t count = 0;

    while (at && at + 1 < end) {
        count++;
        at = memchr(at + 1, '&', (size_t)(end - at) - 1);
    }
    return count;
}

static bool read_request_line(struct head *head, const char *line, size_t n)
{
    const char *first = memchr(line, ' ', n), *last = memrchr(line, ' ', n), *version;

    if (!first || first == line || first == last ||
        memchr(first + 1, ' ', (size_t)(last - first) - 1) || memchr(line, '\v', n) ||
        memchr(line, '\f', n)) {
        return refuse(head, PROBLEM_BAD_REQUEST, "the request line is not METHOD TARGET HTTP/1.1");
    }
    version = last + 1;
    if (line + n - version != 8 || memcmp(version, "HTTP/", 5) != 0 || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7])) {
        return refuse(head, PROBLEM_BAD_REQUEST, "the request line does not end in HTTP/1.1");
    }
    if (version[5] != '1') {
        return refuse(head, PROBLEM_HTTP_VERSION, "HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    head->old = version[7] == '0';
    head->cost += HEAD_ENTRY_BYTES * count_parameters(first + 1, (size_t)(last - first) - 1);
    return true;
}

/* Digits only, and no more than libmicrohttpd counts to. */
static bool is_length(const char *value, size_t n)
{
    size_t zeros = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_digit(value[i])) {
            return false;
        }
        zeros += zeros == i && value[i] == '0';
    }
    return n > 0 && (n - zeros < sizeof(LENGTH_MOST) - 1 ||
                     (n - zeros == sizeof(LENGTH_MOST) - 1 &&
                      memcmp(value + zeros, LENGTH_MOST, n - zeros) <= 0));
}

static bool read_coding(struct head *head, const char *value, size_t n)
{
    if (head->old) {
        return refuse(head, PROBLEM_BAD_REQUEST, "Transfer-Encoding is none of HTTP/1.0");
    }
    if (head->has_coding) {
        return refuse(head, PROBLEM_BAD_REQUEST, "Transfer-Encoding is there twice");
    }
    if (n != 7 || strncasecmp(value, "chunked", 7) != 0) {
        return refuse(head, PROBLEM_UNKNOWN_CODING,
                      "the only Transfer-Encoding that is known is chunked");
    }
    head->has_coding = true;
    return true;
}

static bool read_field(struct head *head, const char *line, size_t n)
{
    size_t name = 0, from;

    if (*line == ' ' || *line == '\t') {
        return refuse(head, PROBLEM_BAD_REQUEST, "a line of the headers begins with a blank");
    }
    while (name < n && is_token(line[name])) {
        name++;
    }
    if (name == 0 || name == n || line[name] != ':') {
        return refuse(head, PROBLEM_BAD_REQUEST, "a header is not NAME: VALUE");
    }
    for (from = name + 1; from < n && (line[from] == ' ' || line[from] == '\t'); from++) {
    }
    while (n > from && (line[n - 1] == ' ' || line[n - 1] == '\t')) {
        n--;
    }
    head->cost += HEAD_ENTRY_BYTES;
    if (name == 4 && strncasecmp(line, "Host", 4) == 0) {
        if (head->has_host) {
            return refuse(head, PROBLEM_BAD_REQUEST, "Host is there twice");
        }
        head->has_host = true;
    } else if (name == 14 && strncasecmp(line, "Content-Length", 14) == 0) {
        if (head->has_length || !is_length(line + from, n - from)) {
            return refuse(head, PROBLEM_BAD_REQUEST, "Content-Length is not one number");
        }
        head->has_length = true;
    } else if (name == 17 && strncasecmp(line, "Transfer-Encoding", 17) == 0 &&
               !read_coding(head, line + from, n - from)) {
        return false;
    }
    return !(head->has_length && head->has_coding) ||
           refuse(head, PROBLEM_BAD_REQUEST,
                  "Content-Length and Transfer-Encoding contradict each other");
}

void head_overflow(struct head *head)
{
    if (head->lines == 0) {
        refuse(head, PROBLEM_TARGET_TOO_LONG,
               "a request's line and headers may have 8 KB together");
    } else {
        refuse(head, PROBLEM_HEAD_TOO_LARGE, HEAD_TOO_LARGE);
    }
}

bool head_add(struct head *head, const char *line, size_t n)
{
    bool fine;

    if (n == 0 || line[n - 1] != '\r' || memchr(line, '\r', n - 1) || memchr(line, '\0', n)) {
        return refuse(head, PROBLEM_BAD_REQUEST,
                      "a line of the head does not end in CRLF, or has a CR or a NUL inside");
    }
    head->cost += n + 1;
    fine = head->lines == 0 ? read_request_line(head, line, n - 1) : read_field(head, line, n - 1);
    if (fine && head->cost + 2 > HEAD_MOST_BYTES) {
        head_overflow(head);
        return false;
    }
    head->lines++;
    return fine;
}

bool head_end(struct head *head)
{
    head->cost += 2;
    return head->has_host || head->old ||
           refuse(head, PROBLEM_BAD_REQUEST, "HTTP/1.1 needs a Host");
}
