/* The options of forwards, from a text to struct forward_listen, and what is said of bad ones. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "options_fixture.h"

#define TRY(...) RUN(A("--sentinel=a:1"), __VA_ARGS__)

static void release(void)
{
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
}

TestSuite(options_forwards, .fini = release, .timeout = 20);

static void expect_forward(size_t i, const char *place, enum forward_to to, const char *master)
{
    const struct forward_listen *forward = &options.forwards[i];
    char text[ADDRESS_TEXT_SIZE];

    cr_expect_str_eq(listen_place_text(&forward->place, text), place);
    cr_expect_eq(forward->to, to, "%zu", i);
    cr_expect(master ? forward->master && strcmp(forward->master, master) == 0 : !forward->master,
              "%zu: %s", i, forward->master ? forward->master : "none");
}

Test(options_forwards, none)
{
    TRY(NULL);
    options_expect_run();
    cr_expect_eq(options.n_forwards, 0);
    cr_expect_eq(options.max_forwards, 2000);
    cr_expect_not(options.watch.fence_matters);
}

Test(options_forwards, words)
{
    TRY(A("--forward=127.0.0.1:6379"), A("--forward=[::1]:6380,to=replica"),
        A("--forward=unix:/run/x/r.sock,mode=0640,to=master,name=one"),
        A("--forward=localhost:6381,name=two,to=replica"), A("--master=one"), A("--master=two"),
        A("--max-forwards=1"));
    options_expect_run();
    cr_assert_eq(options.n_forwards, 4);
    expect_forward(0, "127.0.0.1:6379", FORWARD_TO_MASTER, NULL);
    expect_forward(1, "[::1]:6380", FORWARD_TO_REPLICA, NULL);
    expect_forward(2, "/run/x/r.sock", FORWARD_TO_MASTER, "one");
    expect_forward(3, "localhost:6381", FORWARD_TO_REPLICA, "two");
    cr_expect_eq(options.forwards[2].place.mode, 0640);
    cr_expect_eq(options.max_forwards, 1);
    cr_expect(options.watch.fence_matters);
    TRY(A("--forward=127.0.0.1:0,to=master"), A("--max-forwards=1000000"));
    options_expect_run();
    cr_expect_eq(options.forwards[0].place.address.port, 0);
    cr_expect_eq(options.max_forwards, 1000000);
}

/* A comma stands between two places and before a word: which, the word tells. */
Test(options_forwards, lists)
{
    options_set_variable(A(
        "BELLWETHER_FORWARD=127.0.0.1:1,to=replica,unix:/s,mode=0600 127.0.0.1:2,to=master,127.0.0.1:3"));
    TRY(NULL);
    options_expect_run();
    cr_assert_eq(options.n_forwards, 4);
    expect_forward(0, "127.0.0.1:1", FORWARD_TO_REPLICA, NULL);
    expect_forward(1, "/s", FORWARD_TO_MASTER, NULL);
    cr_expect_eq(options.forwards[1].place.mode, 0600);
    expect_forward(2, "127.0.0.1:2", FORWARD_TO_MASTER, NULL);
    expect_forward(3, "127.0.0.1:3", FORWARD_TO_MASTER, NULL);
    TRY(A("--forward=127.0.0.1:9,to=replica")); /* a flag wins */
    options_expect_run();
    cr_assert_eq(options.n_forwards, 1);
}

Test(options_forwards, in_a_file)
{
    options_run_file("sentinel = a:1\n"
                     "master = one\n"
                     "forward = 127.0.0.1:1, to=replica, name=one\n"
                     "forward = unix:/run/a,mode=0666, 127.0.0.1:2\n"
                     "max-forwards = 77\n");
    options_expect_run();
    cr_assert_eq(options.n_forwards, 3);
    expect_forward(0, "127.0.0.1:1", FORWARD_TO_REPLICA, "one");
    expect_forward(1, "/run/a", FORWARD_TO_MASTER, NULL);
    expect_forward(2, "127.0.0.1:2", FORWARD_TO_MASTER, NULL);
    cr_expect_eq(options.max_forwards, 77);
    options_run_file("sentinel = a:1\nforward = 127.0.0.1:1,to=slave\n");
    options_expect_refused("127.0.0.1:1,to=slave", "takes HOST:PORT", NULL);
}

