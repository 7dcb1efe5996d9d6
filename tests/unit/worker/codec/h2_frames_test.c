#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h2_frames.h"
#include <stdio.h>
#include <stdlib.h>

/* What a stream of frames was read as, as text: one word per step. */
struct reading {
    char text[4096];
    size_t n;
    enum h2_step last;
    uint8_t error;
};

static void say(struct reading *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->n += (size_t)vsnprintf(r->text + r->n, sizeof(r->text) - r->n, fmt, ap);
    va_end(ap);
}

static void say_end(struct reading *r, const struct h2_frame *f)
{
    switch (f->type) {
    case H2_PING:
        say(r, "ping %.8s;", (const char *)f->opaque);
        break;
    case H2_GOAWAY:
        say(r, "goaway %u %s;", f->word, h2_code_name(f->code));
        break;
    case H2_RST_STREAM:
    case H2_WINDOW_UPDATE:
    case H2_PRIORITY:
        say(r, "word %u;", f->word);
        break;
    default:
        say(r, "end;");
    }
}

/* Reads in pieces of `step` bytes, each in memory of its own size; pieces of content are joined. */
static struct reading read_all(const char *data, size_t n, size_t step, uint8_t skip_type)
{
    struct reading r = {.last = H2_STEP_MORE};
    struct h2_reader in = {.max_block = 1000};
    bool in_piece = false;
    for (size_t at = 0; at < n && r.last != H2_STEP_ERROR; at += GH_MIN(step, n - at)) {
        size_t k = GH_MIN(step, n - at), used = 0, done = 0;
        char *piece = malloc(k);
        memcpy(piece, data + at, k);
        do {
            r.last = h2_read(&in, piece + done, k - done, &used);
            done += used;
            if (in_piece && r.last != H2_STEP_PIECE && r.last != H2_STEP_MORE) {
                say(&r, "';");
                in_piece = false;
            }
            switch (r.last) {
            case H2_STEP_FRAME:
                say(&r, "%u/%u/%x/%u:", in.f.type, in.f.stream, in.f.flags, in.f.len);
                in.skip = in.f.type == skip_type;
                break;
            case H2_STEP_PIECE:
                assert_true(in.piece.n > 0 && in.piece.p >= piece && in.piece.p + in.piece.n <= piece + k);
                say(&r, "%s%.*s", in_piece ? "" : "'", (int)in.piece.n, in.piece.p);
                in_piece = true;
                break;
            case H2_STEP_SETTING:
                say(&r, "set %u=%u;", in.setting, in.value);
                break;
            case H2_STEP_END:
                say_end(&r, &in.f);
                break;
            case H2_STEP_ERROR:
                say(&r, "error %s: %s", h2_code_name(in.error), in.text);
                break;
            case H2_STEP_MORE:
                assert_int_equal(done, k);
                break;
            }
        } while (r.last != H2_STEP_MORE && r.last != H2_STEP_ERROR);
        free(piece);
    }
    r.error = in.error;
    return r;
}

/* The same however it is cut. */
static void expect_skip(const char *data, size_t n, const char *text, uint8_t skip)
{
    struct reading whole = read_all(data, n, n, skip);
    assert_string_equal(whole.text, text);
    for (size_t step = 1; step < GH_MIN(n, (size_t)40); step++) {
        struct reading r = read_all(data, n, step, skip);
        assert_string_equal(r.text, text);
    }
}
#define EXPECT(bytes, text) expect_skip(bytes, sizeof(bytes) - 1, text, 255)

static void frames_are_cut_into_heads_and_pieces(void **state)
{
    (void)state;
    EXPECT("\0\0\5\0\0\0\0\0\1hello", "0/1/0/5:'hello';end;");
    EXPECT("\0\0\0\0\1\0\0\0\3", "0/3/1/0:end;");
    EXPECT("\0\0\3\1\4\0\0\0\1abc\0\0\2\0\1\0\0\0\1xy", "1/1/4/3:'abc';end;0/1/1/2:'xy';end;");
    EXPECT("\0\0\3\1\0\0\0\0\1abc\0\0\0\x9\0\0\0\0\1\0\0\2\x9\4\0\0\0\1de", "1/1/0/3:'abc';end;9/1/0/0:end;9/1/4/2:'de';end;");
}

static void padding_and_priority_are_taken_off(void **state)
{
    (void)state;
    EXPECT("\0\0\7\0\x8\0\0\0\1\3abc\0\0\0", "0/1/8/7:'abc';end;");
    EXPECT("\0\0\1\0\x9\0\0\0\1\0", "0/1/9/1:end;");
    EXPECT("\0\0\4\0\x8\0\0\0\1\3\0\0\0", "0/1/8/4:end;");
    EXPECT("\0\0\xb\1\x2c\0\0\0\3\2\x80\0\0\1\xff" "abc\0\0", "1/3/2c/11:'abc';end;");
}

