/* Addresses: spelling, refusals, equality; endpoints; the NAT map. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/address.h"
#include "bellwether/base/error.h"

static struct address parsed(const char *text)
{
    struct address address = {0};
    char error[256] = "";

    cr_assert_eq(address_parse(text, 0, &address, error, sizeof(error)), 0, "%s: %s", text, error);
    return address;
}

static void expect_text(const struct address *address, const char *text)
{
    char out[ADDRESS_TEXT_SIZE];

    cr_expect_str_eq(address_format(address, out), text);
}

Test(base_address, spellings)
{
    static const char *const rows[][2] = {
        {"10.0.0.1:6379", "10.0.0.1:6379"},
        {"Redis-0.Example.COM:26379", "redis-0.example.com:26379"},
        {"absolute.example.:1", "absolute.example.:1"},
        {"[::1]:65535", "[::1]:65535"},
        {"[FD00:0:0:0::00A]:6379", "[fd00::a]:6379"},
        {"[fe80::1%eth0]:6379", "[fe80::1%eth0]:6379"},
        {"my_host:7", "my_host:7"},
        {"localhost:0080", "localhost:80"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address address = parsed(rows[i][0]);

        expect_text(&address, rows[i][1]);
        struct address again = parsed(rows[i][1]);
        cr_expect(address_equal(&address, &again));
    }
}

Test(base_address, garbage_is_refused_with_the_text_in_the_message)
{
    static const char *const rows[] = {
        "",
        ":",
        ":6379",
        "host",
        "host:",
        "host:0",
        "host:70000",
        "host:65536",
        "host:-1",
        "host:6379x",
        "host: 6379",
        "host :6379",
        " host:6379",
        "ho st:6379",
        "::1:6379",
        "[::1]",
        "[::1]6379",
        "[::1:6379",
        "[host]:6379",
        "[]:6379",
        "[:::]:6379",
        "a..b:1",
        ".a:1",
        "-a:1",
        "10.0.0.256:1",
        "127.1:1",
        "26379:26379",
        "host:6379:1",
        "http://h:1",
        "h/1:1",
        "h@x:1",
        "[fe80::1%]:1",
        "[::1]:",
        "a,b:1",
        "h\n:1",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address out = {"untouched", 9};
        char error[512] = "";

        cr_expect_eq(address_parse(rows[i], 0, &out, error, sizeof(error)), -BW_EINVAL, "%s",
                     rows[i]);
        cr_expect(strstr(error, rows[i]), "%s: %s", rows[i], error);
        cr_expect(strstr(error, "takes host:port"), "%s: %s", rows[i], error);
        cr_expect_str_eq(out.host, "untouched");
    }
}

Test(base_address, long_names_are_refused)
{
    char text[600];
    char error[64];
    struct address out = {0};

    memset(text, 'a', sizeof(text));
    memcpy(text + 500, ":1", 3);
    cr_expect_eq(address_parse(text, 0, &out, error, sizeof(error)), -BW_EINVAL);
    memcpy(text + 64, ":1", 3); /* a label of 64 */
    cr_expect_eq(address_parse(text, 0, &out, error, sizeof(error)), -BW_EINVAL);
    memcpy(text + 63, ":1", 3);
    cr_expect_eq(address_parse(text, 0, &out, error, sizeof(error)), 0);
}

Test(base_address, default_port)
{
    struct address out = {0};
    char error[256];

    cr_assert_eq(address_parse("host", 26379, &out, error, sizeof(error)), 0);
    expect_text(&out, "host:26379");
    cr_assert_eq(address_parse("[::1]", 26379, &out, error, sizeof(error)), 0);
    expect_text(&out, "[::1]:26379");
    cr_assert_eq(address_parse("host:1", 26379, &out, error, sizeof(error)), 0);
    expect_text(&out, "host:1");
    cr_expect_eq(address_parse("::1", 26379, &out, error, sizeof(error)), -BW_EINVAL);
    cr_expect_eq(address_parse("host:", 26379, &out, error, sizeof(error)), -BW_EINVAL);
}

static int parts(const char *host, const char *port, struct address *out)
{
    return address_from_parts(host, strlen(host), port, strlen(port), out);
}

Test(base_address, from_parts_as_sentinels_give_them)
{
    struct address out = {0};

    cr_assert_eq(parts("10.0.0.1", "6379", &out), 0);
    expect_text(&out, "10.0.0.1:6379");
    cr_assert_eq(parts("fd00::1", "6379", &out), 0);
    expect_text(&out, "[fd00::1]:6379");
    cr_assert_eq(parts("[fd00::2]", "6379", &out), 0);
    expect_text(&out, "[fd00::2]:6379");
    cr_assert_eq(parts("Node-1", "6379", &out), 0);
    expect_text(&out, "node-1:6379");
    cr_expect_eq(parts("", "6379", &out), -BW_EINVAL);
    cr_expect_eq(parts("h", "", &out), -BW_EINVAL);
    cr_expect_eq(parts("h", "0", &out), -BW_EINVAL);
    cr_expect_eq(parts("h", "65536", &out), -BW_EINVAL);
    cr_expect_eq(parts("h", "-1", &out), -BW_EINVAL);
    cr_expect_eq(parts("h", "000000000006379", &out), -BW_EINVAL);
    cr_expect_eq(parts("[node]", "1", &out), -BW_EINVAL);
    cr_expect_eq(address_from_parts("a\0b", 3, "1", 1, &out), -BW_EINVAL);
    cr_expect_eq(address_from_parts("a", 1, "1\0", 2, &out), -BW_EINVAL);
    expect_text(&out, "node-1:6379");
}