/* Exit 2, and one line with the value and what it takes. */
Test(options_forwards, bad_values)
{
    static const char *const values[] = {"127.0.0.1",
                                         "127.0.0.1:65536",
                                         "127.0.0.1:6379,to=",
                                         "127.0.0.1:6379,to=slave",
                                         "127.0.0.1:6379,name=",
                                         "127.0.0.1:6379,name=a,name=b",
                                         "127.0.0.1:6379,name=a b",
                                         "127.0.0.1:6379,mode=0600",
                                         "127.0.0.1:6379,shiny",
                                         "unix:",
                                         "unix:/s,mode=",
                                         "unix:/s,mode=888",
                                         "unix:/s,mode=01777",
                                         "unix:/s,mode=0600x",
                                         ":6379",
                                         "[::1:6379",
                                         "::1:6379",
                                         ""};
    char long_path[160] = "unix:/", flag[200];

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        /* an unknown word is taken for a place of its own */
        const char *first = strstr(values[i], "shiny") ? "\"shiny\"" : values[i];

        (void)snprintf(flag, sizeof(flag), "--forward=%s", values[i]);
        TRY(flag);
        options_expect_refused("forward", "takes ", NULL);
        cr_expect(strstr(failed, first), "%s: %s", first, failed);
    }
    memset(long_path + 6, 'x', 107);
    (void)snprintf(flag, sizeof(flag), "--forward=%s", long_path);
    TRY(flag);
    options_expect_refused(long_path, "takes ", NULL);
    long_path[112] = '\0'; /* 107 bytes: as many as a socket's name has */
    (void)snprintf(flag, sizeof(flag), "--forward=%s", long_path);
    TRY(flag);
    options_expect_run();
}

/* What of a value is wrong is told where the value has many words; the same of both options. */
Test(options_forwards, what_is_wrong_with_a_word)
{
    static const struct {
        const char *option, *value, *why;
    } rows[] = {
        {"forward", "127.0.0.1:1,to=master,to=replica", "to= is there twice"},
        {"forward", "127.0.0.1:1,name=a,to=master,name=a", "name= is there twice"},
        {"forward", "127.0.0.1:1,auth,auth", "auth is there twice"},
        {"forward", "127.0.0.1:1,to=Master,auth", "to=Master"},
        {"forward", "127.0.0.1:1,name=,auth", "name="},
        {"listen", "127.0.0.1:1,scope=all,scope=all", "scope= is there twice"},
        {"listen", "127.0.0.1:1,scope=some,tls", "scope=some"},
        {NULL, "127.0.0.1:1,tls,tls", "tls is there twice"},
        {NULL, "127.0.0.1:1,tls,client-ca=off,client-ca=required", "client-ca= is there twice"},
        {NULL, "127.0.0.1:1,tls,client-ca=maybe", "client-ca=maybe"},
        {NULL, "unix:/s,mode=0600,mode=0600", "mode= is there twice"},
        {NULL, "unix:/s,mode=0888", "mode=0888"},
        {NULL, "127.0.0.1:1,mode=0600", "mode= is for a socket"},
        {NULL, "unix:,tls", "a socket has a path"},
        {NULL, "unix:/", "a socket's path ends in the socket's own name"},
        {NULL, "unix:/nowhere/s/,mode=0600", "a socket's path ends in the socket's own name"},
        {NULL, "unix:.", "a socket's path ends in the socket's own name"},
        {NULL, "unix:/nowhere/..", "a socket's path ends in the socket's own name"},
    };
    static const char *const both[] = {"listen", "forward"};
    char flag[96], words[160];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t k = 0; k < (rows[i].option ? 1 : 2); k++) {
            const char *option = rows[i].option ? rows[i].option : both[k];

            (void)snprintf(flag, sizeof(flag), "--%s=%s", option, rows[i].value);
            (void)snprintf(words, sizeof(words), "--%s: \"%s\" is not valid: %s; takes HOST:PORT",
                           option, rows[i].value, rows[i].why);
            TRY(flag);
            options_expect_refused(words, NULL);
        }
    }
}

/* A word of the other option is a place of its own, and none. */
Test(options_forwards, words_of_the_other_option)
{
    TRY(A("--listen=127.0.0.1:1,to=replica"));
    options_expect_refused("--listen: \"to=replica\" is not valid; takes HOST:PORT", NULL);
    TRY(A("--forward=127.0.0.1:1,scope=all"));
    options_expect_refused("--forward: \"scope=all\" is not valid; takes HOST:PORT", NULL);
}

Test(options_forwards, one_place_once)
{
    TRY(A("--forward=127.0.0.1:6379"), A("--forward=127.0.0.1:6379,to=replica"));
    options_expect_refused("--forward 127.0.0.1:6379: ", "listened on already", NULL);
    TRY(A("--forward=127.0.0.1:8380"), A("--listen=127.0.0.1:8380"));
    options_expect_refused("--forward 127.0.0.1:8380: ", "listened on already", NULL);
    TRY(A("--forward=unix:/s"), A("--listen=unix:/s,127.0.0.1:1"));
    options_expect_refused("--forward unix:/s: ", "listened on already", NULL);
    TRY(A("--forward=[::1]:1,[0:0::1]:1"));
    options_expect_refused("--forward [::1]:1: ", "listened on already", NULL);
    TRY(A("--listen=127.0.0.1:1"), A("--listen=127.0.0.1:1,scope=probe"));
    options_expect_refused("--listen 127.0.0.1:1: ", "listened on already", NULL);
    TRY(A("--forward=127.0.0.1:0,127.0.0.1:0")); /* any two free ones */
    options_expect_run();
}