static void small_frames_have_their_fields(void **state)
{
    (void)state;
    EXPECT("\0\0\4\3\0\0\0\0\5\0\0\0\x8", "3/5/0/4:word 8;");
    EXPECT("\0\0\4\x8\0\0\0\0\0\0\0\1\0", "8/0/0/4:word 256;");
    EXPECT("\0\0\4\x8\0\x80\0\0\7\x80\0\1\0", "8/7/0/4:word 256;"); /* the reserved bits mean nothing */
    EXPECT("\0\0\x8\6\0\0\0\0\0abcdefgh", "6/0/0/8:ping abcdefgh;");
    EXPECT("\0\0\5\2\0\0\0\0\7\0\0\0\x9\1", "2/7/0/5:word 9;");
    EXPECT("\0\0\xa\7\0\0\0\0\0\0\0\0\3\0\0\0\xbhi", "7/0/0/10:goaway 3 ENHANCE_YOUR_CALM;");
    EXPECT("\0\0\xc\4\0\0\0\0\0\0\3\0\0\0\x64\0\4\0\1\0\0", "4/0/0/12:set 3=100;set 4=65536;end;");
    EXPECT("\0\0\0\4\1\0\0\0\0", "4/0/1/0:end;");
    EXPECT("\0\0\3\xfa\xff\0\0\0\1xyz", "250/1/ff/3:end;"); /* unknown: passed over */
    EXPECT("\0\0\6\x10\0\0\0\0\0\0\0\0\1u=1", "16/0/0/6:end;");
}

static void what_is_skipped_has_an_end_only(void **state)
{
    (void)state;
    static const char data[] = "\0\0\7\0\x8\0\0\0\1\3abc\0\0\0\0\0\5\0\0\0\0\0\1hello";
    expect_skip(data, sizeof(data) - 1, "0/1/8/7:end;0/1/0/5:end;", H2_DATA);
}

static void a_priority_of_another_length_is_for_its_stream_to_judge(void **state)
{
    (void)state;
    EXPECT("\0\0\4\2\0\0\0\0\7\0\0\0\x9", "2/7/0/4:word 0;");
}

#define ERROR(bytes, code)                                                                         \
    do {                                                                                           \
        struct reading r_ = read_all(bytes, sizeof(bytes) - 1, 1, 255);                            \
        assert_int_equal(r_.last, H2_STEP_ERROR);                                                  \
        assert_int_equal(r_.error, code);                                                          \
        r_ = read_all(bytes, sizeof(bytes) - 1, sizeof(bytes) - 1, 255);                           \
        assert_int_equal(r_.error, code);                                                          \
    } while (0)

static void what_a_frame_gets_wrong_by_itself_ends_the_connection(void **state)
{
    (void)state;
    ERROR("\0\x40\1\0\0\0\0\0\1", H2_FRAME_SIZE_ERROR);          /* 16385 bytes */
    ERROR("\0\0\3\3\0\0\0\0\1", H2_FRAME_SIZE_ERROR);            /* RST_STREAM of 3 */
    ERROR("\0\0\5\x8\0\0\0\0\1", H2_FRAME_SIZE_ERROR);           /* WINDOW_UPDATE of 5 */
    ERROR("\0\0\7\6\0\0\0\0\0", H2_FRAME_SIZE_ERROR);            /* PING of 7 */
    ERROR("\0\0\7\7\0\0\0\0\0", H2_FRAME_SIZE_ERROR);            /* GOAWAY of 7 */
    ERROR("\0\0\6\4\1\0\0\0\0", H2_FRAME_SIZE_ERROR);            /* SETTINGS ACK with content */
    ERROR("\0\0\5\4\0\0\0\0\0", H2_FRAME_SIZE_ERROR);            /* SETTINGS of 5 */
    ERROR("\0\0\0\0\x8\0\0\0\1", H2_FRAME_SIZE_ERROR);           /* padded, but no length of padding */
    ERROR("\0\0\4\1\x20\0\0\0\1", H2_FRAME_SIZE_ERROR);          /* HEADERS without room for its priority */
    ERROR("\0\0\0\0\0\0\0\0\0", H2_PROTOCOL_ERROR);              /* DATA on stream 0 */
    ERROR("\0\0\4\3\0\0\0\0\0\0\0\0\0", H2_PROTOCOL_ERROR);      /* RST_STREAM on stream 0 */
    ERROR("\0\0\x8\6\0\0\0\0\1", H2_PROTOCOL_ERROR);             /* PING on stream 1 */
    ERROR("\0\0\0\4\0\0\0\0\1", H2_PROTOCOL_ERROR);              /* SETTINGS on stream 1 */
    ERROR("\0\0\x8\7\0\0\0\0\1", H2_PROTOCOL_ERROR);             /* GOAWAY on stream 1 */
    ERROR("\0\0\4\5\4\0\0\0\1\0\0\0\2", H2_PROTOCOL_ERROR);      /* PUSH_PROMISE */
    ERROR("\0\0\4\0\x8\0\0\0\1\4abc", H2_PROTOCOL_ERROR);        /* padding as long as the frame */
    ERROR("\0\0\6\1\x28\0\0\0\1\1\0\0\0\0\0", H2_PROTOCOL_ERROR);
    ERROR("\0\0\6\4\0\0\0\0\0\0\2\0\0\0\2", H2_PROTOCOL_ERROR);  /* ENABLE_PUSH 2 */
    ERROR("\0\0\6\4\0\0\0\0\0\0\4\x80\0\0\0", H2_FLOW_CONTROL_ERROR);
    ERROR("\0\0\6\4\0\0\0\0\0\0\5\0\0\x3f\xff", H2_PROTOCOL_ERROR);
    ERROR("\0\0\6\4\0\0\0\0\0\0\5\1\0\0\0", H2_PROTOCOL_ERROR);
}

