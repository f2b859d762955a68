/* --probe without a network: URLs, and what the bytes of an answer are. */
#include "daemon/probe.h"

#include <criterion/criterion.h>
#include <string.h>

static struct probe_target target;
static char words[PROBE_WORDS_SIZE];

static void takes(const char *url)
{
    cr_assert_eq(probe_read_url(url, &target, words), 0, "%s: %s", url, words);
}

static void refuses(const char *url, const char *why)
{
    words[0] = '\0';
    cr_expect_neq(probe_read_url(url, &target, words), 0, "%s is taken", url);
    cr_expect(strstr(words, why), "%s: %s", url, words);
    cr_expect(strstr(words, "takes http://HOST:PORT/PATH"), "%s", words);
}

Test(probe, urls_of_addresses)
{
    takes("http://127.0.0.1:8380/readyz/master?verbose");
    cr_expect_str_eq(target.address.host, "127.0.0.1");
    cr_expect_eq(target.address.port, 8380);
    cr_expect_str_eq(target.path, "/readyz/master?verbose");
    cr_expect_str_eq(target.socket, "");
    cr_expect_not(target.tls);
    takes("HTTPS://[::1]:8443");
    cr_expect_str_eq(target.address.host, "::1");
    cr_expect_eq(target.address.port, 8443);
    cr_expect_str_eq(target.path, "/readyz", "nothing is asked for, so the default is");
    cr_expect(target.tls);
    takes("http://localhost:1/");
    cr_expect_str_eq(target.address.host, "localhost");
    cr_expect_str_eq(target.path, "/readyz");
}

Test(probe, urls_of_sockets)
{
    takes("unix:/run/bellwether/http.sock:/livez");
    cr_expect_str_eq(target.socket, "/run/bellwether/http.sock");
    cr_expect_str_eq(target.path, "/livez");
    cr_expect_not(target.tls);
    takes("unix:http.sock");
    cr_expect_str_eq(target.socket, "http.sock");
    cr_expect_str_eq(target.path, "/readyz");
    takes("unix:/a:b:/readyz/master?x=:/");
    cr_expect_str_eq(target.socket, "/a:b");
    cr_expect_str_eq(target.path, "/readyz/master?x=:/");
}

Test(probe, bad_urls)
{
    char longer[4096];

    refuses("", "not a URL");
    refuses("127.0.0.1:8380", "not a URL");
    refuses("ftp://127.0.0.1:21/", "not a URL");
    refuses("http:/127.0.0.1:8380/", "not a URL");
    refuses("http://", "host and port");
    refuses("http://127.0.0.1/readyz", "host and port");
    refuses("http://127.0.0.1:0/readyz", "host and port");
    refuses("http://127.0.0.1:65536/readyz", "host and port");
    refuses("http://::1:8380/readyz", "host and port");
    refuses("http://user:word@127.0.0.1:8380/", "host and port");
    refuses("http://127.0.0.1:8380?verbose", "path is missing");
    refuses("http://127.0.0.1:8380/a b", "percent-encoded");
    refuses("http://127.0.0.1:8380/a\r\nX: y", "percent-encoded");
    refuses("http://127.0.0.1:8380/readyz#part", "percent-encoded");
    refuses("http://127.0.0.1:8380/\xc3\xa9", "percent-encoded");
    refuses("unix:", "no socket");
    refuses("unix::/readyz", "no socket");
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer, "unix:/", 6);
    refuses(longer, "socket is shorter");
    memcpy(longer, "http://127.0.0.1:1/", 19);
    refuses(longer, "path is too long");
    memcpy(longer, "http://aaaaaaaaaaaa", 19);
    refuses(longer, "host and port");
}

static struct probe_answer look(const char *bytes)
{
    return probe_look(bytes, strlen(bytes));
}

Test(probe, a_head_is_read_once_it_is_whole)
{
    static const char whole[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
                                "content-length:  12\r\nX: y\r\n\r\nnot ready: x";
    const size_t head = strlen(whole) - 12;

    for (size_t n = 0; n < head; n++) {
        struct probe_answer part = probe_look(whole, n);

        cr_expect_eq(part.status, 0, "after %zu bytes", n);
        cr_expect_null(part.failure, "after %zu bytes", n);
    }
    struct probe_answer answer = probe_look(whole, head);
    cr_expect_eq(answer.status, 503);
    cr_expect_eq(answer.head_size, head);
    cr_expect_eq(answer.body_size, 12);
    cr_expect(answer.plain_text);
    answer = look("HTTP/1.0 200 \n\n");
    cr_expect_eq(answer.status, 200, "bare line feeds, no words");
    cr_expect_eq(answer.body_size, -1);
    answer = look("HTTP/1.1 204 No Content\r\nContent-Length: -5\r\nContent-Lengthy: 7\r\n\r\n");
    cr_expect_eq(answer.status, 204);
    cr_expect_eq(answer.body_size, -1);
    cr_expect_not(answer.plain_text);
}

Test(probe, what_is_no_answer)
{
    static char endless[32768];

    cr_expect(strstr(look("-ERR unknown command\r\n").failure, "not speak HTTP"));
    cr_expect(strstr(look("HTTQ").failure, "not speak HTTP"));
    cr_expect(strstr(look("HTTP/1.1 OK\r\n").failure, "not speak HTTP"));
    cr_expect(strstr(look("HTTP/1.1 20x OK\r\n").failure, "not speak HTTP"));
    cr_expect(strstr(look("HTTP/11 200 OK\r\n").failure, "not speak HTTP"));
    cr_expect(strstr(look("\r\nHTTP/1.1 200 OK\r\n\r\n").failure, "not speak HTTP"));
    cr_expect(strstr(look("\x15\x03\x01").failure, "TLS"));
    memset(endless, 'a', sizeof(endless));
    memcpy(endless, "HTTP/1.1 200 OK\r\nX: ", 20);
    cr_expect_null(probe_look(endless, 16383).failure);
    cr_expect(strstr(probe_look(endless, 16384).failure, "does not end"));
}
