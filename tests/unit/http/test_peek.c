/* The first bytes of a connection: whose it is, and whether it will wait. */
#include <criterion/criterion.h>
#include <string.h>

#include "http/server/client_places.h"
#include "http/server/peek.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct peek look(const char *text)
{
    return peek_at(text, strlen(text));
}

Test(http_peek, heads)
{
    struct peek peek = look("GET /master HTTP/1.1\r\nHost: x\r\n\r\n");

    cr_expect_eq(peek.kind, PEEK_REQUEST);
    cr_expect_eq(peek.head_size, strlen("GET /master HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_expect_not(peek.waits);
    cr_expect_not(peek.live);
    peek = look("POST /redis HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n[\"PING\"]");
    cr_expect_eq(peek.kind, PEEK_REQUEST);
    cr_expect_eq(peek.head_size,
                 strlen("POST /redis HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n"));
    cr_expect(look("GET /livez HTTP/1.0\r\n\r\n").live);
    cr_expect(look("HEAD /healthz?x=1 HTTP/1.0\r\n\r\n").live);
    cr_expect(look("HEAD /healthz HTTP/1.0\r\n\r\n").head);
    cr_expect_not(look("GET /livezz HTTP/1.0\r\n\r\n").live);
}

/* Every beginning of a request is waited for. */
Test(http_peek, beginnings)
{
    static const char *const whole[] = {
        "GET /master?wait=1s HTTP/1.1\r\nHost: x\r\nPrefer: wait=3\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\n", "PROPFIND / HTTP/1.0\r\n\r\n", "PRIVATE / HTTP/1.0\r\n\r\n"};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        for (size_t n = 1; n < strlen(whole[i]); n++) {
            cr_expect_eq(peek_at(whole[i], n).kind, PEEK_MORE, "%zu of %s", n, whole[i]);
        }
        cr_expect_eq(look(whole[i]).kind, PEEK_REQUEST, "%s", whole[i]);
    }
}

Test(http_peek, what_is_said_at_once)
{
    static const char *const odd[] = {"nonsense\r\n", "GET /\r\n", "GET / HTTP/1.1\n",
                                      "\n",           " \r\n",     "GET / HTTP/1.1\r\nHost: x\n"};
    char large[PEEK_SIZE];

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        cr_expect_eq(look(odd[i]).kind, PEEK_FAULTY, "%zu", i);
        cr_expect_eq(look(odd[i]).why, PROBLEM_BAD_REQUEST, "%zu", i);
    }
    cr_expect_eq(look("GET / HTTP/2.0\r\n").why, PROBLEM_HTTP_VERSION);
    cr_expect_eq(look("\r\n\r\n\r\nGET / HTTP/1.1\r\n").kind, PEEK_FAULTY,
                 "libmicrohttpd would hang up without a word");
    memset(large, 'x', sizeof(large));
    cr_expect_eq(peek_at(large, sizeof(large) - 1).kind, PEEK_MORE);
    cr_expect_eq(peek_at(large, sizeof(large)).kind, PEEK_FAULTY);
    cr_expect_eq(peek_at(large, sizeof(large)).why, PROBLEM_TARGET_TOO_LONG);
    memcpy(large, "GET / HTTP/1.1\r\n", 16);
    cr_expect_eq(peek_at(large, sizeof(large) - 1).kind, PEEK_MORE);
    cr_expect_eq(peek_at(large, sizeof(large)).why, PROBLEM_HEAD_TOO_LARGE);
}

/*
 * 64 bytes for each header and each parameter, and all of it 8 KiB: as much as libmicrohttpd has.
 */
Test(http_peek, what_a_head_costs)
{
    char text[PEEK_SIZE * 2] = "GET /?a&b&c HTTP/1.1\r\nHost: x\r\n", end[] = "\r\n";
    struct peek peek;
    size_t len = strlen(text);

    cr_expect_eq(look("GET /?a&b&c HTTP/1.1\r\nHost: x\r\n\r\n").cost, len + 2 + 4 * 64);
    cr_expect_eq(look("GET /?a& HTTP/1.1\r\nHost: x\r\n\r\n").cost, len + 2 - 3 + 2 * 64);
    strcpy(text + len, end);
    while ((peek = look(text)).cost + 6 + 64 <= HEAD_MOST_BYTES) {
        strcpy(text + len, "A: b\r\n\r\n");
        len += 6;
    }
    cr_expect_eq(peek.kind, PEEK_REQUEST);
    memcpy(text + len, "A: b\r\n", 7);
    peek = look(text);
    cr_expect_eq(peek.kind, PEEK_FAULTY, "its end need not come");
    cr_expect_eq(peek.why, PROBLEM_HEAD_TOO_LARGE);
}

