#include "tests/unit/shared/base/base_test.h"
#include "shared/http/websocket.h"

static void the_example_of_rfc_6455(void **state)
{
    char out[WEBSOCKET_ACCEPT_LEN + 1] = {0};
    (void)state;
    websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    char key[WEBSOCKET_KEY_LEN + 1] = {0};
    websocket_key((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
}

/* Lengths around the end of a block of SHA-1; from sha1sum and base64 of coreutils. */
static void keys_of_any_length(void **state)
{
    char text[101], out[WEBSOCKET_ACCEPT_LEN + 1] = {0};
    (void)state;
    memset(text, 'x', sizeof(text));
    websocket_accept(STR(""), out);
    assert_string_equal(out, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
    websocket_accept(str_of(text, 19), out);
    assert_string_equal(out, "qQsxh2Nb/vsnD9od6HBiP6Igif0=");
    websocket_accept(str_of(text, 28), out);
    assert_string_equal(out, "atUL8kQGe4qplhq19Y5TKRw/Uj4=");
    websocket_accept(str_of(text, 100), out);
    assert_string_equal(out, "DJTE+uYDnPxiT+W6VvIG/iPUxv8=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_6455),
        cmocka_unit_test(keys_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