static void nothing_comes_between_the_frames_of_a_block(void **state)
{
    (void)state;
    ERROR("\0\0\1\1\0\0\0\0\1x\0\0\0\0\0\0\0\0\1", H2_PROTOCOL_ERROR);
    ERROR("\0\0\1\1\0\0\0\0\1x\0\0\0\x9\0\0\0\0\3", H2_PROTOCOL_ERROR);
    ERROR("\0\0\1\1\0\0\0\0\1x\0\0\0\xfa\0\0\0\0\1", H2_PROTOCOL_ERROR);
    ERROR("\0\0\1\1\0\0\0\0\1x\0\0\1\1\0\0\0\0\1", H2_PROTOCOL_ERROR);
    ERROR("\0\0\0\x9\0\0\0\0\1", H2_PROTOCOL_ERROR);
    ERROR("\0\0\1\1\4\0\0\0\1x\0\0\0\x9\0\0\0\0\1", H2_PROTOCOL_ERROR);
}

static void a_block_has_an_end(void **state)
{
    (void)state;
    char data[9 + 20 * 9];
    size_t n = h2_put_head(data, 0, H2_HEADERS, 0, 1);
    for (unsigned i = 0; i < H2_MAX_CONTINUATION; i++)
        n += h2_put_head(data + n, 0, H2_CONTINUATION, 0, 1);
    assert_int_equal(read_all(data, n, n, 255).last, H2_STEP_MORE);
    n += h2_put_head(data + n, 0, H2_CONTINUATION, 0, 1);
    assert_int_equal(read_all(data, n, n, 255).error, H2_ENHANCE_YOUR_CALM);
    n = h2_put_head(data, 1001, H2_HEADERS, 0, 1); /* max_block is 1000 */
    assert_int_equal(read_all(data, n, n, 255).error, H2_ENHANCE_YOUR_CALM);
}

static void what_is_written_is_read_as_it_was_meant(void **state)
{
    (void)state;
    char data[256];
    const struct h2_set set[] = {{H2_SET_MAX_CONCURRENT_STREAMS, 128}, {H2_SET_ENABLE_CONNECT_PROTOCOL, 1}};
    size_t n = h2_put_settings(data, set, 2);
    n += h2_put_settings_ack(data + n);
    n += h2_put_rst(data + n, 7, H2_CANCEL);
    n += h2_put_window(data + n, 0, 70000);
    n += h2_put_ping(data + n, (const uint8_t *)"12345678", true);
    n += h2_put_goaway(data + n, 9, H2_NO_ERROR, STR("bye"));
    expect_skip(data, n,
                "4/0/0/12:set 3=128;set 8=1;end;4/0/1/0:end;3/7/0/4:word 8;8/0/0/4:word 70000;6/0/1/8:ping 12345678;"
                "7/0/0/11:goaway 9 NO_ERROR;",
                255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_cut_into_heads_and_pieces),
        cmocka_unit_test(padding_and_priority_are_taken_off),
        cmocka_unit_test(small_frames_have_their_fields),
        cmocka_unit_test(what_is_skipped_has_an_end_only),
        cmocka_unit_test(a_priority_of_another_length_is_for_its_stream_to_judge),
        cmocka_unit_test(what_a_frame_gets_wrong_by_itself_ends_the_connection),
        cmocka_unit_test(nothing_comes_between_the_frames_of_a_block),
        cmocka_unit_test(a_block_has_an_end),
        cmocka_unit_test(what_is_written_is_read_as_it_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