Test(base_address, addresses_that_are_no_nodes)
{
    static const char *const nowhere[] = {
        "0.0.0.0:1",
        "0.1.2.3:1",
        "224.0.0.1:1",
        "239.255.255.255:1",
        "255.255.255.255:1",
        "[::]:1",
        "[ff02::1]:1",
        "[ff02::1%eth0]:1",
        "[::ffff:0.0.0.0]:1",
        "[::ffff:224.0.0.1]:1",
        "[::ffff:255.255.255.255]:1",
    };
    static const char *const somewhere[] = {
        "1.0.0.1:1",        "223.255.255.255:1", "240.0.0.1:1",
        "[fe80::1%eth0]:1", "[::2]:1",           "[::ffff:1.2.3.4]:1",
    };

    for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
        struct address address = parsed(nowhere[i]);

        cr_expect(address_is_nowhere(&address), "%s", nowhere[i]);
    }
    for (size_t i = 0; i < sizeof(somewhere) / sizeof(*somewhere); i++) {
        struct address address = parsed(somewhere[i]);

        cr_expect_not(address_is_nowhere(&address), "%s", somewhere[i]);
    }
}

Test(base_address, kinds)
{
    struct address v4 = parsed("127.9.9.9:1");
    struct address v6 = parsed("[::1]:1");
    struct address mapped = parsed("[::ffff:127.0.0.1]:1");
    struct address other = parsed("[::ffff:10.0.0.1]:1");
    struct address name = parsed("localhost:1");
    struct address unset = {0};

    cr_expect(address_is_loopback(&v4) && address_is_loopback(&v6) && address_is_loopback(&mapped));
    cr_expect_not(address_is_loopback(&other));
    cr_expect_not(address_is_loopback(&name), "a name is never known to be loopback");
    cr_expect_not(address_is_nowhere(&v4) || address_is_nowhere(&v6) ||
                  address_is_nowhere(&mapped));
    cr_expect_not(address_is_nowhere(&other) || address_is_nowhere(&name));
    cr_expect(address_is_ip(&v4) && address_is_ip(&v6) && address_is_ip(&mapped));
    cr_expect_not(address_is_ip(&name));
    cr_expect(address_is_set(&v4));
    cr_expect_not(address_is_set(&unset));
}

Test(base_address, endpoints)
{
    struct address ip = parsed("10.0.0.1:1");
    struct address name = parsed("n:1");
    struct endpoint a = endpoint_from_address(&ip);
    struct endpoint b = endpoint_from_address(&name);

    cr_expect(address_is_set(&a.ip));
    cr_expect_not(address_is_set(&b.ip));
    cr_expect_not(endpoint_equal(&a, &b));
    b.ip = ip;
    cr_expect(endpoint_equal(&a, &b), "a name that resolves to the IP is the same node");
    struct endpoint c = endpoint_from_address(&name);
    cr_expect(endpoint_equal(&b, &c), "unresolved: by name");
    c.ip = parsed("10.0.0.2:1");
    cr_expect_not(endpoint_equal(&b, &c), "the same name at another IP is another node");
}

static void expect_mapped(const struct address_map *map, const char *from, const char *to)
{
    struct address address = parsed(from);
    struct address mapped = address_map_apply(map, &address);

    expect_text(&mapped, to);
}

Test(base_address, map)
{
    struct address_map map = {0};
    char error[512];

    cr_assert_eq(address_map_add(&map, "10.0.0.1=192.0.2.1", error, sizeof(error)), 0);
    cr_assert_eq(address_map_add(&map, "10.0.0.1:6379=192.0.2.9:7000", error, sizeof(error)), 0);
    cr_assert_eq(address_map_add(&map, "192.0.2.1=192.0.2.2", error, sizeof(error)), 0);
    cr_assert_eq(address_map_add(&map, "fd00::1=Node-A", error, sizeof(error)), 0);
    cr_assert_eq(address_map_add(&map, "[fd00::2]:1=[fd00::3]:2", error, sizeof(error)), 0);

    expect_mapped(&map, "10.0.0.1:6379", "192.0.2.9:7000"); /* exact first, wherever it stands */
    expect_mapped(&map, "10.0.0.1:6380", "192.0.2.1:6380"); /* once, never chained */
    expect_mapped(&map, "[fd00::1]:5", "node-a:5");
    expect_mapped(&map, "[fd00::2]:1", "[fd00::3]:2");
    expect_mapped(&map, "[fd00::2]:2", "[fd00::2]:2");
    expect_mapped(&map, "10.0.0.2:6379", "10.0.0.2:6379");

    address_map_release(&map);
    expect_mapped(&map, "10.0.0.1:6380", "10.0.0.1:6380");
}

Test(base_address, map_refusals)
{
    static const char *const rows[] = {
        "",        "a",       "a=",    "=b",    "a=b=c", "a:1=b",  "a=b:1",
        "a:0=b:1", "a:1=b:0", "a:=b:", "a b=c", "[a]=b", "[::1=b", "a,b=c"};
    struct address_map map = {0};
    char error[512];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        error[0] = '\0';
        cr_expect_eq(address_map_add(&map, rows[i], error, sizeof(error)), -BW_EINVAL, "%s",
                     rows[i]);
        cr_expect(strstr(error, "takes host:port=host:port or host=host"), "%s", error);
    }
    cr_expect_eq(map.n, 0);
    cr_assert_eq(address_map_add(&map, "a=b", error, sizeof(error)), 0);
    cr_expect_eq(address_map_add(&map, "A=c", error, sizeof(error)), -BW_EINVAL,
                 "two rules for one address");
    address_map_release(&map);
}
