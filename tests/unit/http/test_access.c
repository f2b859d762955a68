/* Who may run commands: token files that change, and the loopback checks. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "http/server/access.h"

static char folder[] = "/tmp/bellwether-access-XXXXXX";
static char path[64];
static char error[512];
static const char *words;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/token", folder);
}

static void tear_down(void)
{
    unlink(path);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(access, .init = set_up, .fini = tear_down, .timeout = 20);

static void write_tokens(const char *text)
{
    char next[80];

    /* another inode: no two versions look the same */
    snprintf(next, sizeof(next), "%s.next", path);
    FILE *file = fopen(next, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    fclose(file);
    cr_assert_eq(rename(next, path), 0);
}

static struct secret *fixed(const char *value)
{
    return secret_new(NULL, value, error, sizeof(error));
}

static struct access *make(enum redis_api api, struct secret *tokens, struct secret *read_only)
{
    const struct access_config config = {
        .api = api, .tokens = tokens, .read_only_tokens = read_only};
    struct access *access = access_new(&config, error, sizeof(error));

    cr_assert_not_null(access, "%s", error);
    secret_free(tokens); /* it has copies */
    secret_free(read_only);
    return access;
}

static enum access_verdict ask(struct access *access, const char *authorization)
{
    const struct access_headers headers = {.authorization = authorization, .host = "evil.example"};

    words = NULL;
    enum access_verdict verdict = access_check(access, &headers, &words);
    cr_expect_eq(!words, verdict == ACCESS_FULL || verdict == ACCESS_READ_ONLY);
    return verdict;
}

Test(access, lists_of_tokens)
{
    cr_expect_null(access_tokens_wrong("a"));
    cr_expect_null(access_tokens_wrong("a\n"));
    cr_expect_null(access_tokens_wrong("\r\na\r\n\r\nb\r\n"));
    cr_expect_null(access_tokens_wrong("~!#$%^&*()_+=/\\\"'"));
    cr_expect_str_eq(access_tokens_wrong(""), "holds no token");
    cr_expect_str_eq(access_tokens_wrong("\n\r\n\n"), "holds no token");
    cr_expect_str_eq(access_tokens_wrong("a\nb\nc"), "holds more than two tokens");
    cr_expect_not_null(strstr(access_tokens_wrong("a b"), "blank"));
    cr_expect_not_null(strstr(access_tokens_wrong("a\n\tb"), "blank"));
    cr_expect_not_null(strstr(access_tokens_wrong("caf\xc3\xa9"), "blank"));
    cr_expect_not_null(strstr(access_tokens_wrong("a\x7f"), "blank"));
}

Test(access, tokens)
{
    struct access *access = make(REDIS_API_TOKEN, fixed("new\nold"), fixed("look"));

    cr_expect_eq(ask(access, "Bearer new"), ACCESS_FULL);
    cr_expect_eq(ask(access, "Bearer old"), ACCESS_FULL);
    cr_expect_eq(ask(access, "bEARER \t old \t"), ACCESS_FULL);
    cr_expect_eq(ask(access, "Bearer look"), ACCESS_READ_ONLY);
    cr_expect_eq(ask(access, NULL), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, ""), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "Bearer"), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "Bearer "), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "Bearernew"), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "Basic new"), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "new"), ACCESS_NO_TOKEN);
    cr_expect_eq(ask(access, "Bearer ne"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, "Bearer neww"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, "Bearer NEW"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, "Bearer new old"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, "Bearer new,Bearer old"), ACCESS_WRONG_TOKEN);
    cr_expect_null(strstr(words, "old"));
    access_free(access);
    access_free(NULL);
}

Test(access, a_token_of_both_lists_is_read_only)
{
    struct access *access = make(REDIS_API_TOKEN, fixed("a\nb"), fixed("b"));

    cr_expect_eq(ask(access, "Bearer a"), ACCESS_FULL);
    cr_expect_eq(ask(access, "Bearer b"), ACCESS_READ_ONLY);
    access_free(access);
}