/* A folder may come, as that of a unit does when it starts; what is there does not go. */
Test(options_forwards, what_is_in_the_way_of_a_socket)
{
    static const char *const both[] = {"listen", "forward"};
    char flag[96], words[128], file_below[96];

    options_write_file("no socket\n");
    (void)snprintf(file_below, sizeof(file_below), "%s/s", path);
    const struct {
        const char *socket, *why;
    } rows[] = {{"/tmp", "a folder is there"},
                {path, "a file that is no socket is there"},
                {file_below, "what would be its folder is a file"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t k = 0; k < 2; k++) {
            (void)snprintf(flag, sizeof(flag), "--%s=unix:%s", both[k], rows[i].socket);
            (void)snprintf(words, sizeof(words), "--%s unix:%s: %s; takes a path where nothing is",
                           both[k], rows[i].socket, rows[i].why);
            TRY(flag, A("--check-config"));
            options_expect_refused(words, NULL);
        }
    }
    TRY(A("--forward=unix:/nowhere/at/all/s"), A("--listen=unix:s,unix:./s/..s"));
    options_expect_run();
}

Test(options_forwards, a_master_that_is_not_watched)
{
    TRY(A("--forward=127.0.0.1:1,name=b"), A("--master=a"));
    options_expect_refused("--forward 127.0.0.1:1", "\"b\" is not watched", "takes name=", NULL);
    TRY(A("--forward=unix:/s,name=b"), A("--master=a"));
    options_expect_refused("--forward unix:/s", "\"b\" is not watched", NULL);
    TRY(A("--forward=127.0.0.1:1,name=b")); /* all that the Sentinels know are */
    options_expect_run();
}

Test(options_forwards, logged_in)
{
    options_write_file("secret\n");
    char file[96];
    (void)snprintf(file, sizeof(file), "--redis-password-file=%s", path);
    TRY(A("--forward=127.0.0.1:1,auth,unix:/s,auth,[::1]:2,auth"), file);
    options_expect_run();
    cr_expect(options.forwards[0].auth && options.forwards[1].auth && options.forwards[2].auth);
    TRY(A("--forward=0.0.0.0:1,auth"), file);
    options_expect_refused("--forward 0.0.0.0:1", "auth where others may reach it",
                           "takes auth on 127.0.0.1 (all of 127.0.0.0/8), [::1] or a Unix socket",
                           NULL);
    cr_expect_not(strstr(failed, "no name"), "%s", failed);
    TRY(A("--forward=localhost:1,auth"), file);
    options_expect_refused("--forward localhost:1", "auth where others may reach it",
                           "no name, which may mean another address tomorrow", NULL);
    TRY(A("--forward=127.0.0.2:1,auth"), file);
    options_expect_run();
    TRY(A("--forward=127.0.0.1:1,auth"));
    options_expect_refused("--forward 127.0.0.1:1", "auth without a password",
                           "takes --redis-password-file", NULL);
}

/* Which line of the file, where the option has several. */
Test(options_forwards, where_a_wrong_one_was_given)
{
    static const struct {
        const char *file, *words, *what;
    } cases[] = {
        {"forward = 127.0.0.1:1,auth\n", ":2): 127.0.0.1:1: ", "auth without a password"},
        {"forward = 127.0.0.1:1,tls\n", ":2): 127.0.0.1:1: ", "tls without a certificate"},
        {"forward = 127.0.0.1:1,name=b\nmaster = a\n", ":2): 127.0.0.1:1: ", "not watched"},
        {"forward = unix:/s\nforward = unix:/s\n", ":3): unix:/s: ", "listened on already"},
        {"forward = 127.0.0.1:1 127.0.0.1:2\nforward = 0.0.0.0:3,auth\nforward = 127.0.0.1:4\n",
         ":3): 0.0.0.0:3: ", "others may reach it"},
        {"forward = unix:/s,tls\n", ":2): unix:/s,tls: ", "has no TLS"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char file[256];

        (void)snprintf(file, sizeof(file), "sentinel = a:1\n%s", cases[i].file);
        options_run_file(file);
        options_expect_refused("forward (/", cases[i].words, cases[i].what, NULL);
    }
    options_run_file("sentinel = a:1\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2,tls\n");
    options_expect_refused("listen (/", ":3): 127.0.0.1:2: tls without a certificate", NULL);
    options_set_variable(A("BELLWETHER_FORWARD=127.0.0.1:1,auth"));
    TRY(A("--master=a"));
    options_expect_refused("forward (BELLWETHER_FORWARD): 127.0.0.1:1: auth without", NULL);
}

Test(options_forwards, how_many)
{
    static const char *const values[] = {"0", "-1", "1000001", "many", "1k", ""};
    char flag[64];

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        (void)snprintf(flag, sizeof(flag), "--max-forwards=%s", values[i]);
        TRY(flag);
        options_expect_refused("--max-forwards", "takes ", "1 to 1000000", NULL);
    }
}