Test(http_peek, who_likes_text)
{
    static const struct {
        const char *head;
        bool text;
    } heads[] = {
        {"GET /master HTTP/1.1\r\n", false},
        {"GET /master HTTP/1.1\r\nAccept: text/plain\r\n", true},
        {"GET /master HTTP/1.1\r\naccept:text/plain;q=0.5, application/json\r\n", false},
        {"GET /master HTTP/1.1\r\nAccept: text/plain", false}, /* it may go on */
        {"GET /master?format=text HTTP/1.1\r\n", true},
        {"GET /master?pretty=1&format=url HTTP/1.1\r\n", true},
        {"GET /master?format=text&format=json HTTP/1.1\r\n", false},
        {"GET /master?format=json HTTP/1.1\r\nAccept: text/plain\r\n", false},
        {"GET /master HTTP/1.1\r\nno colon\r\nAccept: text/plain\r\n", true},
        {"POST /redis HTTP/1.1\r\nAccept: text/plain\r\n", false},
        {"POST /redis HTTP/2.0\r\nAccept: text/plain\r\n", false},
        {"nonsense\r\nAccept: text/plain\r\n", true},
        {"GET /masters/a/redis/get/k?format=text HTTP/1.1\r\n", false},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        cr_expect_eq(look(heads[i].head).text, heads[i].text, "%s", heads[i].head);
    }
}

Test(http_peek, empty_lines_are_dropped)
{
    struct peek peek = look("\r\nGET /events HTTP/1.1\r\nHost: x\r\n\r\n");

    cr_expect_eq(peek.kind, PEEK_REQUEST);
    cr_expect_eq(peek.empty, 2);
    cr_expect(peek.waits);
    cr_expect_eq(look("\r\n").kind, PEEK_MORE);
    peek = look("\r\n\r\nGET / HTTP/1.1\r\n");
    cr_expect_eq(peek.kind, PEEK_MORE);
    cr_expect_eq(peek.empty, 4);
    cr_expect_eq(look("\r\n\r\nGET / HTTP/1.1\r\n\r\n").kind, PEEK_FAULTY, "it has no Host");
    cr_expect_eq(look("\r\n\r\n\r").kind, PEEK_MORE);
    cr_expect_eq(look("GET / HTTP/1.0\r\n\r\n").empty, 0);
}

Test(http_peek, who_waits)
{
    static const struct {
        const char *head;
        bool waits;
    } heads[] = {
        {"GET /events HTTP/1.0\r\n\r\n", true},
        {"GET /events?master=a HTTP/1.1\r\n\r\n", true},
        {"HEAD /events HTTP/1.1\r\n\r\n", false},
        {"GET /events/x HTTP/1.1\r\n\r\n", false},
        {"POST /redis/subscribe/c HTTP/1.1\r\n\r\n", true},
        {"GET /masters/m/redis/psubscribe/c* HTTP/1.1\r\n\r\n", true},
        {"GET /redis/get/c HTTP/1.1\r\n\r\n", false},
        {"GET /master?wait=30s HTTP/1.1\r\n\r\n", true},
        {"GET /masters/a?index=3&wait=30s HTTP/1.1\r\n\r\n", true},
        {"GET /master?wait=0 HTTP/1.1\r\n\r\n", false},
        {"GET /master?wait= HTTP/1.1\r\n\r\n", false},
        {"GET /master?await=3 HTTP/1.1\r\n\r\n", false},
        {"GET /master HTTP/1.1\r\nIf-None-Match: \"x\"\r\nprefer: respond-async, wait=30\r\n\r\n",
         true},
        {"GET /master HTTP/1.1\r\nPrefer: respond-async\r\n\r\n", false},
        {"GET /master HTTP/1.1\r\nX: wait=30\r\n\r\n", false},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        cr_expect_eq(look(heads[i].head).waits, heads[i].waits, "%s", heads[i].head);
    }
}

Test(http_peek, other_protocols)
{
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc";

    cr_expect_eq(look("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n").kind,
                 PEEK_PROXY);
    cr_expect_eq(peek_at(v2, sizeof(v2) - 1).kind, PEEK_PROXY);
    cr_expect_eq(peek_at(v2, 7).kind, PEEK_MORE);
    cr_expect_eq(peek_at(hello, sizeof(hello) - 1).kind, PEEK_TLS);
    cr_expect_eq(peek_at(hello, 3).kind, PEEK_MORE);
    cr_expect_eq(look("\x16\x03\x01\n").kind, PEEK_MORE, "a length, not the end of a line");
    cr_expect_eq(look("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").kind, PEEK_HTTP2);
}