Test(access, one_list_is_enough_and_none_lets_nobody_in)
{
    struct access *access = make(REDIS_API_TOKEN, NULL, fixed("look"));

    cr_expect_eq(ask(access, "Bearer look"), ACCESS_READ_ONLY);
    cr_expect_eq(ask(access, "Bearer "), ACCESS_NO_TOKEN);
    access_free(access);

    access = make(REDIS_API_TOKEN, fixed(NULL), fixed(NULL));
    cr_expect_eq(ask(access, "Bearer look"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, NULL), ACCESS_NO_TOKEN);
    cr_expect_eq(access_refresh(access, true, error, sizeof(error)), 0);
    access_free(access);
}

Test(access, files_that_change)
{
    write_tokens("one\n");
    struct access *access =
        make(REDIS_API_TOKEN, secret_new(path, NULL, error, sizeof(error)), NULL);

    cr_expect_eq(ask(access, "Bearer one"), ACCESS_FULL);
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 0);
    write_tokens("two\none\n");
    cr_expect_eq(ask(access, "Bearer two"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 1);
    cr_expect_eq(ask(access, "Bearer two"), ACCESS_FULL);
    cr_expect_eq(ask(access, "Bearer one"), ACCESS_FULL);
    write_tokens("two\n");
    cr_expect_eq(access_refresh(access, true, error, sizeof(error)), 1);
    cr_expect_eq(ask(access, "Bearer two"), ACCESS_FULL);
    cr_expect_eq(ask(access, "Bearer one"), ACCESS_WRONG_TOKEN);
    access_free(access);
}

/* What is wrong for a moment takes nobody's rights away, and is said once. */
static void expect_old_stays(struct access *access, const char *what)
{
    error[0] = '\0';
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), -BW_EIO, "%s", what);
    cr_expect_not_null(strstr(error, "token-file: "), "%s: %s", what, error);
    cr_expect_eq(ask(access, "Bearer one"), ACCESS_FULL, "%s", what);
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 0, "%s", what);
    cr_expect_eq(access_refresh(access, true, error, sizeof(error)), -BW_EIO, "%s", what);
    cr_expect_eq(ask(access, "Bearer one"), ACCESS_FULL, "%s", what);
}

Test(access, files_that_go_wrong)
{
    static const char *const wrong[] = {"",       "\n\n",           "a b\n",  "one\ntwo\nthree\n",
                                        "a\tb\n", "t\xc3\xb6ken\n", "a\x7f\n"};

    write_tokens("one\n");
    struct access *access =
        make(REDIS_API_TOKEN, secret_new(path, NULL, error, sizeof(error)), NULL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_tokens(wrong[i]);
        expect_old_stays(access, wrong[i]);
        write_tokens("one\n");
        cr_expect_geq(access_refresh(access, false, error, sizeof(error)), 0);
    }
    cr_assert_eq(unlink(path), 0);
    expect_old_stays(access, "no file");
    write_tokens("two\n");
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 1);
    cr_expect_eq(ask(access, "Bearer one"), ACCESS_WRONG_TOKEN);
    cr_expect_eq(ask(access, "Bearer two"), ACCESS_FULL);
    access_free(access);
}

Test(access, what_is_to_be_said_of_files_that_change)
{
    const char *option = NULL;

    cr_expect(access_tokens_short("a"));
    cr_expect(access_tokens_short("0123456789abcdef\n0123456789abcde\n"));
    cr_expect_not(access_tokens_short("0123456789abcdef\r\n\n0123456789abcdefg"));
    write_tokens("one\n");
    cr_assert_eq(chmod(path, 0600), 0);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));
    (void)secret_exposed(secret);
    struct access *access = make(REDIS_API_TOKEN, NULL, secret);
    cr_expect_null(access_next_doubt(access, &option), "the start is somebody else's");
    write_tokens("two\n");
    cr_assert_eq(chmod(path, 0644), 0);
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 1);
    const char *said = access_next_doubt(access, &option);
    cr_assert_not_null(said);
    cr_expect_not_null(strstr(said, "read it"), "%s", said);
    cr_expect_str_eq(option, "read-only-token-file");
    said = access_next_doubt(access, &option);
    cr_assert_not_null(said);
    cr_expect_not_null(strstr(said, "shorter than 16"), "%s", said);
    cr_expect_null(access_next_doubt(access, &option));
    write_tokens("0123456789abcdef\n");
    cr_assert_eq(chmod(path, 0640), 0);
    cr_expect_eq(access_refresh(access, false, error, sizeof(error)), 1);
    cr_expect_null(access_next_doubt(access, &option));
    access_free(access);
}

static struct access *local;

static void expect(enum access_verdict verdict, const char *host, const char *origin,
                   const char *site)
{
    const struct access_headers headers = {
        .authorization = "Bearer nonsense", .host = host, .origin = origin, .sec_fetch_site = site};

    words = NULL;
    cr_expect_eq(access_check(local, &headers, &words), verdict, "host %s, origin %s, site %s: %s",
                 host, origin, site, words);
    cr_expect_eq(!words, verdict == ACCESS_FULL);
}

Test(access, loopback_hosts)
{
    local = make(REDIS_API_LOOPBACK, NULL, NULL);
    expect(ACCESS_FULL, "127.0.0.1", NULL, NULL);
    expect(ACCESS_FULL, "127.0.0.1:8380", NULL, NULL);
    expect(ACCESS_FULL, "[::1]", NULL, NULL);
    expect(ACCESS_FULL, "[::1]:8380", NULL, NULL);
    expect(ACCESS_FULL, "localhost", NULL, NULL);
    expect(ACCESS_FULL, "LocalHost:8380", NULL, NULL);
    expect(ACCESS_FULL, "10.0.0.1:8380", NULL, NULL);
    expect(ACCESS_FULL, NULL, NULL, NULL);
    expect(ACCESS_FULL, "", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "evil.example", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "evil.example:8380", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "localhost.evil.example", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1.evil.example", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "[localhost]", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "[127.0.0.1]", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "::1", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "[::1", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "[::1]x", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "[]", NULL, NULL);
    expect(ACCESS_FORBIDDEN, ":8380", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "localhost:80x", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "localhost:evil.example", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "localhost:123456789", NULL, NULL);
    expect(ACCESS_FORBIDDEN, "user@localhost", NULL, NULL);
    cr_expect_eq(access_refresh(local, true, error, sizeof(error)), 0);
    access_free(local);
}

Test(access, loopback_origins)
{
    local = make(REDIS_API_LOOPBACK, NULL, NULL);
    expect(ACCESS_FULL, "127.0.0.1:8380", "http://127.0.0.1:8380", NULL);
    expect(ACCESS_FULL, "localhost:8380", "HTTP://LOCALHOST:8380", "same-origin");
    expect(ACCESS_FULL, "[::1]:8380", "http://[::1]:8380", "none");
    expect(ACCESS_FULL, "localhost", "http://localhost", NULL);
    expect(ACCESS_FULL, "localhost:80", "http://localhost", NULL);
    expect(ACCESS_FULL, "localhost", "http://localhost:80", NULL);
    expect(ACCESS_FULL, "localhost", "https://localhost:443", NULL);
    expect(ACCESS_FORBIDDEN, "localhost:8380", "http://localhost", NULL);
    expect(ACCESS_FORBIDDEN, "localhost:8380", "http://localhost:3000", "same-site");
    expect(ACCESS_FORBIDDEN, "localhost:8380", "http://127.0.0.1:8380", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "http://evil.example", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "http://127.0.0.1:8380.evil.example", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "http://evil.example@127.0.0.1:8380", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "null", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "file://", NULL);
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "127.0.0.1:8380", NULL);
    expect(ACCESS_FORBIDDEN, NULL, "http://127.0.0.1:8380", NULL);
    access_free(local);
}

Test(access, loopback_sites)
{
    local = make(REDIS_API_LOOPBACK, NULL, NULL);
    expect(ACCESS_FULL, "127.0.0.1:8380", NULL, "same-origin");
    expect(ACCESS_FULL, "127.0.0.1:8380", NULL, "same-site");
    expect(ACCESS_FULL, "127.0.0.1:8380", NULL, "none");
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", NULL, "cross-site");
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", NULL, "Cross-Site");
    expect(ACCESS_FORBIDDEN, "127.0.0.1:8380", "http://127.0.0.1:8380", "cross-site");
    access_free(local);
}