/* ---- shares ---- */

static struct client_key key_of(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        return client_key_of((struct sockaddr *)&in);
    }
    cr_assert_eq(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return client_key_of((struct sockaddr *)&in6);
}

Test(http_clients, one_may_hold_so_many)
{
    struct clients *clients = clients_new(&(struct client_limits){.all = 2});
    struct client_key a = key_of("10.0.0.1"), b = key_of("10.0.0.2"), six = key_of("2001:db8::1"),
                      near = key_of("2001:db8::2"), far = key_of("2001:db8:0:1::1"), nobody = {{0}};

    cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect(clients_enter(clients, &a, CLIENT_WAITING));
    cr_expect_not(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect_not(clients_enter(clients, &a, CLIENT_WAITING));
    cr_expect(clients_enter(clients, &b, CLIENT_ORDINARY), "others are not meant");
    clients_leave(clients, &a, CLIENT_WAITING);
    cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect(clients_enter(clients, &six, CLIENT_ORDINARY));
    cr_expect(clients_enter(clients, &near, CLIENT_ORDINARY));
    cr_expect_not(clients_enter(clients, &six, CLIENT_ORDINARY), "a /64 is one client");
    cr_expect(clients_enter(clients, &far, CLIENT_ORDINARY));
    for (int i = 0; i < 10; i++) {
        cr_expect(clients_enter(clients, &nobody, CLIENT_ORDINARY), "who is nobody has no share");
    }
    clients_free(clients);
}

Test(http_clients, each_kind_has_its_own_limit)
{
    struct clients *clients = clients_new(&(struct client_limits){.each = {2, 1}});
    struct client_key a = key_of("10.0.0.1");

    cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect(clients_enter(clients, &a, CLIENT_WAITING));
    cr_expect_not(clients_enter(clients, &a, CLIENT_ORDINARY));
    cr_expect_not(clients_enter(clients, &a, CLIENT_WAITING));
    clients_move(clients, &a, CLIENT_ORDINARY, CLIENT_WAITING);
    cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY));
    clients_free(clients);
    clients = clients_new(&(struct client_limits){0});
    for (int i = 0; i < 100; i++) {
        cr_expect(clients_enter(clients, &a, CLIENT_ORDINARY), "no limit");
    }
    clients_free(clients);
}

/* A first record of a ClientHello, as OpenSSL begins it: the versions are of record and hello. */
static size_t make_hello(char *out, unsigned char record, unsigned char hello, size_t size)
{
    const unsigned char head[] = {22,   3, record, (unsigned char)(size >> 8), (unsigned char)size,
                                  1,    0, 0,      (unsigned char)(size - 4),  3,
                                  hello};

    memset(out, 'x', size + 5);
    memcpy(out, head, sizeof(head));
    return size + 5;
}

Test(http_peek, where_tls_is_spoken)
{
    char hello[PEEK_SIZE + 64];
    size_t size = make_hello(hello, 1, 3, 200);

    for (size_t n = 1; n < size; n++) {
        cr_expect_eq(peek_at_tls(hello, n).kind, PEEK_MORE, "%zu", n);
    }
    cr_expect_eq(peek_at_tls(hello, size).kind, PEEK_TLS);
    cr_expect_eq(peek_at_tls(hello, size + 9).kind, PEEK_TLS, "more may follow it");
    make_hello(hello, 3, 3, PEEK_SIZE + 32);
    cr_expect_eq(peek_at_tls(hello, PEEK_SIZE - 1).kind, PEEK_MORE);
    cr_expect_eq(peek_at_tls(hello, PEEK_SIZE).kind, PEEK_TLS, "GnuTLS reads the rest");
    for (unsigned char version = 0; version < 3; version++) {
        make_hello(hello, 1, version, 200);
        cr_expect_eq(peek_at_tls(hello, 10).kind, PEEK_MORE);
        cr_expect_eq(peek_at_tls(hello, 11).kind, PEEK_OLD_TLS, "1.%d", version - 1);
    }
}

Test(http_peek, what_is_no_tls)
{
    static const char *const plain[] = {
        "G",    "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n",
        "\x80", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",       "\x17\x03\x03"};

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        cr_expect_eq(peek_at_tls(plain[i], strlen(plain[i])).kind, PEEK_PLAIN, "%zu", i);
    }
    cr_expect(peek_at_tls("HEAD / HTTP/1.1\r\n\r\n", 19).head);
    cr_expect(peek_at_tls("GET / HTTP/1.0\r\nAccept: text/plain\r\n\r\n", 38).text);
    cr_expect_eq(peek_at_tls("PROXY TCP4 1.2.3.4", 18).kind, PEEK_PROXY);
}
